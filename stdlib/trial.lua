-- One scenario of a test: carried out in a copy of this process (raw.fork), which leaves a record of it:
--
--   name, at          the scenario's, and its place "x.test.lua:12"
--   held              whether all it expects is so
--   ending            how the run ended, in its own words       seconds   it took, on its clock
--   differs, unused   sentences: what is not as expected; what of the scenario nobody used
--   idle, asked       patterns of the file's world that it did not use; the lines of its effects
--   story             lines: what was done, asked and found; reads are counted
--   seen              what of the runbook was tried: see stdlib/coverage.lua
--   modules, sources  what was loaded for it: of this program, of the runbook
local blame = require "blame"
local duration = require "duration"
local foreign = require "foreign"
local json = require "raw.json"
local raw_fork = require "raw.fork"
local run = require "run"

local trial = {}

-- So many lines of a story are kept, the last ones, and so many lines of effects.
local STORY_MAX, ASKED_MAX = 40, 500
local NOTHING_EXPECTED = "nothing is expected, so the exit code counts: %d"

------------------------------------------------------------------ Listening --

local story, reads = {}, 0
local seen = { checks = {}, probes = {}, remedies = {}, levels = {}, cases = {} }
local applied -- the remedy after whose application nothing else was tried yet

-- What belongs to a runbook that was handed over to is tried by its own scenarios.
local function entry(list, key, fields)
  if run.part then return {} end
  list[key] = list[key] or fields or {}
  return list[key]
end

local function add(text, ...)
  if reads > 0 then
    local count = reads
    reads = 0
    add(count == 1 and "looked once" or "looked %d times", count)
  end
  story[#story + 1] = ("%s  %s"):format(duration.clock(run.elapsed()), foreign.line(text:format(...)))
  if #story > STORY_MAX then table.remove(story, 1) end
end

local on = {}

function on.check(fields)
  local it = entry(seen.checks, blame.place(), { label = fields.label })
  it[fields.passed and "passed" or "failed"] = true
  if not fields.passed then add("check failed: %s", fields.says) end
end

on["probe.ended"] = function(fields)
  if fields.probe == "recovered" then return end
  local it = entry(seen.probes, fields.probe)
  it[fields.state] = true
  if fields.state ~= "unknown" then return end
  seen.cases.unknown = true
  add("probe “%s”: not known: %s", fields.probe, fields.why)
end

on["remedy.started"] = function(fields)
  seen.tried = true
  if applied then seen.cases.no_help = true end
  applied = nil
  entry(seen.remedies, fields.remedy).offered = true
end

function on.plan(fields)
  if fields.why and #fields.why > 0 then add("because of: %s", table.concat(fields.why, "; ")) end
end

function on.approval(fields)
  local it = entry(seen.remedies, fields.remedy or "")
  if not fields.granted then
    it[fields.by == "silence" and "silent" or "declined"] = true
    seen.cases[fields.by == "silence" and "silent" or "declined"] = true
  end
  add("“%s”: %s (%s)", fields.remedy, fields.granted and "approved" or "not approved", fields.by)
end

on["remedy.ended"] = function(fields)
  local it = entry(seen.remedies, fields.remedy)
  if fields.state ~= "declined" then it[fields.state] = true end
  if fields.state == "applied" then applied = fields.remedy end
  if fields.state == "failed" then add("“%s” failed: %s", fields.remedy, fields.why) end
end

function on.answer(fields)
  if not fields.answer and fields.why == "silence" then seen.cases.silent = true end
  add("%s %s", fields.text, fields.answer or fields.why)
end

local changes = { write = true, destructive = true }

on["effect.outcome"] = function(fields)
  if not changes[fields.class] and fields.class ~= "notify" then
    reads = reads + 1
    return
  end
  seen.changed = seen.changed or changes[fields.class]
  add("%s: %s%s", fields.line, fields.status, fields.result and fields.result.why and ", " .. fields.result.why or "")
end

on["escalation.fired"] = function(fields)
  seen.levels[tostring(fields.level)] = true
  seen.cases.escalates = true
  add("escalation level %d is carried out", fields.level)
end

function on.recovered(fields)
  applied = nil
  add("recovered: %s", fields.label)
end

function on.mistake(fields) add("a mistake in %s “%s”: %s", fields.what, fields.title, fields.text) end

local ending
on["run.ended"] = function(fields)
  seen.outcome = fields.outcome
  if applied and fields.outcome ~= "resolved" then seen.cases.no_help = true end
  seen.cases.false_alarm = fields.outcome == "resolved" and not seen.tried and not seen.changed or nil
  ending = fields.headline or ("%s: %s"):format(fields.outcome, fields.text or "")
  add("%s", ending)
end

local view = {}
function view.open() end
function view.event(name, fields) if on[name] then on[name](fields) end end

-------------------------------------------------------------------- Record --

-- What the runbook has, tried or not.
local function declare()
  for _, probe in ipairs(run.probes) do entry(seen.probes, probe.title) end
  for _, remedy in ipairs(run.remedies) do entry(seen.remedies, remedy.title) end
  for index, level in ipairs(run.levels) do
    local name = tostring(index)
    if level.default then seen.levels[name] = nil else seen.levels[name] = seen.levels[name] or false end
  end
  seen.goal = run.goal ~= nil
end

local function broke_off(it)
  return it.broke_off and #it.differs == 0 and { "the run broke off: " .. ending } or {}
end

-- Whether it holds: without an expectation the run's own exit code says so.
local function holds(it, scenario)
  return #it.mistakes + #it.differs + #it.unused == 0 and not it.broke_off and (scenario.expect ~= nil or it.exit == 0)
end

local function sources()
  local paths = {}
  for i, source in ipairs(require("script").sources) do paths[i] = source.path end
  return paths
end

local function judge(scenario, it, mode)
  declare()
  local differs, held = {}, holds(it, scenario)
  for _, list in ipairs { it.mistakes, it.differs, broke_off(it) } do table.move(list, 1, #list, #differs + 1, differs) end
  if not held and #differs + #it.unused == 0 then differs[1] = NOTHING_EXPECTED:format(it.exit) end
  return { held = held, ending = ending, seconds = run.elapsed(), differs = json.list(differs), unused = json.list(it.unused),
           idle = json.list(it.idle), asked = json.list(table.move(mode.asked, 1, math.min(#mode.asked, ASKED_MAX), 1, {})),
           story = json.list(story), seen = seen, modules = json.list(raw_fork.modules()), sources = json.list(sources()) }
end

-- In the copy: carries the scenario out with `carry_out`, the run command, and leaves. `wall`: when its file was read.
function trial.carry_out(carry_out, runbook, scenario, wall, host)
  local record
  local options = { scenario = scenario.at, trial = { scenario = scenario, wall = wall, view = view } }
  function options.trial.judge(it, mode)
    record = judge(scenario, it, mode)
    return it.exit
  end
  local code = carry_out({ runbook }, options, host, "run")
  raw_fork.leave(record and json.encode(record, { exact = true }) or ("%d"):format(code))
end

return trial
