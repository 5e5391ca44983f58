-- A wait of the script's between two looks: its end is an event like every other thing that comes to the script, so that a
-- resumed run waits as often, and no longer.
local gate = require "gate"
local journal = require "journal"
local tasks = require "tasks"

local waiting = {}

-- Waits; `label`: for what; `place`: whose wait it is where that is not the running task's, { path = }.
function waiting.wait(seconds, label, place)
  local it = { key = journal.key(place or tasks.context()), poll = label, seconds = seconds }
  local recorded = gate.mode().recorded_wait
  if recorded and recorded(it) then return end
  local ok, err = pcall(tasks.sleep, seconds)
  it.status = not ok and "cancelled" or nil
  journal.event("wait", it)
  if not ok then error(err, 0) end
end

return waiting
