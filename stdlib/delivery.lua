-- What became of a level's messages, in words: whom the service says it told, and who waits.
local duration = require "duration"
local foreign = require "foreign"
local run = require "run"

local delivery = {}

-- The number of the level that stands in until the script's own are armed: none of theirs, so that it can't use one up.
delivery.STAND_IN = 16

-- What a level is called where people read of it.
function delivery.level(number)
  return number == delivery.STAND_IN and "the escalation before the script's own levels" or ("escalation level %d"):format(number)
end

local done = { page = "the on-call engineer was paged", notify = "%s was told", channel = "the channel %s was made",
               incident = "the incident was declared" }
local waits = { page = "the page is NOT DELIVERED yet", notify = "%s is not told yet", channel = "the channel %s is not made yet",
                incident = "the incident is not declared yet" }

-- "#team-lead was told (slack: ok)" of one entry of outbox.told().
function delivery.line(it)
  local text = (it.delivered and done or waits)[it.step]:format(it.to and foreign.line(it.to, 80) or "somebody")
  local answer = it.answer or it.why
  return ("%s (%s%s)"):format(text, it.backend, answer and ": " .. foreign.line(answer) or "")
end

-- All of a level in one line; `by` is who carried it out.
function delivery.says(told, by)
  if by == "built-in" then return "the on-call engineer was paged by the built-in page" end
  local lines = {}
  for i, it in ipairs(told or {}) do lines[i] = delivery.line(it) end
  return #lines > 0 and table.concat(lines, "; ") or "the escalation was carried out"
end

-- What those hear who were told in chat of a run that resolved.
function delivery.over(it)
  local about = run.first_about or run.about
  local how = it.by and ("by “%s”"):format(it.by) or it.text or "by itself"
  local when = duration.clock(run.elapsed())
  return ("Resolved: %s, %s, %s after the alert (run %s)"):format(about.title or run.file, how, when, run.id)
end

return delivery
