-- runbook doctor: what a runbook needs, and whether it is there. The script runs as far as its declarations; goal, probes,
-- preventions, remedies and levels are rehearsed in a mode of their own (modes/doctor.lua), which learns what they would
-- touch with their real arguments; then each area (doctor/*.lua) looks whether that can be had. Reads only.
local blame = require "blame"
local escalation = require "words.escalation"
local evidence = require "doctor.evidence"
local gate = require "gate"
local journal = require "journal"
local look = require "doctor.look"
local plan = require "plan"
local run = require "run"
local script = require "script"
local sources = require "doctor.sources"
local tasks = require "tasks"
local values = require "values"

local doctor = {}

-- All of it takes this long at most, in seconds: half for the rehearsals, side by side, and half for the looks.
local SECONDS = 40

-- In the order of the table.
local areas = { "disk", "pager", "approval", "machine", "docker", "compose", "kubectl", "sql", "redis", "http", "prometheus" }
local titles = { pager = "escalation" }

local function append(rows, more) table.move(more, 1, #more, #rows + 1, rows) end

------------------------------------------------------------------ Rehearsals --

-- A function's parameters, as placeholders of their names.
local function placeholders(fn)
  local count, list = debug.getinfo(fn, "u").nparams, {}
  for i = 1, count do list[i] = values.placeholder(debug.getlocal(fn, i)) end
  return table.unpack(list, 1, count)
end

-- Why f did not come to its end, or nil. What ends more than that is raised.
local function why_ended(ok, in_time)
  if ok then return not in_time and ("it took longer than %d s"):format(SECONDS // 2) or nil end
  local interrupt = tasks.is_interrupt(in_time)
  if interrupt and interrupt ~= "budget" then error(in_time, 0) end
  if interrupt then tasks.handled() end
  return interrupt and "it computed for too long without waiting" or blame.text(in_time)
end

local function attempt(context, fn, rehearsal)
  context.rehearsal = rehearsal
  return pcall(tasks.within, context, tasks.deadline, SECONDS // 2, fn, placeholders(fn))
end

-- Whether it is the author's mistake whatever the world is like. Arguments and answers that are made up, a variable that
-- another part of the script sets, or a remedy of a fault that isn't there may lead to an error that no run sees.
local function is_certain(area, err, fn, rehearsal)
  if not blame.is_mistake(err) then return false end
  if blame.is_misnamed(err) then return true end
  local is_open = area == "remedy" or debug.getinfo(fn, "u").nparams > 0 or rehearsal.made_up or err:find "%(upvalue '"
  return not is_open
end

-- Its row when it did not come to its end. First a read that fails does so: a script may deal with that. Else it goes on by
-- made-up answers. Nothing of the script runs after the rehearsals, so what they change in its
-- variables stays.
local function rehearse(area, title, context, fn)
  context.pass, context.by, context.path = "plan", title, context.path or run.next_path()
  local ok, in_time = attempt(context, fn, { honest = true })
  local wrong = not ok and is_certain(area, in_time, fn, context.rehearsal)
  if not ok and not wrong and not tasks.is_interrupt(in_time) then ok, in_time = attempt(context, fn, {}) end
  local why = why_ended(ok, in_time)
  if not why then return {} end
  if wrong or is_certain(area, in_time, fn, context.rehearsal) then
    return { { area = area, what = title, state = "stops", text = "a mistake of the runbook: " .. why,
               mend = "put the runbook right" } }
  end
  local how = context.rehearsal.made_up and " (answers that could not be had were made up)" or ""
  return { { area = area, what = title, state = "warning", text = ("not rehearsed to its end%s: %s"):format(how, why) } }
end

local function rehearse_level(index)
  local title = ("level %d"):format(index)
  local ok, err = pcall(tasks.within, { by = title, path = run.next_path() }, escalation.rehearse, index)
  if ok then return {} end
  if type(err) ~= "table" or not err.refused then error(err, 0) end
  return { { area = "escalation", what = title, state = "stops", text = err.refused,
             mend = "put the level or the config right: a run would not start" } }
end

-- { function, … }: everything that the script declared, to be rehearsed side by side.
local function rehearsals()
  local list = {}
  local function add(f, ...)
    local arguments = table.pack(...)
    list[#list + 1] = function() return f(table.unpack(arguments, 1, arguments.n)) end
  end
  if run.goal then add(rehearse, "goal", run.goal.label, { probe = "recovered", path = "goal" }, run.goal.fn) end
  for _, it in ipairs(run.probes) do add(rehearse, "probe", it.title, { probe = it.title, found = {} }, it.fn) end
  for _, it in ipairs(run.preventions) do
    add(rehearse, "prevention", it.title, { probe = it.title, found = {}, prevention = {} }, it.fn)
  end
  for _, it in ipairs(run.remedies) do
    add(rehearse, "remedy", it.title, { remedy = it, plan = plan.new(it) }, it.fn)
    if it.undo then add(rehearse, "remedy", "Undo: " .. it.title, { remedy = it, plan = plan.new(it) }, it.undo) end
  end
  escalation.add_default(run.config.escalate_after)
  for index in ipairs(run.levels) do add(rehearse_level, index) end
  return list
end

----------------------------------------------------------------------- Looks --

-- The rows of one check, by its deadline.
local function carry_out(area, what, f, uses)
  local rows
  local why = why_ended(pcall(tasks.within, { checking = true, path = run.next_path() }, tasks.deadline, SECONDS // 2,
    function() rows = f() end))
  if why then rows = { { what = what, state = "warning", text = "not looked at to the end: " .. why } } end
  for _, row in ipairs(rows) do
    row.area = area
    if uses then look.soften(row, uses) end
  end
  return rows
end

-- Every area's checks. An area is a function(asked, check) that calls check(what, f, uses): f() gives rows, `uses` are the
-- effects that need it; without them the run itself does.
local function checks(asked)
  local list = {}
  for _, area in ipairs(areas) do
    require("doctor." .. area)(asked, function(...)
      local arguments = table.pack(titles[area] or area, ...)
      list[#list + 1] = function() return carry_out(table.unpack(arguments, 1, arguments.n)) end
    end)
  end
  return list
end

-- Appends what functions found side by side, in their order.
local function append_all(rows, functions)
  for _, found in ipairs(tasks.all(functions)) do append(rows, found[1]) end
end

-- What an area's own row says is not said again for each effect that met it.
local function add_evidence(rows, asked)
  local said = {}
  for _, row in ipairs(rows) do said[row.said or row.text] = true end
  for _, row in ipairs(evidence.rows(asked)) do
    if not row.said or not said[row.said] then rows[#rows + 1] = row end
  end
end

------------------------------------------------------------------------ Table --

local ranks = { ok = 1, warning = 2, stops = 3 }
local order = { "secret", "disk", "escalation", "approval", "machine", "docker", "compose", "kubectl", "sql", "redis", "http",
                "prometheus", "goal", "probe", "prevention", "read", "remedy", "handover", "script" }

-- What stops a run stands last, where it is read first.
local function sort(rows)
  local places = {}
  for i, area in ipairs(order) do places[area] = i end
  for i, row in ipairs(rows) do row.place = ranks[row.state] * 1e6 + places[row.area] * 1e3 + i end
  table.sort(rows, function(a, b) return a.place < b.place end)
end

-- Writes the rows; how many there are of each state.
local function tell(rows)
  local counts = { ok = 0, warning = 0, stops = 0 }
  sort(rows)
  for _, row in ipairs(rows) do
    counts[row.state] = counts[row.state] + 1
    journal.event("doctor.row", { area = row.area, what = row.what, state = row.state, text = row.text, mend = row.mend })
  end
  return counts
end

local no_goal = { area = "goal", what = "none", state = "warning",
  text = "no recovered(…): a run ends as resolved by the script's word, and nobody looked",
  mend = "say in recovered(…) what holds when the incident is over" }

-- How a doctor's look ended: refused when a live run would be, or could not do its work.
function doctor.carry_out()
  script.declare()
  local rows, asked = {}, gate.mode().asked
  append_all(rows, rehearsals())
  append_all(rows, checks(asked))
  add_evidence(rows, asked)
  append(rows, evidence.secrets())
  append(rows, sources.handovers())
  append(rows, sources.unreached(asked))
  if not run.goal then rows[#rows + 1] = no_goal end
  local counts = tell(rows)
  local text = ("%s: %d ok, %d warning%s, %d that stop%s a run"):format(counts.stops > 0 and "not ready" or "ready",
    counts.ok, counts.warning, counts.warning == 1 and "" or "s", counts.stops, counts.stops == 1 and "s" or "")
  return { outcome = counts.stops > 0 and "refused" or "resolved", text = text, verdict = text,
           exit = counts.stops > 0 and 6 or 0 }
end

return doctor
