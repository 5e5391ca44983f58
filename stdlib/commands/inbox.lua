-- runbook ack|abort RUN: a word to a run from another process: a file of its own in the run's inbox.
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local screen = require "screen"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_WRONG, EXIT_USAGE = 1, 2
local TAIL_MAX = 256 << 10 -- bytes of a journal's end in which its last event stands whole

local says = {
  ack = "acknowledged: no later escalation level of this run fires",
  abort = "aborted: the incident is over, the escalation is stopped",
}

local function fail(code, text, ...)
  screen.complain(text:format(...))
  return code
end

-- The event with which a run ended; nil while it is under way.
local function end_of(path)
  local read = files.read { path = path .. "/journal.jsonl", max = TAIL_MAX, keep = "tail" }
  local line = read and read.text:match "([^\n]+)\n?$"
  local event = line and json.decode(line)
  return type(event) == "table" and event.event == "run.ended" and event or nil
end

-- Whether a watchdog may still fire a level: of a resolved run it is on its way out.
local function is_armed(path, ended)
  return ended.outcome ~= "resolved" and files.stat(path .. "/watchdog.lock").state == "file"
end

-- "ack" or "abort", when that was said to the run before.
local function said_before(path)
  local walked = files.walk { under = path .. "/inbox", name = "*.json", flat = true }
  for _, file in ipairs(walked and walked.files or {}) do
    local word = file.path:match "%-(%l+)%.json$"
    if says[word] then return word end
  end
end

-- Why there is nothing to say to a run, or nil. Two runs are easily mixed up at night: the one that was meant goes on paging.
local function why_over(found)
  local ended = end_of(found.path)
  if not ended then return nil end
  local word = said_before(found.path)
  if is_armed(found.path, ended) and not word then return nil end
  return ("it ended at %s UTC, %s%s; nothing to stop"):format(ended.at:sub(12, 19), ended.outcome,
    word and (", %s was said before"):format(word) or "")
end

return function(arguments, _, host, command)
  local found, err = raw_run.find(arguments[1])
  if not found then return fail(EXIT_USAGE, "%s", err.message) end
  if found.id:find "^dry%-" then return fail(EXIT_USAGE, "%s is a dry run: nothing of it was armed", found.id) end
  local over = why_over(found)
  if over then return fail(EXIT_WRONG, "%s: %s", found.id, over) end
  local name = ("%d-%s.json"):format(math.floor(tasks.wall() * 1000), command)
  local ok, problem = files.write { path = found.path .. "/inbox/" .. name, mode = 384, text = json.encode {
    action = command, by = host.getenv "USER" or "unknown", at = tasks.wall() } }
  if not ok then return fail(EXIT_WRONG, "%s could not be told: %s", found.id, problem.message) end
  tty.write(1, ("%s: %s\n"):format(found.id, says[command]))
  return 0
end
