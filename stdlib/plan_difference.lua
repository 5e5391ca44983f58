-- In what a write differs from the plan: "planned app.conf.404, now app.conf.409".
local placeholder = require "placeholder"
local secret = require "raw.secret"
local text = require "raw.text"
local values = require "values"

local plan_difference = {}

-- Of the part that both begin with, so many bytes are shown when it is longer; of each, so many columns.
local COMMON_MAX, COLUMNS_MAX = 40, 60

-- Of a placeholder what it stands for by now.
local function text_of(value)
  if value == nil then return "nothing" end
  if placeholder.is(value) then
    local known = placeholder.value(value, values.masked)
    return type(known) == "string" and known or tostring(value)
  end
  if type(value) ~= "table" or values.is_secret(value) then return values.masked(value) end
  local ok, json = pcall(require("secret_json").encode, value)
  return ok and values.masked(json) or "a table"
end

-- As people are shown it: masked whole, for of what is cut behind this a piece of a secret may be left.
local function shown(value) return secret.redact(text_of(value)) end

-- What tells two values apart that are shown alike: a secret's name, a number from a text.
local function kind(value)
  return values.is_secret(value) and values.marked(value) or values.describe(value)
end

-- Without the most of what both begin with.
local function cut(a, b)
  local same = 0
  while same < #a and a:byte(same + 1) == b:byte(same + 1) do same = same + 1 end
  while same > 0 and (a:byte(same + 1) or 0) & 0xc0 == 0x80 do same = same - 1 end
  local from = same > COMMON_MAX and same - COMMON_MAX // 2 + 1 or 1
  while from > 1 and (a:byte(from) or 0) & 0xc0 == 0x80 do from = from - 1 end
  local mark = from > 1 and "…" or ""
  return text.truncate(mark .. a:sub(from), COLUMNS_MAX), text.truncate(mark .. b:sub(from), COLUMNS_MAX)
end

-- Appends each { planned, now } in which two values differ.
local function compare(planned, now, same, list)
  if same(planned, now) then return end
  local both = type(planned) == "table" and type(now) == "table"
  for _, value in ipairs(both and { planned, now } or {}) do both = both and not values.is_host(value) end
  if not both then
    list[#list + 1] = { planned, now }
    return
  end
  local keys = {}
  for key in pairs(planned) do keys[key] = true end
  for key in pairs(now) do keys[key] = true end
  for _, key in ipairs(require("raw.order").keys(keys)) do compare(planned[key], now[key], same, list) end
end

-- The differences of two calls: of what stands in the line first.
local function differences(entry, planned, now, same)
  local list, done = {}, {}
  local function add(name)
    if not done[name] then compare(planned[name], now[name], same, list) end
    done[name] = true
  end
  for _, param in ipairs(entry.params) do add(param[1]) end
  if entry.rest then add(entry.rest[1]) end
  for _, name in ipairs(entry.in_line) do add(name) end
  for _, name in ipairs(values.keys(entry.options)) do add(name) end
  return list
end

local function in_words(difference)
  local planned, now = shown(difference[1]), shown(difference[2])
  if placeholder.is(difference[1]) and placeholder.value(difference[1], values.masked) == nil then
    planned = planned .. " with one segment in its place"
  elseif planned == now then
    planned, now = kind(difference[1]), kind(difference[2])
  else
    planned, now = cut(planned, now)
  end
  return ("planned %s, now %s"):format(planned, now)
end

-- `entries`: the plan's; `same(planned, now)`: whether the plan lets it through.
function plan_difference.text(entries, act, same)
  local nearest, made, any
  for _, entry in ipairs(entries) do
    if entry.entry == act.entry then
      local list = differences(entry.entry, entry.call, act.call, same)
      any = true
      made = made or entry.taken and #list == 0
      if not entry.taken and (not nearest or #list < #nearest) then nearest = list end
    end
  end
  if nearest and nearest[1] then return in_words(nearest[1]) end
  if made then return "it was made as often as it stands there" end
  return (any and "every %s in it was made" or "it holds no %s"):format(act.entry.name)
end

return plan_difference
