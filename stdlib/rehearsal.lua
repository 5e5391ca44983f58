-- The config's `hosts` sends real names to other addresses, for rehearsals: every request of this program asks here, pages too.
local settings = require "settings"

local rehearsal = {}

-- For raw.http: "NAME::ADDRESS:PORT" for every name, whatever its port.
function rehearsal.routes()
  local routes = {}
  for name, address in pairs(settings.hosts) do
    local host, port = address:match "^(.*):(%d+)$"
    routes[#routes + 1] = ("%s::%s:%s"):format(name, host or address, port or "")
  end
  return routes
end

-- For one URL: "ADDRESS:PORT", or nil when it is not rehearsed.
function rehearsal.route(url)
  local name = tostring(require("values").reveal(url)):match "^%a+://([^/:]+)"
  return name and settings.hosts[name]
end

return rehearsal
