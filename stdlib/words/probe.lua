-- probe(title, fn) and check(label, value, options): looking, and what was found.
local blame = require "blame"
local journal = require "journal"
local result = require "result"
local run = require "run"
local tasks = require "tasks"
local values = require "values"

local probe = {}
local words = {}

-- The longest a probe may take, in seconds; then it is unknown.
probe.SECONDS = 120

------------------------------------------------------------------ Findings --

local findings_type = { __name = "findings", __metatable = "findings" }
local hidden = setmetatable({}, { __mode = "k" })

-- An unknown probe's other findings read as nil and remember that they were read (law 4).
function findings_type.__index(self, name)
  local it = hidden[self]
  local value = it.found[name]
  if value == nil and it.unknown then run.decided_without(("%s.%s: %s"):format(it.title, tostring(name), it.unknown)) end
  return value
end
function findings_type.__newindex() blame.raise("findings can't be changed") end
function findings_type.__tostring(self) return "findings of " .. hidden[self].title end
function findings_type.__pairs(self) return next, values.copy(hidden[self].found) end

local function new_findings(title, found, unknown)
  local self = setmetatable({}, findings_type)
  hidden[self] = { title = title, found = found, unknown = unknown }
  return self
end

-------------------------------------------------------------------- Checks --

local function read_value(value)
  if type(value) == "boolean" then return value end
  if result.is(value) then
    if result.status(value) == "failed" then result.raise_failed(value) end
    return result.fields(value).ok ~= false, result.summary(value)
  end
  blame.raise("check: true, false or a result expected, got %s", values.describe(value))
end

local function read_options(options)
  for name in pairs(options) do
    if name ~= "fault" and name ~= "detail" then
      blame.raise("check: unknown option '%s'%s", tostring(name), blame.hint(tostring(name), { "fault", "detail" }))
    end
  end
  return options.fault, options.detail
end

-- A fault named by several checks is there when one of them failed.
local function record(found, fault, passed)
  if not fault or not found then return end
  if not passed then found[fault] = true elseif found[fault] == nil then found[fault] = false end
end

function words.check(label, value, options)
  if type(label) ~= "string" then blame.raise("check: a label expected, got %s", values.describe(label)) end
  local passed, learned = read_value(value)
  local fault, detail = read_options(options or {})
  local here = tasks.context()
  detail = detail ~= nil and tostring(detail) or learned
  record(here.found, fault, passed)
  journal.event("check", { probe = here.probe or nil, label = label, passed = passed, fault = fault, detail = detail })
  return passed
end

-------------------------------------------------------------------- Probes --

local function merge(found, returned)
  if type(returned) ~= "table" or result.is(returned) or getmetatable(returned) then return end
  for name, value in pairs(returned) do found[name] = value end
end

-- Runs the probe's function; its result table, or nil and why it is unknown.
local function look(title, fn, found, ...)
  local arguments = table.pack(...)
  local ok, in_time, returned = pcall(tasks.within, { probe = title, found = found, path = run.next_path() },
    function() return tasks.deadline(probe.SECONDS, fn, table.unpack(arguments, 1, arguments.n)) end)
  if not ok then
    if tasks.is_interrupt(in_time) and tasks.is_interrupt(in_time) ~= "budget" then error(in_time, 0) end
    return nil, tasks.is_interrupt(in_time) and "it computed for too long without waiting" or tostring(in_time)
  end
  if not in_time then return nil, ("it took longer than %g s"):format(probe.SECONDS) end
  return returned or {}
end

local function run_probe(title, fn, ...)
  local here = tasks.context()
  run.acting()
  if here.probe then blame.raise("probe '%s' can't be called inside %s", title,
    here.probe == "recovered" and "recovered" or "probe '" .. here.probe .. "'") end
  local began, found = tasks.now(), {}
  journal.event("probe.started", { probe = title })
  local returned, unknown = look(title, fn, found, ...)
  merge(found, returned)
  journal.event("probe.ended", { probe = title, state = unknown and "unknown" or "known", why = unknown, findings = found,
                                 ms = math.floor((tasks.now() - began) * 1000) })
  return new_findings(title, found, unknown)
end

function words.probe(title, fn)
  if type(title) ~= "string" then blame.raise("probe: a title expected, got %s", values.describe(title)) end
  if type(fn) ~= "function" then blame.raise("probe '%s': a function expected, got %s", title, values.describe(fn)) end
  return function(...) return run_probe(title, fn, ...) end
end

probe.words = words
return probe
