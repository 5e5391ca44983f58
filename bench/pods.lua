-- As many pods as a large namespace has, in one answer of kubectl's; then how much memory that took us.
runbook { title = "Pods", alert = "None", severity = "info", condition = "never", impact = "none" }

local p = params { count = { 10000, "How many there are" } }

local look = probe("Pods", function()
  local pods = kubectl.get("pods", { timeout = "2m" })
  check("all of them are there", pods.total == p.count, { fault = "short", detail = pods.summary })
  note("peak " .. files.read("/proc/self/status").text:match "VmHWM:%s*(%d+) kB" .. " KiB")
end)

if look().short then return unresolved "not all of them were read" end
return resolved "all of them were read"
