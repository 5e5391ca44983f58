-- Explore: nobody is asked and nothing is touched; whatever could be one way or another is a choice (stdlib/explore/paths.lua).
-- Looks are answered by the catalogue's specimens, by what the runbook's own scenarios reply, are not well, or fail. It has no
-- `write` and no `notify`.
local catalogue = require "catalogue"
local scenario = require "modes.scenario"
local tasks = require "tasks"
local worlds = require "worlds"

local explore = { name = "explore" }

local NOT_WELL = { why = "not well, as explored" }
local FAILED = { error = "can't be looked at, as explored" }

local seen -- of the way that is walked: line of an effect → the reply that was chosen for it
local looks = {} -- line → { replies =, names =, costs = }: what it can be answered

-- What is chosen from here on is chosen in these paths, for a world that nobody has looked at.
function explore.begin(paths) explore.paths, seen = paths, {} end

-- The healthy answer first; each other is a deviation from a healthy world.
local function looks_of(line)
  local it = looks[line]
  if it then return it end
  it = { replies = { {} }, names = { "well" }, costs = { 0 } }
  local function add(name, reply)
    it.names[#it.names + 1], it.replies[#it.replies + 1], it.costs[#it.costs + 1] = name, reply, 1
  end
  for _, reply in ipairs(worlds.replies(line)) do add(reply.name, reply.value) end
  add(worlds.literal(NOT_WELL), NOT_WELL)
  add(worlds.literal(FAILED), FAILED)
  looks[line] = it
  return it
end

-- A body of a remedy is shown what is well: what it meets is not what the decision is about.
function explore.read(act)
  if tasks.context().pass then return catalogue.specimen(act.entry, act.call) end
  if explore.trace then table.insert(explore.trace, act.match) end
  if not seen[act.match] then
    local it = looks_of(act.match)
    seen[act.match] = it.replies[explore.paths:choose(act.match, it.names, it.costs)]
  end
  return scenario.reply(act, catalogue.specimen(act.entry, act.call), seen[act.match])
end

-- Checks of values whose other end no look brings about: labels; it is assumed. nil: none is.
explore.assumed = nil
-- While it is set, what is looked at and checked is added to it.
explore.trace = nil
-- Label → which ends it had by itself.
explore.checked = {}

-- Whether a check of a value passes; one of a result is as that is. Assumed is what differs from what was looked at.
function explore.decide(label, passed, it)
  if it.line or tasks.context().pass then return passed end
  if explore.trace then table.insert(explore.trace, label) end
  explore.checked[label] = explore.checked[label] or {}
  explore.checked[label][passed] = true
  if not (explore.assumed and explore.assumed[label]) then return passed end
  local arms = passed and { "passes", "fails" } or { "fails", "passes" }
  if explore.paths:choose("check: " .. label, arms, { 0, 1 }) == 1 then return passed end
  return not passed
end

-- f(act), if set: hears of whoever would be told.
explore.on_notify = nil
function explore.preview(act)
  if explore.on_notify and act.class == "notify" then explore.on_notify(act) end
  return nil
end

local arms = {}
function arms.confirm() return { "yes", "no" }, { "yes", "no" } end
function arms.choose(question)
  local names, answers = {}, {}
  for i, option in ipairs(question.options) do names[i], answers[i] = tostring(option), option end
  names[#names + 1] = "silence"
  return names, answers
end
function arms.ask() return { "an answer", "silence" }, { "‹answer›" } end

-- What was answered and what probes left behind: by this the script's own variables may differ.
explore.state = ""

function explore.ask(question)
  local names, answers = arms[question.kind](question)
  local arm = explore.paths:choose("question: " .. question.label, names)
  explore.state = explore.state .. "\1" .. question.label .. "\1" .. names[arm]
  local answer = answers[arm]
  if answer == nil then return nil, "silence" end
  return answer
end

return explore
