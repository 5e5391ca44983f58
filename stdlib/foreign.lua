-- Text from outside on its way to people (findings, page, chat, report): secrets masked, valid UTF-8, nothing in it that steers,
-- reorders or hides, no mention and no disguised link of a chat's, cut at a stated length. Foreign bytes can so never break
-- what tells people, nor speak in our name. The built-in page has the same function in C: text_inert.
local json = require "raw.json"
local raw_text = require "raw.text"
local values = require "values"

local foreign = {
  LINE_MAX = 300,    -- characters of a line: what one check saw, why something failed
  TEXT_MAX = 20000,  -- characters of a text of many lines: a message
  ITEMS_MAX = 1000,  -- entries of a table that is told
  DEPTH_MAX = 20,    -- tables in tables
  VALUE_MAX = 200000, -- characters of all texts of a value
}
local left = foreign.VALUE_MAX -- of the value that is made fit

-- text.inert masks before it cuts.
local function fit(value, max, lines)
  return raw_text.inert(tostring(value), { max = max, lines = lines, flat = not lines, people = true })
end

-- As one line that nothing in it can end.
function foreign.line(value, max) return fit(value, max or foreign.LINE_MAX, false) end

-- Line ends stay.
function foreign.text(value, max) return fit(value, max or foreign.TEXT_MAX, true) end

local fits

-- Whether its keys are exactly 1..n, or it says itself that it is a list.
local function is_list(value)
  local count = 0
  for _ in next, value do count = count + 1 end
  for i = 1, count do if rawget(value, i) == nil then return false end end
  return count > 0 or (debug.getmetatable(value) or {}).__name == "list"
end

-- A list stays one; of any other table the keys become text.
local function fit_table(value, depth)
  if depth > foreign.DEPTH_MAX then return "‹nested too deep›" end
  if is_list(value) then
    local list = json.list {}
    for i = 1, math.min(rawlen(value), foreign.ITEMS_MAX) do list[i] = fits(rawget(value, i), depth + 1) end
    return list
  end
  local map, count = {}, 0
  for key, item in next, value do
    count = count + 1
    if count > foreign.ITEMS_MAX then break end
    map[foreign.line(key)] = fits(item, depth + 1)
  end
  return map
end

-- Numbers that are none have no form in JSON, and functions say nothing to anybody.
function fits(value, depth)
  local kind = type(value)
  if kind == "boolean" or value == json.null or kind == "number" and value - value == 0 then return value end
  if values.is_secret(value) or values.is_placeholder(value) then return value end
  if kind == "table" then return fit_table(values.inner[value] or value, depth) end
  if left <= 0 then return "… (cut)" end
  local text = foreign.text(kind == "function" and values.describe(value) or value)
  left = left - #text
  return text
end

-- Any value, made of what JSON and people can take.
function foreign.fit(value)
  left = foreign.VALUE_MAX
  return fits(value, 1)
end

return foreign
