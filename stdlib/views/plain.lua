-- Plain lines: what a pipe, a log or a small terminal gets. A probe is printed when it ends, so that probes side by side
-- don't mix. No meaning by colour: every state is a word.
local deed = require "views.deed"
local delivery = require "delivery"
local duration = require "duration"
local run = require "run"
local tasks = require "tasks"
local text = require "raw.text"
local tty = require "raw.tty"

local plain = {}

local waiting = {}  -- instance of a probe → { checks =, effects = }: its lines so far
local planning     -- in a dry run: the remedy whose plan is being made, and its lines so far
local MISSING_MAX = 4    -- changes of this machine that nobody allowed, named in the first lines
local RECAP_MAX = 600    -- characters of the last line; the ending's text is the script's, and may quote the world
local LINE_COLUMNS = 118 -- an effect and its command share a line when they fit
local NOTE_LINES = 8     -- of a note of several lines
local dry, verbose
local folds  -- on a terminal what is well is no line each: it would push what is wrong out of view

local function inert(value, max) return text.inert(tostring(value), { max = max or 200 }) end

-- Where finished lines go; the live view puts itself in between.
function plain.out(lines) tty.write(1, table.concat(lines, "\n") .. "\n") end

local event_lines = {} -- of the event that is being told: they go out together
local function put(line) event_lines[#event_lines + 1] = line end

local function stamp() return run.began and duration.clock(run.elapsed()) or "00:00" end

local function say(format, ...) put(("%s  %s"):format(stamp(), format:format(...))) end

function plain.open(options)
  dry, verbose = options.dry_run, options.verbose
  folds = not verbose and tty.is_tty(1) and require "views.fit"
end

-- One probe with one list of arguments: two of them may run side by side.
local function instance_of(fields)
  local title = type(fields.prevention) == "string" and fields.prevention or fields.probe
  local args = fields.probe_args or type(fields.args) == "string" and fields.args
  return title and (args and title .. "\0" .. args or title)
end

-- Under its probe while one is running, else at once. What was found comes first, then how it was looked at.
local function under(probe, line, kind)
  if probe and waiting[probe] then
    table.insert(waiting[probe][kind or "checks"], line)
  elseif planning then
    table.insert(planning.lines, line)
  else
    say("%s", line)
  end
end

-- What was found: the state as a word, then the words. What is wrong can be searched for in a log.
local function found(fields, state, format, ...) under(instance_of(fields), ("  %-8s %s"):format(state, format:format(...))) end

local function milliseconds(ms) return ms and ("%d ms"):format(ms) or "" end

local states = { ok = "ok", not_well = "not well", failed = "failed", refused = "refused", cancelled = "cancelled",
                 unknown = "unknown: may have run" }

-- A result's `notice`: what must be known of it although it went well.
local function why_of(fields)
  local result = fields.result or {}
  if fields.status == "unknown" and result.error then return result.error.message end -- `why` says what the state says
  return result.why or result.error and result.error.message or result.preview or result.notice
end

-- The effect's line, how it ended, and the command a person could type instead.
function plain.effect_lines(fields)
  local why, would = why_of(fields), fields.status == "would"
  local said = { not would and states[fields.status] or nil }
  if why then said[#said + 1] = inert(why, 300) end
  local line = ("%s%s%s%s"):format(would and "would " or "", inert(fields.line),
    #said > 0 and ": " .. table.concat(said, ", ") or "", fields.ms and "  " .. milliseconds(fields.ms) or "")
  local lines, by_hand = { line }, (would or verbose) and deed.by_hand(fields)
  for _, told in ipairs(would and deed.lines(fields.result) or {}) do lines[#lines + 1] = "  " .. told end
  if not by_hand then return lines end
  if #lines == 1 and not by_hand:find "\n" and text.width(line .. by_hand) + 6 <= LINE_COLUMNS then
    return { line .. "  " .. by_hand }
  end
  lines[#lines + 1] = "  " .. by_hand
  return lines
end

local on = {}
plain.on = on

function on.runbook(fields)
  put(("%s%s%s"):format(fields.title, fields.severity and " (" .. fields.severity .. ")" or "",
    fields.impact and ": " .. fields.impact or ""))
end

on["run.started"] = function(fields)
  if fields.careless then put("careless: " .. fields.careless) end
  local what = run.command ~= "run" and run.command or dry and "DRY RUN" or fields.mode == "live" and "run" or fields.mode
  put(("%s of %s%s"):format(what, inert(fields.file), fields.id and ", run " .. fields.id or ""))
end

function on.freeze(fields) say("writes are frozen (%s): each is asked for", inert(fields.text, 300)) end

on["run.resumed"] = function(fields)
  put(("resumed, %d. time: what stands above was before%s"):format(fields.generation - 1,
    fields.age and (", what was found is " .. inert(fields.age) .. " old") or ""))
  if fields.careless then put("careless: " .. inert(fields.careless)) end
end

on["probe.started"] = function(fields) waiting[instance_of(fields)] = { checks = {}, effects = {}, well = {} } end

function on.check(fields)
  local probe = waiting[instance_of(fields)]
  if folds and fields.passed and probe and not fields.prevention then return table.insert(probe.well, inert(fields.says, 400)) end
  found(fields, fields.passed and "WELL" or "WRONG", "%s", inert(fields.says, 400))
  local lines = waiting[instance_of(fields)]
  if fields.mend and lines then table.insert(lines.mends, fields) end
end

-- What is shown of a note, and how many of its lines are left out: of a result the end, of a script's own text the beginning.
local function note_lines(fields)
  local lines = text.lines(fields.text)
  if #lines <= NOTE_LINES then return lines, 0 end
  if not fields.line then return table.move(lines, 1, NOTE_LINES, 1, {}), #lines - NOTE_LINES end
  return require("logtext").shown(fields.text, fields.decisive or {}, NOTE_LINES)
end

function on.note(fields)
  local lines, left_out = note_lines(fields)
  for i, line in ipairs(lines) do
    found(fields, i == 1 and "NOTED" or "", "%s", inert(line, 400))
  end
  if left_out > 0 then
    found(fields, "", "… %d %s line%s in the journal", left_out, fields.line and "older" or "more", left_out == 1 and "" or "s")
  end
end

-- "Database (alpha)"
local function title_of(fields) return inert(fields.probe) .. (fields.args and (" (%s)"):format(inert(fields.args, 60)) or "") end

on["probe.ended"] = function(fields)
  local lines = waiting[instance_of(fields)] or { checks = {}, effects = {}, well = {} }
  waiting[instance_of(fields)] = nil
  local faults = {}
  for name, value in pairs(fields.findings or {}) do if value == true then faults[#faults + 1] = name end end
  table.sort(faults)
  local verdict = fields.state == "unknown" and "unknown" or #faults > 0 and "found: " .. table.concat(faults, ", ")
    or "nothing found"
  say("%s: %s  %s", title_of(fields), verdict, milliseconds(fields.ms))
  for _, line in ipairs(lines.checks) do say("%s", line) end
  if #lines.well > 0 then found(fields, "WELL", "%s", folds.join(lines.well, tty.size().columns - 19)) end
  if fields.state == "unknown" then found(fields, "UNKNOWN", "%s", inert(fields.why, 300)) end
  for _, line in ipairs(lines.effects) do say("%s", line) end
end

on["prevention.started"] = function(fields)
  waiting[instance_of(fields)] = { checks = {}, effects = {}, mends = {} }
end

-- The snippet that closes a gap: its lines alone, so that they can be copied.
local function put_mend(fields)
  put ""
  put(("To mend “%s”:"):format(inert(fields.label)))
  put ""
  for _, line in ipairs(text.lines(fields.mend)) do put(inert(line, 1000)) end
  put ""
end

-- In full for an audit; after a run in a line.
on["prevention.ended"] = function(fields)
  if run.command ~= "audit" and not verbose then return end
  local lines = waiting[instance_of(fields)]
  waiting[instance_of(fields)] = nil
  local verdict = fields.state == "unknown" and "unknown: " .. inert(fields.why, 300) or fields.state
  if run.command ~= "audit" then
    local missing = #fields.missing > 0 and ": " .. inert(table.concat(fields.missing, "; "), 200) or ""
    return say("prevention “%s”: %s%s", inert(fields.prevention), verdict, fields.state == "missing" and missing or "")
  end
  say("%s: %s", inert(fields.prevention), verdict)
  for _, line in ipairs(lines.checks) do say("%s", line) end
  for _, line in ipairs(lines.effects) do say("%s", line) end
  for _, mend in ipairs(lines.mends) do put_mend(mend) end
end

function on.mistake(fields) say("MISTAKE  %s", inert(fields.text, 400)) end

on["handover.started"] = function(fields) say("handing over to %s", inert(fields.runbook)) end
on["handover.ended"] = function(fields)
  say("back from %s: %s%s", inert(fields.runbook), fields.outcome, fields.text and ": " .. inert(fields.text, 300) or "")
end

local is_read = { read = true, declared = true }
local last_failed -- of the reads that failed outside of a probe

-- What was looked at is told by what was found; how, by -v. What could not be looked at outside of a probe is told by nothing
-- else, and once when it is tried again and again.
local function is_shown(fields)
  if verbose or not is_read[fields.class] or fields.status == "refused" then return true end
  if fields.status ~= "failed" or fields.probe then return false end
  local again = last_failed == fields.line
  last_failed = fields.line
  return not again
end

-- Of a poll's looks at one thing only a new answer is told.
local polled = {} -- poll and line → the last answer
local function is_repeated(fields)
  if not fields.poll or not is_read[fields.class] then return false end
  local place, answer = fields.poll .. "\0" .. fields.line, fields.status .. " " .. (why_of(fields) or "")
  local repeated = polled[place] == answer
  polled[place] = answer
  return repeated
end

on["effect.outcome"] = function(fields)
  if fields.key and fields.key:find "^goal" or not is_shown(fields) or is_repeated(fields) then return end
  for _, line in ipairs(plain.effect_lines(fields)) do under(instance_of(fields), "    " .. line, "effects") end
end

-- What was kept, where; then what was not, and why.
function on.evidence(fields)
  for _, piece in ipairs(fields.saved) do
    say("  evidence: %s in %s, %s%s", inert(piece.line), piece.file, duration.size_text(piece.bytes),
      piece.cut and ", its end" or "")
  end
  for _, piece in ipairs(fields.unsaved) do
    say("  evidence NOT SAVED: %s, %s: %s", inert(piece.line), duration.size_text(piece.bytes), inert(piece.why))
  end
  for _, piece in ipairs(fields.unread) do say("  no evidence: %s: %s", inert(piece.line), inert(piece.why)) end
end

on["effect.intent"] = function(fields)
  say("  doing %s", inert(fields.line))
end

-- Its level is known with its plan; what a dry run would do is told below it.
on["remedy.started"] = function(fields)
  planning = { risk = fields.risk or "low", lines = {} }
end

-- With why it is not the risk that the script declares.
local function level_of(fields)
  return fields.level_why and ("%s: %s"):format(fields.level, fields.level_why) or fields.level
end

local function end_planning(fields)
  local lines, level = planning and planning.lines or {}, level_of(fields)
  planning = nil
  say("%s (risk %s)", inert(fields.remedy), level)
  for _, line in ipairs(lines) do say("%s", line) end
end

-- Why it is asked for, and what went wrong before it.
local function put_asking(fields)
  for _, why in ipairs(fields.why or {}) do say("    because: %s", inert(why, 300)) end
  for _, it in ipairs(fields.before or {}) do
    say("    before: “%s” %s%s", inert(it.remedy), it.state, it.why and ": " .. inert(it.why) or "")
  end
end

-- The plan, before anybody is asked about it. A dry run shows its writes as `would` instead.
function on.plan(fields)
  end_planning(fields)
  put_asking(fields)
  if dry then return end
  for _, effect in ipairs(fields.effects) do
    say("  plan: %s%s", inert(effect.line), effect.class == "destructive" and "  (destructive)" or "")
    for _, line in ipairs(deed.lines(effect)) do say("    %s", line) end
    local by_hand = deed.by_hand(effect)
    if by_hand then say("    %s", by_hand) end
  end
  for _, label in ipairs(fields.assumes or {}) do say("    assumes: %s", inert(label)) end
end

on["remedy.ended"] = function(fields)
  if planning then end_planning { remedy = fields.remedy, level = planning.risk } end -- it has no plan
  say("%s: %s%s", inert(fields.remedy), fields.state, fields.why and ": " .. inert(fields.why, 300) or "")
  if fields.state == "would" and run.goal then say("  a real run stops here if: %s", inert(run.goal.label)) end
end

on["goal.waiting"] = function(fields)
  say("waiting up to %s until: %s", duration.text(fields.within), inert(fields.label))
end
on["goal.missed"] = function(fields)
  say("not yet after %s: %s", duration.text(fields.within), inert(fields.label))
end
on["poll.started"] = on["goal.waiting"]
on["poll.ended"] = function(fields)
  say("%s after %s: %s", fields.held and "holds" or "not yet", duration.text(math.floor(fields.seconds)), inert(fields.label))
end
function on.recovered(fields) say("holds: %s", inert(fields.label)) end

on["approval.given"] = function(fields)
  say("%s says yes to “%s”: %d of %d", inert(fields.by), inert(fields.remedy), fields.count, fields.of)
end

on["reply.refused"] = function(fields)
  say("%s says %s, which does not count: %s", inert(fields.by), inert(fields.answer), inert(fields.why))
end

on["question.unseen"] = function(fields) say("others can't see the question: %s", inert(fields.why)) end

function on.answer(fields)
  local answer = fields.answer ~= nil and inert(fields.answer) or "(" .. (fields.why or "silence") .. ")"
  say("%s %s%s", inert(fields.text), answer, fields.words and (" (%s)"):format(inert(fields.why)) or "")
end

-- In the first lines: whoever reads them can still start the run anew.
on["permission.missing"] = function(fields)
  say("this machine, %s, may not be changed without being asked for by its name (--here allows it):", inert(fields.machine))
  for i = 1, math.min(#fields.changes, MISSING_MAX) do say("  %s", inert(fields.changes[i])) end
  if #fields.changes > MISSING_MAX then say("  … and %d more", #fields.changes - MISSING_MAX) end
end

on["escalation.armed"] = function(fields) say("escalation: %s", inert(fields.text, 400)) end
on["escalation.fired"] = function(fields) say("%s is being carried out%s", delivery.level(fields.level),
  fields.why and ": " .. inert(fields.why) or "") end
-- "the on-call engineer was paged": what became of a level.
function plain.paged(fields) return inert(fields.says or "the on-call engineer was paged", 300) end
function plain.wall_clock() return text.clock_text(tasks.wall()) end

on["escalation.delivered"] = function(fields) put(("%s  %s"):format(plain.wall_clock(), plain.paged(fields))) end
on["escalation.put_off"] = function(fields) say("escalation: %s", inert(fields.text)) end
on["escalation.stopped"] = function(fields) say("escalation stopped: %s", inert(fields.text)) end
on["journal.broken"] = function(fields)
  tty.write(2, "the journal can't be written any more: " .. inert(fields.why) .. "; nothing will be changed\n")
end
-- A doctor's rows are a table: they are kept until all are known.
local rows = {}
on["doctor.row"] = function(fields) rows[#rows + 1] = fields end

local STATES = { ok = "ok", warning = "warning", stops = "STOPS" }
local WHAT_MAX, TEXT_MAX = 34, 200 -- columns

local function put_rows()
  local widths = { 0, 0 }
  for _, row in ipairs(rows) do
    row.what = inert(row.what, WHAT_MAX)
    widths[1], widths[2] = math.max(widths[1], #row.area), math.max(widths[2], text.width(row.what))
  end
  for _, row in ipairs(rows) do
    local blanks = (" "):rep(widths[2] - text.width(row.what))
    local head = ("%-7s  %-" .. widths[1] .. "s  %s%s  "):format(STATES[row.state], row.area, row.what, blanks)
    put(head .. inert(row.text, TEXT_MAX))
    if row.mend then put((" "):rep(text.width(head)) .. "→ " .. inert(row.mend, TEXT_MAX)) end
  end
end

on["run.ended"] = function(fields)
  put_rows()
  if fields.headline then put(inert(fields.headline, RECAP_MAX)) end
  for _, line in ipairs(fields.says or {}) do put((fields.headline and "          " or "") .. inert(line, 400)) end
  put(inert(fields.recap, RECAP_MAX))
end

-- What a doctor's rehearsals meet on their way is in the journal; its table says what comes of it.
local of_doctor = { runbook = true, ["run.started"] = true, ["doctor.row"] = true, ["run.ended"] = true,
                    ["journal.broken"] = true }

-- A plan waits: a question shows it whole, and then it needs no lines of its own.
local held_plan
local ends_planning = { answer = true, approval = true, ["effect.intent"] = true, ["remedy.ended"] = true, ["run.ended"] = true }

function plain.tell_plan()
  local lines = held_plan
  held_plan = nil
  if lines then plain.out(lines) end
end

-- Somebody is asked about it on the terminal.
function plain.forget_plan()
  if verbose then plain.tell_plan() end
  held_plan = nil
end

local function lines_of(name, fields)
  event_lines = {}
  on[name](fields)
  return event_lines
end

function plain.event(name, fields)
  if not on[name] or run.command == "doctor" and not of_doctor[name] then return end
  if ends_planning[name] then plain.tell_plan() end
  local lines = lines_of(name, fields)
  if name == "plan" and not dry then
    held_plan = lines
  elseif #lines > 0 then
    plain.out(lines)
  end
end

return plain
