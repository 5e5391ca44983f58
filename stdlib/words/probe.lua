-- probe(title, fn) and check(label, value, options): looking, and what was found.
local blame = require "blame"
local exact = require "exact"
local finding = require "finding"
local foreign = require "foreign"
local gate = require "gate"
local journal = require "journal"
local mistake = require "mistake"
local prevention = require "words.prevention"
local result = require "result"
local run = require "run"
local tasks = require "tasks"
local values = require "values"
local vocabulary = require "vocabulary"

local probe = {}
local words = {}

-- The longest a probe may take, in seconds; then it is unknown.
probe.SECONDS = 120

------------------------------------------------------------------ Findings --

local findings_type = { __name = "findings", __metatable = "findings" }
local hidden = setmetatable({}, { __mode = "k" })

-- A name that decides is one of those that the probe's text holds.
local function check_name(it, name)
  if it.names == nil then it.names = require("finding_names").of(it.fn) or false end
  if not it.names or it.names[name] then return end
  blame.no_such("probe '%s' finds no '%s'%s", it.title, tostring(name), blame.hint(name, values.keys(it.names)))
end

-- An unknown probe's other findings read as nil and remember that they were read (law 4).
function findings_type.__index(self, name)
  local it = hidden[self]
  local value = it.found[name]
  if value == true then run.decided_by(it.title, it.args, name) end
  if value ~= nil then return value end
  check_name(it, name)
  if it.unknown then run.decided_without(("%s.%s: %s"):format(it.title, tostring(name), it.unknown)) end
  return nil
end
function findings_type.__len() blame.raise("findings have no length; read them by name") end
function findings_type.__newindex() blame.raise("findings can't be changed") end
function findings_type.__tostring(self) return "findings of " .. hidden[self].title end
function findings_type.__pairs(self)
  local it = hidden[self]
  if it.unknown then run.decided_without(("%s: %s"):format(it.title, it.unknown)) end
  return exact.pairs(values.copy_shallow(it.found))
end

local function new_findings(title, args, fn, found, unknown)
  local self = setmetatable({}, findings_type)
  hidden[self], values.inner[self] = { title = title, args = args, fn = fn, found = found, unknown = unknown }, found
  return self
end

-------------------------------------------------------------------- Checks --

local function read_value(value)
  if type(value) == "boolean" then return value end
  if result.is(value) then
    if result.status(value) == "failed" then result.raise_failed(value) end
    return result.fields(value).ok ~= false, result.summary(value), result.line(value)
  end
  blame.raise("check: true, false or a result expected, got %s", values.describe(value))
end

-- A value beside what it should be: its figure, and whether it is so. nil is no value: not known, and no mistake.
local function compare(label, value, comparison, limit, unit)
  local holds = finding.comparisons[comparison]
  if not holds then
    blame.raise("check: a comparison expected (< <= > >= == ~=), got %s", values.describe(comparison))
  end
  if value == nil or value ~= value then blame.cannot_look("check: %s: it has no value", label) end
  local kind = type(limit)
  if kind ~= "number" and kind ~= "string" or kind == "string" and comparison ~= "==" and comparison ~= "~=" then
    blame.raise("check: a number expected to compare with, got %s", values.describe(limit))
  end
  if type(value) ~= kind then blame.raise("check: a %s expected, got %s", kind, values.describe(value)) end
  return holds(value, limit), { value = value, comparison = comparison, limit = limit, unit = unit }
end

local known = vocabulary.types(vocabulary.words.check.options)

local function read_options(options, here)
  if type(options) ~= "table" or values.is_host(options) then
    blame.raise("check: a table of options like { fault = \"down\" } expected, got %s", values.describe(options))
  end
  for name, value in pairs(options) do
    if not known[name] then
      blame.no_such("check: unknown option '%s'%s", tostring(name), blame.hint(tostring(name), values.keys(known)))
    end
    if known[name] ~= "any" and type(value) ~= known[name] then
      blame.raise("check: %s: a %s expected, got %s", name, known[name], values.describe(value))
    end
  end
  if options.mend and not here.prevention then
    blame.raise "check: mend: only a check of a prevention says how its gap is closed"
  end
  return options
end

-- A fault named by several checks is there when one of them failed.
local function record(here, it)
  local found, fault = here.found, it.fault
  if not fault or not found then return end
  if not it.passed then found[fault] = true elseif found[fault] == nil then found[fault] = false end
  if here.reached then require("broken_look").note_check(here.reached, fault, it.label) end
end

-- Foreign bytes end here: what was found must reach who is woken, and say nothing in our name.
local function line_of(value) return value ~= nil and foreign.line(value) or nil end

-- What was seen: the event's fields.
local function observe(label, value, comparison, limit, options)
  local it = { label = line_of(label), fault = options.fault }
  if comparison ~= nil then
    it.passed, it.figure = compare(label, value, comparison, limit, options.unit)
    for _, name in ipairs { "value", "limit" } do
      if type(it.figure[name]) == "string" then it.figure[name] = line_of(it.figure[name]) end
    end
  else
    it.passed, it.detail, it.line = read_value(value)
  end
  if options.detail ~= nil then it.detail = exact.tostring(options.detail) end
  it.detail = line_of(it.detail)
  it.mend = not it.passed and options.mend or nil
  it.says = finding.says(it)
  return it
end

-- check(label, value, options), or with its figure: check(what, value, "<", limit, options). True when it is well.
function words.check(label, value, ...)
  if type(label) ~= "string" then blame.raise("check: a label expected, got %s", values.describe(label)) end
  local here, comparison, limit, options = tasks.context(), ...
  if type(comparison) ~= "string" then comparison, limit, options = nil, nil, comparison end
  local it = observe(label, value, comparison, limit, read_options(options or {}, here))
  local decide = gate.mode().decide
  if decide then it.passed = decide(it.label, it.passed, it) end
  record(here, it)
  if here.pass == "plan" then return it.passed end
  if here.prevention then prevention.checked(here.prevention, it) end
  it.probe, it.args, it.prevention = here.probe or nil, here.probe_args or nil, here.prevention and true or nil
  journal.event("check", it)
  return it.passed
end

-------------------------------------------------------------------- Probes --

-- `return check(…)` and `return note(…)` are fine; what would be lost silently is a mistake.
local function findings_of(returned)
  if returned == nil or type(returned) == "boolean" then return {} end
  if type(returned) == "table" and not values.is_host(returned) then return returned end
  error(("a probe returns its findings, a table like { down = true }; got %s"):format(values.describe(returned)), 0)
end

-- An argument as text; of a table its fields.
local function argument_text(value)
  if type(value) ~= "table" or values.is_host(value) then return type(value) == "function" and "a function" or tostring(value) end
  local parts = {}
  for _, key in ipairs(values.keys(value)) do
    local item = value[key] == nil and value[tonumber(key)] or value[key]
    parts[#parts + 1] = (tonumber(key) and "" or key .. "=") .. (type(item) == "table" and "…" or argument_text(item))
  end
  return table.concat(parts, " ")
end

-- Its arguments as text, by which one look is told from another; nil when there are none.
local function told(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = argument_text(list[i]) end
  return list.n > 0 and line_of(table.concat(list, ", ")) or nil
end

-- Calls the probe's function; of what it raises `at` learns where that was.
local function call(fn, at, ...)
  local ok, returned = xpcall(fn, function(err)
    at.frames = require("broken_look").frames()
    return err
  end, ...)
  if not ok then error(returned, 0) end
  at.frames = {} -- it came to its end
  return findings_of(returned)
end

-- Why a look broke off.
local function why_unknown(title, fn, err)
  local interrupt = tasks.is_interrupt(err)
  if interrupt and interrupt ~= "budget" then error(err, 0) end
  if not interrupt then return line_of(mistake.text("probe", title, fn, err)) end
  tasks.handled()
  return "it computed for too long without waiting"
end

-- Of a look that broke off only what no check could have said otherwise was found well.
local function keep_settled(fn, found, reached, frames)
  local settled = require("broken_look").settled(fn, reached, frames)
  for name, value in pairs(found) do if value == false and not settled(name) then found[name] = nil end end
end

-- Runs the probe's function, which fills `found`; why it is unknown, or nil.
local function look(title, args, fn, found, ...)
  local at, reached = {}, {}
  local ok, in_time, returned = pcall(tasks.within,
    { probe = title, probe_args = args or false, found = found, reached = reached, path = run.next_path() },
    tasks.limited, probe.SECONDS, call, fn, at, ...)
  local why = not ok and why_unknown(title, fn, in_time)
    or ok and not in_time and ("it took longer than %g s"):format(probe.SECONDS) or nil
  if why then keep_settled(fn, found, reached, at.frames) end
  for name, value in pairs(returned or {}) do found[name] = value end
  return why
end

function probe.check_place(title)
  local here = tasks.context()
  if here.level then blame.raise("probe '%s' can't be called inside an escalation: it may only notify", title) end
  run.acting()
  if here.probe then blame.raise("probe '%s' can't be called inside %s", title,
    here.probe == "recovered" and "recovered" or "probe '" .. here.probe .. "'") end
end

local function run_probe(title, fn, ...)
  probe.check_place(title)
  local began, found, args = tasks.now(), {}, told(...)
  journal.event("probe.started", { probe = title, args = args })
  local unknown = look(title, args, fn, found, ...)
  journal.event("probe.ended", { probe = title, args = args, state = unknown and "unknown" or "known", why = unknown,
                                 findings = found, ms = math.floor((tasks.now() - began) * 1000) })
  return new_findings(title, args, fn, found, unknown)
end

function words.probe(title, fn)
  run.declared "probe"
  if type(title) ~= "string" then blame.raise("probe: a title expected, got %s", values.describe(title)) end
  if type(fn) ~= "function" then blame.raise("probe '%s': a function expected, got %s", title, values.describe(fn)) end
  run.probes[#run.probes + 1] = { title = title, fn = fn }
  return function(...) return run_probe(title, fn, ...) end
end

probe.words, probe.look, probe.told = words, look, told
return probe
