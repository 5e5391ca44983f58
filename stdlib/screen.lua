-- What the operator sees: one of three views over the run's events, and the questions. Views print; they decide nothing.
local asking = require "asking"
local journal = require "journal"
local patterns = require "patterns"
local run = require "run"
local tasks = require "tasks"
local text = require "raw.text"
local tty = require "raw.tty"

local screen = { notes = {} }
-- 128 + SIGHUP: the run is suspended, its escalation armed.
screen.HANGUP_EXIT = 129
local view -- hears the events
local answers, titles = {}, {} -- of --answers: { pattern =, value = }; and as written, for exact titles
local one_at_a_time = tasks.slots(1)

-- Opens the view: jsonl, live (a terminal), plain lines, or a trial's own; follows the run's events from here on.
function screen.open(options)
  local name = options.format == "jsonl" and "jsonl" or tty.is_tty(1) and not options.plain and "live" or "plain"
  view = options.trial and options.trial.view or require("views." .. name)
  view.open(options)
  journal.listen(view.event)
end

function screen.answers(map) answers, titles = patterns.list(map), map end

-- A line outside any event: warnings and errors go to standard error, which no format owns. Whatever stands in it, what was
-- typed too, stays inert.
function screen.say(line)
  line = text.inert(tostring(line), { lines = true })
  if view and view.say then return view.say(line) end
  tty.write(2, line .. "\n")
end

local COMPLAINT_MAX = 1000 -- characters

-- What is wrong, in the program's name.
function screen.complain(why) screen.say(text.inert("runbook: " .. tostring(why), { max = COMPLAINT_MAX, lines = true })) end

----------------------------------------------------------------- Questions --

-- Foreign text stays inert wherever it is shown.
local function inert(value, max) return text.inert(tostring(value), { max = max or 200 }) end
screen.inert = inert

local words = { [true] = "yes", [false] = "no" }

-- What the file says to a question, and whether a yes of it counts. Under the exact title it is a person's word; a pattern
-- was written before anybody knew what it would be asked, and "*" by somebody who did not think of this one at all.
local function in_file(question)
  local value = titles[question.label]
  if value ~= nil then return words[value] or value, true end
  local item
  value, item = patterns.best(answers, question.label)
  if value == nil then return nil end
  local catches_all = item.pattern.weight == 0
  return words[value] or value, not (asking.needs_person(question) or catches_all and asking.is_high(question))
end

-- A file written before the plan was known allows no write beyond it, and no loss of evidence; its no counts there, too.
-- Where a target's name must be typed, the file must hold that name.
local function from_answers(question)
  local value, counts = in_file(question)
  if value == nil then return nil end
  if question.in_person then return value == "no" and "no" or nil end
  local decides = question.kind == "approve" or question.kind == "confirm"
  if question.type and value ~= "no" then value = value == question.type and "yes" or nil end
  if decides and value == "yes" and not counts then return nil end
  if not decides or value == nil then return value end
  return value == "yes" and "yes" or "no"
end

-- Law 9: without a terminal the run suspends; it never goes on.
local function suspend(question, why, exit)
  tasks.raise_end { outcome = "suspended", text = ("%s: %s"):format(why, question.text), question = question, exit = exit }
end

-- Asks until there is an answer, or the time is over. A line that ends without one is silence, not a no that somebody said; a
-- terminal that goes away decides nothing.
local function ask_terminal(question, asker)
  local limit, tries = tasks.now() + question.within, 0
  local prompt = require "views.prompt"
  while tasks.now() < limit do
    local line, err = asker.ask(question, limit)
    if not line and err.kind == "hangup" then suspend(question, "the terminal went away while it asked", screen.HANGUP_EXIT) end
    if not line then return nil, err.kind == "timeout" and "silence" or err.message end
    local answer, say = prompt.read(question, line, tries)
    if answer ~= nil then return answer end
    if say == prompt.DETAILS then
      asker.details(question)
    else
      asker.again(say)
      tries = tries + 1
    end
  end
  return nil, "silence"
end

-- Whether somebody sits there who can be asked.
function screen.is_attended() return not run.options.no_input and tty.interactive() end

-- Whether a question of this title would reach somebody, or an answer that was given beforehand.
function screen.can_ask(title)
  return run.options.scenario ~= nil or titles[title] ~= nil or screen.is_attended()
end

-- Asks; the answer, or nil and why there is none. One question at a time.
function screen.ask(question)
  local answer = from_answers(question)
  if answer ~= nil then
    journal.news("answered", { text = question.text, answer = answer })
    return answer, "--answers"
  end
  if not screen.is_attended() then suspend(question, "it waits for an answer") end
  return one_at_a_time(function()
    local asker = view.ask and view or require "views.ask"
    local ok, typed, why = pcall(ask_terminal, question, asker)
    asker.asked()
    if not ok then error(typed, 0) end
    return typed, why
  end)
end

return screen
