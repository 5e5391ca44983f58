-- What the operator sees: one of three views over the run's events, and the questions. Views print; they decide nothing.
local consent = require "consent"
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
-- How often others' answers are looked for while a question waits, in seconds.
local LOOK_SECONDS = 0.5

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

-- What the file says to a question, and by which entrance: under the exact title it is meant for this one.
local function in_file(question)
  local value = titles[question.label]
  if value ~= nil then return words[value] or value, "title" end
  local item
  value, item = patterns.best(answers, question.label)
  if value == nil then return nil end
  return words[value] or value, item.pattern.weight == 0 and "catch_all" or "pattern"
end

-- Its no always counts. Where a target's name must be typed, the file must hold that name.
local function from_answers(question)
  local value, entrance = in_file(question)
  if value == nil then return nil end
  if not consent.decides(question) then return not question.in_person and value or nil end
  if question.type and value ~= "no" then value = value == question.type and "yes" or nil end
  if value == "yes" then return not consent.refusal(entrance, question) and "yes" or nil end
  return value and "no"
end

-- Law 9: without a terminal the run suspends; it never goes on.
local function suspend(question, why, exit)
  tasks.raise_end { outcome = "suspended", text = ("%s: %s"):format(why, question.text), question = question, exit = exit }
end

-- A typed line, or nil and why there is none; when another process decides meanwhile, nil, nil and that as ballot.take gives it.
local function typed_or_said(question, asker, votes, limit)
  local said
  local in_time, line, err = tasks.limited(limit - tasks.now() + LOOK_SECONDS, function()
    local here = tasks.context().limit
    local watch = tasks.spawn(function()
      repeat
        tasks.sleep(LOOK_SECONDS)
        said = table.pack(votes:look())
      until said[1] ~= nil
      tasks.expire(here)
    end)
    local results = table.pack(pcall(asker.ask, question, limit))
    tasks.cancel(watch)
    if not results[1] then error(results[2], 0) end
    return results[2], results[3]
  end)
  if said and said[1] ~= nil then return nil, nil, said end
  if not in_time then return nil, { kind = "timeout" } end
  return line, err
end

-- What a typed answer leads to: the answer when it decides, or nil and what is said before it is asked again.
local function typed(votes, answer)
  local decided, by, given = votes:take("terminal", answer, { uid = run.uid, by = run.user })
  if decided ~= nil then return decided, #votes.people > 1 and by or nil, given end
  if by then return nil, by end
  return nil, ("%d more must say yes: runbook approve %s"):format(votes:missing(), run.id)
end

-- Asks until there is an answer, or the time is over. A line that ends without one is silence, not a no that somebody said; a
-- terminal that goes away decides nothing.
local function ask_terminal(question, asker, votes)
  local limit, tries = tasks.now() + question.within, 0
  local prompt = require "views.prompt"
  while tasks.now() < limit do
    local line, err, said = typed_or_said(question, asker, votes, limit)
    if said then return table.unpack(said, 1, said.n) end
    if not line and err.kind == "hangup" then suspend(question, "the terminal went away while it asked", screen.HANGUP_EXIT) end
    if not line then return nil, err.kind == "timeout" and "silence" or err.message end
    local answer, say = prompt.read(question, line, tries)
    if answer ~= nil then
      local decided, by, given = typed(votes, answer)
      if decided ~= nil then return decided, by, given end
      asker.again(by)
    elseif say == prompt.DETAILS then
      asker.details(question)
    else
      asker.again(say)
      tries = tries + 1
    end
  end
  return nil, "silence"
end

function screen.plan_lines(plan) return require("views.details").plan_lines(plan) end

-- Whether somebody sits there who can be asked.
function screen.is_attended() return not run.options.no_input and tty.interactive() end

-- Whether a question of this title would reach somebody, or an answer that was given beforehand.
function screen.can_ask(title)
  return run.options.scenario ~= nil or titles[title] ~= nil or screen.is_attended()
end

-- Asks at the terminal, and lets others answer meanwhile. An end that this process comes to leaves the question open for them.
local function ask_people(question, votes)
  local asker = view.ask and view or require "views.ask"
  local open_question = require "open_question"
  local unseen = open_question.post(question, votes.hash, "asked")
  if unseen then journal.news("question.unseen", { why = unseen }) end
  local results = table.pack(pcall(ask_terminal, question, asker, votes))
  asker.asked()
  if not results[1] then error(results[2], 0) end
  open_question.withdraw()
  return table.unpack(results, 2, results.n)
end

-- Asks; the answer, who gave it where that was not the terminal alone, and the names of others' words; or nil and why there is
-- none. One question at a time.
function screen.ask(question)
  local answer = from_answers(question)
  if answer ~= nil then
    journal.news("answered", { text = question.text, answer = answer })
    return answer, "--answers"
  end
  local votes = require("ballot").new(question)
  local said = table.pack(votes:look())
  if said[1] ~= nil then
    require("open_question").withdraw()
    return table.unpack(said, 1, said.n)
  end
  if not screen.is_attended() then
    require("open_question").post(question, votes.hash, "suspended")
    suspend(question, "it waits for an answer")
  end
  return one_at_a_time(ask_people, question, votes)
end

return screen
