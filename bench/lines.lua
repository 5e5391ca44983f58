-- The lines of a large log that match.
runbook { title = "Lines", alert = "None", severity = "info", condition = "never", impact = "none" }

local p = params { log = { "/var/log/syslog", "Which" }, match = { "ERROR", "What stands in them" } }

local look = probe("Lines", function()
  local found = files.read(p.log, { match = p.match, timeout = "1m" })
  check("lines match", found.matched > 0, { fault = "none", detail = ("%d of %d"):format(found.matched, found.lines) })
end)

if look().none then return unresolved "no line matches" end
return resolved "lines match"
