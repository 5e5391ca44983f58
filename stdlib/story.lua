-- The story so far: each check once, as it last was; what is not known; what was noted; what was tried. Screen, page, chat
-- message and report tell it from here, and so does a level's own process, which hears the run's journal.
local finding = require "finding"
local journal = require "journal"
local run = require "run"

local story = {
  unknown = {},  -- probes that ended unknown, as they last were: { title =, args =, why =, depth = }
  applied = {},  -- remedies applied, in order: { title =, depth = }
  tried = {},    -- remedies that were not applied: { title =, state = "failed" | "declined", why = }
  evidence = {}, -- pieces saved before changes: { line =, file =, bytes = }
}

local checks, notes = {}, {}  -- in the order in which they first came: fields of their events, and `instance`
local looks = {}              -- instance of a probe → checks it has made in its present look
local goal_lines = {}         -- lines of what the goal looks at: the alert's own symptom

-- One probe with one list of arguments.
local function instance_of(fields) return (fields.probe or "") .. "\0" .. tostring(fields.args or "") end

local function forget(list, matches)
  for i = #list, 1, -1 do if matches(list[i]) then table.remove(list, i) end end
end

local function replace(list, it)
  for i, other in ipairs(list) do
    if other.instance == it.instance and other.label == it.label and other.text == it.text then
      list[i] = it
      return
    end
  end
  list[#list + 1] = it
end

-- How many handovers deep the run is: what a part of it tried and doesn't know is told apart from what its caller did.
local function depth() return run.part and run.part.depth or 0 end

local function is_of_the_run(fields) return fields.probe ~= "recovered" and not fields.prevention end

local function copy(fields)
  local it = { instance = instance_of(fields) }
  for key, value in pairs(fields) do it[key] = value end
  return it
end

-------------------------------------------------------------------- Events --

local on = {}

on["probe.started"] = function(fields) looks[instance_of(fields)] = {} end

function on.check(fields)
  if not is_of_the_run(fields) then return end
  local it = copy(fields)
  local look = looks[it.instance]
  if look then look[it.label] = true end
  replace(checks, it)
end

function on.note(fields)
  if is_of_the_run(fields) then replace(notes, copy(fields)) end
end

-- A look that came to its end replaces the one before; of one that broke off, what it did not reach stays as it was.
on["probe.ended"] = function(fields)
  local instance = instance_of(fields)
  forget(story.unknown, function(it) return it.instance == instance end)
  if fields.state == "unknown" then
    story.unknown[#story.unknown + 1] = { title = fields.probe, args = fields.args, why = fields.why, instance = instance,
                                         depth = depth() }
  elseif looks[instance] then
    forget(checks, function(it) return it.instance == instance and not looks[instance][it.label] end)
  end
  looks[instance] = nil
end

on["remedy.ended"] = function(fields)
  if fields.state == "applied" then
    story.applied[#story.applied + 1] = { title = fields.remedy, depth = depth() }
  elseif fields.state ~= "would" then
    story.tried[#story.tried + 1] = { title = fields.remedy, state = fields.state, why = fields.why }
  end
end

function on.evidence(fields) table.move(fields.saved, 1, #fields.saved, #story.evidence + 1, story.evidence) end

on["effect.outcome"] = function(fields)
  if fields.key and fields.key:find "^goal" then goal_lines[fields.line] = true end
end

-- Hears an event of the run; in a level's own process, each of its journal.
function story.learn(name, fields) if on[name] then on[name](fields) end end
journal.listen(story.learn)

------------------------------------------------------------------- Reading --

local function of_this_part(list)
  local here = {}
  for _, it in ipairs(list) do if it.depth >= depth() then here[#here + 1] = it end end
  return here
end

-- What this runbook doesn't know: in a handover the one that was handed over to, else all of the run.
function story.unknown_here() return of_this_part(story.unknown) end

-- The titles of what this runbook applied, in order.
function story.applied_here()
  local titles = {}
  for i, it in ipairs(of_this_part(story.applied)) do titles[i] = it.title end
  return titles
end

-- A part of the run is over: what it did is its caller's from here on.
function story.end_part()
  for _, list in ipairs { story.unknown, story.applied } do
    for _, it in ipairs(list) do it.depth = math.min(it.depth, depth() - 1) end
  end
end

-- What the goal looks at is the alert's own symptom: who was woken knows it already.
local function rank(check)
  if check.line and goal_lines[check.line] then return 3 end
  return check.fault and 1 or 2
end

-- The failed checks in the order in which they matter: faults, others, the alert's own symptom. Each is the event's fields.
function story.wrong()
  local ranked = { {}, {}, {} }
  for _, check in ipairs(checks) do if not check.passed then table.insert(ranked[rank(check)], check) end end
  local list = {}
  for _, part in ipairs(ranked) do table.move(part, 1, #part, #list + 1, list) end
  return list
end

-- The checks that passed, in the order in which they first came.
function story.well()
  local list = {}
  for _, check in ipairs(checks) do if check.passed then list[#list + 1] = check end end
  return list
end

-- What merely is so: { probe =, text =, line = of a result }.
function story.noted() return notes end

-- What was found, a line each, for people who see nothing else: what is wrong first, then what is not known.
function story.findings()
  local list = {}
  for _, check in ipairs(story.wrong()) do
    local sentence = finding.sentence(check)
    list[#list + 1] = check.probe and ("%s: %s"):format(check.probe, sentence) or sentence
  end
  for _, it in ipairs(story.unknown) do list[#list + 1] = ("%s: not known: %s"):format(it.title, it.why) end
  return list
end

-- How many causes a headline names; the others are counted.
local HEADLINE_CAUSES = 2

-- "API Down: container out of memory; Redis memory 105 %, should be < 90 %": the cause, not the alert's own symptom.
function story.headline(title)
  local wrong, words = story.wrong(), {}
  for i = 1, math.min(#wrong, HEADLINE_CAUSES) do words[i] = finding.sentence(wrong[i]) end
  if #wrong > HEADLINE_CAUSES then words[#words + 1] = ("%d more"):format(#wrong - HEADLINE_CAUSES) end
  if #wrong == 0 and #story.unknown > 0 then
    words[1] = ("not known: %s (%s)"):format(story.unknown[1].title, story.unknown[1].why)
  end
  return ("%s: %s"):format(title, #words > 0 and table.concat(words, "; ") or "nothing found so far")
end

return story
