-- A question where nothing can be drawn again: a terminal that knows no such thing, or one beside a pipe. All that decides and
-- the prompt are written once, to the terminal itself.
local fit = require "views.fit"
local plain = require "views.plain"
local prompt = require "views.prompt"
local tasks = require "tasks"
local tty = require "raw.tty"

local ask = {}

local open      -- the question that was shown
local first = "" -- what the next prompt begins with

local function text_of(question, limit)
  local size = tty.size()
  local texts, left = prompt.of(question, size.columns - 1)
  question.above = texts
  local lines = question ~= open and require("views.decision").lines(question, size.columns - 1, size.rows - 1) or {}
  if question ~= open then table.insert(lines, 1, "") end
  lines[#lines + 1] = ("%s (%s) "):format(left, prompt.clock(question, limit, math.max(4, size.columns - fit.width(left) - 12)))
  return table.concat(lines, "\n")
end

-- A line that somebody typed, or nil and why there is none.
function ask.ask(question, limit)
  if question ~= open then
    plain.forget_plan()
    question.told_above = require("views.decision").overflows(question, tty.size().rows)
    if question.told_above then first = first .. table.concat(require("views.details").plan_lines(question.plan), "\n") .. "\n" end
  end
  local text = first .. text_of(question, limit)
  open, first = question, ""
  return tty.ask { prompt = text, timeout = limit - tasks.now() }
end

function ask.again(text) first = fit.inert(text) .. "\n" end

function ask.details(question)
  open, first = nil, table.concat(require("views.details").lines(question), "\n") .. "\n"
end

function ask.asked() open, first = nil, "" end

return ask
