-- prometheus: does each server answer a question?
local look = require "doctor.look"
local settings = require "settings"

local function look_at(what, url)
  local it = look.ask("prometheus.query", "vector(1)", { url = url })
  return { look.row(what, it, { text = "answers a query", mend = it.error and it.error.kind == "usage"
    and 'prometheus = { url = "http://…:9090" } in the config' or nil }) }
end

return function(asked, check)
  local by_url = look.groups(look.of(asked, "prometheus"), function(it)
    return look.known(it.act.call.url or settings.prometheus.url or "")
  end)
  for _, uses in ipairs(by_url) do
    local url = uses[1].act.call.url
    local what = uses.key == "" and "server" or look.origin(url or settings.prometheus.url) or "server"
    check(what, function() return look_at(what, url) end, uses)
  end
end
