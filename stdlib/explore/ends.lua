-- How a way through the decision ended, and what is wrong with it.
local blame = require "blame"
local mode = require "modes.explore"
local run = require "run"
local tasks = require "tasks"
local words = require "words.ending"

local ends = {}

-- Bad ends by kind, as they are told.
ends.KINDS = {
  { "error", "the script fails" },
  { "endless", "it never ends" },
  { "no_word", "it ends neither resolved nor unresolved" },
  { "alone", "what can't be undone is done without a person" },
  { "left", "something stays as it was put for the incident" },
}

-- Without a goal `resolved` counts when no probe is unknown.
local function is_known(way)
  for _, it in ipairs(way.probes) do
    local known, unknown = {}, {}
    for _, outcome in ipairs(it.left) do table.insert(outcome.why and unknown or known, outcome) end
    if #known == 0 then return false end
    if #unknown > 0 then
      local cost = unknown[1].cost - it.left[1].cost
      local chosen = mode.paths:choose(it.title, { "known", "unknown" }, { 0, math.max(0, cost) })
      it.left = chosen == 1 and known or unknown
      if chosen == 2 then return false end
    end
  end
  return true
end

local function resolved(way, text)
  if run.goal then
    local holds = mode.paths:choose(run.goal.label .. ", at the end", { "holds", "not yet" }) == 1
    return holds and { outcome = "resolved", text = text } or { outcome = "unresolved", text = "says resolved: " .. text }
  end
  if is_known(way) then return { outcome = "resolved", text = text } end
  return { outcome = "unresolved", text = "says resolved: " .. text }
end

local function of_value(way, value)
  local said = words.ending_of(value)
  way.phase = said and said.outcome .. " " .. said.text or nil
  if not said then return { outcome = "unresolved", text = "", bad = "no_word" } end
  if said.outcome == "resolved" then return resolved(way, said.text) end
  return { outcome = "unresolved", text = said.text }
end

-- What depends on how it was before is not known here.
local function leaves_of(act, things)
  if not act.entry.leaves or act.taken_back then return {} end
  return act.entry.leaves(act.call, act.entry.would and act.entry.would(act.call) or {}, things)
end

-- What the writes of remedies without a way back leave, each as text.
function ends.left(way)
  local things, order = {}, {}
  for _, act in ipairs(way.did) do
    local known, list = pcall(leaves_of, act, things)
    for _, it in ipairs(known and list or {}) do
      if not things[it.thing] then order[#order + 1] = it.thing end
      things[it.thing] = it
    end
  end
  local list = {}
  for _, thing in ipairs(order) do
    if things[thing].text then list[#list + 1] = ("%s %s"):format(thing, things[thing].text) end
  end
  return list
end

local function of_error(err)
  local interrupt = tasks.is_interrupt(err)
  local ended = tasks.handled()
  if interrupt == "end" then return ended end
  if interrupt == "budget" then return { outcome = "failed", text = "it computes for too long", bad = "endless" } end
  if interrupt then error(err, 0) end
  local wrong = type(err) == "table" and (err.wrong or err.usage or err.refused)
  if wrong then error({ wrong = wrong, unloaded = true }, 0) end
  return { outcome = "failed", text = blame.text(err), bad = "error" }
end

-- The end of a way by what its script returned or raised: { outcome =, by =, text =, bad = its kind, problems = a list of { kind =,
-- text = } }.
function ends.of(way, ok, value)
  local it
  if ok then ok, it = pcall(of_value, way, value) else ok, it = true, of_error(value) end
  if not ok then it = of_error(it) end
  it.problems = {}
  local function add(kind, text) table.insert(it.problems, { kind = kind, text = text }) end
  if it.bad then add(it.bad, it.text) end
  if way.failed then add("error", way.failed) end
  for _, asked in ipairs(way.asked) do
    if asked.automatic and asked.level == "high" then add("alone", ("“%s”"):format(asked.title)) end
  end
  for _, text in ipairs(ends.left(way)) do add("left", text) end
  return it
end

return ends
