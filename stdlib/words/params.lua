-- params{…}: what can be set from outside, typed by its default; and secret "NAME".
local blame = require "blame"
local duration = require "duration"
local exact = require "exact"
local journal = require "journal"
local run = require "run"
local values = require "values"
local vocabulary = require "vocabulary"

local words = {}

local known, types = vocabulary.types(vocabulary.param), vocabulary.set(vocabulary.param.type.one_of)

local function type_of(name, spec)
  if spec.type then
    if not types[spec.type] then blame.raise("params: %s: unknown type '%s'%s", name, tostring(spec.type),
      blame.hint(tostring(spec.type), values.keys(types))) end
    return spec.type
  end
  local default = spec[1]
  if type(default) == "table" and not values.is_host(default) then return "list" end
  if default == nil then return "string" end
  if not types[type(default)] then
    blame.raise("params: %s: its default: text, a number, true, false or a list expected, got %s", name, values.describe(default))
  end
  return type(default)
end

-- A value as the command line or a file gives it, read as the parameter's type; nil and what was expected.
local read = {}
function read.string(value) if type(value) == "string" then return value end return nil, "text" end
function read.number(value)
  local number = type(value) == "number" and value or type(value) == "string" and tonumber(value)
  return number and number == number and math.abs(number) < math.huge and number or nil, "a number"
end
function read.boolean(value)
  if value == true or value == "true" or value == "yes" then return true end
  if value == false or value == "false" or value == "no" then return false end
  return nil, "true or false"
end
function read.list(value)
  if type(value) == "table" then return values.copy(value) end
  if type(value) ~= "string" then return nil, "a list" end
  local list = {}
  for item in value:gmatch "[^,]+" do list[#list + 1] = item end
  return list
end
function read.duration(value)
  return duration.parse(value) and value or nil, 'a duration like "15m"'
end
function read.size(value) return duration.size(value), 'a size like "64MB"' end
function read.time(value)
  if type(value) == "string" and value:match "^%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d" then return value end
  return nil, "a time like 2026-11-23T17:40:00Z"
end

local function matches(name, pattern, text)
  local ok, found = pcall(require("raw.re").find, text, "\\A(?:" .. pattern .. ")\\z")
  if not ok then blame.raise("params: %s: pattern: %s", name, found) end
  return found
end

-- Where a value came from says who is to blame for it: the script for a default, the caller for the rest.
local function set(name, spec, value, source)
  local kind = type_of(name, spec)
  local result, expected = read[kind](value)
  local function wrong(what)
    local message = ("parameter '%s' (%s): %s expected, got %s"):format(name, source, what, values.describe(value))
    if source == "default" then blame.raise("%s", message) end
    error({ usage = message .. (spec[2] and ". " .. spec[2] or "") }, 0)
  end
  if result == nil then wrong(expected) end
  if spec.one_of then
    local found = false
    for _, allowed in ipairs(spec.one_of) do found = found or allowed == result end
    if not found then wrong("one of " .. table.concat(spec.one_of, ", ")) end
  end
  if spec.pattern and not matches(name, spec.pattern, tostring(result)) then
    wrong("text matching " .. spec.pattern)
  end
  return result
end

local function check_spec(name, spec)
  if type(name) ~= "string" then blame.raise("params: names are strings") end
  if type(spec) ~= "table" then
    blame.raise("params: %s: { default, \"help\", … } expected, got %s", name, values.describe(spec))
  end
  if spec[2] ~= nil and type(spec[2]) ~= "string" then
    blame.raise("params: %s: its help: text expected, got %s", name, values.describe(spec[2]))
  end
  for key, value in exact.pairs(spec) do
    if key ~= 1 and key ~= 2 and not known[key] then
      blame.no_such("params: %s: unknown option '%s'%s", name, tostring(key), blame.hint(tostring(key), values.keys(known)))
    elseif known[key] and type(value) ~= known[key] then
      blame.raise("params: %s: %s: a %s expected, got %s", name, key, known[key], values.describe(value))
    end
  end
end

-- Where a value comes from that nobody gave: a secret's not from the command line, where every user of the machine reads it.
local function required(name, spec)
  local help = spec[2] and (" (%s)"):format(spec[2]) or ""
  if not spec.secret then return ("parameter '%s' is required: -p %s=…%s"):format(name, name, help) end
  return ("parameter '%s' is required, and a secret: in the config, params = { %s = secret \"NAME\" }, where `secrets` says "
    .. "how NAME is had (unless it does, from the environment variable NAME); or in a file for --params%s"):format(name,
    name, help)
end

-- A secret parameter's value is text, or a secret of the config's.
local function secret_of(name, value)
  local secrets = require "secrets"
  local secret, why
  if values.is_secret(value) then return value end -- handed over by a script
  if type(value) == "table" and type(value.secret) == "string" then
    secret, why = secrets.get(value.secret)
  elseif type(value) == "string" then
    secret, why = secrets.value("param." .. name, value)
  else
    why = "text expected, got " .. values.describe(value)
  end
  if not secret then error({ usage = ("parameter '%s': %s"):format(name, why) }, 0) end
  return secret
end

-- The given value by precedence: -p, --params, the environment's config, the default.
local function given(name, spec)
  for _, source in ipairs(run.given_params or {}) do
    local value = source.values[name]
    if value ~= nil then
      if spec.secret and source.name == "-p" then
        error({ usage = ("parameter '%s' is a secret: it may not come from -p, where every user of the machine can read it")
          :format(name) }, 0)
      end
      return value, source.name
    end
  end
  return spec[1], "default"
end

function words.params(specs)
  run.declared "params"
  if type(specs) ~= "table" then blame.raise("params: a table expected, got %s", values.describe(specs)) end
  if run.param_specs then blame.raise("params{…} stands twice") end
  for name, spec in exact.pairs(specs) do check_spec(name, spec) end
  for _, source in ipairs(run.given_params or {}) do
    for name in pairs(source.values) do
      if not specs[name] and not source.shared then
        error({ usage = ("there is no parameter '%s' (%s)%s"):format(name, source.name,
          blame.hint(name, values.keys(specs))) }, 0)
      end
    end
  end
  for _, name in ipairs(values.keys(specs)) do
    local spec = specs[name]
    local value, source = given(name, spec)
    if value == nil or value == "" and (spec.required or spec.secret) then -- an empty secret is none
      if spec.required then error({ usage = required(name, spec) }, 0) end
    elseif spec.secret then
      run.params[name] = secret_of(name, value)
    else
      if type(value) == "string" then require("secrets").learn("param." .. name, value, "text") end
      run.params[name] = set(name, spec, value, source)
    end
    journal.event("param", { name = name, value = run.params[name], source = source })
  end
  run.param_specs = specs
  local names = values.keys(specs)
  return setmetatable({}, {
    __metatable = "params", __name = "params",
    __index = function(_, name)
      local value = run.params[name]
      if value == nil and not specs[name] then
        blame.no_such("there is no parameter '%s'%s", tostring(name), blame.hint(tostring(name), names))
      end
      return values.copy(value)
    end,
    __len = function() blame.raise("parameters have no length; read them by name") end,
    __newindex = function(_, name) blame.raise("parameter '%s' can't be changed by the script", tostring(name)) end,
    __pairs = function() return exact.pairs(values.copy(run.params)) end,
  })
end

-- secret "NAME": from the environment, a file or a command, as the config says. It prints as ***.
function words.secret(name)
  if type(name) ~= "string" then blame.raise("secret: a name expected, got %s", values.describe(name)) end
  local secret, why = require("secrets").get(name)
  if not secret then blame.cannot_act("secret %q: %s", name, why) end
  return secret
end

return words
