-- Placeholders: fields of a dry result that only a real run knows. They print as ‹json.silenceID›, may be looked into, passed
-- on and joined into texts, and stand for that field's value alone. What decides by one would decide what nobody knows yet.
local blame = require "blame"

local placeholder = {}

-- placeholder → { text = as it prints, parts = texts, secrets and fields in order }; of a field also origin = the write that it
-- is a field of, path = names and numbers, above = the field that it was found in.
local inside = setmetatable({}, { __mode = "k" })

local events = { __metatable = "placeholder" }

-- Lua names a value by its metatable's __name where a function of its own wants another.
local function new(it)
  local meta = { __name = it.text .. ", known only in a real run" }
  for event, f in pairs(events) do meta[event] = f end
  local self = setmetatable({}, meta)
  inside[self] = it
  it.parts = it.parts or { self }
  return self
end

local function path_text(path)
  local text = ""
  for _, key in ipairs(path) do
    text = text .. (type(key) == "number" and ("[%d]"):format(key) or text == "" and key or "." .. key)
  end
  return "‹" .. text .. "›"
end

-- The field of a write's dry result; without a write, of nothing that will be known.
function placeholder.field(origin, ...)
  local path = { ... }
  return new { text = path_text(path), origin = origin, path = path }
end

function placeholder.is(value) return inside[value] ~= nil end

-- Whether a part of it is one of these.
function placeholder.holds(self, is_one)
  for _, part in ipairs(inside[self].parts) do if is_one(part) then return true end end
  return false
end

-- A text of parts: strings, secrets and placeholders.
function placeholder.join(list)
  local parts, text = {}, ""
  for _, part in ipairs(list) do
    text = text .. tostring(part)
    local pieces = inside[part] and inside[part].parts or part ~= "" and { part } or {}
    table.move(pieces, 1, #pieces, #parts + 1, parts)
  end
  return new { text = text, parts = parts }
end

-------------------------------------------------------------------- Scripts --

-- Raises for what can't be done with it, naming it: of its method it is itself that matters.
local function refuse(a, b)
  local it = inside[a] or inside[b]
  if inside[b] and rawequal(it.above, b) then it = inside[b] end
  blame.raise("%s is known only in a real run: it can be looked into and passed on, not compared, counted or changed", it.text)
end

for _, event in ipairs { "newindex", "call", "pairs", "len", "eq", "lt", "le", "unm", "add", "sub", "mul", "div", "mod", "pow",
                         "idiv", "band", "bor", "bxor", "bnot", "shl", "shr" } do
  events["__" .. event] = refuse
end

function placeholder.refuse(value) refuse(value) end

function events.__index(self, key)
  local it = inside[self]
  if not it.path or type(key) ~= "string" and math.type(key) ~= "integer" then refuse(self) end
  local path = table.move(it.path, 1, #it.path, 1, {})
  path[#path + 1] = key
  return new { text = path_text(path), origin = it.origin, path = path, above = self }
end

function events.__tostring(self) return inside[self].text end
function events.__concat(a, b) return placeholder.join { a, b } end

-------------------------------------------------------------------- The plan --

-- The value that the real run learned for a field; nil when it has none yet.
local function learned(it)
  local value = it.origin and it.origin.learned
  for i, key in ipairs(it.path) do
    if type(value) ~= "table" then return nil end
    if i == 1 then
      local ok, field = pcall(function() return value[key] end)
      value = ok and field or nil
    else
      value = rawget(value, key)
    end
  end
  return value
end

-- Part of a text it is one argument or one segment of an address: nothing that an address, a path, a query or a quoted text is
-- divided by.
local SEGMENT = "^[%w%-._~:+=,\x80-\xff]+$"

local function is_segment(text) return text:find(SEGMENT) ~= nil and text ~= "." and text ~= ".." end

-- What one part of a text stands for: a text, or nil when that isn't known or doesn't fit there.
local function part_text(part, is_whole, written)
  local it = inside[part]
  if not it then return tostring(written(part)) end
  local value
  if it.of then value = placeholder.value(it.of, written) else value = learned(it) end
  if it.form then return value ~= nil and it.form(value) or nil end
  if type(value) ~= "string" and type(value) ~= "number" and type(value) ~= "boolean" then return nil end
  local text = tostring(value)
  return (is_whole or is_segment(text)) and text or nil
end

-- The value that it stands for once the writes before it were made: a text, or any value of a field alone; nil before that.
-- written(part): how a part that is no placeholder is written, as a secret by its name.
function placeholder.value(self, written)
  local it = inside[self]
  if it.path then return learned(it) end
  local texts = {}
  for i, part in ipairs(it.parts) do
    texts[i] = part_text(part, #it.parts == 1, written)
    if not texts[i] then return nil end
  end
  return table.concat(texts)
end

-- The same placeholder where it is written in another form, as a JSON value: form(value) → text, or nil.
function placeholder.formed(self, form)
  local it = inside[self]
  return new { text = it.path and it.text or form(it.text), of = self, form = form }
end

-- The write that a part is a field of.
local function source(part)
  local it = inside[part]
  while it and it.of do it = inside[it.of] end
  return it and it.origin
end

-- Whether two plans mean the same by two placeholders.
function placeholder.alike(a, b)
  local one, other = inside[a], inside[b]
  if one.text ~= other.text or #one.parts ~= #other.parts then return false end
  for i, part in ipairs(one.parts) do
    local field, its = source(part), source(other.parts[i])
    if (field and field.match) ~= (its and its.match) then return false end
  end
  return true
end

return placeholder
