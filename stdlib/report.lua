-- The report of a run, report.md in its folder: how it ended, what happened when, what was changed, and the evidence that was
-- saved, as Markdown. It is made of the run's events, so it says nothing that isn't in the journal.
local duration = require "duration"
local journal = require "journal"
local raw_run = require "raw.run"
local run = require "run"
local raw_text = require "raw.text"

local report = {}

-- Characters of a foreign text in the report.
local TEXT_MAX = 300

local about, started, ended = {}, {}, nil
local timeline, changes, evidence, missing = {}, {}, {}, {}

-- Foreign text can neither close a table's cell nor begin markup.
local function inert(value, max)
  local text = raw_text.inert(tostring(value), { max = max or TEXT_MAX })
  return (text:gsub("[\\`*_%[%]<>|#~]", "\\%0"))
end

local function add(list, format, ...) list[#list + 1] = format:format(...) end

local function tell(format, ...)
  add(timeline, "| %s | %s |", duration.clock(run.elapsed()), format:format(...))
end

local function why(text) return text and ": " .. inert(text) or "" end

-------------------------------------------------------------------- Events --

local on = {}

function on.runbook(fields) if not about.title then about = fields end end
on["run.started"] = function(fields)
  started = fields
  started.at = raw_text.time_text(run.began_wall)
end

on["probe.ended"] = function(fields)
  local found = {}
  for name, value in pairs(fields.findings or {}) do if value == true then found[#found + 1] = inert(name) end end
  table.sort(found)
  local verdict = fields.state == "unknown" and "unknown" .. why(fields.why)
    or #found > 0 and "found " .. table.concat(found, ", ") or "nothing found"
  tell("%s: %s", inert(fields.probe), verdict)
end

function on.check(fields)
  if fields.passed or fields.prevention then return end
  tell("WRONG %s", inert(fields.says))
end

function on.approval(fields)
  tell("“%s” %s by %s", inert(fields.line or fields.remedy), fields.granted and "approved" or "declined", inert(fields.by))
end

function on.answer(fields)
  if fields.kind == "approve" then return end -- told by its approval
  tell("asked: %s %s", inert(fields.text), fields.answer ~= nil and inert(fields.answer) or "no answer")
end

function on.evidence(fields)
  for _, piece in ipairs(fields.saved) do
    add(evidence, "- [%s](%s), %s%s, before %s", inert(piece.line), piece.file, duration.size_text(piece.bytes),
      piece.cut and " (its end)" or "", inert(fields.line))
  end
  for _, list in ipairs { fields.unsaved, fields.unread } do
    for _, piece in ipairs(list) do add(evidence, "- not saved: %s%s", inert(piece.line), why(piece.why)) end
  end
end

on["effect.outcome"] = function(fields)
  if fields.class == "read" or fields.class == "declared" then return end
  local result = fields.result or {}
  local text = ("%s: %s%s"):format(inert(fields.line), fields.status == "unknown" and "may have run" or fields.status,
    why(result.why or result.error and result.error.message or result.preview))
  tell("%s", text)
  if fields.class ~= "notify" then add(changes, "- %s %s", duration.clock(run.elapsed()), text) end
end

on["remedy.ended"] = function(fields) tell("%s: %s%s", inert(fields.remedy), fields.state, why(fields.why)) end
on["handover.started"] = function(fields) tell("handed over to %s", inert(fields.runbook)) end
on["handover.ended"] = function(fields) tell("back from %s: %s%s", inert(fields.runbook), fields.outcome, why(fields.text)) end
function on.recovered(fields) tell("holds: %s", inert(fields.label)) end
on["escalation.fired"] = function(fields) tell("escalation level %d%s", fields.level, why(fields.why)) end

on["prevention.ended"] = function(fields)
  if fields.state == "in place" then return end
  add(missing, "- %s: %s%s", inert(fields.prevention), fields.state,
    why(fields.why or #fields.missing > 0 and table.concat(fields.missing, "; ") or nil))
end

on["run.ended"] = function(fields) ended = fields end

---------------------------------------------------------------------- Text --

local function section(lines, title, list)
  if #list == 0 then return end
  add(lines, "\n## %s\n", title)
  table.move(list, 1, #list, #lines + 1, lines)
end

function report.text()
  local lines = {}
  add(lines, "# %s: %s\n", inert(about.title or started.file), inert(ended and ended.outcome or "under way"))
  if ended then add(lines, "%s\n", inert(ended.recap, 600)) end
  if about.impact then add(lines, "- Impact: %s", inert(about.impact)) end
  for _, name in ipairs { "id", "file", "environment", "mode", "user", "careless" } do
    if started[name] then add(lines, "- %s: %s", name, inert(started[name])) end
  end
  add(lines, "- began: %s", started.at or "?")
  section(lines, "Changes", changes)
  section(lines, "Evidence", evidence)
  if #timeline > 0 then
    add(lines, "\n## Timeline\n\n| since the alert | what |\n| --- | --- |")
    table.move(timeline, 1, #timeline, #lines + 1, lines)
  end
  section(lines, "What would keep it from happening again", missing)
  return table.concat(lines, "\n") .. "\n"
end

-- Written when the run has ended; it can be made anew from the journal, so nobody waits for the disk.
function report.write() return raw_run.replace("report.md", report.text(), false) end

function report.open()
  journal.listen(function(name, fields) if on[name] then on[name](fields) end end)
end

return report
