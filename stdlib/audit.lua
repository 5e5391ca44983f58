-- The preventions of a runbook: all of them for `runbook audit`, and in short when a run was resolved.
local gate = require "gate"
local prevention = require "words.prevention"
local run = require "run"
local script = require "script"
local tasks = require "tasks"

local audit = {}

-- A resolved run waits so long for its preventions, in seconds.
local AFTER_SECONDS = 15

-- "2 missing, 1 unknown, 3 in place"
local function in_words(counts)
  local parts = {}
  for _, state in ipairs { "missing", "unknown", "in place" } do
    if counts[state] then parts[#parts + 1] = counts[state] .. " " .. state end
  end
  return table.concat(parts, ", ")
end

local function count_states(reports)
  local counts = {}
  for _, report in ipairs(reports) do counts[report.state] = (counts[report.state] or 0) + 1 end
  return counts
end

-- How an audit ended: well when every prevention is known to be in place.
function audit.carry_out()
  script.declare()
  if #run.preventions == 0 then
    return { outcome = "unresolved", text = "the runbook declares no prevention", verdict = "it declares no prevention",
             exit = 1 }
  end
  local counts = count_states(prevention.look_at_all())
  local good, text = counts["in place"] == #run.preventions, "preventions: " .. in_words(counts)
  return { outcome = good and "resolved" or "unresolved", text = text, verdict = text, exit = good and 0 or 1 }
end

-- "2 preventions are missing, 4 not known: runbook audit runbooks/api-down.lua"
local function line_of(counts)
  local missing, unknown = counts.missing or 0, counts.unknown or 0
  if missing + unknown == 0 then
    return #run.preventions == 1 and "the prevention is in place" or ("all %d preventions are in place"):format(#run.preventions)
  end
  local words = missing > 0 and ("%d prevention%s missing"):format(missing, missing == 1 and " is" or "s are") or nil
  if unknown > 0 then
    words = words and ("%s, %d not known"):format(words, unknown)
      or ("%d prevention%s not known"):format(unknown, unknown == 1 and " is" or "s are")
  end
  return ("%s: runbook audit %s"):format(words, run.file)
end

-- After a resolved run that could change something, in one line; how it ended is settled, whatever becomes of this.
function audit.afterwards(it)
  if it.outcome ~= "resolved" or #run.preventions == 0 or gate.mode().name ~= "live" then return end
  local ok, in_time, reports = pcall(tasks.interruptible, tasks.deadline, AFTER_SECONDS, prevention.look_at_all)
  if ok and in_time then return line_of(count_states(reports)) end
  return ("preventions were not looked at to the end: runbook audit %s"):format(run.file)
end

return audit
