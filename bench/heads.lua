-- So many HEAD requests in one `together`: what bench/heads.c does by hand.
runbook { title = "Heads", alert = "None", severity = "info", condition = "never", impact = "none" }

local p = params { url = { "http://127.0.0.1", "Where" }, count = { 1000, "How many" } }

local answers = probe("Everything answers", function()
  local heads, well = {}, 0
  for i = 1, p.count do
    heads[i] = function()
      if http.head(p.url, { timeout = "30s" }).status == 200 then well = well + 1 end
    end
  end
  together(heads)
  check("each answered 200", well == p.count, { fault = "silent", detail = ("%d of %d"):format(well, p.count) })
end)

if answers().silent then return unresolved "not everything answered" end
return resolved "everything answered"
