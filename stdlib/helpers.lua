-- Pure helpers of the language: json, text, time. (re is raw.re itself.)
local blame = require "blame"
local clock = require "clock"
local duration = require "duration"
local raw_json = require "raw.json"
local raw_text = require "raw.text"
local result = require "result"
local values = require "values"

local helpers = {}

local function plain_text(word, value)
  if type(value) ~= "string" then blame.raise("%s: text expected, got %s", word, values.describe(value)) end
  return value
end

-- A copy of plain data and placeholders.
local function encodable(value, above)
  if values.is_secret(value) then
    blame.raise("json.encode: a secret may not go here: it would be shown; http's option json takes one")
  end
  if result.is(value) then value = result.known_fields(value) end
  if type(value) ~= "table" or values.is_placeholder(value) then return value end
  if above[value] then blame.raise("json.encode: a table that contains itself has no form in JSON") end
  above[value] = true
  local copy = getmetatable(value) == "list" and raw_json.list {} or {}
  for key, item in next, value do copy[key] = encodable(item, above) end
  above[value] = nil
  return copy
end

helpers.json = {
  null = raw_json.null,
  -- json.decode(text) → value, or nil and why when the text isn't JSON
  decode = function(text)
    local value, err = raw_json.decode(plain_text("json.decode", text))
    if value == nil and err then return nil, err.message end
    return value
  end,
  -- In a plan a text with placeholders in it is one itself.
  encode = function(value)
    local ok, text = pcall(require("secret_json").encode, encodable(value, {}))
    if not ok then blame.raise("%s", text) end
    return text
  end,
}

helpers.text = {
  lines = function(text) return raw_text.lines(plain_text("text.lines", text)) end,
  tail = function(text, count)
    if math.type(count) ~= "integer" then blame.raise("text.tail: a number of lines expected, got %s", values.describe(count)) end
    return raw_text.tail(plain_text("text.tail", text), count)
  end,
  table = function(text) return raw_text.table(plain_text("text.table", text)) end,
}

-- "2026-11-23T17:40:00Z", or with an offset → seconds since 1970; nil and why not.
local function parse_time(text)
  local seconds, err = raw_text.time(plain_text("time.parse", text))
  return seconds, err and err.message
end

-- A time as seconds, or as text → seconds since 1970.
local function moment(word, at)
  if type(at) == "number" then return at end
  if type(at) ~= "string" then blame.raise("%s: a time expected, got %s", word, values.describe(at)) end
  local seconds, why = parse_time(at)
  if not seconds then blame.raise("%s: %s", word, why) end
  return seconds
end

-- Whole seconds: what "%d" takes, and what stays the same in a name made of it.
local function now() return math.floor(clock.wall()) end
local function since(word, at) return math.floor(clock.wall() - moment(word, at)) end

helpers.time = {
  now = now,
  parse = parse_time,
  -- a time → "2026-11-23T17:40:00Z"
  text = function(at) return (raw_text.time_text(math.floor(moment("time.text", at))):gsub("%.%d+Z$", "Z")) end,
  -- "1h30m" → 5400
  seconds = function(text)
    local seconds, why = duration.parse(text)
    if not seconds then blame.raise("time.seconds: %s", why) end
    return seconds
  end,
  -- a time → "5m ago"
  ago = function(at) return duration.text(math.max(0, since("time.ago", at))) .. " ago" end,
  -- a time → seconds since then
  since = function(at) return since("time.since", at) end,
}

return helpers
