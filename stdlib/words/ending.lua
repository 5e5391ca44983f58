-- note, resolved, unresolved: what goes into the story, and how it ends.
local blame = require "blame"
local exact = require "exact"
local journal = require "journal"
local json = require "raw.json"
local raw_secret = require "raw.secret"
local raw_text = require "raw.text"
local result = require "result"
local tasks = require "tasks"
local values = require "values"

local words = {}

-- The longest note in characters; the effect's result is in the journal in full.
local NOTE_MAX = 4000
-- Of a log, whatever is cut, so many lines that tell of a failure.
local DECISIVE_MAX = 3

local function text_of(value)
  if not result.is(value) then return exact.tostring(value) end
  if result.status(value) == "failed" then return "failed: " .. result.summary(value) end
  local fields = result.fields(value)
  return fields.text or fields.stdout or fields.body or tostring(value)
end

local function decisive(text)
  local found = require("logtext").decisive(text, DECISIVE_MAX)
  return #found > 0 and json.list(found) or nil
end

-- note(text or result): into the journal and the report; silent in a plan pass.
function words.note(value)
  if value == nil or type(value) == "table" and not (debug.getmetatable(value) or {}).__tostring then
    blame.raise("note: text or a result expected, got %s", values.describe(value))
  end
  local here = tasks.context()
  if here.pass == "plan" or here.pass == "dry" then return end
  local text, line = text_of(value), result.is(value) and result.line(value) or nil
  journal.event("note", { probe = here.probe or nil, args = here.probe_args or nil, line = line,
                          decisive = line and text:find "\n." and decisive(text) or nil,
                          text = raw_text.last(text, NOTE_MAX), cut = #text > NOTE_MAX or nil })
end

local ending_type = { __name = "ending", __metatable = "ending" }
local hidden = setmetatable({}, { __mode = "k" })

-- Masked before it stands in a sentence, where a cut piece of a secret at its end is none any more.
local function ending(outcome, text)
  if type(text) ~= "string" then blame.raise("%s: text expected, got %s", outcome, values.describe(text)) end
  local self = setmetatable({}, ending_type)
  hidden[self] = { outcome = outcome, text = raw_secret.redact(text) }
  return self
end

-- `return resolved "…"` and `return unresolved "…"`
function words.resolved(text) return ending("resolved", text) end
function words.unresolved(text) return ending("unresolved", text) end

-- { outcome =, text = } of what a script returned, or nil.
local ending_of = function(value) return hidden[value] end

return { words = words, ending_of = ending_of }
