-- Carrying out a level, or rehearsing it: the only thing that happens is telling people. Reads have no way, but for the goal's
-- own: a level looks whether it is still needed.
local live = require "modes.live"
local tasks = require "tasks"

local escalate = { name = "escalate", grace = live.grace, notify = live.notify, preview = live.preview }

function escalate.read(act)
  if tasks.context().probe == "recovered" then return live.read(act) end
  return nil, { kind = "refused", message = "an escalation may only notify" }
end


return escalate
