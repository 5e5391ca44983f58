-- The script's world: an allow-list of plain Lua, made exact where a replay would differ, plus the words and the effects.
-- It has no way out but the words; see spec/language.md for what is kept and what is refused.
local blame = require "blame"
local catalogue = require "catalogue"
local gate = require "gate"
local order = require "raw.order"
local raw_task = require "raw.task"
local run = require "run"
local tasks = require "tasks"
local values = require "values"

local sandbox = {}

------------------------------------------------------ Errors and coroutines --

-- What ends more than a pcall passes through it: the end of a run, a cancellation, a deadline, a used-up budget.
local function pass_interrupts(ok, ...)
  if not ok and tasks.is_interrupt((...)) then error((...), 0) end
  return ok, ...
end

local function script_pcall(f, ...) return pass_interrupts(pcall(f, ...)) end

-- The handler runs after unwinding: no budget counts inside Lua's own message handlers.
local function script_xpcall(f, handler, ...)
  local results = table.pack(script_pcall(f, ...))
  if results[1] then return table.unpack(results, 1, results.n) end
  return false, handler(results[2])
end

local MARK = raw_task.mark

-- A wait inside a script's coroutine is passed up to the task, and its answer back down.
local function resume(co, ...)
  local results = table.pack(coroutine.resume(co, ...))
  while results[1] and results[2] == MARK do
    coroutine.yield(MARK)
    results = table.pack(coroutine.resume(co))
  end
  return pass_interrupts(table.unpack(results, 1, results.n))
end

local function wrap(f)
  local co = coroutine.create(f)
  return function(...)
    local results = table.pack(resume(co, ...))
    if not results[1] then
      coroutine.close(co)
      error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
  end
end

------------------------------------------------------------------ Exactness --

local function script_pairs(t)
  local meta = getmetatable(t)
  local custom = type(meta) == "table" and meta.__pairs or debug.getmetatable(t) and debug.getmetatable(t).__pairs
  if custom then return custom(t) end
  local keys, i = order.keys(t), 0
  return function()
    repeat i = i + 1 until keys[i] == nil or t[keys[i]] ~= nil
    return keys[i], t[keys[i]]
  end
end

local function script_next(t, key)
  if key ~= nil then blame.raise("next takes one argument here; use pairs to visit a table in order") end
  local first = order.keys(t)[1]
  return first, first ~= nil and t[first] or nil
end

-- Stable, and a comparison may wait for an effect.
local function sort(list, less)
  less = less or function(a, b) return a < b end
  local from, to, width, n = list, {}, 1, #list
  while width < n do
    for left = 1, n, 2 * width do
      local i, middle, j, stop = left, math.min(left + width, n + 1), math.min(left + width, n + 1),
        math.min(left + 2 * width, n + 1)
      for k = left, stop - 1 do
        if i < middle and (j >= stop or not less(from[j], from[i])) then
          to[k], i = from[i], i + 1
        else
          to[k], j = from[j], j + 1
        end
      end
    end
    from, to = to, from == list and {} or from
    width = 2 * width
  end
  if from ~= list then for i = 1, n do list[i] = from[i] end end
end

local function script_setmetatable(t, meta)
  if type(meta) == "table" then
    for _, key in ipairs { "__gc", "__mode" } do
      if rawget(meta, key) ~= nil then blame.raise("setmetatable: %s is refused: its moment differs on every run", key) end
    end
    meta = setmetatable(values.copy_shallow(meta), debug.getmetatable(meta))
  end
  return setmetatable(t, meta)
end

local function script_tostring(value)
  local text = tostring(value)
  local kind = type(value)
  if (kind == "table" or kind == "function" or kind == "thread") and text:find "0x%x+" then return kind end
  return text
end

local function format(text, ...)
  if type(text) == "string" and text:gsub("%%%%", ""):find "%%[%-%d%.]*p" then
    blame.raise("string.format: %%p is refused: an address differs on every run")
  end
  return string.format(text, ...)
end

local function frozen(name, members)
  return setmetatable({}, { __index = members, __metatable = name, __pairs = function() return next, members end,
    __newindex = function(_, key) blame.raise("%s.%s can't be changed", name, tostring(key)) end })
end

-- A copy of one of Lua's libraries without some members and with others in their place.
local function library(name, source, without, instead)
  local members = {}
  for key, value in pairs(source) do if not without[key] then members[key] = value end end
  for key, value in pairs(instead or {}) do members[key] = value end
  return frozen(name, members)
end

------------------------------------------------------------------- Effects --

-- docker, http, …: a table of functions that end at the gate; loaded when the script first names the family.
local function family(name)
  local members
  local function load_members()
    members = {}
    for verb, entry in pairs(catalogue.family(name)) do
      members[verb] = function(...) return gate.perform(entry, ...) end
    end
    return members
  end
  return setmetatable({}, {
    __metatable = name,
    __index = function(_, verb)
      local found = (members or load_members())[verb]
      if not found then
        members[true] = nil
        blame.raise("there is no effect %s.%s%s", name, tostring(verb), blame.hint(tostring(verb), values.keys(members)))
      end
      return found
    end,
    __call = function(_, ...)
      local whole = (members or load_members())[true]
      if not whole then blame.raise("%s is a family of effects; name one, like %s.%s", name, name, values.keys(members)[1]) end
      return whole(...)
    end,
    __newindex = function(_, verb) blame.raise("%s.%s can't be changed", name, tostring(verb)) end,
  })
end

------------------------------------------------------------------- Modules --

local loaded = {}

-- Modules beside the runbook or in folders below it; they see the same environment and may wait while loading.
local function require_for(folder, env)
  return function(name)
    if type(name) ~= "string" or not name:match "^[%w_%-]+[%w_%-%.]*$" or name:find "%.%." then
      blame.raise("require: a module's name like \"lib.checks\" expected, got %s", values.describe(name))
    end
    if loaded[name] ~= nil then return loaded[name] end
    local path = folder .. "/" .. name:gsub("%.", "/") .. ".lua"
    local text, why = run.read_source(path)
    if not text then blame.raise("require: module '%s' not found: %s", name, why) end
    local chunk, problem = load(text, "@" .. path, "t", env)
    if not chunk then error(problem, 0) end
    local value = chunk(name)
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

local function script_load(env)
  return function(chunk, name, mode, given)
    if type(chunk) ~= "string" then blame.raise("load: a string expected, got %s", values.describe(chunk)) end
    if mode ~= nil and mode ~= "t" then blame.raise("load: only text may be loaded") end
    return load(chunk, name or "@load", "t", given or env)
  end
end

--------------------------------------------------------------- Environment --

local function plain_lua(env)
  local words = {
    assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = script_next, pairs = script_pairs,
    pcall = script_pcall, rawequal = rawequal, rawlen = rawlen, select = select, setmetatable = script_setmetatable,
    tonumber = tonumber, tostring = script_tostring, type = type, xpcall = script_xpcall, _VERSION = _VERSION,
    rawget = rawget, rawset = function(t, key, value)
      if debug.getmetatable(t) and rawget(debug.getmetatable(t), "__metatable") then
        blame.raise("rawset: this table is the program's own")
      end
      return rawset(t, key, value)
    end,
    string = library("string", string, { dump = true }, { format = format }),
    table = library("table", table, {}, { sort = sort }),
    math = library("math", math, { randomseed = true }, { random = sandbox.random }),
    utf8 = library("utf8", utf8, {}),
    coroutine = frozen("coroutine", { create = coroutine.create, resume = resume, wrap = wrap, yield = coroutine.yield,
      status = coroutine.status, running = coroutine.running, isyieldable = coroutine.isyieldable, close = coroutine.close }),
  }
  words.load = script_load(env)
  return words
end

-- Randomness is the gate's: drawn from the run's seed, which the journal holds.
local seed
function sandbox.random(low, high)
  seed = seed or run.seed or 1
  seed = (seed * 6364136223846793005 + 1442695040888963407)
  local fraction = ((seed >> 11) & ((1 << 53) - 1)) / (1 << 53)
  if not low then return fraction end
  if not high then low, high = 1, low end
  if low > high then blame.raise("math.random: the interval is empty") end
  return low + math.floor(fraction * (high - low + 1))
end

-- Pure helpers are no effects.
local function helpers()
  local function lazily(name, load_it)
    return setmetatable({}, { __metatable = name, __index = function(_, key)
      local value = load_it()[key]
      if value == nil then blame.raise("there is no %s.%s", name, tostring(key)) end
      return value
    end, __newindex = function(_, key) blame.raise("%s.%s can't be changed", name, tostring(key)) end })
  end
  return {
    re = lazily("re", function() return require "raw.re" end),
    json = lazily("json", function() return require("helpers").json end),
    text = lazily("text", function() return require("helpers").text end),
    time = lazily("time", function() return require("helpers").time end),
  }
end

local function undeclared(env)
  local names = values.keys(env)
  return {
    __metatable = "environment",
    __index = function(_, name)
      blame.raise("'%s' is not declared%s", tostring(name), blame.hint(tostring(name), names):match "did you" and
        blame.hint(tostring(name), names) or ": write `local`, or check the spelling")
    end,
    __newindex = function(_, name)
      blame.raise("'%s' would be a global variable: write `local %s = …`", tostring(name), tostring(name))
    end,
  }
end

-- The environment of a runbook in `folder`.
function sandbox.environment(folder, words)
  local env = {}
  for name, value in pairs(plain_lua(env)) do env[name] = value end
  for name, value in pairs(helpers()) do env[name] = value end
  for _, name in ipairs(catalogue.families) do env[name] = family(name) end
  for name, value in pairs(words) do env[name] = value end
  env.print = words.note
  env.require = require_for(folder, env)
  env._G = env
  sandbox.names = values.keys(env)
  return setmetatable(env, undeclared(env))
end

-- Strings answer methods (`s:find`); their metatable is nobody's to change.
function sandbox.seal()
  local meta = getmetatable ""
  meta.__index = library("string", string, { dump = true }, { format = format })
  meta.__metatable = "string"
end

return sandbox
