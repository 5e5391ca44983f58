-- What the operator sees: one of three views over the run's events, and the questions. Views print; they decide nothing.
local deed = require "views.deed"
local duration = require "duration"
local journal = require "journal"
local patterns = require "patterns"
local run = require "run"
local tasks = require "tasks"
local text = require "raw.text"
local tty = require "raw.tty"

local screen = { notes = {} }
local view
local answers, titles = {}, {} -- of --answers: { pattern =, value = }; and as written, for exact titles
local one_at_a_time = tasks.slots(1)

-- Opens the view: jsonl, live (a terminal) or plain lines; follows the run's events from here on.
function screen.open(options)
  local name = options.format == "jsonl" and "jsonl" or tty.is_tty(1) and not options.plain and "live" or "plain"
  view = require("views." .. name)
  view.open(options)
  journal.listen(view.event)
end

function screen.answers(map) answers, titles = patterns.list(map), map end

-- A line outside any event: warnings and errors go to standard error, which no format owns.
function screen.say(line)
  if view and view.say then return view.say(line) end
  tty.write(2, line .. "\n")
end

----------------------------------------------------------------- Questions --

-- Foreign text stays inert wherever it is shown.
local function inert(value, max) return text.inert(tostring(value), { max = max or 200 }) end
screen.inert = inert

-- The question with what the operator must know; its plan stands right above it.
function screen.question_lines(question)
  local lines = { "" }
  local function add(...) lines[#lines + 1] = string.format(...) end
  add("? %s", inert(question.text))
  if question.warning then add("    warning: %s", inert(question.warning)) end
  if question.beyond then
    for _, effect in ipairs(question.plan.effects) do
      for _, line in ipairs(deed.lines(effect)) do add("    %s", line) end
    end
  end
  for _, finding in ipairs(question.ignorance or {}) do add("    decided without knowing %s", inert(finding)) end
  for i, option in ipairs(question.options or {}) do add("    %d  %s", i, inert(option)) end
  return lines
end

-- What may be typed, and what silence means.
local function prompt(question)
  local what = ""
  if question.type then what = ("type %q to approve, anything else declines "):format(inert(question.type))
  elseif question.kind == "confirm" or question.kind == "approve" then what = "yes or no? "
  elseif question.kind == "choose" then what = ("1-%d? "):format(#question.options) end
  return ("  %s(silence for %s = %s) > "):format(what, duration.text(question.within),
    question.default ~= nil and tostring(question.default) or "no answer")
end

-- What a typed line answers; nil when it answers nothing and must be asked again.
local function read_answer(question, line)
  local answer = line:match "^%s*(.-)%s*$"
  if question.type then return answer == question.type and "yes" or "no" end
  if question.kind == "confirm" or question.kind == "approve" then
    local low = answer:lower()
    if low == "y" or low == "yes" then return "yes" end
    if low == "n" or low == "no" then return "no" end
    return nil
  end
  if question.kind == "choose" then
    local number = tonumber(answer)
    if math.type(number) == "integer" and question.options[number] then return question.options[number] end
    for _, option in ipairs(question.options) do if option == answer then return option end end
    return nil
  end
  return answer
end

-- A file written before the plan was known says nothing about a write beyond it, or about evidence that is lost; where a
-- target's name must be typed, the file must hold that name. `by_title`: a pattern was not written with this in mind.
local function from_answers(question)
  if question.in_person then return nil end
  local value = titles[question.label]
  if value == nil and not question.by_title then value = patterns.best(answers, question.label) end
  if value == nil then return nil end
  if value == true then value = "yes" elseif value == false then value = "no" end
  if question.type and value ~= "no" then return value == question.type and "yes" or nil end
  if question.kind == "approve" or question.kind == "confirm" then return value == "yes" and "yes" or "no" end
  return value
end

-- "01:12 · page in 13:48": the incident's clock beside every question.
function screen.clock()
  local text = duration.clock(run.elapsed())
  if not run.escalation_at then return text end
  local left = run.escalation_at - run.elapsed()
  return text .. (left > 0 and " · page in " .. duration.clock(left) or " · the page is due")
end

-- A closed terminal is silence, not a no that somebody said.
local function ask_terminal(question)
  for _, line in ipairs(screen.question_lines(question)) do screen.say(line) end
  local limit = tasks.now() + question.within
  while tasks.now() < limit do
    local line, err = tty.ask { prompt = "  [" .. screen.clock() .. "]" .. prompt(question), timeout = limit - tasks.now() }
    if not line then return nil, err.kind == "timeout" and "silence" or err.message end
    local answer = read_answer(question, line)
    if answer ~= nil then return answer end
    screen.say("  please answer with one of the words above")
  end
  return nil, "silence"
end

-- Whether a question of this title would reach somebody, or an answer that was given beforehand.
function screen.can_ask(title)
  return run.options.scenario ~= nil or titles[title] ~= nil or not run.options.no_input and tty.interactive()
end

-- Law 9: without a terminal the run suspends; it never goes on.
local function suspend(question)
  tasks.raise_end { outcome = "suspended", text = ("it waits for an answer: %s"):format(question.text), question = question }
end

-- Asks; the answer, or nil and why there is none. One question at a time.
function screen.ask(question)
  local answer = from_answers(question)
  if answer ~= nil then
    journal.news("answered", { text = question.text, answer = answer })
    return answer, "--answers"
  end
  if run.options.no_input or not tty.interactive() then suspend(question) end
  return one_at_a_time(function()
    if view.pause then view.pause() end
    local typed, why = ask_terminal(question)
    if view.resume then view.resume() end
    return typed, why
  end)
end

return screen
