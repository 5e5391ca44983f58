-- A probe by itself: all that it can find. Each of its looks may go well, not well or fail; each check of a value may pass or not.
-- What the decision asks of it later is chosen among these.
local mode = require "modes.explore"
local paths = require "explore.paths"
local probe = require "words.probe"
local snapshot = require "snapshot"
local values = require "values"

local probes = {}

local known = {} -- a probe, its arguments and what was before, or what it asks for → its outcomes

-- So many deviations of one probe at once are tried, whatever the whole may have: what three find together, and none of them with
-- another, is rare; and their ways grow beyond all bounds.
probes.FAULTS_MAX = 3

-- A value as text, by which one is told from another.
function probes.shown(value)
  if type(value) ~= "table" or values.is_host(value) then return tostring(value) end
  local parts = {}
  for i, key in ipairs(values.keys(value)) do
    local item = value[key]
    parts[i] = ("%s=%s"):format(key, probes.shown(item == nil and value[tonumber(key)] or item))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Outcomes that differ in nothing that a script could read are one: the one with the fewest deviations.
local function signature(found, why, changed)
  local parts = { why and "unknown" or "known", changed }
  for _, name in ipairs(values.keys(found)) do parts[#parts + 1] = name .. "=" .. probes.shown(found[name]) end
  return table.concat(parts, "\0")
end

local function deviations(list)
  local sum = 0
  for _, choice in ipairs(list) do sum = sum + choice.cost end
  return sum
end

local function add(outcomes, found, why, changed, taken)
  local sign, cost = signature(found, why, changed), deviations(taken)
  outcomes.leaves_more = outcomes.leaves_more or changed ~= ""
  local it = outcomes[sign]
  if it and it.cost <= cost then return end
  if not it then
    it = {}
    outcomes[sign], outcomes[#outcomes + 1] = it, it
  end
  it.found, it.why, it.cost, it.taken, it.sign = found, why, cost, taken, sign
end

-- Carries the probe out by the choices of one of its outcomes, for what it leaves in the script's own variables.
function probes.replay(outcomes, outcome, title, args, fn, ...)
  local outer = mode.paths
  mode.begin(paths.of(outcome.taken))
  mode.assumed = outcomes.assumed
  probe.look(title, args, fn, {}, ...)
  mode.assumed = nil
  mode.begin(outer)
end

-- Every outcome of the probe with these arguments: a list of { found =, why = it is unknown, cost = deviations from a healthy look,
-- taken = the choices that lead there }, the healthy one first. `whole`: all its ways were walked; `leaves_more`: some change
-- variables of the script's, which tells them apart too.
local function explore_once(outcomes, outer, title, args, fn, arguments)
  local inner = paths.new(math.min(outer.budget, probes.FAULTS_MAX))
  inner.endless = outer.endless
  local found, why, changed
  local restore, changes = snapshot.take(fn, table.unpack(arguments, 1, arguments.n))
  outcomes.whole = inner:each(function()
    mode.begin(inner)
    found = {}
    why = probe.look(title, args, fn, found, table.unpack(arguments, 1, arguments.n))
    changed = changes()
    restore()
  end, function() add(outcomes, found, why, changed, inner:taken()) end)
  mode.begin(outer)
  probes.ways, probes.pruned = probes.ways + inner.ways, probes.pruned or inner.pruned
end

-- Labels of checks that had one end alone, whatever was looked at.
local function one_sided()
  local labels, some = {}, false
  for label, ends in pairs(mode.checked) do
    if not (ends[true] and ends[false]) then labels[label], some = true, true end
  end
  return some and labels or nil
end

-- What a healthy look asks for, in order: a probe that asks for the same when other things were found before finds the same.
local function trace_of(outer, title, args, fn, arguments)
  local inner = paths.new(0)
  inner.endless = outer.endless
  mode.begin(inner)
  local restore = snapshot.take(fn, table.unpack(arguments, 1, arguments.n))
  mode.trace = {}
  probe.look(title, args, fn, {}, table.unpack(arguments, 1, arguments.n))
  local trace = table.concat(mode.trace, "\0")
  mode.trace = nil
  restore()
  mode.begin(outer)
  return trace
end

local function explore_all(outer, title, args, fn, arguments)
  local outcomes = {}
  mode.checked, mode.assumed = {}, nil
  explore_once(outcomes, outer, title, args, fn, arguments)
  mode.assumed = one_sided()
  if mode.assumed then explore_once(outcomes, outer, title, args, fn, arguments) end
  outcomes.assumed, mode.assumed = mode.assumed, nil
  table.sort(outcomes, function(a, b)
    if a.cost ~= b.cost then return a.cost < b.cost end
    return a.sign < b.sign
  end)
  outcomes.names = require("finding_names").of(fn)
  return outcomes
end

function probes.outcomes(title, args, fn, ...)
  local name = table.concat({ title, args or "", mode.state }, "\0")
  if known[name] then return known[name] end
  local outer, arguments = mode.paths, table.pack(...)
  local alike = table.concat({ title, args or "", trace_of(outer, title, args, fn, arguments) }, "\1")
  known[alike] = known[alike] or explore_all(outer, title, args, fn, arguments)
  known[name] = known[alike]
  return known[name]
end

-- Ways with more faults begin: more of each probe is to be tried.
function probes.begin() known, probes.ways, probes.pruned = {}, 0, nil end
probes.begin()

return probes
