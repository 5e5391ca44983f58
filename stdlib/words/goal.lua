-- recovered(label, options, fn): the goal. When it holds, the run ends there as resolved.
local blame = require "blame"
local clock = require "clock"
local duration = require "duration"
local gate = require "gate"
local journal = require "journal"
local mistake = require "mistake"
local result = require "result"
local run = require "run"
local story = require "story"
local tasks = require "tasks"
local values = require "values"
local waiting = require "waiting"

local goal = {}
local words = {}

-- Without `holds`, the goal holds when it was true this many polls in a row.
goal.POLLS = 3
-- The longest one poll may take, in seconds: a goal whose function hangs is "not yet".
goal.POLL_SECONDS = 60

local defaults = { within = "2m", every = "5s" }

-- { within =, every =, holds = } as seconds.
function goal.times(word, options, fallback)
  local times = {}
  if type(options) ~= "table" then blame.raise("%s: a table of options expected, got %s", word, values.describe(options)) end
  for name, value in pairs(options) do
    if name ~= "within" and name ~= "every" and name ~= "holds" then
      blame.raise("%s: unknown option '%s' (there is: every, holds, within)", word, tostring(name))
    end
    local seconds, why = duration.parse(value)
    if not seconds then blame.raise("%s: %s: %s", word, name, why) end
    times[name] = seconds
  end
  for name, value in pairs(fallback or defaults) do times[name] = times[name] or duration.parse(value) end
  if times.every <= 0 then blame.raise("%s: every: more than 0s expected", word) end
  return times
end

function words.recovered(label, options, fn)
  run.declared "recovered"
  if type(label) ~= "string" then blame.raise("recovered: a label expected, got %s", values.describe(label)) end
  if type(options) == "function" then options, fn = {}, options end
  if type(fn) ~= "function" then blame.raise("recovered: a function expected, got %s", values.describe(fn)) end
  if run.goal then blame.raise("recovered stands twice; a run has one goal") end
  run.goal = goal.times("recovered", options)
  run.goal.label, run.goal.fn = label, fn
end

-- What the function of a goal or wait_until said: true, false, nil or a result; nil and what is wrong when it is none.
local function is_true(value)
  if result.is(value) then
    if result.status(value) == "failed" then result.raise_failed(value) end
    return result.fields(value).ok ~= false
  end
  if value == nil or type(value) == "boolean" then return value or false end
  return nil, ("true, false or a result expected of its function, got %s"):format(values.describe(value))
end

-- A scenario may say what holds, whatever was looked at.
local function decided(label, answered)
  local decide = gate.mode().decide
  if decide then return decide(label, answered, {}) end
  return answered
end

-- Why it could not be known is told when it changes.
local told = {} -- label → why
local function tell(label, why)
  if why and why ~= told[label] and tasks.context().pass ~= "plan" then
    journal.event("note", { text = ("%s: not known: %s"):format(label, why) })
  end
  told[label] = why
end

-- One look. A failed read, an error or a poll that hangs is "not yet".
local function look()
  local answered = false
  local ok, why = pcall(tasks.within,
    { probe = "recovered", path = "goal", poll = run.goal.label, plan = false, remedy = false, pass = false }, function()
      local in_time, value = tasks.limited(goal.POLL_SECONDS, run.goal.fn)
      if not in_time then blame.cannot_look("it took longer than %g s", goal.POLL_SECONDS) end
      local wrong
      answered, wrong = is_true(value)
      if wrong then error("recovered: " .. wrong, 0) end
      answered = decided(run.goal.label, answered)
    end)
  if not ok and tasks.is_interrupt(why) then error(why, 0) end
  local text = not ok and mistake.text("recovered", run.goal.label, run.goal.fn, why)
  tell("recovered", text and not blame.is_mistake(why) and text or nil)
  journal.news("poll.looked", { label = run.goal.label })
  return ok and answered
end

-- Where a look of the goal's stands in the run, whoever asks for it.
local GOAL = { path = "goal" }

-- Whether it holds now: polls until it held long enough, or a poll said no.
function goal.holds()
  local times, began = run.goal, clock.now()
  local polls = 0
  while look() do
    polls = polls + 1
    if times.holds then
      if clock.now() - began >= times.holds then return true end
    elseif polls >= goal.POLLS then
      return true
    end
    waiting.wait(times.every, times.label, GOAL)
  end
  return false
end

-- Ends the run when the goal holds.
function goal.end_if_held()
  if not run.goal or not goal.holds() then return end
  local applied = story.applied_here()
  local by = applied[#applied]
  journal.event("recovered", { label = run.goal.label, by = by })
  tasks.raise_end { outcome = "resolved", by = by, text = run.goal.label, held = true, part = run.part }
end

-- Until the next look, the last of which is at the limit: one that ended earlier would cut short what was promised. False there.
local function sleep_within(limit, every, label, place)
  local left = limit - clock.now()
  if left <= 0 then return false end
  waiting.wait(math.min(every, left), label, place)
  return true
end

-- After a remedy: polls for `within` seconds; ends the run when the goal holds. "0s" looks once.
function goal.wait(within)
  if not run.goal then return end
  local limit = clock.now() + (within or run.goal.within)
  journal.news("goal.waiting", { label = run.goal.label, within = within or run.goal.within })
  while true do
    goal.end_if_held()
    if not sleep_within(limit, run.goal.every, run.goal.label, GOAL) then break end
  end
  journal.news("goal.missed", { label = run.goal.label, within = within or run.goal.within })
end

-- One look of wait_until's: a failed one is "not yet", every other error is the script's.
local function is_yet(label, fn)
  local ok, answered, wrong = pcall(function() return is_true(fn()) end)
  if wrong then blame.raise("wait_until: %s", wrong) end
  if not ok then tasks.pass_on(answered) end
  if not ok and not blame.is_look(answered) then error(answered, 0) end
  tell(label, not ok and answered or nil)
  return ok and decided(label, answered)
end

-- Polls until it holds, or its time is over. News of it begins with the first look that says "not yet".
local function poll(label, times, fn)
  local began, since, is_told = clock.now(), nil, false
  local function ended(held)
    if is_told then journal.news("poll.ended", { label = label, held = held, seconds = clock.now() - began }) end
    return held
  end
  while true do
    if is_yet(label, fn) then
      since = since or clock.now()
      if clock.now() - since >= (times.holds or 0) then return ended(true) end
    else
      since = nil
    end
    if not is_told then journal.news("poll.started", { label = label, within = times.within }) end
    is_told = true
    journal.news("poll.looked", { label = label })
    if not sleep_within(began + times.within, times.every, label) then return ended(false) end
  end
end

-- wait_until(label, options, fn) → boolean: polls until fn returns true.
function words.wait_until(label, options, fn)
  if type(label) ~= "string" then blame.raise("wait_until: a label expected, got %s", values.describe(label)) end
  if type(options) == "function" then options, fn = {}, options end
  if type(fn) ~= "function" then blame.raise("wait_until: a function expected, got %s", values.describe(fn)) end
  local times = goal.times("wait_until", options, { within = "1m", every = "2s" })
  local here = tasks.context()
  if here.level then blame.raise("wait_until: an escalation may only notify") end
  run.acting()
  if here.plan and here.plan.entries and #here.plan.entries > 0 and here.pass ~= "apply" then
    here.plan:assume(label)
    return true
  end
  return tasks.within({ poll = label }, poll, label, times, fn)
end

goal.words, goal.look = words, look
return goal
