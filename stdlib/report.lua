-- The report of a run, report.md in its folder, for the post-mortem: how it ended, what was found, planned, approved, done and
-- saved, who was told when and what the service answered, what is left; with wall-clock times. It is made of the run's events
-- alone, so it says nothing that isn't in the journal.
local delivery = require "delivery"
local duration = require "duration"
local foreign = require "foreign"
local journal = require "journal"
local raw_run = require "raw.run"
local raw_text = require "raw.text"
local run = require "run"
local story = require "story"
local tasks = require "tasks"

local report = {}

-- Characters of the last line, which quotes the script and may quote the world.
local RECAP_MAX = 600
-- The last line: how long the journal is, and the SHA-256 of its last line.
report.PROOF = "journal.jsonl has %d lines, the last with the SHA-256 %s."
-- Rows of the timeline: a probe in a loop makes them for ever.
local ROWS_MAX = 1000

local opened = false
local about, started, ended, ended_at = {}, {}, nil, nil
local params, timeline, remedies, evidence, told, missing = {}, {}, {}, {}, {}, {}
local rows_left_out = 0
local under_way -- lines of the remedy that has begun
local said = {} -- instance and label of a check → what was last told of it

-- Foreign text can neither close a table's cell nor begin markup.
local function inert(value, max) return (foreign.line(value, max):gsub("[\\`*_%[%]<>|#~]", "\\%0")) end

local function add(list, format, ...) list[#list + 1] = format:format(...) end

-- "2026-11-23 17:40:05", and the time of day alone.
local function moment(at) return (raw_text.time_text(at):gsub("T", " "):gsub("%.%d+Z$", "")) end
local function now() return moment(run.wall()):sub(12) end

local function tell(format, ...)
  if #timeline >= ROWS_MAX then
    rows_left_out = rows_left_out + 1
    return
  end
  add(timeline, "| %s | %s | %s |", now(), duration.clock(run.elapsed()), format:format(...))
end

-- In the timeline and under the remedy it belongs to.
local function tell_step(format, ...)
  tell(format, ...)
  if under_way then add(under_way, "- %s %s", now(), format:format(...)) end
end

local function why(text) return text and ": " .. inert(text) or "" end

-------------------------------------------------------------------- Events --

local on = {}

function on.runbook(fields) if not about.title then about = fields end end
on["run.started"] = function(fields) started = fields end
function on.param(fields) add(params, "%s = %s (%s)", inert(fields.name), inert(fields.value, 80), inert(fields.source)) end

on["probe.ended"] = function(fields)
  local found = {}
  for name, value in pairs(fields.findings or {}) do if value == true then found[#found + 1] = inert(name) end end
  table.sort(found)
  local verdict = fields.state == "unknown" and "not known" .. why(fields.why)
    or #found > 0 and "found " .. table.concat(found, ", ") or "nothing found"
  tell("%s: %s", inert(story.place(fields.probe, fields.args)), verdict)
end

-- A poll says the same again and again: what is told is what changed.
function on.check(fields)
  if fields.prevention or fields.probe == "recovered" then return end
  local name = ("%s\0%s\0%s"):format(fields.probe or "", fields.args or "", fields.label)
  local text = not fields.passed and "WRONG " .. inert(fields.says) or said[name] and "WELL now: " .. inert(fields.says) or nil
  if text ~= said[name] and text then tell("%s", text) end
  said[name] = not fields.passed and text or nil
end

function on.note(fields) tell("NOTED %s", inert(story.note_words(fields))) end

function on.mistake(fields)
  tell("MISTAKE of the runbook, in %s “%s”: %s", fields.what, inert(fields.title), inert(fields.text))
end

on["remedy.started"] = function(fields)
  under_way = {}
  remedies[#remedies + 1] = under_way
  add(under_way, "### %s\n", inert(fields.remedy))
  if fields.warning then add(under_way, "Warning: %s\n", inert(fields.warning)) end
  tell("“%s” begins", inert(fields.remedy))
end

-- What it hits and what is sent, as it was approved: afterwards nothing else names what is gone.
local function add_details(effect)
  for _, list in ipairs { effect.detail or {}, effect.sends or {} } do
    for _, text in ipairs(list) do add(under_way, "    - %s", inert(text)) end
  end
end

function on.plan(fields)
  if not under_way then return end
  add(under_way, "- %s planned, risk %s:", now(), fields.level)
  for _, effect in ipairs(fields.effects) do
    add(under_way, "  - %s%s%s%s", inert(effect.line), effect.class == "destructive" and " (destructive)" or "",
      why(effect.radius), effect.where and " at " .. inert(effect.where) or "")
    add_details(effect)
  end
  for _, label in ipairs(fields.assumes or {}) do add(under_way, "  - assumes: %s", inert(label)) end
end

function on.approval(fields)
  if fields.machine then
    local verdict = fields.granted and "allowed" or "not allowed"
    return tell_step("change of this machine, %s, %s by %s", inert(fields.machine), verdict, inert(fields.by))
  end
  tell_step("“%s” %s by %s", inert(fields.line or fields.remedy), fields.granted and "approved" or "declined", inert(fields.by))
end

on["approval.given"] = function(fields)
  tell_step("“%s”: %s says yes, %d of %d", inert(fields.remedy), inert(fields.by), fields.count, fields.of)
end

function on.question(fields) if fields.kind ~= "approve" then tell_step("asked: %s", inert(fields.text)) end end

function on.answer(fields)
  if fields.kind == "approve" then return end -- told by its approval
  tell_step("answer: %s%s", fields.answer ~= nil and inert(fields.answer) or "none", why(fields.why))
end

function on.evidence(fields)
  local when = fields.line and "before " .. inert(fields.line) or "for who goes on"
  for _, piece in ipairs(fields.saved) do
    add(evidence, "- %s [%s](%s), %s%s, %s", now(), inert(piece.line), piece.file, duration.size_text(piece.bytes),
      piece.cut and " (its end)" or "", when)
  end
  for _, list in ipairs { fields.unsaved, fields.unread } do
    for _, piece in ipairs(list) do add(evidence, "- not saved: %s%s", inert(piece.line), why(piece.why)) end
  end
end

local statuses = { ok = "done", would = "would be done", unknown = "may have run", not_well = "not done yet" }

on["effect.outcome"] = function(fields)
  if fields.class == "read" or fields.class == "declared" then return end
  local result = fields.result or {}
  tell_step("%s: %s%s", inert(fields.line), statuses[fields.status] or fields.status,
    why(result.why or result.error and result.error.message or result.preview))
end

on["remedy.ended"] = function(fields)
  if fields.state == "declined" then -- told by its approval
    under_way = nil
    return
  end
  tell_step("“%s” %s%s", inert(fields.remedy), fields.state, why(fields.why))
  under_way = nil
end

on["handover.started"] = function(fields) tell("handed over to %s", inert(fields.runbook)) end
on["handover.ended"] = function(fields) tell("back from %s: %s%s", inert(fields.runbook), fields.outcome, why(fields.text)) end
function on.recovered(fields) tell("holds: %s", inert(fields.label)) end

local function tell_people(format, ...)
  local text = format:format(...)
  tell("%s", text)
  add(told, "- %s %s", now(), text)
end

on["escalation.armed"] = function(fields) tell("escalation: %s", inert(fields.text)) end
on["escalation.fired"] = function(fields) tell_people("%s is due%s", delivery.level(fields.level), why(fields.why)) end
on["escalation.failed"] = function(fields)
  tell_people("an attempt to carry out %s failed%s", delivery.level(fields.level), why(fields.why))
end
on["escalation.put_off"] = function(fields) tell_people("escalation: %s", inert(fields.text)) end
on["escalation.stopped"] = function(fields) tell_people("escalation stopped: %s", inert(fields.text)) end
on["escalation.delivered"] = function(fields)
  tell_people("%s: %s", delivery.level(fields.level), inert(fields.says))
end

on["prevention.ended"] = function(fields)
  if fields.state == "in place" then return end
  add(missing, "- %s: %s%s", inert(fields.prevention), fields.state,
    why(fields.why or #fields.missing > 0 and table.concat(fields.missing, "; ") or nil))
end

on["run.ended"] = function(fields) ended, ended_at = fields, tasks.wall() end

---------------------------------------------------------------------- Text --

local function section(lines, title, list)
  if #list == 0 then return end
  add(lines, "\n## %s\n", title)
  table.move(list, 1, #list, #lines + 1, lines)
end

local function items(before, list)
  local made = {}
  for i, text in ipairs(list) do made[i] = "- " .. before .. inert(text:match "^%s*(.*)", RECAP_MAX) end
  return made
end

-- Who, where, how and when.
local function put_head(lines)
  add(lines, "# %s: %s\n", inert(about.title or started.file), inert(ended and ended.outcome or "under way"))
  if ended and ended.headline then add(lines, "%s\n", inert(ended.headline, RECAP_MAX)) end
  if ended then add(lines, "%s\n", inert(ended.recap, RECAP_MAX)) end
  if about.impact then add(lines, "- impact: %s", inert(about.impact)) end
  for _, name in ipairs { "id", "file", "environment", "config", "mode", "host", "user", "careless" } do
    if started[name] then add(lines, "- %s: %s", name, inert(started[name])) end
  end
  if started.command_line then add(lines, "- command line: %s", inert(raw_text.shell_quote(started.command_line))) end
  if #params > 0 then add(lines, "- parameters: %s", table.concat(params, ", ")) end
  add(lines, "- the alert began: %s UTC", moment(run.alert_wall))
  add(lines, "- the run began: %s UTC", moment(run.began_wall))
  if not ended_at then return end
  add(lines, "- the run ended: %s UTC, %s after the alert", moment(ended_at), duration.clock(run.elapsed()))
end

-- Each check as it was when it was last looked at.
local function put_findings(lines)
  local list, noted = items("WRONG ", story.wrong_lines(true)), {}
  for i, note in ipairs(story.noted()) do noted[i] = story.note_words(note) end
  for _, more in ipairs { items("NOT KNOWN ", story.unknown_lines()), items("NOTED ", noted) } do
    table.move(more, 1, #more, #list + 1, list)
  end
  local well = story.well_words()
  if #well > 0 then add(list, "- WELL %s", inert(table.concat(well, " · "), RECAP_MAX)) end
  section(lines, "What was found", list)
end

local function put_remedies(lines)
  local list = {}
  for _, remedy in ipairs(remedies) do
    if #list > 0 then list[#list + 1] = "" end
    table.move(remedy, 1, #remedy, #list + 1, list)
  end
  section(lines, "Remedies", list)
end

-- What the operator was left with.
local function put_end(lines) if ended and ended.says then section(lines, "What is left", items("", ended.says)) end end

local function put_timeline(lines)
  if #timeline == 0 then return end
  add(lines, "\n## Timeline\n\n| UTC | since the alert | what |\n| --- | --- | --- |")
  table.move(timeline, 1, #timeline, #lines + 1, lines)
  if rows_left_out > 0 then add(lines, "\n%d more events stand in the journal.", rows_left_out) end
end

-- Whoever keeps the report can tell later whether the journal is still what it was: runbook verify looks here.
local function put_proof(lines)
  if journal.last then add(lines, "\n" .. report.PROOF, journal.last.lines, journal.last.hash) end
end

function report.text()
  local lines = {}
  put_head(lines)
  put_findings(lines)
  put_remedies(lines)
  section(lines, "Evidence", evidence)
  section(lines, "Who was told", told)
  put_end(lines)
  section(lines, "What would keep it from happening again", missing)
  put_timeline(lines)
  put_proof(lines)
  return table.concat(lines, "\n") .. "\n"
end

-- Written when the run has ended; it can be made anew from the journal, so nobody waits for the disk.
function report.write()
  if opened then return raw_run.replace("report.md", report.text(), false) end
end

function report.open()
  opened = true
  journal.listen(function(name, fields) if on[name] then on[name](fields) end end)
end

return report
