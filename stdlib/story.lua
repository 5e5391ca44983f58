-- The story so far: each check once, as it last was; what is not known; what was noted; what was tried. Screen, page, chat
-- message and report tell it from here, and so does a level's own process, which hears the run's journal.
local finding = require "finding"
local foreign = require "foreign"
local journal = require "journal"
local raw_text = require "raw.text"
local run = require "run"

local story = {
  unknown = {},  -- probes that ended unknown, as they last were: { title =, args =, why =, depth = }
  applied = {},  -- remedies applied, in order: { title =, depth =, did = { lines of its writes } }
  tried = {},    -- remedies that were not applied: { title =, state = "failed" | "declined", why =, did = }
  evidence = {}, -- pieces saved before changes: { line =, file =, bytes = }
  mistakes = {}, -- of the runbook's author, met on the way: { what =, title =, text = with its line }
  waits = nil,   -- the question that nobody has answered yet
  paged = false, -- whether a level was delivered: somebody else knows
  damage = nil,  -- what is wrong with the journal that was heard, in words
  dropped = 0,   -- checks that failed and unknown probes that are not kept, the oldest
}

-- So many notes and pieces are kept, the newest: a poll notes for ever.
local KEPT_MAX = 100

-- So many checks, and so many unknown probes, are kept at least, and twice as many at most: a loop makes new ones for ever.
local FINDINGS_MAX = 500

local checks, notes = {}, {}  -- in the order in which they first came: fields of their events, and `instance`
local places = {}             -- instance and label of a check → where it stands among them
local looks = {}              -- instance of a probe → checks it has made in its present look
local goal_lines = {}         -- lines of what the goal looks at: the alert's own symptom
local did = {}                -- lines of the writes of the remedy that is under way

-- One probe with one list of arguments.
local function instance_of(fields) return (fields.probe or "") .. "\0" .. tostring(fields.args or "") end

local function forget(list, matches)
  for i = #list, 1, -1 do if matches(list[i]) then table.remove(list, i) end end
end

local function key_of(check) return check.instance .. "\0" .. tostring(check.label) end

local function find_places()
  places = {}
  for i, it in ipairs(checks) do places[key_of(it)] = i end
end

-- The newest `count` of a list, those that passed dropped first.
local function newest(list, count)
  local excess, kept = #list - count, {}
  for _, it in ipairs(list) do
    if excess > 0 and it.passed then excess = excess - 1 else kept[#kept + 1] = it end
  end
  story.dropped = story.dropped + excess
  return table.move(kept, excess + 1, #kept, 1, {})
end

-- Puts a check in the place of the one it renews: the one of that instance with the same label.
local function renew_check(it)
  local place = places[key_of(it)] or #checks + 1
  checks[place], places[key_of(it)] = it, place
  if #checks <= 2 * FINDINGS_MAX then return end
  checks = newest(checks, FINDINGS_MAX)
  find_places()
end

local function renew_note(it)
  for i, other in ipairs(notes) do
    if other.instance == it.instance and other.text == it.text then
      notes[i] = it
      return
    end
  end
  notes[#notes + 1] = it
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

-- Of several checks of one look with one label, as in a loop over pods, none that passed hides one that failed.
local function joined(before, it)
  if not before or before.passed then return it end
  if it.passed then return before end
  it.details = before.details or { before.detail }
  local known = false
  for _, detail in ipairs(it.details) do known = known or detail == it.detail end
  if not known then table.insert(it.details, it.detail) end
  return it
end

function on.check(fields)
  if not is_of_the_run(fields) then return end
  local it = copy(fields)
  local look = looks[it.instance]
  if look then
    it = joined(look[it.label], it)
    look[it.label] = it
  end
  renew_check(it)
end

local function keep_newest(list) if #list > KEPT_MAX then table.remove(list, 1) end end

function on.note(fields)
  if not is_of_the_run(fields) then return end
  renew_note(copy(fields))
  keep_newest(notes)
end

local unknown_places = {} -- instance → whether it is among story.unknown

local function forget_unknown(instance)
  if unknown_places[instance] then forget(story.unknown, function(it) return it.instance == instance end) end
  unknown_places[instance] = nil
end

local function add_unknown(it)
  table.insert(story.unknown, it)
  unknown_places[it.instance] = true
  if #story.unknown <= 2 * FINDINGS_MAX then return end
  story.unknown, unknown_places = newest(story.unknown, FINDINGS_MAX), {}
  for _, other in ipairs(story.unknown) do unknown_places[other.instance] = true end
end

-- A look that came to its end replaces the one before; of one that broke off, what it did not reach stays as it was.
on["probe.ended"] = function(fields)
  local instance = instance_of(fields)
  forget_unknown(instance)
  if fields.state == "unknown" then
    add_unknown { title = fields.probe, args = fields.args, why = fields.why, instance = instance, depth = depth() }
  elseif looks[instance] then
    local count = #checks
    forget(checks, function(it) return it.instance == instance and not looks[instance][it.label] end)
    if #checks < count then find_places() end
  end
  looks[instance] = nil
end

on["remedy.started"] = function() did = {} end

on["remedy.ended"] = function(fields)
  local it = { title = foreign.line(fields.remedy), depth = depth(), did = did, state = fields.state,
               why = fields.why and foreign.line(fields.why) }
  did = {}
  if fields.state == "would" then return end
  local list = fields.state == "applied" and story.applied or story.tried
  list[#list + 1] = it
end

function on.question(fields) story.waits = foreign.line(fields.text) end
function on.answer() story.waits = nil end

on["escalation.delivered"] = function() story.paged = true end

function on.evidence(fields)
  for _, piece in ipairs(fields.saved) do
    story.evidence[#story.evidence + 1] = piece
    keep_newest(story.evidence)
  end
end

function on.mistake(fields) story.mistakes[#story.mistakes + 1] = fields end

local said = { ok = "", unknown = " (may have run)", failed = " (failed)" }

on["effect.outcome"] = function(fields)
  if fields.key and fields.key:find "^goal" then
    goal_lines[fields.line] = true
  elseif (fields.class == "write" or fields.class == "destructive") and said[fields.status] then
    did[#did + 1] = foreign.line(fields.line) .. said[fields.status]
  end
end

-- What of a journal is heard by who only tells the story: other lines need not be read.
story.events = { ["probe.started"] = true, ["probe.ended"] = true, check = true, note = true, question = true, answer = true,
                 ["remedy.started"] = true, ["remedy.ended"] = true, evidence = true,
                 ["effect.outcome"] = { '"key":"goal', '"class":"write"', '"class":"destructive"' } }

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
local SYMPTOM = 3

local function rank(check)
  if check.line and goal_lines[check.line] then return SYMPTOM end
  return check.fault and 1 or 2
end

-- How many names one line tells; the others are counted.
local NAMES_MAX = 5

local function names_text(names)
  if #names <= NAMES_MAX then return table.concat(names, ", ") end
  return ("%s and %d more"):format(table.concat(names, ", ", 1, NAMES_MAX), #names - NAMES_MAX)
end

local function begin_group(check)
  local group = copy(check)
  if group.details and not group.figure then group.detail = names_text(group.details) end
  group.labels, group.looks, group.rank = { check.label }, { check.args }, rank(check)
  return group
end

-- Whether one line can tell both: the same words of several checks of one look, or of several looks at one check.
local function is_of_a_kind(group, other)
  if other.figure or group.figure or not other.detail or other.detail ~= group.detail then return false end
  if group.probe ~= other.probe then return false end
  return #group.looks <= 1 and group.args == other.args or #group.labels == 1 and group.label == other.label
end

-- What says the same as the alert's own symptom is part of it.
local function rank_of_both(a, b) return (a == SYMPTOM or b == SYMPTOM) and SYMPTOM or math.min(a, b) end

local function add_to(groups, check)
  local it = begin_group(check)
  for _, group in ipairs(groups) do
    if is_of_a_kind(group, it) then
      local list = group.args == it.args and "labels" or "looks"
      group.rank = rank_of_both(group.rank, it.rank)
      return table.insert(group[list], it[list][1])
    end
  end
  groups[#groups + 1] = it
end

-- The failed checks in the order in which they matter: faults, others, the alert's own symptom; three of a kind are one:
-- { probe =, args =, label =, says =, labels = {…}, and the fields of the first one's event }.
function story.wrong()
  local groups, list = {}, {}
  for _, check in ipairs(checks) do if not check.passed then add_to(groups, check) end end
  for place = 1, SYMPTOM do
    for _, group in ipairs(groups) do if group.rank == place then list[#list + 1] = group end end
  end
  for _, group in ipairs(list) do
    group.label, group.args = names_text(group.labels), #group.looks > 0 and names_text(group.looks) or nil
    group.says = finding.says(group)
  end
  return list
end

-- The checks that passed, in the order in which they first came.
function story.well()
  local list = {}
  for _, check in ipairs(checks) do if check.passed then list[#list + 1] = check end end
  return list
end

-- The same in few words each, figures where there are some: { "memory 62 %", "the API answers" }.
function story.well_words()
  local words = {}
  for i, check in ipairs(story.well()) do words[i] = check.figure and check.says or check.label end
  return words
end

-- A note in one line: of what, and of a log what decided, else its newest line.
function story.note_words(note)
  local text = note.decisive and table.concat(note.decisive, " / ") or raw_text.last_line(note.text)
  local of = note.line and note.line .. ": " or ""
  return foreign.line(text:sub(1, #of) == of and text or of .. text)
end

-- What merely is so: { probe =, args =, text =, line = of a result }.
function story.noted() return notes end

-- "Health (web-1)": a probe, with its arguments where it was called with some.
function story.place(title, args) return args and args ~= "" and ("%s (%s)"):format(title, args) or title end

-- What is wrong, a line each; `marked`: a word stands beside it that says so, else each line does.
function story.wrong_lines(marked)
  local list = {}
  for i, it in ipairs(story.wrong()) do
    local sentence = marked and it.says or finding.sentence(it)
    list[i] = it.probe and ("%s: %s"):format(story.place(it.probe, it.args), sentence) or sentence
  end
  return list
end

-- Why a probe is unknown, without the script's line.
local function cause_of(it) return (it.why:gsub("^%S+%.lua:%d+: ", "")) end

-- The probes that are unknown for one and the same cause, together: { { places = {…}, why =, cause = }, … }.
local function unknown_groups()
  local groups, by_cause = {}, {}
  for _, it in ipairs(story.unknown) do
    local cause = cause_of(it)
    local group = by_cause[cause]
    if group then
      group.why = cause
    else
      group = { places = {}, why = it.why, cause = cause }
      by_cause[cause], groups[#groups + 1] = group, group
    end
    table.insert(group.places, story.place(it.title, it.args))
  end
  return groups
end

-- What is not known and why, what is not told here and the journal's own damage last.
function story.unknown_lines(before)
  local list = {}
  for i, it in ipairs(unknown_groups()) do list[i] = ("%s: %s%s"):format(names_text(it.places), before or "", it.why) end
  if story.dropped > 0 then list[#list + 1] = ("%d older findings stand in the journal alone"):format(story.dropped) end
  list[#list + 1] = story.damage
  return list
end

-- What was found: what is wrong first, then what is not known.
function story.findings()
  local list, unknown = story.wrong_lines(), story.unknown_lines "not known: "
  table.move(unknown, 1, #unknown, #list + 1, list)
  return list
end

-- How many causes a headline names; the others are counted.
local HEADLINE_CAUSES = 2

-- Whether none of the failed checks says more than the alert did.
local function only_the_symptom(wrong) return not wrong[1] or wrong[1].rank == SYMPTOM end

-- "API Down: container out of memory; Redis memory 105 %, should be < 90 %": the cause, not the alert's own symptom. Where no
-- cause was found, what could not be looked at may hide it.
function story.headline(title)
  local wrong, words, unknown = story.wrong(), {}, unknown_groups()[1]
  for i = 1, math.min(#wrong, HEADLINE_CAUSES) do words[i] = finding.sentence(wrong[i]) end
  if #wrong > HEADLINE_CAUSES then words[#words + 1] = ("%d more"):format(#wrong - HEADLINE_CAUSES) end
  if unknown and only_the_symptom(wrong) then
    words[#words + 1] = ("not known: %s (%s)"):format(names_text(unknown.places), unknown.cause)
  end
  if #words == 0 then words[1] = story.damage end
  return ("%s: %s"):format(title, #words > 0 and table.concat(words, "; ") or "nothing found so far")
end

return story
