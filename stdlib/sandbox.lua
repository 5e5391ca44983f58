-- The script's world: an allow-list of plain Lua, made exact where a replay would differ (stdlib/exact.lua), plus the words
-- and the effects. It has no way out but the words; see spec/language.md for what is kept and what is refused.
local blame = require "blame"
local catalogue = require "catalogue"
local coroutines = require "coroutines"
local exact = require "exact"
local gate = require "gate"
local raw_json = require "raw.json"
local run = require "run"
local snapshot = require "snapshot"
local values = require "values"

local sandbox = {}

-- A table of the program's: read like any other, visited in order, never changed.
local function frozen(name, members)
  return setmetatable({}, { __index = members, __metatable = name,
    __pairs = function() return exact.pairs(values.copy_shallow(members)) end,
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
        blame.no_such("there is no effect %s.%s%s", name, tostring(verb), blame.hint(tostring(verb), values.keys(members)))
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

local of_run, loading = {}, {} -- name → what the module gave, or `loading`
snapshot.roots[1] = of_run

-- Modules beside the runbook or in folders below it; they see the same environment and may wait while loading.
local function require_for(folder, env, loaded)
  return function(name)
    if type(name) ~= "string" or not name:match "^[%w_%-]+[%w_%-%.]*$" or name:find "%.%." then
      blame.raise("require: a module's name like \"lib.checks\" expected, got %s", values.describe(name))
    end
    if loaded[name] == loading then blame.raise("require: module '%s' requires itself", name) end
    if loaded[name] ~= nil then return loaded[name] end
    local path = folder .. "/" .. name:gsub("%.", "/") .. ".lua"
    local text, why = run.read_source(path)
    if not text then blame.raise("require: module '%s' not found: %s", name, why) end
    local chunk, problem = require("script").compile(text, "@" .. path, env)
    if not chunk then error(problem, 0) end
    loaded[name] = loading
    local ok, value = pcall(chunk, name)
    loaded[name] = nil
    if not ok then error(value, 0) end
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

-- Chunks keep the mark of a script's ("@"), whatever name they are given.
local function script_load(env)
  return function(chunk, name, mode, ...)
    if type(chunk) ~= "string" then blame.raise("load: a string expected, got %s", values.describe(chunk)) end
    if mode ~= nil and mode ~= "t" then blame.raise("load: only text may be loaded") end
    if name ~= nil and type(name) ~= "string" then blame.raise("load: a name expected, got %s", values.describe(name)) end
    local given = env
    if select("#", ...) > 0 then given = (...) end
    return load(chunk, "@" .. (name or "(load)"):gsub("^[@=]", ""), "t", given)
  end
end

--------------------------------------------------------------- Environment --

local function plain_lua(env)
  return {
    assert = exact.assert, error = exact.error, getmetatable = getmetatable, ipairs = exact.ipairs,
    next = exact.next, pairs = exact.pairs,
    pcall = exact.pcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = exact.rawset, select = select,
    setmetatable = exact.setmetatable, tonumber = exact.tonumber, tostring = exact.text_of, type = type, xpcall = exact.xpcall,
    _VERSION = _VERSION, load = script_load(env),
    string = library("string", string, { dump = true }, exact.string),
    table = library("table", table, {}, { sort = exact.sort, concat = exact.concat, move = exact.move }),
    math = library("math", math, { randomseed = true }, { random = exact.random }),
    utf8 = library("utf8", utf8, {}),
    coroutine = frozen("coroutine", coroutines),
  }
end

-- Pure helpers are no effects.
local function helpers()
  local function lazily(name, load_it)
    return setmetatable({}, { __metatable = name, __index = function(_, key)
      local value = load_it()[key]
      if value == nil then blame.no_such("there is no %s.%s", name, tostring(key)) end
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

local function undeclared(names)
  return function(_, name)
    local hint = blame.hint(tostring(name), values.copy(names))
    blame.no_such("'%s' is not declared%s", tostring(name),
      hint:find "did you" and hint or ": write `local`, or check the spelling")
  end
end

-- For files that describe and don't act: the libraries alone.
function sandbox.plain()
  local plain = plain_lua()
  return { pairs = plain.pairs, ipairs = plain.ipairs, tostring = plain.tostring, tonumber = plain.tonumber,
           string = plain.string, table = plain.table, math = plain.math }
end

-- Globals are the program's words; a script's own variables are local.
local function refuse_global(members)
  return function(_, name)
    if rawget(members, name) ~= nil then
      blame.raise("'%s' is a word of the language and can't be changed; for a variable write `local %s = …`", name, name)
    end
    blame.raise("'%s' would be a global variable: write `local %s = …`", tostring(name), tostring(name))
  end
end

-- print is note; its arguments stand side by side.
local function print_with(note)
  return function(...)
    local parts = table.pack(...)
    if parts.n == 1 then return note((...)) end
    for i = 1, parts.n do parts[i] = exact.tostring(parts[i]) end
    note(table.concat(parts, " "))
  end
end

-- The environment of a runbook in `folder`; `modules`: those loaded already, if not the run's.
function sandbox.environment(folder, words, modules)
  local env, members = {}, {}
  for _, source in ipairs { plain_lua(env), helpers(), words } do
    for name, value in pairs(source) do members[name] = value end
  end
  for _, name in ipairs(catalogue.families) do members[name] = family(name) end
  members.print, members.require, members._G = print_with(words.note), require_for(folder, env, modules or of_run), env
  sandbox.names = values.keys(members)
  setmetatable(members, { __index = undeclared(sandbox.names) })
  return setmetatable(env, { __index = members, __metatable = "environment", __newindex = refuse_global(members),
    __pairs = function() return exact.pairs(values.copy_shallow(members)) end })
end

-- Strings answer methods (`s:find`); their metatable, and that of JSON's empty lists, are nobody's to change.
function sandbox.seal()
  local meta = getmetatable ""
  meta.__index = library("string", string, { dump = true }, exact.string)
  meta.__metatable = "string"
  local list = debug.getmetatable(raw_json.list {})
  list.__metatable, values.of_script[list] = "list", true
end

return sandbox
