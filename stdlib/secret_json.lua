-- JSON of data that may hold secrets and placeholders: a string, or a secret with the secrets' values in it, so that it can
-- be shown as well as sent.
local json = require "raw.json"
local values = require "values"

local secret_json = {}

-- A text inside a JSON string.
local function escaped(text) return json.encode(text):sub(2, -2) end

-- A copy in which each secret is a mark that no text of a script's can hold by chance; mark → secret.
local function with_marks(value, secrets, seed)
  if values.is_placeholder(value) then return tostring(value) end
  if values.is_secret(value) then
    secrets[#secrets + 1] = values.map_text(value, escaped)
    return ("%s:%d:"):format(seed, #secrets)
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  if getmetatable(value) == "list" then debug.setmetatable(copy, debug.getmetatable(value)) end
  for key, item in pairs(value) do copy[key] = with_marks(item, secrets, seed) end
  return copy
end

-- The text in which each mark is its secret again.
local function put_back(text, secrets, seed)
  local whole, from = "", 1
  for at, number, after in text:gmatch("()" .. seed .. ":(%d+):()") do
    whole = whole .. text:sub(from, at - 1) .. secrets[tonumber(number)]
    from = after
  end
  return whole .. text:sub(from)
end

function secret_json.encode(value)
  if not values.holds_secret(value) and not values.find_placeholder(value) then return json.encode(value) end
  local secrets, seed = {}, require("raw.run").sha256(require("raw.run").random(16))
  return put_back(json.encode(with_marks(value, secrets, seed)), secrets, seed)
end

return secret_json
