-- Values that are more than plain data: secrets, and placeholders of a dry result. And small helpers over plain tables.
local placeholder = require "placeholder"

local values = {}

-- Metatables that scripts made; a protected one of anybody else's marks a table of the host's.
values.of_script = setmetatable({}, { __mode = "k" })
-- Tables that a script raised as errors.
values.raised = setmetatable({}, { __mode = "k" })
-- Table of the host's that a script holds → the plain table inside, whose own tables the script can change.
values.inner = setmetatable({}, { __mode = "k" })

function values.is_host(value)
  local meta = debug.getmetatable(value)
  return meta ~= nil and rawget(meta, "__metatable") ~= nil and not values.of_script[meta]
end

-- Secrets: parts of plain text and of names; what they stand for is in `revealed`, out of scripts' reach.
local secret_type = { __name = "secret", __metatable = "secret" }
local parts_of = setmetatable({}, { __mode = "k" })

local function new_secret(parts)
  local secret = setmetatable({}, secret_type)
  parts_of[secret] = parts
  return secret
end

function values.secret(name, value) return new_secret { { name = name, value = value } } end
function values.is_secret(value) return parts_of[value] ~= nil end

-- Whether a secret stands in a value, however deep.
function values.holds_secret(value, seen)
  if parts_of[value] then return true end
  if placeholder.is(value) then return placeholder.holds(value, values.is_secret) end
  if type(value) ~= "table" or values.is_host(value) then return false end
  seen = seen or {}
  if seen[value] then return false end
  seen[value] = true
  for key, item in next, value do
    if values.holds_secret(key, seen) or values.holds_secret(item, seen) then return true end
  end
  return false
end

local function parts(value)
  return parts_of[value] or { { text = tostring(value) } }
end

function secret_type.__concat(a, b)
  if placeholder.is(b) then return placeholder.join { a, b } end
  local joined = {}
  for _, part in ipairs(parts(a)) do joined[#joined + 1] = part end
  for _, part in ipairs(parts(b)) do joined[#joined + 1] = part end
  return new_secret(joined)
end

function secret_type.__tostring() return "***" end
function secret_type.__len() error("a secret has no length to tell", 2) end
function secret_type.__index() error("a secret has no fields", 2) end
function secret_type.__newindex() error("a secret has no fields", 2) end
function secret_type.__pairs() error("a secret has no fields", 2) end

-- The plain text of a string or secret. For the host alone, at the moment of use.
function values.reveal(value)
  local list = parts_of[value]
  if not list then return value end
  local texts = {}
  for i, part in ipairs(list) do texts[i] = part.text or part.value end
  return table.concat(texts)
end

-- The text with each secret as its name: ⟦NAME:plain⟧, which is what is written to disk.
function values.marked(value)
  local list = parts_of[value]
  if not list then return value end
  local texts = {}
  for i, part in ipairs(list) do texts[i] = part.text or ("⟦%s:plain⟧"):format(part.name) end
  return table.concat(texts)
end

-- What a string or secret is made of, in order: { text = } and { name = } of a secret.
function values.parts(value)
  local list = {}
  for i, part in ipairs(parts(value)) do list[i] = { text = part.text, name = part.name } end
  return list
end

-- The secret whose plain parts are f(text).
function values.map_text(secret, f)
  local list = {}
  for i, part in ipairs(parts_of[secret]) do
    list[i] = part.text and { text = f(part.text) } or part
  end
  return new_secret(list)
end

-- The text as people are shown it: each secret is ***.
function values.masked(value)
  if not parts_of[value] then return tostring(value) end
  local texts = {}
  for i, part in ipairs(parts_of[value]) do texts[i] = part.text or "***" end
  return table.concat(texts)
end

-- reveal for every string in a table, however deep.
function values.reveal_all(value)
  if values.is_placeholder(value) then return value end
  if values.is_secret(value) or type(value) ~= "table" then return values.reveal(value) end
  local copy = {}
  if getmetatable(value) == "list" then debug.setmetatable(copy, debug.getmetatable(value)) end -- an empty one stays a list
  for key, item in pairs(value) do copy[key] = values.reveal_all(item) end
  return copy
end

-- Placeholders (stdlib/placeholder.lua): a field that nothing will be known of, as a parameter in a rehearsal.
function values.placeholder(name) return placeholder.field(nil, name) end
values.is_placeholder = placeholder.is

-- The first placeholder that stands in a value, however deep.
function values.find_placeholder(value, seen)
  if placeholder.is(value) then return value end
  seen = seen or {}
  if type(value) ~= "table" or values.is_host(value) or seen[value] then return nil end
  seen[value] = true
  for _, item in next, value do
    local found = values.find_placeholder(item, seen)
    if found then return found end
  end
end

-- Results (stdlib/result.lua) announce themselves here so that messages can name them.
values.results = setmetatable({}, { __mode = "k" })

-- What a value is, for messages: `the string "x"`, `a result of http.get`, `nil`.
function values.describe(value)
  if values.is_secret(value) then return "a secret" end
  if values.is_placeholder(value) then return "the placeholder " .. tostring(value) end
  if values.results[value] then return "a result of " .. values.results[value] .. " (take one of its fields)" end
  if type(value) == "string" then
    local short = #value > 40 and require("raw.text").clip(value, 40) or value
    return ("the string %q"):format(short):gsub("\\\n", "\\n")
  end
  if type(value) == "number" or type(value) == "boolean" then return type(value) .. " " .. tostring(value) end
  return value == nil and "nil" or "a " .. type(value)
end

-- The keys of a table as a sorted list of strings.
function values.keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

function values.copy_shallow(map)
  local copy = {}
  for key, item in next, map do copy[key] = item end
  return copy
end

-- A deep copy of plain data; shared and cyclic tables stay so.
function values.copy(value, seen)
  if type(value) ~= "table" or parts_of[value] or placeholder.is(value) then return value end
  seen = seen or {}
  if seen[value] then return seen[value] end
  local copy = {}
  seen[value] = copy
  for key, item in pairs(value) do copy[key] = values.copy(item, seen) end
  return copy
end

return values
