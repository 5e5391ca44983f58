-- Who notices a mutant of a runbook (stdlib/mutants.lua): check, then its scenarios, then explore, each in a copy of this process.
-- The first that notices ends it.
local check = require "check"
local explore = require "explore"
local json = require "raw.json"
local raw_fork = require "raw.fork"
local run = require "run"
local script = require "script"
local trial = require "trial"

local mutation = {}

-- A copy that takes longer, in seconds, is ended: who waits for it notices.
mutation.SECONDS_MAX = 60

---------------------------------------------------------------- In the copy --

local carry_out_in_copy = {}

-- What check finds in it, without its place: lines move.
function carry_out_in_copy.check(it, mutant)
  local found = {}
  for i, finding in ipairs(check.text(it.runbook, mutant.text)) do found[i] = finding.rule .. "\0" .. finding.text end
  raw_fork.leave(json.encode { found = json.list(found), modules = json.list(raw_fork.modules()) })
end

function carry_out_in_copy.test(it, mutant, step)
  script.instead[it.runbook] = mutant.text
  trial.carry_out(it.carry_out, it.runbook, step.scenario, it.wall, it.host)
end

local function explored(it)
  run.file, run.command = it.runbook, "explore"
  run.options = { scenario = "explore" }
  explore.prepare({}, it.host)
  local record, found = explore.run(explore.FAULTS), {}
  for i, problem in ipairs((explore.verdict(record))) do found[i] = problem.kind .. "\0" .. problem.text end
  if not record.whole then found[#found + 1] = "not whole" end
  return found
end

function carry_out_in_copy.explore(it, mutant)
  script.instead[it.runbook] = mutant.text
  local ok, found = pcall(explored, it)
  raw_fork.leave(json.encode { found = json.list(ok and found or { "broke off" }), modules = json.list(raw_fork.modules()) })
end

---------------------------------------------------------------- What it says --

-- How often each of what it finds is found.
local function counts(list)
  local map = {}
  for _, key in ipairs(list) do map[key] = (map[key] or 0) + 1 end
  return map
end

local function finds_more(found, known)
  for key, count in pairs(counts(found)) do if count > (known[key] or 0) then return true end end
  return false
end

local says = {}

function says.check(it, _, _, record) return finds_more(record.found, it.known.check) end

says.explore = function(it, _, _, record) return finds_more(record.found, it.known.explore) end

-- A pattern of the file's world that none of its scenarios used is an error of the file.
function says.test(it, mutant, step, record)
  if not record.held then
    table.insert(step.kills, mutant.line)
    return true
  end
  for _, pattern in ipairs(record.idle) do
    mutant.idle[pattern] = (mutant.idle[pattern] or 0) + 1
    if mutant.idle[pattern] == #it.scenarios then return true end
  end
  return false
end

------------------------------------------------------------------ The steps --

-- How near to a line a scenario has noticed something.
local function distance(step, line)
  local least = math.huge
  for _, killed in ipairs(step.kills) do least = math.min(least, math.abs(killed - line)) end
  return least
end

-- Who has noticed what was broken near it probably notices this too: that one is asked first.
local function scenarios_for(it, mutant)
  local list, near = table.move(it.scenarios, 1, #it.scenarios, 1, {}), {}
  for _, step in ipairs(list) do near[step] = distance(step, mutant.line) end
  table.sort(list, function(a, b)
    if near[a] ~= near[b] then return near[a] < near[b] end
    return a.index < b.index
  end)
  return list
end

local function next_step(it, mutant)
  mutant.done = mutant.done + 1
  if mutant.done == 1 then return { tool = "check" } end
  if mutant.done == 2 then mutant.steps = scenarios_for(it, mutant) end
  return mutant.steps[mutant.done - 1] or mutant.done == #mutant.steps + 2 and { tool = "explore" } or nil
end

local function start(it, mutant, step)
  local pid, err = raw_fork.start()
  if pid == false then carry_out_in_copy[step.tool](it, mutant, step) end
  if not pid then error({ refused = err.message }, 0) end
  return pid
end

local function record_of(copy)
  local record = copy.result and json.decode(copy.result, { exact = true })
  return type(record) == "table" and record or nil
end

-- What one needed, the next are copied with.
local function keep_modules(record)
  for _, name in ipairs(record and record.modules or {}) do require(name) end
end

-- Whether the copy's tool has noticed; one that left no word has: it was ended.
local function has_noticed(it, entry, copy, judges)
  local record = record_of(copy)
  keep_modules(record)
  return not record or judges[entry.step.tool](it, entry.mutant, entry.step, record)
end

-- Judges the mutants, as many at once as can compute; `noticed_by` of each: which tool did, nil for none. False when a signal
-- ended it.
local function judge(it, list, judges)
  local running, begun, over, free = {}, 0, 0, math.max(1, raw_fork.cpus())
  local function go_on(mutant)
    local step = not mutant.noticed_by and next_step(it, mutant)
    if step then running[start(it, mutant, step)] = { mutant = mutant, step = step } return end
    over, free, mutant.text = over + 1, free + 1, nil
  end
  while over < #list do
    while free > 0 and begun < #list do
      begun, free = begun + 1, free - 1
      local mutant = list[begun]
      mutant.done, mutant.idle, mutant.text = 0, {}, it.text_of(mutant)
      go_on(mutant)
    end
    if over == #list then return true end
    local copy = raw_fork.next(mutation.SECONDS_MAX)
    if not copy then
      raw_fork.stop()
      return false
    end
    local entry = running[copy.pid]
    running[copy.pid] = nil
    if has_noticed(it, entry, copy, judges) then entry.mutant.noticed_by = entry.step.tool end
    go_on(entry.mutant)
  end
  return true
end

-- What each tool says of the runbook as it is; raises when its scenarios do not hold, for then they notice everything.
local function know(it)
  local failed
  local learn = { check = function(_, _, _, record) it.known.check = counts(record.found) end,
                  explore = function(_, _, _, record) it.known.explore = counts(record.found) end }
  function learn.test(_, _, step, record)
    failed = failed or not record.held and step.scenario.name
    return failed
  end
  local whole = { line = 0 }
  local done = judge(it, { whole }, learn)
  if failed then
    error({ usage = ("%s: scenario %q fails before anything is broken: mend it first"):format(it.tests, failed) }, 0)
  end
  if whole.noticed_by then error({ usage = ("%s: %s breaks off"):format(it.runbook, whole.noticed_by) }, 0) end
  return done
end

local COLLECT_PERCENT = 500 -- as in stdlib/trials.lua

-- Judges the mutants `list` of it.runbook. `it`: { runbook =, tests = its test file, text =, scenarios = descriptions, wall =,
-- carry_out = the run command, host = }. False when a signal ended it.
function mutation.judge(it, list, text_of)
  local steps = {}
  for i, scenario in ipairs(it.scenarios) do steps[i] = { tool = "test", scenario = scenario, index = i, kills = {} } end
  it.scenarios, it.known = steps, {}
  collectgarbage("setpause", COLLECT_PERCENT)
  collectgarbage()
  it.text_of = function() return it.text end
  if not know(it) then return false end
  it.text_of = text_of
  return judge(it, list, says)
end

return mutation
