-- What of a runbook its scenarios tried: each check both ways, each probe that can't look, each remedy applied, declined and
-- failed, each level; and the cases that every runbook ought to have.
local coverage = {}

-- What can happen to one thing of each kind, and how its absence is told.
local kinds = {
  { name = "checks", title = "check", wants = { { "passed", "never passed" }, { "failed", "never failed" } } },
  { name = "probes", title = "probe", wants = { { "known", "never known" }, { "unknown", "never not known" } } },
  { name = "remedies", title = "remedy", wants = { { "applied", "never applied" }, { "declined", "never declined" },
                                                   { "failed", "never failed" } } },
}

-- `needs`: what a runbook must have for the case to be possible.
local cases = {
  { name = "false_alarm", text = "false alarm: nothing is wrong, nothing is done", needs = "goal" },
  { name = "unknown", text = "can't be looked at: a probe that doesn't know", needs = "probes" },
  { name = "declined", text = "declined: somebody says no to a remedy", needs = "remedies" },
  { name = "silent", text = "silent: nobody answers", needs = "remedies" },
  { name = "no_help", text = "does not help: a remedy after which it isn't over", needs = "remedies" },
  { name = "escalates", text = "escalates: a level is carried out" },
}

-- An empty one, for a runbook.
function coverage.new() return { checks = {}, probes = {}, remedies = {}, levels = {}, cases = {}, has = {} } end

-- Lays what one trial saw (stdlib/trial.lua) over what others did.
function coverage.add(all, seen)
  for _, kind in ipairs(kinds) do
    for key, ways in pairs(seen[kind.name]) do
      all[kind.name][key] = all[kind.name][key] or {}
      for way, value in pairs(ways) do all[kind.name][key][way] = value end
      all.has[kind.name] = true
    end
  end
  for index, fired in pairs(seen.levels) do all.levels[index] = all.levels[index] or fired end
  for name in pairs(seen.cases) do all.cases[name] = true end
  all.has.goal = all.has.goal or seen.goal
end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Where and what one thing is: a check by its place and label, the others by their titles.
local function name_of(kind, key, ways)
  if kind.name ~= "checks" then return ("%s “%s”"):format(kind.title, key) end
  return ("%s: check “%s”"):format(key, ways.label or "")
end

local function count(it, tried, otherwise)
  it.all = it.all + 1
  if tried then it.tried = it.tried + 1 else it.missing[#it.missing + 1] = otherwise end
end

local function add_kind(it, kind, things)
  for _, key in ipairs(sorted(things)) do
    local ways = things[key]
    for _, want in ipairs(kind.wants) do
      count(it, ways[want[1]], ("%s: %s"):format(name_of(kind, key, ways), want[2]))
    end
  end
end

local function add_levels(it, levels)
  for _, index in ipairs(sorted(levels)) do
    count(it, levels[index], ("level %s: never carried out"):format(index))
  end
end

-- { tried =, all = counts, percent =, missing = sentences, cases = sentences: those that no scenario has }.
function coverage.sum(all)
  local it = { tried = 0, all = 0, missing = {}, cases = {} }
  for _, kind in ipairs(kinds) do add_kind(it, kind, all[kind.name]) end
  add_levels(it, all.levels)
  it.percent = it.all == 0 and 100 or it.tried * 100 // it.all
  for _, case in ipairs(cases) do
    if not all.cases[case.name] and (not case.needs or all.has[case.needs]) then it.cases[#it.cases + 1] = case.text end
  end
  return it
end

return coverage
