-- runbook ack|abort RUN: a word to a run from another process: a file of its own in the run's inbox.
local duration = require "duration"
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local screen = require "screen"
local taken = require "taken"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_WRONG, EXIT_USAGE = 1, 2
local TAIL_MAX = 256 << 10 -- bytes of a journal's end in which its last event stands whole
-- Levels are put off for so long at once, in whole seconds.
local PUT_OFF_MIN, PUT_OFF_MAX = 1, 86400

local says = {
  ack = "acknowledged: no later escalation level of this run fires",
  abort = "aborted: the incident is over, the escalation is stopped",
}
local says_late = "acknowledged: every escalation level of this run has fired already"

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
local function said_before(words)
  for _, it in ipairs(words) do if says[it.word] then return it.word end end
end

-- Why there is nothing to say to a run, or nil. Two runs are easily mixed up at night: the one that was meant goes on paging.
local function why_over(found, words)
  local ended = end_of(found.path)
  if not ended then return nil end
  local word = said_before(words)
  if is_armed(found.path, ended) and not word then return nil end
  return ("it ended at %s UTC, %s%s; nothing to stop"):format(ended.at:sub(12, 19), ended.outcome,
    word and (", %s was said before"):format(word) or "")
end

-- Why no level of it can be put off, or nil.
local function why_not_put_off(levels, words)
  local word = said_before(words) or levels.stopped
  if word then return ("nothing to put off: %s was said before, no level fires any more"):format(word) end
  if #levels.left == 0 then return "nothing to put off: every escalation level has fired already" end
end

-- The seconds of --for; nil and what is wrong with it.
local function read_duration(text)
  local seconds, why = duration.parse(text)
  if not seconds then return nil, ("--for %s: %s"):format(text, why) end
  if seconds < PUT_OFF_MIN or seconds > PUT_OFF_MAX then
    return nil, ("--for %s: %s to %s expected; without --for no level fires any more"):format(text,
      duration.text(PUT_OFF_MIN), duration.text(PUT_OFF_MAX))
  end
  return math.ceil(seconds)
end

-- What a word is kept as, and the answer to who said it.
local function word_of(command, seconds, words, levels)
  if not seconds then
    return command, command == "ack" and #levels.fired > 0 and #levels.left == 0 and says_late or says[command]
  end
  local before, ends = taken.put_off(words), tasks.wall() + seconds
  if before and before.ends >= ends then
    return seconds .. "-later", ("put off before: no level fires before %s, as %s said"):format(taken.clock(before.ends), before.by)
  end
  return seconds .. "-later", ("put off: no level fires before %s; from then on the clock goes on"):format(taken.clock(ends))
end

return function(arguments, options, host, command)
  local found, err = raw_run.find(arguments[1])
  if not found then return fail(EXIT_USAGE, "%s", err.message) end
  local seconds, wrong
  if options["for"] then seconds, wrong = read_duration(options["for"]) end
  if wrong then return fail(EXIT_USAGE, "%s", wrong) end
  if found.id:find "^dry%-" then return fail(EXIT_USAGE, "%s is a dry run: nothing of it was armed", found.id) end
  local words, levels = taken.words(found.path), taken.levels(found.path)
  local over = why_over(found, words) or seconds and why_not_put_off(levels, words)
  if over then return fail(EXIT_WRONG, "%s: %s", found.id, over) end
  local word, answer = word_of(command, seconds, words, levels)
  local name = ("%d-%s.json"):format(math.floor(tasks.wall() * 1000), word)
  local ok, problem = files.write { path = found.path .. "/inbox/" .. name, mode = 384, text = json.encode {
    action = command, by = host.getenv "USER" or "unknown", at = tasks.wall(), seconds = seconds } }
  if not ok then return fail(EXIT_WRONG, "%s could not be told: %s", found.id, problem.message) end
  require("afterwards").add(found.path, ("%s: %s"):format(host.getenv "USER" or "unknown", answer))
  tty.write(1, ("%s: %s\n"):format(found.id, answer))
  return 0
end
