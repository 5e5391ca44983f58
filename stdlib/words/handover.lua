-- handover(runbook, params): goes on with another runbook beside this one, as part of the same run and journal. What
-- belongs to a runbook (who it is, its parameters, goal, findings) is put aside meanwhile; the run, its escalation and what
-- it owes stay the caller's.
local blame = require "blame"
local ending = require "ending"
local gate = require "gate"
local goal = require "words.goal"
local journal = require "journal"
local lock = require "lock"
local run = require "run"
local script = require "script"
local story = require "story"
local tasks = require "tasks"
local values = require "values"

local handover = {}
local words = {}

-- Runbooks under way in one another at most, without the first.
handover.DEPTH_MAX = 3

-- What a part of a run has of its own while it is under way. Its first act takes its own lock.
local function fresh_part(name, file, given)
  local shared = {}
  for _, source in ipairs(run.given_params or {}) do if source.shared then shared[#shared + 1] = source end end
  local part = { name = name, file = file, depth = (run.part and run.part.depth or 0) + 1 }
  return { about = {}, params = {}, probes = {}, remedies = {}, preventions = {}, part = part,
           given_params = { { name = "handover", values = given }, table.unpack(shared) },
           acted = false, on_first_act = function() part.lock = lock.take() end }
end

-- The escalation is the run's, whoever goes on; so is who it began with.
local kept = { levels = true, first_about = true, declaring = true }

-- Puts the caller's back; the run as a whole keeps what was applied and what is unknown. The remedies applied in the part.
local function put_back(restore)
  local applied = story.applied_here()
  lock.release(run.part.lock)
  story.end_part()
  restore()
  return applied
end

-- The part's own goal ends the part alone; every other end is the run's.
local function end_of_part(err)
  if tasks.is_interrupt(err) ~= "end" or tasks.ended.part ~= run.part then error(err, 0) end
  return tasks.handled()
end

-- What can't be loaded, or doesn't take these parameters, is a mistake of the script that hands over.
local function carry_out(name, path)
  local ok, value = pcall(function() return script.load(path, script.words())() end)
  if ok then return ending.of_return(value) end
  local wrong = type(value) == "table" and (value.wrong or value.usage)
  if wrong then blame.raise("handover: %s: %s", name, wrong) end
  return end_of_part(value)
end

local function check_place(name)
  local here = tasks.context()
  local inside = here.level and "an escalation" or here.probe and "a probe" or here.remedy and "a remedy"
    or here.together and "together"
  if inside then blame.raise("handover to '%s' is refused inside %s", name, inside) end
  if run.part and run.part.depth >= handover.DEPTH_MAX then
    blame.raise("handover to '%s': at most %d runbooks deep", name, handover.DEPTH_MAX)
  end
end

-- The part helped perhaps: the caller's goal is looked at as after a remedy.
local function look_at_goal(applied)
  if #applied > 0 and gate.mode().write then goal.wait() else goal.end_if_held() end
end

function words.handover(name, given)
  run.declared "handover"
  if type(name) ~= "string" or not name:find "^[%w_%-]+$" then
    blame.raise("handover: the name of a runbook beside this one, like \"redis-memory\", expected, got %s", values.describe(name))
  end
  if given ~= nil and (type(given) ~= "table" or values.is_host(given)) then
    blame.raise("handover: a table of parameters expected, got %s", values.describe(given))
  end
  run.acting()
  check_place(name)
  given = values.copy(given or {})
  journal.event("handover.started", { runbook = name, params = given })
  local file = script.split(run.file) .. "/" .. name .. ".lua"
  local restore = run.put_aside(fresh_part(name, file, given), kept)
  local ok, it = pcall(tasks.within, { path = run.next_path() }, carry_out, name, file)
  local applied = put_back(restore)
  if not ok then error(it, 0) end
  journal.event("handover.ended", { runbook = name, outcome = it.outcome, by = it.by, text = it.text })
  look_at_goal(applied)
  return it.outcome
end

handover.words = words
return handover
