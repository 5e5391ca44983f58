-- Results of effects: they know their fields. A failed read can be asked for `ok` and `error`, and nothing else.
local blame = require "blame"
local values = require "values"

local result = {}
local result_type = { __name = "result", __metatable = "result" }
local hidden = setmetatable({}, { __mode = "k" }) -- result → { entry, fields, status, line }

-- The script's view of an effect's fields. `status` is ok, not_well, failed or would.
function result.new(entry, line, status, fields)
  local self = setmetatable({}, result_type)
  hidden[self] = { entry = entry, line = line, status = status, fields = fields }
  values.results[self], values.inner[self] = entry.name, fields
  return self
end

-- f(line), if set: hears of a script that looks at a failure's error, and so deals with it.
result.on_error = nil

local always = { ok = true, why = true, error = true, dry = true, cut = true }

-- Touching what a failed read didn't learn ends the probe as unknown.
function result.raise_failed(self)
  local it = hidden[self]
  blame.raise("%s failed: %s", it.line, it.fields.error.message)
end

local function lazy(it, name)
  local compute = it.entry.lazy and it.entry.lazy[name]
  if not compute then return nil end
  local value = compute(it.fields)
  it.fields[name] = value
  return value
end

function result_type.__index(self, name)
  local it = hidden[self]
  local value = it.fields[name]
  if name == "error" and value ~= nil and result.on_error then result.on_error(it.line) end
  if value ~= nil then return value end
  if it.status == "failed" and not always[name] then result.raise_failed(self) end
  if always[name] then return nil end
  if it.entry.result[name] or it.entry.open_fields then
    if it.status == "would" then return values.placeholder(name) end
    return lazy(it, name)
  end
  blame.raise("a result of %s has no field '%s'%s", it.entry.name, tostring(name),
    blame.hint(name, values.keys(it.entry.result)))
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
  local it = hidden[self]
  local keys, i = values.keys(it.fields), 0
  return function()
    i = i + 1
    if keys[i] then return keys[i], it.fields[keys[i]] end
  end
end

function result.is(value) return hidden[value] ~= nil end
function result.status(self) return hidden[self].status end
function result.line(self) return hidden[self].line end
function result.fields(self) return hidden[self].fields end

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
