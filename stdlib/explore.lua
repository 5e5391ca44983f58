-- Every way that a runbook can go: what is found, asked and done on each, how it ends, and what is wrong with any.
local blame = require "blame"
local counterexample = require "explore.counterexample"
local ends = require "explore.ends"
local gate = require "gate"
local graph = require "explore.graph"
local journal = require "journal"
local mode = require "modes.explore"
local paths = require "explore.paths"
local probes = require "explore.probes"
local run = require "run"
local sandbox = require "sandbox"
local script = require "script"
local tasks = require "tasks"
local words = require "explore.words"
local worlds = require "worlds"

local explore = { prepare = require "explore.start" }

-- Deviations from a healthy world that one way may have, unless --faults says otherwise.
explore.FAULTS = 2

-- From more faults on ways that meet are gone on once: there are too many of them.
local MERGED_FROM = 4

-------------------------------------------------------------- What is seen --

-- Of all ways: remedies and levels by title, what is wrong by its kind and words, rows of the table.
local function new_record()
  return { remedies = {}, problems = {}, rows = {}, root = {}, by_row = {} }
end

-- Whether it rests on the end of a check that no look brought about.
local function has_assumed(way)
  for _, it in ipairs(way.probes) do
    for _, choice in ipairs(it.left[1].taken) do
      if choice.cost > 0 and choice.label:find "^check: " then return true end
    end
  end
  return false
end

local function note_remedies(record, way, ended)
  for _, asked in ipairs(way.asked) do
    local it = record.remedies[asked.title] or {}
    record.remedies[asked.title], it.asked = it, true
    it.sure = it.sure or not has_assumed(way)
    it.applied = it.applied or asked.applied
    it.resolves = it.resolves or asked.applied and ended.outcome == "resolved"
    it.destructive = it.destructive or asked.level == "high"
  end
end

-- A way costs what it deviates from a healthy world; of two that cost the same the shorter is the clearer.
local function cost_of(way, taken)
  local sum = #taken / paths.CHOICES_MAX
  for _, choice in ipairs(taken) do sum = sum + choice.cost end
  for _, it in ipairs(way.probes) do sum = sum + it.left[1].cost end
  return sum
end

local function note_problems(record, way, taken, ended)
  for _, problem in ipairs(ended.problems) do
    local key, cost = problem.kind .. "\0" .. problem.text, cost_of(way, taken)
    local known = record.problems[key]
    if not known then
      known = { kind = problem.kind, text = problem.text }
      record.problems[key], record.problems[#record.problems + 1] = known, known
    end
    if not known.cost or cost < known.cost then
      known.assumed = has_assumed(way)
      known.cost, known.way, known.taken, known.ended = cost, way, taken, ended
    end
  end
end

local healthy = { ["false"] = true, ["nil"] = true }

-- What was found on a way, in the order of its reading, each once: "db.down", "?db.pool" of what is unknown.
local function findings_of(way)
  local list, seen = {}, {}
  for _, read in ipairs(way.read) do
    local text = read.value == "unknown" and "?" .. read.name or read.value == "true" and read.name
      or not healthy[read.value] and read.name .. "=" .. read.value
    if text and not seen[text] then seen[text], list[#list + 1] = true, text end
  end
  return list
end

-- The table tells what is offered when nothing helps: a way on which something was declined or did help says less.
local function tells_all(taken, ended)
  if ended.held then return false end
  for _, choice in ipairs(taken) do
    if choice.arm == "declined, silent or failed" then return false end
  end
  return true
end

local function note_row(record, way, taken, ended)
  if not tells_all(taken, ended) then return end
  local asked = {}
  for i, it in ipairs(way.asked) do asked[i] = it.title .. (it.ignorance > 0 and " (not all known)" or "") end
  local row = { findings = findings_of(way), asked = asked, outcome = ended.outcome, text = ended.text or "" }
  local key = table.concat(row.findings, "\1") .. "\0" .. table.concat(asked, "\1") .. "\0" .. row.outcome .. row.text
  if record.by_row[key] then return end
  record.by_row[key], record.rows[#record.rows + 1] = row, row
end

------------------------------------------------------------------ A level --

-- Whether each level of the escalation tells somebody.
local function look_at_levels(record)
  record.levels = {}
  require("words.escalation").add_default(run.config and run.config.escalate_after)
  for index, level in ipairs(run.levels) do
    local told = 0
    function mode.on_notify() told = told + 1 end
    local ok, why = pcall(tasks.within, { level = index, pass = "plan", plan = false, path = "escalation." .. index }, level.fn,
      require("situation").view())
    mode.on_notify = nil
    if not ok and tasks.is_interrupt(why) then error(why, 0) end
    record.levels[index] = { after = level.after, told = told, why = not ok and blame.text(why) or nil }
  end
end

--------------------------------------------------------------------- Ways --

-- What belongs to one way alone.
local function fresh()
  return { about = {}, params = {}, probes = {}, remedies = {}, preventions = {}, levels = {}, given_params = run.first_given }
end

-- The texts of its files, read once.
local function sources()
  local map = {}
  for _, source in ipairs(script.sources) do map[source.path] = source.text end
  return map
end

local function walk(all, record)
  local way = words.begin()
  local restore = run.put_aside(fresh(), {})
  run.ignorance, run.read_true = {}, {}
  mode.begin(all)
  local ok, value = pcall(function() return script.load(run.file, words.all(), {})() end)
  if not record.loaded and (ok or tasks.is_interrupt(value) ~= "cancel") then record.declared = run.remedies end
  local ended = ends.of(way, ok, value)
  if not record.levels then look_at_levels(record) end
  record.title, record.probes = run.about.title, run.probes
  restore()
  run.kept_sources = run.kept_sources or sources()
  way.ended = ended
  return way
end

local function end_text(ended)
  return ended.outcome .. (ended.by and " by “" .. ended.by .. "”" or "")
    .. (ended.text and ended.text ~= "" and ": " .. ended.text or "")
end

local ENDLESS = { kind = "endless", text = "a loop that is gone through again and again" }

-- Whether a way has met itself.
local function loops(taken, met)
  for _, choice in ipairs(taken) do if choice.state == met then return true end end
  return false
end

local function note_way(record, way, taken)
  local met = way.ended.met
  note_remedies(record, way, way.ended)
  graph.add(record.root, taken, not met and end_text(way.ended) or nil, met)
  if met then way.ended.problems = loops(taken, met) and { ENDLESS } or {} end
  note_problems(record, way, taken, way.ended)
  if not record.is_merged then note_row(record, way, taken, way.ended) end
end

-- Walks all ways with so many faults; `merged`: those that meet go on once.
local function walk_all(record, faults, merged)
  local all = paths.new(faults)
  probes.begin()
  function all.endless(label)
    tasks.raise_end { outcome = "failed", bad = "endless",
                      text = ("more than %d choices, the last: %s"):format(paths.CHOICES_MAX, label) }
  end
  record.is_merged = merged
  if merged then
    local function state_of(label, arms)
      local way = words.way()
      return words.state(label, arms, table.concat(ends.left(way), "\1") .. (has_assumed(way) and "\1assumed" or ""))
    end
    all:merge(state_of, function(number) tasks.raise_end { outcome = "failed", met = number } end)
  end
  journal.quietly(function()
    record.whole = all:each(function() return walk(all, record) end, function(way) note_way(record, way, all:taken()) end)
  end)
  record.ways, record.probe_ways, record.pruned = all.ways, probes.ways, all.pruned or probes.pruned
end

-- Explores run.file: { ways =, probe_ways =, whole = whether all were walked, title =, rows =, problems =, remedies =, levels =,
-- root = the tree of all ways }. `faults`: at most so many deviations on a way; math.huge: any.
function explore.run(faults)
  local read, why = worlds.read(run.file)
  if not read then error({ wrong = why, unloaded = true }, 0) end
  gate.open(mode)
  sandbox.seal()
  local record = new_record()
  collectgarbage "generational"
  require("broken_look").known = {}
  if faults <= MERGED_FROM then
    walk_all(record, faults)
  else -- the table tells every combination of a few; that of all is told by the graph alone
    walk_all(record, explore.FAULTS)
    record.root = {}
    walk_all(record, faults, true)
  end
  return record
end

-- What no way reaches: a list of { kind =, text =, open = whether more faults, or a world that no scenario shows, might }.
function explore.unreached(record)
  local list, bounded = {}, record.pruned
  local function add(kind, open, text, ...) list[#list + 1] = { kind = kind, open = open, text = text:format(...) } end
  for _, remedy in ipairs(record.declared or {}) do
    local it = record.remedies[remedy.title]
    if not it then add("unreached", bounded, "“%s”", remedy.title)
    elseif not it.resolves then add("vacuous", bounded or not it.sure, "“%s”", remedy.title) end
  end
  for index, level in ipairs(record.levels or {}) do
    if level.told == 0 then add("silent", false, "level %d of the escalation%s", index, level.why and ": " .. level.why or "") end
  end
  return list
end

-- What is wrong for sure, and what may be: lists of { kind =, text =, way = … }.
function explore.verdict(record)
  local wrong, perhaps = {}, {}
  for _, list in ipairs { record.problems, explore.unreached(record) } do
    for _, it in ipairs(list) do table.insert((it.assumed or it.open) and perhaps or wrong, it) end
  end
  return wrong, perhaps
end

-- The scenario of what is wrong, as lines.
local function scenario_of(problem)
  local names = {}
  for _, kind in ipairs(ends.KINDS) do names[kind[1]] = kind[2] end
  return counterexample.lines(names[problem.kind] .. (problem.text ~= "" and ": " .. problem.text:sub(1, 60) or ""), problem.way,
    problem.taken, problem.ended)
end

-- Tells it as `options.format` says. The views find in the record, beside the rest: `names` of kinds, scenario_of(problem) → lines,
-- graph() → nodes and the number of the first.
function explore.tell(record, options)
  record.names = { unreached = "a remedy that is asked for on no way", vacuous = "a remedy that resolves on no way",
                   silent = "nobody is told" }
  for _, kind in ipairs(ends.KINDS) do record.names[kind[1]] = kind[2] end
  record.scenario_of = scenario_of
  function record.graph() return graph.of(record.root) end
  require("views.explore_" .. (options.format or "text")).tell(record, options)
end

return explore
