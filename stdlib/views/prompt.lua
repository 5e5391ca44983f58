-- A question's own line: short and whole, with what may be typed and a clock. What explains it stands above; what is typed is
-- read here.
local duration = require "duration"
local fit = require "views.fit"
local raw_text = require "raw.text"
local run = require "run"
local tasks = require "tasks"

local prompt = {}

-- Of a line so much is for what may be typed and the clock; a question that is longer is asked in its last sentence.
local BESIDE, QUESTION_COLUMNS = 36, 56
local DETAILS_HINT = " (d: details)"
prompt.DETAILS = "d"

-- "Docker does not answer (…): where does it run?" → "Docker does not answer (…)", "Where does it run?"
local function split(text, columns)
  local room = math.max(QUESTION_COLUMNS, columns - BESIDE)
  text = fit.inert(text)
  if fit.width(text) <= room then return nil, text end
  local reasons, question = text:match "^(.+)[:;.,]%s+([^:;]-%?)$"
  if not question then reasons, question = text:match "^(.+[?!])%s+(.-%?)$" end
  if not question or fit.width(question) > room then return text, nil end
  return reasons, (question:gsub("^%l", string.upper))
end

-- Options on the question's line when they are short.
local function options_of(question)
  local parts = {}
  for i, option in ipairs(question.options or {}) do parts[i] = ("%d %s"):format(i, fit.inert(option, 200)) end
  return parts
end

local function expected(question)
  if question.type then return ("type %q to approve, no declines"):format(fit.inert(question.type, 60)) end
  if question.kind == "choose" then return ("1-%d?"):format(#question.options) end
  return question.kind ~= "ask" and "yes or no?" or nil
end

-- What stands above the question's line, as a list of texts, and the line itself.
function prompt.of(question, columns)
  local above, asked
  if question.plan and not question.beyond then
    asked = question.text:find "^Apply “" and "Apply it?" or nil
  end
  if asked then above = nil else above, asked = split(question.text, columns) end
  local texts, options = { above }, options_of(question)
  local parts = { "? " .. (asked or "") }
  local inline = table.concat(options, "  ")
  if #options > 0 and fit.width(parts[1] .. inline) + 24 <= columns then
    parts[2] = inline
  else
    table.move(options, 1, #options, #texts + 1, texts)
  end
  parts[#parts + 1] = expected(question)
  local line = table.concat(parts, "  "):gsub("^%? %s+", "? ")
  return texts, line .. (question.plan and DETAILS_HINT or "") .. " "
end

---------------------------------------------------------------- The clock --

local paged -- when a page went out, as the clock showed it

-- Hears what became of the page.
function prompt.learn(name)
  if name == "escalation.delivered" then paged = raw_text.clock_text(tasks.wall()) end
end

-- When the next level is due; what became of the last.
local function page_text()
  if run.options.dry_run then return nil end
  for _, level in ipairs(run.escalation_at and run.levels or {}) do
    local left = math.max(level.after, not level.fired and run.put_off_until or 0) - run.elapsed()
    if left > 0 then return "page in " .. duration.countdown(math.ceil(left)) end
  end
  if paged then return "paged " .. paged end
  return run.escalation_at and "the page is due" or nil
end
prompt.page_text = page_text

-- "silence for 4:51 = no · page in 9:49", in so many columns; shorter where there is no room.
function prompt.clock(question, limit, columns)
  local left = duration.countdown(math.max(0, math.ceil(limit - tasks.now())))
  local default = question.default ~= nil and fit.inert(question.default, 40) or "no answer"
  local page = page_text()
  local silence, short = ("silence for %s = %s"):format(left, default), ("%s = %s"):format(left, default)
  local texts = page and { silence .. " · " .. page, short .. " · " .. page, left .. " · " .. page } or { silence, short }
  for _, text in ipairs(texts) do
    if fit.width(text) <= columns then return text end
  end
  return left
end

----------------------------------------------------------------- Answers --

local words = { y = "yes", yes = "yes", n = "no", no = "no" }

local function option_of(question, answer)
  local number = tonumber(answer)
  if math.type(number) == "integer" and question.options[number] then return question.options[number] end
  for _, option in ipairs(question.options) do if tostring(option) == answer then return option end end
end

-- What a typed line answers: the answer; or nil, and what to say before it is asked again or prompt.DETAILS. A mistyped target
-- is asked for once more; `tries`: how often it was mistyped.
function prompt.read(question, line, tries)
  local answer = line:match "^%s*(.-)%s*$"
  local low = answer:lower()
  if question.plan and (low == "d" or low == "details") and answer ~= question.type then return nil, prompt.DETAILS end
  if question.type then
    if answer == question.type then return "yes" end
    if words[low] == "no" or tries > 0 then return "no" end
    return nil, ("that is not %q: type it once more, or no"):format(fit.inert(question.type, 60))
  end
  if question.kind == "choose" then
    return option_of(question, answer), ("type one of the numbers, 1 to %d"):format(#question.options)
  end
  if question.kind == "ask" then return answer end
  return words[low], "type yes or no"
end

return prompt
