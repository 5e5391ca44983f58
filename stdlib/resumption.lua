-- The start of a run that is gone on with: from its own files, behind what its journal has, in its own folder. Nobody else writes
-- that journal meanwhile, and who was stopped over it writes nothing any more.
local duration = require "duration"
local files = require "raw.files"
local gate = require "gate"
local given = require "given"
local journal = require "journal"
local kept = require "kept"
local raw_run = require "raw.run"
local raw_text = require "raw.text"
local recording = require "recording"
local run = require "run"
local screen = require "screen"
local script = require "script"
local taken = require "taken"
local tasks = require "tasks"
require "remarks" -- it hears what was noted and answered before

local resumption = {}

-- What was found longer ago than this, in seconds, is said to be old.
resumption.OLD_SECONDS = 600
-- It was interrupted so many times at one place: whatever stands there ends this program, and people are told.
resumption.TIMES = 3

local function refuse(text, ...) error({ refused = text:format(...) }, 0) end

------------------------------------------------------------------ Which --

local function find(reference)
  local found, err = raw_run.find(reference)
  if not found then error({ usage = err.message }, 0) end
  if found.id:find "^dry%-" then error({ usage = found.id .. " is a dry run: there is nothing to go on with" }, 0) end
  return found
end

local says = { abort = "somebody said that the incident is over", continued = "another run goes on with it" }

-- What others said of it meanwhile.
local function check_words(found)
  for _, it in ipairs(taken.words(found.path)) do
    if says[it.word] then refuse("run %s: %s (%s, %s)", found.id, says[it.word], it.by, taken.clock(it.at)) end
  end
end

-- The journal has one writer. One that was stopped or sleeps is ended: it must not go on where this process has gone on.
local function take_journal(found)
  local path = found.path .. "/journal.jsonl"
  if files.stat(path).state ~= "file" then refuse("run %s has no journal", found.id) end
  local holder = raw_run.holder(path)
  if holder and not holder.stopped then refuse("run %s is under way (process %d)", found.id, holder.pid) end
  if holder and not raw_run.end_holder(path) then
    refuse("run %s: process %d, which is stopped, can't be ended", found.id, holder.pid)
  end
  raw_run.adopt(found.path)
  local ok, err = journal.open(path)
  if not ok then refuse("run %s: %s", found.id, err.message) end
end

-- How a run ended that can be gone on with.
local unfinished = { suspended = true, aborted = true }

local function check_end(found, book)
  local ended = book.ended
  if not ended or unfinished[ended.outcome] then return end
  refuse("run %s ended at %s UTC, %s: there is nothing to go on with; run it again", found.id, ended.at:sub(12, 19), ended.outcome)
end

local function check_program(found, book, options, host)
  local started = book.events[1]
  if started.version == host.version or options.force then return end
  refuse("run %s was made by version %s of this program, this is %s: it may go another way (--force goes on all the same)",
    found.id, started.version, host.version)
end

-- What was given to it, today's command line before that. A secret that stood in a parameter is not kept: its mark must not be
-- taken for it.
local function take_params(found, options)
  local kept_params, known = run.given_params, {}
  run.given_params = given.params(options)
  for _, source in ipairs(run.given_params) do for name in pairs(source.values) do known[name] = true end end
  for _, source in ipairs(kept_params) do
    for name, value in pairs(source.values) do
      if not known[name] and not select(2, recording.unmasked(value)) then
        refuse("run %s: the parameter '%s' holds a secret, which is not kept: give it again, -p %s=… or --params FILE", found.id,
          name, name)
      end
    end
    table.insert(run.given_params, source)
  end
  run.first_given = run.given_params
end

-------------------------------------------------------------- What it was --

-- Its files: those that it ran from, or, with --script new, those of today behind them.
local function take_sources(options)
  for i, source in ipairs(run.manifest.sources) do
    script.sources[i] = { path = source.path, sha256 = source.sha256, text = run.kept_sources[source.path] }
  end
  if options.script ~= "new" then return end
  if run.file:sub(1, 1) ~= "/" then run.file = run.manifest.folder .. "/" .. run.file end
  script.expect_file(run.file)
  run.kept_sources = nil
end

local function last_time(book)
  local last = 0
  for _, event in ipairs(book.events) do last = math.max(last, event.t or 0) end
  return last
end

-- The clocks go on from where they stood; the incident's goes on with the alert's.
local function take_clocks(book)
  run.start()
  run.began_wall = raw_text.time(book.events[1].at) or run.began_wall
  run.count_from(run.manifest.alert_wall)
  journal.began = tasks.now() - math.max(last_time(book), tasks.wall() - run.began_wall)
end

local muted = { ["run.ending"] = true, ["run.ended"] = true, question = true, ["escalation.armed"] = true }

-- The story so far, to the screen, the report and all who tell it.
local function retell(book)
  for _, event in ipairs(book.events) do
    run.telling = raw_text.time(event.at)
    if not muted[event.event] then journal.retell(event) end
  end
  run.telling = nil
end

-- How long ago a probe last looked, in words, when that is long.
local function age(book)
  local at
  for _, event in ipairs(book.events) do if event.event == "probe.ended" then at = event.at end end
  local seconds = at and tasks.wall() - raw_text.time(at) or 0
  return seconds > resumption.OLD_SECONDS and duration.coarse(seconds) or nil
end

-- Whether it was interrupted at this very place before, and often enough.
local function is_hopeless(book, after, options)
  local times = 1
  for i = #book.resumes, 1, -1 do
    if book.resumes[i].after ~= after then break end
    times = times + 1
  end
  return times >= resumption.TIMES and not options.force
end

local function announce(book, options, host, careless)
  local last = book.order[#book.order]
  local after = last and last.seq or 0
  run.hopeless = not book.ended and is_hopeless(book, after, options)
  run.generation = #book.resumes + 2
  journal.event("run.resumed", { generation = run.generation, after = after, recorded = #book.order,
    host = run.host, user = run.user, version = host.version, careless = careless, age = age(book), pid = host.pid,
    command_line = require("origin").command_line(host.command_line) }, true)
end

-- Takes the run that `reference` names over; raises { usage = } or { refused = }. `careless`: f(options) → what makes it so.
function resumption.prepare(reference, options, host, careless)
  run.options, run.config, run.command = options, {}, "run"
  local found = find(reference)
  if files.stat(found.path .. "/source/manifest.json").state ~= "file" then
    refuse("run %s never came to its first step: run it again", found.id)
  end
  check_words(found)
  take_journal(found)
  kept.learn(found.path)
  local masked = kept.masked(found.path)
  if masked then
    refuse("run %s: source/%s held a secret in clear, which is not kept, and the file it came from is another by now; run it again",
      found.id, masked)
  end
  kept.restore(found.path, options, host)
  local book = recording.read(found.path)
  check_end(found, book)
  check_program(found, book, options, host)
  take_params(found, options)
  take_sources(options)
  take_clocks(book)
  run.folder, run.seed = run.manifest.folder, book.events[1].seed
  options.here = options.here or run.manifest.here
  options.param = run.manifest.param
  run.host, run.user = require("origin").host(options), require("origin").user(host.getenv, host.uid)
  run.uid, run.starter = host.uid, book.events[1].uid or host.uid
  require("consent").read_option(options, run.manifest.require_approval)
  if options.answers then screen.answers(given.answers(options.answers)) end
  screen.open(options)
  local mode = require "modes.resume"
  mode.open(book)
  gate.open(mode)
  require("report").open()
  retell(book)
  announce(book, options, host, careless(options))
  tasks.spawn(mode.watch)
end

return resumption
