-- How a run ended, in the lines that the operator reads before the recap: the outcome as a word, when, by what; what is still
-- open, what was changed, who was told, and what to type next.
local duration = require "duration"
local ending = require "ending"
local finding = require "finding"
local gate = require "gate"
local journal = require "journal"
local raw_text = require "raw.text"
local run = require "run"
local story = require "story"
local tasks = require "tasks"

local closing = {}

local OPEN_MAX = 3 -- findings that an unresolved run names; the others are counted

local labels = { resolved = "RESOLVED", unresolved = "UNRESOLVED", aborted = "ABORTED", suspended = "SUSPENDED", failed = "FAILED" }

-- "14 s after the start, 5 min after the alert"
local function when()
  local since_start = tasks.wall() - run.began_wall
  local text = duration.coarse(since_start) .. " after the start"
  if run.elapsed() - since_start < 1 then return text end
  return ("%s, %s after the alert"):format(text, duration.coarse(run.elapsed()))
end

local function looks_of_goal()
  local goal = require "words.goal"
  return run.goal and run.goal.holds and "for " .. duration.text(run.goal.holds) or ("%d looks in a row"):format(goal.POLLS)
end

-- "by “Restart”, 14 s after the start: the API answers, 3 looks in a row". Nobody looked where there is no goal: that is said,
-- not covered up.
local function resolved(it)
  local by = it.by and ("by “%s”, "):format(it.by) or it.held and "by itself, " or ""
  local how = it.held and ", " .. looks_of_goal() or run.goal and "; it holds: " .. run.goal.label or ""
  if ending.is_word(it) then by = ending.word() .. ", " end
  return ("RESOLVED  %s%s: %s%s"):format(by, when(), it.text or "", how)
end

-- One line, or nil for what was never begun.
function closing.headline(it)
  local label = labels[it.outcome]
  if not label or run.command ~= "run" then return nil end
  if run.options.dry_run then return ("DRY RUN   nothing was changed, %s: %s"):format(when(), it.text or it.outcome) end
  if it.outcome == "resolved" then return resolved(it) end
  return ("%s%s  %s, %s"):format(label, story.paged and ", PAGED" or "", it.text or it.outcome, when())
end

------------------------------------------------------------------- Lines --

local function first(list, max)
  local shown = table.move(list, 1, math.min(#list, max), 1, {})
  if #list > max then shown[#shown + 1] = ("… %d more in the journal"):format(#list - max) end
  return shown
end

-- What nobody looked at again after a remedy, nothing says.
local function add_unproved(lines)
  for _, remedy in ipairs(story.applied) do
    lines[#lines + 1] = ("applied: “%s”; nothing says that it helped (no recovered…)"):format(remedy.title)
  end
end

local function add_open(lines, it)
  local is_word = ending.is_word(it)
  if it.outcome == "resolved" and not is_word then return end
  if is_word then add_unproved(lines) end
  local wrong, label = {}, is_word and "against it: " or "open: "
  for i, check in ipairs(story.wrong()) do wrong[i] = finding.sentence(check) end
  for i, text in ipairs(first(wrong, OPEN_MAX)) do lines[#lines + 1] = (i == 1 and label or (" "):rep(#label)) .. text end
  for _, unknown in ipairs(story.unknown) do lines[#lines + 1] = ("not known: %s: %s"):format(unknown.title, unknown.why) end
end

-- What a person or the world refused: the script's own last words were written before anybody knew.
local function add_not_done(lines, it)
  if it.outcome == "resolved" then return end
  for _, text in ipairs(first(require("situation").not_done(), OPEN_MAX)) do lines[#lines + 1] = "not done: " .. text end
end

local counted = { { "may_have_run", "may have run" }, { "write_failed", "failed writes" }, { "would", "would change" },
                  { "could_not_look", "could not look" } }

local function add_counts(lines)
  local counts, parts = journal.counts, { ("changed %d"):format(journal.counts.changed) }
  for _, it in ipairs(counted) do
    if counts[it[1]] > 0 then parts[#parts + 1] = ("%s %d"):format(it[2], counts[it[1]]) end
  end
  if run.path and gate.mode().name == "live" then parts[#parts + 1] = "report: " .. run.path .. "/report.md" end
  lines[#lines + 1] = table.concat(parts, " · ")
end

-- Where the responder goes on when this runbook knows no more.
local function add_next(lines, it)
  if it.outcome ~= "unresolved" or run.command ~= "run" then return end
  local related = (run.first_about or run.about).related
  if related and #related > 0 then lines[#lines + 1] = "see also: " .. table.concat(related, ", ") end
  if run.id and gate.mode().name == "live" then
    lines[#lines + 1] = ("to own it, so that no later level fires: runbook ack %s"):format(run.id)
  end
end

local function how_to_go_on(it)
  local question = it.question
  if it.diverged or it.pages or it.left_open then return nil end
  local go_on = run.id and ("runbook resume %s"):format(run.id) or "run it again"
  if not question then return ("nobody decided anything: %s, best in tmux or screen"):format(go_on) end
  local text = ("no terminal to ask on: %s, from one"):format(go_on)
  if question.otherwise then text = ("%s, or %s"):format(text, question.otherwise) end
  if not question.in_person and (question.needed or 0) == 0 then
    text = ("%s, or answer %q by this title in a file for --answers"):format(text, raw_text.inert(question.label, { max = 200 }))
  end
  return text
end

-- Whoever can't come to a terminal of this machine's owner can answer from their own.
local function how_to_answer(it)
  if not (it.question and run.id) then return nil end
  local command = require("consent").decides(it.question) and "approve|deny %s" or "answer %s …"
  return ("anybody who may: runbook %s, and the resume hears it"):format(command:format(run.id))
end

-- `settled`: what became of the escalation; `preventions`: a line about them.
function closing.lines(it, settled, preventions)
  local lines = {}
  if closing.headline(it) then
    add_open(lines, it)
    add_not_done(lines, it)
    add_counts(lines)
  end
  lines[#lines + 1] = preventions
  if it.outcome == "suspended" then
    lines[#lines + 1] = how_to_go_on(it)
    lines[#lines + 1] = how_to_answer(it)
  end
  for _, debt in ipairs(run.owed) do lines[#lines + 1] = ("owed: “%s” was not taken back"):format(debt.title) end
  for _, left in ipairs(run.left) do lines[#lines + 1] = ("left: %s; back by %s"):format(left.text, left.back) end
  table.move(settled, 1, #settled, #lines + 1, lines)
  add_next(lines, it)
  if it.exit == ending.DEFECT then
    lines[#lines + 1] = require("defect").what_to_do(run.path and run.path .. "/journal.jsonl")
  end
  return lines
end

-- What an author has to mend stands before all that, for nothing after it can be trusted.
function closing.mistakes()
  local lines = {}
  for i, it in ipairs(run.command ~= "doctor" and story.mistakes or {}) do
    lines[i] = ("MISTAKE of the runbook, in %s “%s”: %s"):format(it.what, it.title, it.text)
  end
  return lines
end

return closing
