-- The shape of a decoded answer: what it may be, part by part. A part that is null or not there is as if it were not sent; one of
-- another type is an answer that nobody understands, and is said with what was expected and what came.
local json = require "raw.json"
local values = require "values"

local shape = {}

local words = { string = "a text", number = "a number", boolean = "true or false", table = "an object or a list" }

local check

local function each(value, at, parts, kind)
  for key, item in next, value do
    local spec = kind == "fields" and parts[key] or kind ~= "fields" and parts or nil
    local problem = spec and check(item, spec, at == "" and tostring(key) or at .. "." .. tostring(key))
    if problem then return problem end
  end
end

-- `spec`: a type's name, "any", { list = spec }, { map = spec }, or { fields = { name = spec, … } }.
function check(value, spec, at)
  if value == nil or value == json.null then return nil end
  if spec == "any" then return nil end
  local wanted = type(spec) == "table" and "table" or spec
  if type(value) ~= wanted then
    return ("%s: %s expected, got %s"):format(at == "" and "the whole" or at, words[wanted], values.describe(value))
  end
  if wanted ~= "table" then return nil end
  local kind, parts = next(spec)
  if kind == "list" and next(value) ~= nil and #value == 0 then return ("%s: a list expected, got an object"):format(at) end
  return each(value, at, parts, kind)
end

-- What is wrong with a value, or nil.
function shape.problem(value, spec) return check(value, spec, "") end

return shape
