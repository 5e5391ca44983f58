-- _escalate RUNDIR LEVEL: the watchdog's child. Runs the script from source/ as far as its declarations, then the level.
local backends = require "backends"
local gate = require "gate"
local json = require "raw.json"
local raw_journal = require "raw.journal"
local raw_run = require "raw.run"
local run = require "run"
local script = require "script"
local secrets = require "secrets"
local story = require "story"
local tasks = require "tasks"

-- Something waits in the outbox: the watchdog goes on with _deliver.
local EXIT_QUEUED = 75
-- The goal held when it was looked at: nobody was told.
local EXIT_HELD = 76
-- The rehearsal failed; why stands in a file.
local EXIT_REFUSED = 6
-- Nobody who should be woken was: the watchdog sends its built-in page.
local EXIT_NOBODY = 69
-- Somebody acknowledged or resolved an earlier page in the pager: nobody else is told.
local EXIT_TAKEN = 77
-- How long goal and pager are looked at, side by side, before anybody is told, in seconds; what is not known by then counts
-- as not held and not taken.
local GOAL_SECONDS = 10

-- Puts the run's state back as far as a level needs it.
local function restore(folder, host)
  require("kept").restore(folder, {}, host)
  run.host, run.user = run.manifest.host, run.manifest.user
  run.start()
  run.count_from(run.manifest.alert_wall)
end

-- What the run's journal says: what can be read of it, and that it is damaged where it is.
local function learn(folder)
  local events, err = raw_journal.events(folder .. "/journal.jsonl", story.events)
  if not events then
    story.damage = "the run's journal can't be read: " .. err.message
    return
  end
  for event in events do story.learn(event.event, event) end
  local damage = events:damage()
  if not damage then return end
  story.damage = damage.line and ("the run's journal is damaged from line %d: more may have been found"):format(damage.line)
    or "the run's journal can't be read any further: " .. damage.why
end

-- What f(…) gives in time; nil when it fails.
local function look(f, ...)
  local ok, in_time, found = pcall(tasks.deadline, GOAL_SECONDS, f, ...)
  if not ok then tasks.handled() end
  return ok and in_time and found
end

-- The keys of the pages that went out before this level's.
local function earlier_keys(level)
  local keys = {}
  for _, other in ipairs(require("taken").levels(run.path).fired) do
    if other ~= level then keys[#keys + 1] = backends.page_key(other) end
  end
  for other, id in pairs(run.manifest.carried_out or {}) do keys[#keys + 1] = backends.page_key(tonumber(other), id) end
  return keys
end

-- Who took one of them in a pager that says so: { by =, status = }, or nil. An answer that can't be had is none.
local function taken_in_pager(level)
  local keys, asked = earlier_keys(level), {}
  if #keys == 0 then return nil end
  for _, it in ipairs(backends.of "page") do
    for _, key in ipairs(it.settings.read_token and keys or {}) do
      asked[#asked + 1] = function() return look(it.backend.taken, it.settings, key) end
    end
  end
  for _, answer in ipairs(tasks.all(asked)) do if answer[1] then return answer[1] end end
end

-- The exit code that says why nobody need be told; nil when somebody must be.
local function why_not(level)
  local answers = tasks.all { function() return run.goal and look(require("words.goal").look) end,
                              function() return look(taken_in_pager, level) end }
  local taken = answers[2][1]
  if taken then
    raw_run.replace("escalation/taken.json", json.encode(taken))
    return EXIT_TAKEN
  end
  return answers[1][1] and EXIT_HELD or nil
end

-- The report of a run that was left is told what became of its people.
local function tell_report(what)
  local told = require("outbox").told()
  if #told > 0 then require("afterwards").add(run.path, what .. require("delivery").says(told)) end
end

local exits = { delivered = 0, waiting = EXIT_QUEUED, nobody = EXIT_NOBODY }

-- Carries the level out: all its steps are written down, then tried side by side. What fails after people were told is kept
-- beside it: a second page would only say less.
local function carry_out(level)
  local outbox = require "outbox"
  local ok, why = pcall(require("words.escalation").carry_out, level)
  if not ok and tasks.is_interrupt(why) then tasks.handled() end
  outbox.carry_out()
  tell_report(("level %d of the escalation: "):format(level))
  local verdict = outbox.verdict()
  if ok then return exits[verdict] end
  if verdict == "nobody" then error(why, 0) end
  raw_run.replace(("escalation/level-%d.failed"):format(level), require("blame").text(why))
  return exits[verdict]
end

-- What waits in the outbox, once more.
local function deliver()
  local done = require("outbox").flush()
  if done then tell_report "" end
  return done and 0 or EXIT_QUEUED
end

-- Armed means rehearsed by this very process: once knowing nothing, once with everything wrong that can be.
local function rehearse()
  local escalation = require "words.escalation"
  for _, make_up in ipairs { function() end, require("made_up").findings } do
    make_up()
    for index in ipairs(run.levels) do
      local ok, why = pcall(escalation.rehearse, index)
      if not ok then
        raw_run.replace("escalation/rehearsal.failed", type(why) == "table" and why.refused or tostring(why))
        return EXIT_REFUSED
      end
    end
  end
  return 0
end

return function(arguments, options, host, command)
  local folder, level = arguments[1], tonumber(arguments[2])
  run.options = options
  secrets.handed_over(host.secrets())
  restore(folder, host)
  if command == "_deliver" then return deliver() end
  gate.open(require "modes.escalate")
  require("sandbox").seal()
  script.declare_levels()
  if command == "_rehearse" then return rehearse() end
  learn(folder)
  return arguments[3] ~= "now" and why_not(level) or carry_out(level)
end
