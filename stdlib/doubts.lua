-- What a run that was killed leaves open: a write that was begun and has no outcome may have run. A person says what is so, before
-- anything else of its remedy is planned.
local catalogue = require "catalogue"
local gate = require "gate"
local journal = require "journal"
local json = require "raw.json"
local raw_text = require "raw.text"
local recorded = require "recording"
local tasks = require "tasks"
local values = require "values"

local doubts = {}

-- How long the question waits, in seconds; silence stops the run again.
doubts.WITHIN = 300

-- A look at what is so takes so long at most, in seconds.
local LOOK_SECONDS = 10

-- Of the write so much of its line stands in the question.
local LINE_COLUMNS = 80

local OPTIONS = { "done", "again", "skip", "stop" }

local function act_of(event)
  local family = event.line:match "^%l+"
  catalogue.family(family)
  local name = event.line:match "^%S+"
  return { entry = catalogue.effects[name], call = (recorded.unmasked(event.args)), line = event.line, class = event.class,
           key = event.key, from = event.from }
end

-- What a look at it says now: true, false, or nil when that can't be told.
local function verified(act)
  if not act.entry.verify then return nil end
  local ok, in_time, happened = pcall(tasks.deadline, LOOK_SECONDS, act.entry.verify, values.reveal_all(act.call))
  if not ok and tasks.is_interrupt(in_time) then error(in_time, 0) end
  if ok and in_time and type(happened) == "boolean" then return happened end
  return nil
end

local function looks_like(happened)
  if happened == nil then return "whether it did can't be seen" end
  return happened and "a look now says that it did" or "a look now says that it did not"
end

local meanings = { done = "done: it has happened", again = "again: it is made now",
                   skip = "skip: it has not happened, and “%s” ends as failed",
                   stop = "stop: the run waits for somebody who knows" }

-- Above it what each answer means.
local function question(it, event, happened)
  local text = ("%s was begun at %s and may have run; %s. What is so?"):format(raw_text.truncate(event.line, LINE_COLUMNS),
    event.at:sub(12, 19), looks_like(happened))
  local why = json.list {}
  for i, option in ipairs(OPTIONS) do why[i] = meanings[option]:format(it.title) end
  return { kind = "choose", label = "May have run: " .. event.line, text = text, options = OPTIONS, default = "stop",
           planned = "stop", within = doubts.WITHIN, level = "high", why = why }
end

-- How each answer goes on.
local says = {}

function says.done(event, act)
  local fields = act.entry.would and act.entry.would(act.call, nil) or {}
  fields.ok, fields.dry = true, nil
  return "ok", fields
end

function says.skip()
  return "failed", { error = { kind = "skipped", message = "it may have run; whoever resumed the run says that it did not" } }
end

function says.stop(event)
  tasks.raise_end { outcome = "suspended", text = ("%s may have run: nobody has said what is so"):format(event.line) }
end

function says.again() end

local function settle(it, event)
  local act = act_of(event)
  local answer = gate.ask(question(it, event, verified(act)))
  local status, fields = (says[answer] or says.stop)(event, act)
  if status then journal.outcome(act, status, fields) end
  gate.mode().settle_doubt(event, status, fields)
end

-- Asks about each write of this call that may have run. The remedy as it is asked about from here on.
function doubts.settle(it, call)
  for _, event in ipairs(gate.mode().doubts(call)) do
    tasks.within({ path = call .. ".p0" }, settle, it, event)
  end
  local text = ("“%s” was broken off. Apply what is left of it?"):format(it.title)
  return setmetatable({ text = text, rest = true }, { __index = it, __newindex = it })
end

return doubts
