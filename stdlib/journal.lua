-- The run's events: each is a line of the journal and a line of news for the screen. Every fact of a run passes here, so
-- the screen, the report and the recap can say nothing that isn't on disk.
local aftermath = require "aftermath"
local blame = require "blame"
local clock = require "clock"
local byhand = require "byhand"
local raw = require "raw.run"
local raw_json = require "raw.json"
local result = require "result"
local tasks = require "tasks"
local values = require "values"

-- Tables are written this deep at most; JSON's own limit is a little more.
local DEPTH_MAX = 190

local journal = { counts = { looked = 0, on_word = 0, would = 0, changed = 0, may_have_run = 0, write_failed = 0, refused = 0,
                             could_not_look = 0, told = 0, not_told = 0 } }
local listeners = { aftermath.hear }
local counters = {} -- task path → effects so far
local open = false  -- scenarios and commands without a run directory write nothing
local broken        -- why the journal can't be written any more
journal.began = 0   -- of the run, on the clock that nobody sets
local over = false  -- run.ended is the last event, whatever is cancelled after it

-- journal.last: of a run that has ended, how many lines its journal has and the last one's SHA-256.

-- f(name, fields, line) hears every event; `line` is the journal's own, nil for passing news.
function journal.listen(f) listeners[#listeners + 1] = f end

function journal.open(path)
  local ok, err = raw.open_journal(path)
  open = ok and true or false
  return ok, err
end

local function is_list(value)
  local meta = debug.getmetatable(value)
  return meta ~= nil and meta.__name == "list"
end

local atoms = { string = true, number = true, boolean = true } -- most of what an event holds
local plain

-- `above`: the tables that this one stands in; of a cycle, or of what is nested too deep, only that is told.
local function plain_table(value, above, depth)
  if above[value] then return "‹itself›" end
  if depth > DEPTH_MAX then return "‹nested too deep›" end
  above[value] = true
  local copy = is_list(value) and raw_json.list {} or {}
  for key, item in next, value do
    if type(key) ~= "string" and type(key) ~= "number" then key = tostring(plain(key, above, depth + 1)) end
    copy[key] = atoms[type(item)] and item or plain(item, above, depth + 1)
  end
  above[value] = nil
  return copy
end

function plain(value, above, depth)
  local kind = type(value)
  if kind == "function" or kind == "thread" then return kind end
  if kind ~= "table" then return value end
  if debug.getmetatable(value) ~= nil then
    if values.is_secret(value) then return values.marked(value) end
    if values.is_placeholder(value) then return tostring(value) end
    if result.is(value) then return plain(result.fields(value), above, depth) end
  end
  return plain_table(value, above, depth)
end

-- Plain data that can be written, whatever a script handed over: secrets as their names, placeholders as their text,
-- results as their fields.
function journal.plain(value) return plain(value, {}, 1) end

local function tell(name, fields, line)
  for _, listener in ipairs(listeners) do listener(name, fields, line) end
end

-- Runs f(...), whose events are nobody's. It must not wait: meanwhile others' would be lost too.
local quiet = false
function journal.quietly(f, ...)
  quiet = true
  local results = table.pack(pcall(f, ...))
  quiet = false
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- What comes to the script from outside, or lets it go on: its time is the time of the last of these (clock.lua).
local delivers = { ["run.started"] = true, ["effect.outcome"] = true, answer = true, wait = true, ["remedy.begun"] = true,
                   ["remedy.ended"] = true }
-- These tell which call of a remedy they belong to.
local of_remedy = { ["remedy.started"] = true, ["remedy.begun"] = true, ["remedy.ended"] = true, approval = true }

-- f(name, fields) → whether the journal has this event already: set where a run is resumed.
journal.has = nil

local function write(name, fields, sync)
  if broken then return nil, broken end
  if not open then return true end
  local seq, err, line = raw.event(name, fields, { sync = sync or false })
  if seq and over then journal.last = { lines = seq, hash = raw.sha256(line) } end
  if seq then return true, nil, line end
  broken = err
  tell("journal.broken", { why = err.message })
  return nil, err
end

-- Writes an event; `sync` waits until it is on disk. True, or nil and an error when it could not be written.
function journal.event(name, fields, sync)
  if quiet or over then return true end
  fields = journal.plain(fields or {})
  if of_remedy[name] then fields.call = tasks.context().call end
  if journal.has and journal.has(name, fields) then return true end
  over = name == "run.ended"
  if delivers[name] then fields.t = clock.reading(journal.began) end
  local ok, err, line = write(name, fields, sync)
  if delivers[name] then clock.delivered(fields.t, line) end
  tell(name, fields, line)
  return ok, err
end

-- Tells an event of before to all who listen, as the journal has it.
function journal.retell(event)
  if event.event == "effect.outcome" then journal.count(event.class, event.status) end
  tell(event.event, event)
end

-- News for the screen alone.
function journal.news(name, fields) if not quiet then tell(name, fields) end end

-- The place of an effect or a wait in the run: task path and number in it, the same on every replay. Questions (`kind` "?") have
-- numbers of their own: which are asked depends on who may say yes today.
function journal.key(here, kind)
  local path = (here.path or "1") .. ":" .. (kind or "")
  counters[path] = (counters[path] or 0) + 1
  return path .. counters[path]
end

local is_change = { write = true, destructive = true }

-- The command by hand is made when it is told: by then the effect knows which cluster or engine it went to.
local function about(act)
  local command, none = byhand.of(act)
  return { key = act.key, probe = act.probe, probe_args = act.probe_args, poll = act.poll, line = act.line, class = act.class,
           args = act.call, from = act.from, command = command, no_command = is_change[act.class] and none or nil, pins = act.pins }
end

-- A read begins: the screen shows it, the journal needs only its outcome.
function journal.begun(act)
  tell("effect.begun", { key = act.key, probe = act.probe, probe_args = act.probe_args, poll = act.poll, line = act.line,
                         class = act.class })
end

-- Law 7: on disk before the world is changed, or the world isn't changed.
function journal.intent(act)
  local ok, err = journal.event("effect.intent", about(act), true)
  if not ok then
    blame.cannot_act("%s not done: its intent could not be written to the journal: %s", act.line, err.message)
  end
end

-- Where an effect that ended so stands in the counts: every one in exactly one of them.
local changed = { ok = "changed", failed = "write_failed", unknown = "may_have_run" }
local counted = {
  read     = { ok = "looked", not_well = "looked", failed = "could_not_look", unknown = "could_not_look",
               cancelled = "could_not_look" },
  declared = { ok = "on_word", not_well = "on_word", failed = "could_not_look", unknown = "could_not_look",
               cancelled = "could_not_look" },
  notify   = { ok = "told", not_well = "not_told", failed = "not_told", unknown = "not_told" },
  write    = changed, destructive = changed,
}

function journal.count(class, status)
  local counts, name = journal.counts, (status == "would" or status == "refused") and status or counted[class][status]
  counts[name] = counts[name] + 1
end

function journal.outcome(act, status, fields, seconds)
  if quiet then return true end
  local class, event = act.class, about(act)
  if journal.has and journal.has("effect.outcome", event) then return true end
  journal.count(class, status)
  event.status, event.ms = status, seconds and math.floor(seconds * 1000 + 0.5)
  event.result = act.entry.kept and fields and fields.items and act.entry.kept(fields) or fields
  if act.probe and not is_change[class] then aftermath.read(act, fields) end
  return journal.event("effect.outcome", event, is_change[class] or class == "notify")
end

return journal
