-- escalation(after, fn): a level of the watchdog. Armed before any effect; carried out by another process at its time.
local blame = require "blame"
local delivery = require "delivery"
local duration = require "duration"
local run = require "run"
local snapshot = require "snapshot"
local tasks = require "tasks"
local values = require "values"

local escalation = {}
local words = {}

-- When nobody said otherwise, the first page goes out this long after the alert began.
escalation.AFTER = "15m"
-- The level that stands in until the script's own are armed.
escalation.GUARD = delivery.STAND_IN
-- It fires that long after the start at the earliest, in seconds: by then a script has said when it wants to be paged for.
escalation.GUARD_SECONDS = 60
-- More levels than this is a mistake.
escalation.LEVELS_MAX = 10

function words.escalation(after, fn)
  run.declared "escalation"
  local seconds, why = duration.parse(after)
  if not seconds then blame.raise("escalation: %s", why) end
  if fn ~= nil and type(fn) ~= "function" then
    blame.raise("escalation: a function expected, got %s", values.describe(fn))
  end
  if run.part then return end -- a runbook that is handed over to runs under its caller's
  if run.acted then blame.raise("escalation: levels are armed before the first effect, probe or remedy") end
  if #run.levels >= escalation.LEVELS_MAX then blame.raise("escalation: at most %d levels", escalation.LEVELS_MAX) end
  run.levels[#run.levels + 1] = { after = seconds, fn = fn or escalation.default }
end

-- A level without a function of its own pages with headline and findings.
function escalation.default(view)
  local catalogue, gate = require "catalogue", require "gate"
  gate.perform(catalogue.family("escalate").page,
    { summary = view.headline, severity = view.severity, details = view.findings })
end

-- Carries a level out in this process, in the mode of the gate: really, or told; `level` where it is not the one declared by
-- this process's script. A rehearsal leaves no trace in the script's own variables.
function escalation.carry_out(index, level)
  level = level or run.levels[index] or index == escalation.GUARD and { fn = escalation.default }
  if not level then error("the script declares no level " .. tostring(index), 0) end
  local restore = tasks.context().pass == "plan" and snapshot.take(level.fn) or function() end
  local ok, why = pcall(tasks.within, { level = index, path = "escalation." .. index }, level.fn, require("situation").view())
  restore()
  if not ok then error(why, 0) end
end

-- Armed means rehearsed: carried out, but nobody told. Raises { refused = } when it fails.
function escalation.rehearse(index)
  local ok, why = pcall(tasks.within, { pass = "plan", plan = false, probe = false, together = false },
    escalation.carry_out, index)
  if ok then return end
  if tasks.is_interrupt(why) then error(why, 0) end
  error({ refused = ("escalation level %d fails its rehearsal: %s"):format(index, blame.text(why)) }, 0)
end

-- The level that every run has.
function escalation.add_default(after)
  if #run.levels > 0 then return end
  run.levels[1] = { after = duration.parse(after or escalation.AFTER), fn = escalation.default, default = true }
end

escalation.words = words
return escalation
