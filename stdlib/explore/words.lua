-- The words as a way through the decision needs them: a probe is not carried out but gives findings that are chosen when they are
-- read; a remedy has the ends that it can have; what waits is chosen to hold or not.
local blame = require "blame"
local consent = require "consent"
local dropped = require "explore.dropped"
local exact = require "exact"
local goal = require "words.goal"
local mistake = require "mistake"
local mode = require "modes.explore"
local plan = require "plan"
local probe_words = require "words.probe"
local probes = require "explore.probes"
local remedy_words = require "words.remedy"
local run = require "run"
local script = require "script"
local state = require "explore.state"
local tasks = require "tasks"
local values = require "values"

local words = {}
local shown = probes.shown

local way -- what happened on the way that is walked

local thread -- in which the way began

-- A new way: { did = lines of writes, asked = remedies in order, … }
function words.begin()
  mode.state = ""
  way = { asked = {}, did = {}, probes = {}, read = {} }
  thread = coroutine.running()
  return way
end

function words.way() return way end

------------------------------------------------------------------- A state --

local numbers, count = setmetatable({}, { __mode = "k" }), 0 -- what findings can still be → a number that stands for it

local function number_of(left)
  if not numbers[left] then
    count = count + 1
    numbers[left] = count
  end
  return numbers[left]
end

-- Without a goal, whether `resolved` counts depends on all probes.
local function known_text()
  local parts = {}
  for i, it in ipairs(run.goal and {} or way.probes) do parts[i] = number_of(it.left) end
  return table.concat(parts, ",")
end

-- All that what comes depends on, as one text; nil where it can't be told. `more`: what else does.
function words.state(label, arms, more)
  if coroutine.running() ~= thread then return nil end
  local parts = { label, table.concat(arms, "\1"), more, way.phase or "", known_text() }
  if run.config and run.config.approvals then -- then nothing is automatic
    parts[#parts + 1] = (#run.ignorance > 0 or way.tried) and "in doubt" or ""
  end
  return state.key(parts)
end

----------------------------------------------------------------- Findings --

local findings_type = { __name = "findings", __metatable = "findings" }
local hidden = setmetatable({}, { __mode = "k" })

local function text_of(outcome, value)
  return value == nil and (outcome.why and "unknown" or "nil") or shown(value)
end

-- The values that a finding can still have, each with the outcomes in which it has it.
local function candidates(left, name)
  left.by_name = left.by_name or {}
  if left.by_name[name] then return left.by_name[name] end
  local list, by_text = { names = {}, costs = {} }, {}
  left.by_name[name] = list
  for _, outcome in ipairs(left) do
    local value = outcome.found[name]
    local text = text_of(outcome, value)
    if not by_text[text] then
      by_text[text] = { name = text, value = value, outcomes = {}, cost = outcome.cost, unknown = value == nil and outcome.why }
      list[#list + 1] = by_text[text]
    end
    table.insert(by_text[text].outcomes, outcome)
  end
  for i, it in ipairs(list) do list.names[i], list.costs[i] = it.name, it.cost - left[1].cost end
  return list
end

local function decide(it, label, list)
  local chosen = #list == 1 and list[1] or list[mode.paths:choose(label, list.names, list.costs)]
  it.left = chosen.outcomes
  return chosen
end

-- An outcome in a few words: what deviates in it.
local function told_outcome(outcome)
  local parts = {}
  for _, choice in ipairs(outcome.taken) do
    if choice.cost > 0 then parts[#parts + 1] = choice.label:gsub("^check: ", "") .. " " .. choice.arm end
  end
  return #parts > 0 and table.concat(parts, ", ") or "healthy"
end

local function each_alone(left)
  if left.alone then return left.alone end
  local list = { names = {}, costs = {} }
  for i, outcome in ipairs(left) do
    list[i] = { name = told_outcome(outcome), outcomes = { outcome } }
    list.names[i], list.costs[i] = list[i].name, outcome.cost - left[1].cost
  end
  left.alone = list
  return list
end

local function check_name(it, name)
  if not it.names or it.names[name] then return end
  blame.no_such("probe '%s' finds no '%s'%s", it.title, tostring(name), blame.hint(name, values.keys(it.names)))
end

function findings_type.__index(self, name)
  local it = hidden[self]
  check_name(it, name)
  local chosen = decide(it, ("%s.%s"):format(it.title, tostring(name)), candidates(it.left, name))
  table.insert(way.read, { name = ("%s.%s"):format(it.title, tostring(name)), value = chosen.name })
  if chosen.unknown then run.decided_without(("%s.%s"):format(it.title, tostring(name))) end
  return values.copy(chosen.value)
end

function findings_type.__pairs(self)
  local it = hidden[self]
  local outcome = decide(it, it.title, each_alone(it.left)).outcomes[1]
  if outcome.why then run.decided_without(it.title) end
  return exact.pairs(values.copy(outcome.found))
end

-- What these fields can be together: outcomes that differ in others alone are alike.
local function projected(left, fields)
  left.by_fields = left.by_fields or {}
  local key = table.concat(fields, "\1")
  if left.by_fields[key] then return left.by_fields[key] end
  local list, known = {}, {}
  for _, outcome in ipairs(left) do
    local parts = {}
    for i, name in ipairs(fields) do parts[i] = text_of(outcome, outcome.found[name]) end
    local text = table.concat(parts, "\1")
    if not known[text] then known[text], list[#list + 1] = true, text end
  end
  table.sort(list)
  left.by_fields[key] = key .. "\2" .. table.concat(list, "\2")
  return left.by_fields[key]
end

function state.of_findings(findings, fields)
  local it = hidden[findings]
  if not it then return nil end
  return it.title .. "\2" .. (fields and projected(it.left, fields) or number_of(it.left))
end

function findings_type.__len() blame.raise("findings have no length; read them by name") end
function findings_type.__newindex() blame.raise("findings can't be changed") end
function findings_type.__tostring(self) return "findings of " .. hidden[self].title end

-- What it leaves behind is there when it has ended: so which of its outcomes it is, is chosen then.
local function settle(it, outcomes, title, args, fn, ...)
  local outcome = decide(it, it.title, each_alone(it.left)).outcomes[1]
  mode.state = mode.state .. "\1" .. it.title .. "\1" .. told_outcome(outcome)
  probes.replay(outcomes, outcome, title, args, fn, ...)
end

function words.probe(title, fn)
  probe_words.words.probe(title, fn)
  return function(...)
    probe_words.check_place(title)
    local args = probe_words.told(...)
    local outcomes = probes.outcomes(title, args, fn, ...)
    local self = setmetatable({}, findings_type)
    hidden[self] = { title = title .. (args and (" (%s)"):format(args) or ""), left = outcomes, names = outcomes.names }
    values.inner[self] = {}
    table.insert(way.probes, hidden[self])
    if outcomes.leaves_more then settle(hidden[self], outcomes, title, args, fn, ...) end
    return self
  end
end

----------------------------------------------------------------- Remedies --

local function resolve(by, text) tasks.raise_end { outcome = "resolved", by = by, held = true, text = text or run.goal.label } end

-- What its function would write, as a plan; nil when it fails before any.
local function writes_of(it, ...)
  local made = plan.new(it)
  local ok, why = pcall(tasks.within, { remedy = it, pass = "plan", plan = made, path = run.next_path() }, it.fn, ...)
  if not ok and tasks.is_interrupt(why) then error(why, 0) end
  if not ok then
    local text = mistake.text("remedy", it.title, it.fn, why)
    way.failed = blame.is_mistake(why) and text or way.failed
    return nil, text
  end
  return made
end

local HOLDS, HELPS = { "not yet", "holds" }, { "holds", "not yet, or it was not applied" }
local ASKED, AUTOMATIC = { "applied", "declined, silent or failed" }, { "applied", "failed" }

local is_change = { write = true, destructive = true }

local function note_writes(it, made)
  for _, act in ipairs(made.entries) do
    act.taken_back = it.undo ~= nil
    if is_change[act.class] then table.insert(way.did, act) end
  end
end

-- Whether anybody is asked before it is carried out.
local function is_automatic(level)
  return consent.policy(level) == "auto" and consent.needed(level) == 0 and #run.ignorance == 0 and not way.tried
end

local function call_remedy(it, is_dropped, ...)
  run.acting()
  remedy_words.check_place(it.title)
  local label = ("“%s”"):format(it.title)
  if run.goal and mode.paths:choose(run.goal.label, HOLDS) == 2 then resolve(nil) end
  local made, why = writes_of(it, ...)
  local asked = { title = it.title, ignorance = #run.ignorance, why = why }
  table.insert(way.asked, asked)
  if not made then
    way.tried = true
    return false
  end
  asked.level = made:level()
  asked.automatic = is_automatic(asked.level)
  if is_dropped then
    note_writes(it, made)
    asked.applied, way.tried = true, true
    if run.goal and mode.paths:choose(run.goal.label .. ", after " .. label, HELPS) == 1 then resolve(it.title) end
    return false
  end
  asked.applied = mode.paths:choose(label, asked.automatic and AUTOMATIC or ASKED) == 1
  if not asked.applied then
    way.tried = true
    return false
  end
  note_writes(it, made)
  if run.goal and mode.paths:choose(run.goal.label .. ", after " .. label, HELPS) == 1 then resolve(it.title) end
  return true
end

function words.remedy(title, options, fn)
  remedy_words.words.remedy(title, options, fn)
  local it = run.remedies[#run.remedies]
  return function(...)
    local value = call_remedy(it, dropped.is(2), ...)
    return value
  end
end

-------------------------------------------------------------- What waits --

function words.wait_until(label, options, fn)
  goal.times("wait_until", type(options) == "table" and options or {}, {})
  run.acting()
  local look = type(options) == "function" and options or fn
  local ok, why = pcall(look)
  if not ok then tasks.pass_on(why) end
  if not ok and not blame.is_look(why) then error(why, 0) end
  return mode.paths:choose("until " .. label, { "holds", "time is over" }) == 1
end

function words.together(...)
  local list = table.pack(...)
  if list.n == 1 and type(list[1]) == "table" and not values.is_host(list[1]) then
    list = table.pack(table.unpack(list[1], 1, #list[1]))
  end
  local base, results = run.next_path(), {}
  for i = 1, list.n do
    if type(list[i]) ~= "function" then
      blame.raise("together: argument %d: a probe or function expected, got %s", i, values.describe(list[i]))
    end
    results[i] = tasks.within({ together = true, path = base .. "." .. i }, list[i])
  end
  return table.unpack(results, 1, list.n)
end

local handed_over = { "unresolved", "resolved", "refused" }

-- The other runbook is explored by itself.
function words.handover(name)
  run.acting()
  local outcome = handed_over[mode.paths:choose("handover to " .. tostring(name), handed_over)]
  table.insert(way.asked, { title = "handover: " .. tostring(name), ignorance = #run.ignorance })
  if run.goal and mode.paths:choose(run.goal.label, HOLDS) == 2 then resolve(nil) end
  return outcome
end

-- The words of a script, with these in their places.
function words.all()
  local all = script.words()
  for _, name in ipairs { "probe", "remedy", "wait_until", "together", "handover" } do all[name] = words[name] end
  return all
end

return words
