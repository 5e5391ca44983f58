-- What `d` shows at a question: the whole plan with its commands, every check, what was noted, and how it was looked at.
local byhand = require "byhand"
local deed = require "views.deed"
local finding = require "finding"
local fit = require "views.fit"
local raw_text = require "raw.text"
local story = require "story"

local details = {}

local READS_MAX = 500 -- of the newest reads
local reads, read_count = {}, 0

local is_read = { read = true, declared = true }

-- Hears an effect's outcome: what was looked at, and the command that looks by hand.
function details.learn(fields)
  if not is_read[fields.class] then return end
  local result = fields.result or {}
  reads[read_count % READS_MAX] = { line = fields.line, status = fields.status, command = fields.command,
                                    why = result.why or result.error and result.error.message }
  read_count = read_count + 1
end

local function add(lines, text, ...) lines[#lines + 1] = text:format(...) end

-- The whole plan, with what each write hits and sends.
function details.plan_lines(plan)
  local lines = {}
  add(lines, "The plan of “%s”", fit.inert(plan.remedy))
  for _, effect in ipairs(plan.effects) do
    add(lines, "  %s%s", fit.inert(effect.line), effect.class == "destructive" and "  (destructive)" or "")
    for _, line in ipairs(deed.lines(effect)) do add(lines, "    %s", line) end
    local by_hand = deed.by_hand(effect)
    if by_hand then add(lines, "    %s", by_hand) end
  end
  for _, label in ipairs(plan.assumes or {}) do add(lines, "  assumes: %s", fit.inert(label)) end
  return lines
end

local function whose(it)
  local probe = it.probe or it.title
  return probe and (" [%s%s]"):format(fit.inert(probe), it.args and " " .. fit.inert(it.args, 60) or "") or ""
end

local function add_found(lines)
  add(lines, "What was found")
  for _, check in ipairs(story.wrong()) do
    add(lines, "  WRONG    %s%s", fit.inert(check.says or finding.says(check)), whose(check))
  end
  for _, it in ipairs(story.unknown) do add(lines, "  UNKNOWN  %s%s", fit.inert(it.why), whose(it)) end
  for _, note in ipairs(story.noted()) do
    for i, line in ipairs(raw_text.lines(note.text)) do
      add(lines, "  %-8s %s%s", i == 1 and "NOTED" or "", fit.inert(line), i == 1 and whose(note) or "")
    end
  end
  for _, check in ipairs(story.well()) do
    add(lines, "  WELL     %s%s", fit.inert(check.says or finding.says(check)), whose(check))
  end
end

local states = { ok = "ok", not_well = "not well", failed = "failed" }

local function add_reads(lines)
  add(lines, "How it was looked at%s", read_count > READS_MAX and (", the last %d of %d reads"):format(READS_MAX, read_count) or "")
  for i = math.max(0, read_count - READS_MAX), read_count - 1 do
    local it = reads[i % READS_MAX]
    add(lines, "  %s: %s%s", fit.inert(it.line), states[it.status] or it.status, it.why and ", " .. fit.inert(it.why) or "")
    if it.command then add(lines, "    %s", byhand.shown(it.command)) end
  end
end

function details.lines(question)
  local lines = question.plan and details.plan_lines(question.plan) or {}
  add_found(lines)
  add_reads(lines)
  return lines
end

return details
