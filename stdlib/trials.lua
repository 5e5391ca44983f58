-- Many trials, side by side: a copy of this process each (raw.fork), as many at once as can compute.
local json = require "raw.json"
local raw_fork = require "raw.fork"
local trial = require "trial"

local trials = {}

-- A trial that takes longer, in seconds, is ended.
trials.SECONDS_MAX = 60

-- How they are told: { open(suites, options), trial(job), close(suites, sum) }; the first two may be missing.
function trials.view(format) return require("views.test_" .. (format or "text")) end

-- What a copy left, as a record, whatever became of it.
local function record_of(copy)
  local record = copy.result and json.decode(copy.result, { exact = true })
  if type(record) == "table" then return record end
  local why = copy.late and ("it took longer than %d s"):format(trials.SECONDS_MAX) or copy.cut and "its record is too long"
    or copy.signal and ("its process was ended by signal %d"):format(copy.signal)
    or copy.said:gsub("^runbook: ", ""):gsub("%s+$", "")
  return { held = false, broken = true, differs = { why ~= "" and why or "it left no word" }, unused = {}, idle = {}, asked = {},
           story = {}, modules = {}, sources = {} }
end

-- What one needed, the next are copied with.
local function keep_modules(record)
  for _, name in ipairs(record.modules) do require(name) end
  record.modules = nil
end

local function start(job, carry_out, host)
  local pid, err = raw_fork.start()
  if pid == false then trial.carry_out(carry_out, job.runbook, job.scenario, job.wall, host) end
  if not pid then error({ refused = err.message }, 0) end
  return pid
end

-- The collector touches every page that a copy shares with us, which makes pages of its own: it waits until the memory in use
-- has grown so many times, in percent.
local COLLECT_PERCENT = 500

-- Carries out jobs, { runbook =, scenario =, wall = } each; tell(job) hears of each that is over, in their order, with its
-- record in job.record. False when a signal ended it.
function trials.carry_out(jobs, carry_out, host, tell)
  local running, begun, told, count = {}, 0, 0, raw_fork.cpus()
  collectgarbage("setpause", COLLECT_PERCENT)
  collectgarbage()
  while told < #jobs do
    while begun < #jobs and begun - told < 4 * count and count > 0 do
      begun, count = begun + 1, count - 1
      running[start(jobs[begun], carry_out, host)] = jobs[begun]
    end
    local copy = raw_fork.next(trials.SECONDS_MAX)
    if not copy then
      raw_fork.stop()
      return false
    end
    count = count + 1
    local job = running[copy.pid]
    running[copy.pid], job.record = nil, record_of(copy)
    keep_modules(job.record)
    while told < #jobs and jobs[told + 1].record do
      told = told + 1
      tell(jobs[told])
    end
  end
  return true
end

return trials
