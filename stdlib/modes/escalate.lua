-- Carrying out a level: the only thing that happens is telling people. Reads and writes have no way.
local live = require "modes.live"

return { name = "escalate", grace = live.grace, notify = live.notify,
         read = function() return nil, { kind = "refused", message = "an escalation may only notify" } end,
         preview = function() end }
