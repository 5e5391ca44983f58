-- Results of effects: they know their fields, and what they did not learn can't be taken for "no": a failed look has its
-- `error` and nothing else, and a field that a look with a bad end did not learn raises why.
local blame = require "blame"
local placeholder = require "placeholder"
local values = require "values"

local result = {}
local result_type = { __name = "result", __metatable = "result" }
local hidden = setmetatable({}, { __mode = "k" }) -- result → { entry, fields, status, line }

-- The script's view of an effect's fields. `status` is ok, not_well, failed or would; `act`: the write that would be made.
function result.new(entry, line, status, fields, act)
  local self = setmetatable({}, result_type)
  hidden[self] = { entry = entry, line = line, status = status, fields = fields, act = act }
  values.results[self], values.inner[self] = entry.name, fields
  return self
end

-- f(line), if set: hears of a script that looks at a failure's error, and so deals with it.
result.on_error = nil

-- Known of every result, nil when there is nothing to say.
local always = { ok = true, why = true, error = true, dry = true, cut = true }

-- Touching what a failed look didn't learn ends the probe as unknown.
function result.raise_failed(self)
  local it = hidden[self]
  blame.cannot_look("%s failed: %s", it.line, it.fields.error.message)
end

local function is_field(it, name)
  return it.fields[name] ~= nil or always[name] or it.entry.result[name] or it.entry.open_fields
end

-- The error of a failed look, for a script that deals with it.
local function error_of(it)
  if result.on_error then result.on_error(it.line) end
  return it.fields.error
end

local function lazy(it, name)
  local compute = it.entry.lazy and it.entry.lazy[name]
  if not compute then return nil end
  local value = compute(it.fields)
  it.fields[name] = value
  return value
end

-- nil is an answer only where another field shows that it was looked at.
local function check_learned(it, name)
  local witness = it.entry.optional and it.entry.optional[name]
  if witness and it.fields[witness] ~= nil then return end
  blame.cannot_look("%s: %s: it has no %s", it.line, it.fields.why, tostring(name))
end

function result_type.__index(self, name)
  local it = hidden[self]
  if not is_field(it, name) then
    blame.no_such("a result of %s has no field '%s'%s", it.entry.name, tostring(name),
      blame.hint(name, values.keys(it.entry.result)))
  end
  if it.status == "failed" then return name == "error" and error_of(it) or result.raise_failed(self) end
  local value = it.fields[name]
  if value ~= nil or always[name] then return value end
  if it.status == "would" then return placeholder.field(it.act, name) end
  value = lazy(it, name)
  if value == nil and it.status == "not_well" then check_learned(it, name) end
  return value
end

function result_type.__newindex(self, name)
  blame.raise("a result can't be changed (field '%s' of %s)", tostring(name), hidden[self].line)
end

function result_type.__len(self)
  blame.raise("a result has no length (%s); take one of its fields", hidden[self].line)
end

function result_type.__tostring(self)
  local it = hidden[self]
  return it.line .. ": " .. result.summary(self)
end

function result_type.__pairs(self)
  local fields = result.known_fields(self)
  local keys, i = values.keys(fields), 0
  return function()
    i = i + 1
    if keys[i] then return keys[i], fields[keys[i]] end
  end
end

function result.is(value) return hidden[value] ~= nil end
function result.status(self) return hidden[self].status end
function result.line(self) return hidden[self].line end
function result.fields(self) return hidden[self].fields end

-- The fields, as a script asks for all of them: of a failed look it may not.
function result.known_fields(self)
  if hidden[self].status == "failed" then result.raise_failed(self) end
  return hidden[self].fields
end

-- One short sentence: why it isn't well, its own summary, or its status.
function result.summary(self)
  local it = hidden[self]
  if it.status == "failed" then return it.fields.error.message end
  if it.status == "would" then return "would" end
  if it.fields.why then return it.fields.why end
  if it.entry.sum_up then return it.entry.sum_up(it.fields) or "ok" end
  return type(it.fields.summary) == "string" and it.fields.summary or "ok"
end

return result
