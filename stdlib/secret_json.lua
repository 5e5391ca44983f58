-- JSON of data that may hold secrets and placeholders: a string; or a secret with the secrets' values in it, so that it can be
-- shown as well as sent; or a placeholder with the fields in it, so that it can be passed on.
local json = require "raw.json"
local placeholder = require "placeholder"
local values = require "values"

local secret_json = {}

-- A text inside a JSON string.
local function escaped(text) return json.encode(text):sub(2, -2) end

-- What is written for a field once it is known; nil for what has no form in JSON.
local function known_form(value)
  local ok, text = pcall(json.encode, value)
  return ok and text or nil
end

-- A copy in which a mark, that no text of a script's can hold by chance, stands for each secret, inside its quotes, and for
-- each placeholder, quotes and all; what they stand for is in `marked`.
local function with_marks(value, marked, seed)
  local is_placeholder = values.is_placeholder(value)
  if is_placeholder or values.is_secret(value) then
    marked[#marked + 1] = is_placeholder and placeholder.formed(value, known_form) or values.map_text(value, escaped)
    return ("%s:%d:"):format(seed, #marked)
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  if getmetatable(value) == "list" then debug.setmetatable(copy, debug.getmetatable(value)) end
  for key, item in pairs(value) do copy[key] = with_marks(item, marked, seed) end
  return copy
end

-- The text in which each mark is again what it stands for.
local function put_back(text, marked, seed)
  local whole, from = "", 1
  for at, number, after in text:gmatch("()" .. seed .. ":(%d+):()") do
    local it = marked[tonumber(number)]
    local quote = values.is_placeholder(it) and 1 or 0
    whole = whole .. text:sub(from, at - 1 - quote) .. it
    from = after + quote
  end
  return whole .. text:sub(from)
end

-- What has no form in JSON is the caller's to tell, at the caller's line.
local function encoded(value)
  local ok, text = pcall(json.encode, value)
  if not ok then error(text, 0) end
  return text
end

function secret_json.encode(value)
  if not values.holds_secret(value) and not values.find_placeholder(value) then return encoded(value) end
  local marked, seed = {}, require("raw.run").sha256(require("raw.run").random(16))
  return put_back(encoded(with_marks(value, marked, seed)), marked, seed)
end

return secret_json
