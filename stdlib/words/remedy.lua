-- remedy(title, options, fn): a changing step. Plan, approve, apply, wait for the goal.
local approval = require "approval"
local asking = require "asking"
local blame = require "blame"
local duration = require "duration"
local gate = require "gate"
local goal = require "words.goal"
local journal = require "journal"
local mistake = require "mistake"
local owed = require "owed"
local plan = require "plan"
local run = require "run"
local snapshot = require "snapshot"
local tasks = require "tasks"
local values = require "values"
local vocabulary = require "vocabulary"
require "left" -- it hears what the writes leave

local remedy = {}
local words = {}
local plans = {} -- call → dry passes so far

local options_of = vocabulary.words.remedy.options
local known, risks = vocabulary.types(options_of), vocabulary.set(options_of.risk.one_of)

local function check_temporary(title, options)
  if type(options.temporary) == "string" then
    blame.raise("remedy '%s': temporary: true expected, got %s: how long it may stand can't be said yet; it is asked about at the "
      .. "end of the run", title, values.describe(options.temporary))
  end
  if options.temporary and not options.undo then
    blame.raise("remedy '%s': temporary: an undo expected beside it: what takes it back?", title)
  end
end

local function read_options(title, options)
  check_temporary(title, options)
  for name, value in pairs(options) do
    if not known[name] then
      blame.no_such("remedy '%s': unknown option '%s'%s", title, tostring(name), blame.hint(tostring(name), values.keys(known)))
    end
    if type(value) ~= known[name] then
      blame.raise("remedy '%s': %s: a %s expected, got %s", title, name, known[name], values.describe(value))
    end
  end
  if options.risk and not risks[options.risk] then
    blame.raise("remedy '%s': risk: low, medium or high expected, got %s", title, values.describe(options.risk))
  end
  local within
  if options.within then
    local why
    within, why = duration.parse(options.within)
    if not within then blame.raise("remedy '%s': within: %s", title, why) end
  end
  return within
end

local function failed(it, why)
  journal.event("remedy.ended", { remedy = it.title, state = "failed", why = why })
  return nil
end

-- Interrupts end more than a remedy.
local function attempt(f, ...)
  local results = table.pack(pcall(f, ...))
  if not results[1] and tasks.is_interrupt(results[2]) then error(results[2], 0) end
  return table.unpack(results, 1, results.n)
end

-- A place of its own for each dry pass of a call, behind those of before: how many there were depends on how long people thought.
local function plan_path()
  local call = tasks.context().call
  plans[call] = (plans[call] or 0) + 1
  return ("%s.p%d%s"):format(call, plans[call], run.generation > 1 and "g" .. run.generation or "")
end

-- The dry pass: what would it do now? The script's own variables are put back. The plan, or nil and why there is none.
-- `rest`: the call of which what was done before is no part of it.
local function make_plan(it, pass, rest, fn, ...)
  local made = plan.new(it)
  local restore = snapshot.take(fn, ...)
  local arguments = table.pack(...)
  local path = plan_path()
  local here = { remedy = it, pass = pass, plan = made, path = path, rest = rest and { call = rest, path = path } }
  local ok, in_time = attempt(tasks.within, here, function()
    return tasks.deadline(plan.SECONDS_MAX, fn, table.unpack(arguments, 1, arguments.n))
  end)
  restore()
  if made.broken then return nil, made.broken end
  if not ok then return nil, mistake.text("remedy", it.title, fn, in_time) end
  if not in_time then return nil, ("planning took longer than %d s"):format(plan.SECONDS_MAX) end
  return made
end

-- An approved plan that has grown old is made anew; one that has grown larger asks again.
local function approve(it, rest, fn, ...)
  local made, why = make_plan(it, "plan", rest, fn, ...)
  local covered = false -- by what was approved
  while made do
    if not approval.allow(it, made) then return nil end
    journal.event("plan", asking.plan(it, made))
    if #made:writes() == 0 or covered then return made end
    if not approval.ask(it, made) then return nil end
    if not plan.is_old(made) then return made end
    local fresh
    fresh, why = make_plan(it, "plan", rest, fn, ...)
    made, covered = fresh, fresh and made:covers_plan(fresh)
  end
  return failed(it, why)
end

-- Half-way through, its undo is offered at once; not so when more than the remedy has ended.
local function apply(it, made, fn, ...)
  local debt
  local arguments = table.pack(...)
  function made.on_begin() debt = it.undo and owed.incur(it, made:level(), arguments) end
  if owed.is_recorded() then made:begin() end
  journal.event("remedy.begun", { remedy = it.title })
  local ok, why = pcall(tasks.within, { remedy = it, pass = "apply", plan = made, path = tasks.context().call }, fn, ...)
  if ok then
    journal.event("remedy.ended", { remedy = it.title, state = "applied" })
    if debt and not it.temporary then owed.settle(debt) end
    return true
  end
  if tasks.is_interrupt(why) then error(why, 0) end
  failed(it, mistake.text("remedy", it.title, fn, why))
  if debt then remedy.undo(debt, ("“%s” failed half-way. Apply “%s”?"):format(it.title, owed.title(debt))) end
  return false
end

-- The remedy that takes a remedy back, at that one's level; true when it was applied.
function remedy.undo(debt, text)
  local it = { title = owed.title(debt), risk = debt.level, text = text, takes_back = debt.number, allowed = debt.allowed }
  if not remedy.carry_out(it, debt.undo, table.unpack(debt.arguments, 1, debt.arguments.n)) then return false end
  owed.settle(debt)
  return true
end

local function tell(it, fn, ...)
  local made, why = make_plan(it, "dry", nil, fn, ...)
  if not made then return failed(it, why) or false end
  journal.event("plan", asking.plan(it, made))
  journal.event("remedy.ended", { remedy = it.title, state = "would" })
  return true
end

-- A call that a resumed run has made before, `before`: one that came to its end does so again, of one that was broken off what is
-- left is planned and asked for.
local function go_on(it, before, fn, ...)
  if before.state and not before.begun then
    journal.event("remedy.ended", { remedy = it.title, state = before.state, why = before.why })
    return false
  end
  if before.state then return apply(it, plan.new(it), fn, ...) end
  local rest = require("doubts").settle(it, tasks.context().call)
  if gate.mode().recorded_failure(tasks.context().call) then return apply(it, plan.new(it), fn, ...) end
  local made = approve(rest, tasks.context().call, fn, ...)
  if not made then return false end
  return apply(it, made, fn, ...)
end

local function carry_out(it, fn, ...)
  journal.event("remedy.started", { remedy = it.title, risk = it.risk, warning = it.warning, takes_back = it.takes_back })
  local mode = gate.mode()
  if not mode.write then return tell(it, fn, ...) end
  local before = mode.recorded_remedy and mode.recorded_remedy(tasks.context().call, it.title)
  if before then return go_on(it, before, fn, ...) end
  local made = approve(it, nil, fn, ...)
  if not made then return false end
  return apply(it, made, fn, ...)
end

-- Plans, asks, applies. True when it was applied (in a dry run: told), false when declined, refused or failed.
function remedy.carry_out(it, fn, ...) return tasks.within({ call = run.next_path() }, carry_out, it, fn, ...) end

function remedy.check_place(title)
  local here = tasks.context()
  if here.probe then blame.raise("remedy '%s' is refused inside a probe: a probe changes nothing", title) end
  if here.remedy then blame.raise("remedy '%s' can't be called inside another remedy", title) end
  if here.together then blame.raise("remedy '%s' can't be called inside together", title) end
  if here.level then blame.raise("remedy '%s' can't be called inside an escalation: it may only notify", title) end
end

function words.remedy(title, options, fn)
  run.declared "remedy"
  if type(title) ~= "string" then blame.raise("remedy: a title expected, got %s", values.describe(title)) end
  if type(options) == "function" then options, fn = {}, options end
  if type(options) ~= "table" or type(fn) ~= "function" then
    blame.raise("remedy '%s': options and a function expected", title)
  end
  local within = read_options(title, options)
  local it = { title = title, fn = fn, risk = options.risk or "low", warning = options.warning, why = options.why,
               undo = options.undo, temporary = options.temporary, within = within }
  run.remedies[#run.remedies + 1] = it
  return function(...)
    tasks.stop_if_ended()
    run.acting()
    remedy.check_place(title)
    goal.end_if_held()
    it.allowed = nil
    local applied = remedy.carry_out(it, fn, ...)
    run.read_true = {}
    if applied and gate.mode().write then goal.wait(within) end
    return applied
  end
end

remedy.words = words
return remedy
