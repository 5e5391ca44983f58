-- prevention(title, fn): a read-only check of what would keep it from happening again. Looked at by `runbook audit`, and
-- in short after a resolved run. For the gate it is a probe: it changes nothing and tells nobody.
local blame = require "blame"
local journal = require "journal"
local mistake = require "mistake"
local raw_json = require "raw.json"
local run = require "run"
local tasks = require "tasks"
local values = require "values"

local prevention = {}
local words = {}

-- The longest a prevention may take, in seconds; then it is unknown.
prevention.SECONDS = 60

function words.prevention(title, fn)
  run.declared "prevention"
  if type(title) ~= "string" then blame.raise("prevention: a title expected, got %s", values.describe(title)) end
  if type(fn) ~= "function" then
    blame.raise("prevention '%s': a function expected, got %s", title, values.describe(fn))
  end
  if run.acted and not run.part then -- an audit runs the script only so far
    blame.raise("prevention '%s': preventions are declared before the first effect, probe or remedy", title)
  end
  run.preventions[#run.preventions + 1] = { title = title, fn = fn }
end

-- Why a look ended early, or nil; a cancellation ends more than the look.
local function unknown(it, ok, in_time)
  if ok and in_time then return nil end
  if ok then return ("it took longer than %g s"):format(prevention.SECONDS) end
  local interrupt = tasks.is_interrupt(in_time)
  if interrupt == "budget" then
    tasks.handled()
    return "it computed for too long without waiting"
  end
  if interrupt then error(in_time, 0) end
  return mistake.text("prevention", it.title, it.fn, in_time)
end

-- { prevention =, state = "in place" | "missing" | "unknown", missing = labels of failed checks, why = }. What nothing was
-- checked of is unknown.
local function look(it, path)
  local report = { prevention = it.title, checks = 0, missing = raw_json.list {} }
  journal.event("prevention.started", { prevention = it.title })
  local why = unknown(it, pcall(tasks.within, { probe = it.title, prevention = report, found = {}, path = path },
    tasks.deadline, prevention.SECONDS, it.fn))
  report.why = why or report.checks == 0 and "it checked nothing" or nil
  report.state = report.why and "unknown" or #report.missing > 0 and "missing" or "in place"
  return report
end

-- Called by check, inside a prevention.
function prevention.checked(report, check)
  report.checks = report.checks + 1
  if not check.passed then table.insert(report.missing, check.says) end
end

-- Looks at all of them side by side; their reports, told in the order of the script.
function prevention.look_at_all()
  local base, functions, reports = run.next_path(), {}, {}
  for i, it in ipairs(run.preventions) do
    functions[i] = function() reports[i] = look(it, base .. "." .. i) end
  end
  tasks.all(functions)
  for _, report in ipairs(reports) do journal.event("prevention.ended", report) end
  return reports
end

prevention.words = words
return prevention
