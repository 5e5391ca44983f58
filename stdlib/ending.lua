-- How a run ends: the outcome, the exit code, and the last line.
local blame = require "blame"
local duration = require "duration"
local gate = require "gate"
local journal = require "journal"
local run = require "run"
local story = require "story"
local tasks = require "tasks"
local words = require "words.ending"

local ending = {}

local exits = { resolved = 0, unresolved = 1, usage = 2, failed = 3, aborted = 4, suspended = 5, refused = 6 }

-- EX_SOFTWARE: this program's own fault.
ending.DEFECT = 70

local SIGHUP, SIGINT, SIGNAL_EXIT = 1, 2, 128

local function no(text, ...) return { outcome = "unresolved", text = text:format(...) } end

-- `return resolved` is the script's word; it counts only if the goal, or what the probes know, agrees.
local function judge_resolved(text)
  local applied, unknown = story.applied_here(), story.unknown_here()
  if run.goal then
    if require("words.goal").look() then return { outcome = "resolved", text = text, by = applied[#applied] } end
    return no("the script says resolved (%s), but this doesn't hold: %s", text, run.goal.label)
  end
  if #unknown > 0 then
    return no("the script says resolved (%s), but %s is unknown: %s", text, unknown[1].title, unknown[1].why)
  end
  return { outcome = "resolved", text = text } -- nobody looked: what was applied is not told as the cure
end

-- What the script returned.
function ending.of_return(value)
  local said = words.ending_of(value)
  if not said then return no("the script ended without saying resolved or unresolved") end
  if said.outcome == "resolved" then return judge_resolved(said.text) end
  return { outcome = "unresolved", text = said.text }
end

local function cancelled()
  local signal, differs = tasks.signal(), gate.mode().diverged
  if not signal and differs and differs() then return differs() end
  if not signal then return { outcome = "failed", text = "every task waits for another: nothing can ever happen" } end
  if signal == SIGHUP then -- a dropped connection is no decision
    return { outcome = "suspended", text = "the terminal went away", exit = SIGNAL_EXIT + signal }
  end
  return { outcome = "aborted", text = "interrupted by the operator",
           exit = signal ~= SIGINT and SIGNAL_EXIT + signal or nil }
end

-- What the script raised.
function ending.of_error(err)
  local interrupt = tasks.is_interrupt(err)
  local ended = tasks.handled()
  if interrupt == "end" then return ended end
  if interrupt == "cancel" then return cancelled() end
  if interrupt == "budget" then
    return { outcome = "failed", text = "the script computed for too long without waiting" }
  end
  if type(err) == "table" then
    for _, kind in ipairs { "usage", "refused" } do
      if err[kind] then return { outcome = kind, text = err[kind] } end
    end
    if err.wrong then return { outcome = "failed", text = err.wrong, unloaded = err.unloaded } end
  end
  return { outcome = "failed", text = blame.text(err), exit = blame.is_defect(err) and ending.DEFECT or nil }
end

-- Whether the script made a mistake that its scenario, if there is one, does not expect.
local function has_mistake()
  for _, it in ipairs(story.mistakes) do
    local excuses = gate.mode().excuses
    if not (excuses and excuses(it)) then return true end
  end
  return false
end

-- A rehearsal that met a mistake of the runbook's is no good one; a real run goes on with what it knows.
function ending.exit(it)
  local came_to_its_end = it.outcome == "unresolved" or it.outcome == "resolved"
  local rehearsed = run.options.dry_run or run.options.scenario
  if came_to_its_end and rehearsed and has_mistake() then return exits.failed end
  if it.exit then return it.exit end
  if run.options.dry_run and came_to_its_end then return 0 end
  return exits[it.outcome] or 70
end

-- The recap's counts, in its order; what is told and owed is counted elsewhere.
local recap_counts = { { "looked", "looked" }, { "on_word", "on the author's word" }, { "would", "would" },
                       { "changed", "changed" }, { "may_have_run", "may have run" }, { "write_failed", "write failed" },
                       { "refused", "refused" }, { "could_not_look", "could not look" } }

-- Whether a resolved end is the script's word alone: there is no goal that was seen to hold.
function ending.is_word(it) return it.outcome == "resolved" and not run.goal and not it.held end

-- That word, and whether checks that failed, as they last were, stand against it.
function ending.word()
  local wrong = #story.wrong() > 0
  return ("by the script's word%s; nobody looked"):format(wrong and ", against what its checks found" or "")
end

-- A remedy is told as the cure only of a goal that was seen to hold.
local function verdict(it)
  if it.verdict then return it.verdict end
  if it.outcome ~= "resolved" then return it.text and it.outcome .. ": " .. it.text or it.outcome end
  if ending.is_word(it) then return ("resolved %s: %s"):format(ending.word(), it.text) end
  return it.by and ("resolved by %q"):format(it.by) or it.held and "resolved by itself" or "resolved: " .. it.text
end

-- looked 14 · on the author's word 1 · would 0 · changed 2 · … · owed 0 · 06:41 · resolved by "Restart …"
function ending.recap(it)
  local parts = {}
  for i, count in ipairs(recap_counts) do parts[i] = ("%s %d"):format(count[2], journal.counts[count[1]]) end
  parts[#parts + 1] = ("owed %d"):format(#run.owed)
  parts[#parts + 1] = duration.clock(run.elapsed())
  if run.options.dry_run and not it.verdict then parts[#parts + 1] = "DRY RUN, nothing was changed" end
  parts[#parts + 1] = verdict(it)
  return table.concat(parts, " · ")
end

-- Writes run.ended; `says` are lines the operator reads before the recap.
function ending.write(it, says)
  it.exit = ending.exit(it)
  journal.event("run.ended", { outcome = it.outcome, by = it.by, text = it.text, exit = it.exit,
    headline = require("closing").headline(it), says = says,
    counts = journal.counts, recap = ending.recap(it), owed = it.owed, left = #run.left > 0 and run.left or nil }, true)
  return it.exit
end

return ending
