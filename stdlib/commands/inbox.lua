-- runbook ack|abort RUN: a word to a run from another process: a file of its own in the run's inbox.
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local tasks = require "tasks"
local tty = require "raw.tty"

local says = {
  ack = "acknowledged: no later escalation level of this run fires",
  abort = "aborted: the incident is over, the escalation is stopped",
}

return function(arguments, _, host, command)
  local found, err = raw_run.find(arguments[1])
  if not found then
    tty.write(2, ("runbook: %s\n"):format(err.message))
    return 2
  end
  local name = ("%d-%s.json"):format(math.floor(tasks.wall() * 1000), command)
  local ok, problem = files.write { path = found.path .. "/inbox/" .. name, mode = 384, text = json.encode {
    action = command, by = host.getenv "USER" or "unknown", at = tasks.wall() } }
  if not ok then
    tty.write(2, ("runbook: %s\n"):format(problem.message))
    return 70
  end
  tty.write(1, ("%s: %s\n"):format(found.id, says[command]))
  return 0
end
