-- runbook show RUN: the story of a run as its screen told it, from its journal alone.
local files = require "raw.files"
local foreign = require "foreign"
local json = require "raw.json"
local journal = require "journal"
local raw_journal = require "raw.journal"
local raw_run = require "raw.run"
local raw_text = require "raw.text"
local run = require "run"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_WHOLE, EXIT_DAMAGED, EXIT_USAGE = 0, 1, 2
local MANIFEST_MAX = 1 << 20

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

local function fail(text)
  screen.complain(text)
  return EXIT_USAGE
end

local function title_of(path)
  local text = files.read { path = path .. "/source/manifest.json", max = MANIFEST_MAX }
  local manifest = text and json.decode(text.text)
  return type(manifest) == "table" and manifest.title or nil
end

-- Who hears the events is told when each took place.
local function begin(started, options)
  run.command, run.options, run.file = "run", options, started.file
  options.dry_run = started.mode == "dry" or nil
  options.plain = options.format ~= "jsonl"
  run.start()
  run.alert_wall = raw_text.time(started.alert_began or started.at) or run.alert_wall
  run.began_wall = raw_text.time(started.at) or run.began_wall
  screen.open(options)
end

local function tell(event, path)
  run.telling = raw_text.time(event.at)
  journal.retell(event)
  if event.event ~= "run.started" then return end
  local title = title_of(path)
  if title then journal.news("runbook", { title = title }) end
end

local function tell_end(path, last, ended)
  if not ended then
    local holder = raw_run.holder(path .. "/journal.jsonl")
    put("%s", holder and ("it is under way (process %d)"):format(holder.pid)
      or "it has no end: it was killed; runbook resume goes on with it")
  end
  if last.torn > 0 then put("then %d bytes of a line that was not finished: its writer was stopped there", last.torn) end
  put("journal: %d lines, the last with the SHA-256 %s", last.lines, last.hash)
end

return function(arguments, options)
  local found, err = raw_run.find(arguments[1])
  if not found then return fail(err.message) end
  local events, problem = raw_journal.events(found.path .. "/journal.jsonl", true)
  if not events then return fail(("%s: its journal can't be read: %s"):format(found.id, problem.message)) end
  local started, ended
  for event in events do
    if not started then begin(event, options) end
    started, ended = true, event.event == "run.ended"
    tell(event, found.path)
  end
  run.telling = nil
  if not started then return fail(found.id .. ": its journal has no whole line") end
  if options.format == "jsonl" then return events:damage() and EXIT_DAMAGED or EXIT_WHOLE end
  tell_end(found.path, events:last(), ended)
  local damage = events:damage()
  if not damage then return EXIT_WHOLE end
  screen.complain(damage.line and ("the journal is damaged from line %d: %s"):format(damage.line, foreign.line(damage.why))
    or "the journal can't be read any further: " .. foreign.line(damage.why))
  return EXIT_DAMAGED
end
