-- What a person must know who is asked about a remedy: why it is asked for, what went wrong before it, at which level, and
-- what is not known. Screen and journal get it from here, and so do the rules about what may be automatic.
local finding = require "finding"
local journal = require "journal"
local json = require "raw.json"
local run = require "run"
local story = require "story"
local tasks = require "tasks"

local asking = {}

-- The failed checks behind a finding that was read, in their own words; its name when the probe's function said so itself.
local function words_of(read, add)
  local found = false
  for _, check in ipairs(story.wrong()) do
    if check.probe == read.probe and check.args == read.args and check.fault == read.name then
      found = true
      add(finding.sentence(check))
    end
  end
  if not found then add(("%s: %s"):format(read.probe, read.name)) end
end

-- Why the script asks: its own words, else the findings that it read since the last remedy and that are so.
local function why(it)
  if it.why then return json.list { it.why } end
  local list, known = json.list {}, {}
  local function add(words)
    if not known[words] then known[words], list[#list + 1] = true, words end
  end
  for _, read in ipairs(run.read_true) do words_of(read, add) end
  return list
end

-- What failed or was declined before it.
local function before()
  local list = json.list {}
  for i, it in ipairs(story.tried) do list[i] = { remedy = it.title, state = it.state, why = it.why } end
  return list
end

local function some(list) return #list > 0 and list or nil end

-- For a remedy and its plan; what there is nothing to say of is left out.
function asking.about(it, made)
  local level, reason = made:level()
  return { why = some(why(it)), before = some(before()), level = level, level_why = reason,
           ignorance = some(json.list { table.unpack(run.ignorance) }) }
end

-- The plan as it is told, with all of that.
function asking.plan(it, made)
  local told = made:describe()
  for name, value in pairs(asking.about(it, made)) do told[name] = value end
  return told
end

-- Whether nobody but a person may say yes: on ignorance, after what failed or was declined, to taking something back.
function asking.in_doubt() return #run.ignorance > 0 or #story.tried > 0 end
function asking.needs_person(question) return asking.in_doubt() or question.takes_back ~= nil end

-- Of a question inside a remedy the remedy's level counts.
function asking.is_high(question)
  local made = tasks.context().plan
  return (question.level or made and made:level()) == "high"
end

-- The place in the run of a question that the script asks itself, and what it was answered there before the run was resumed. Which
-- others are asked depends on who may say yes today.
function asking.place(question, here, mode)
  if not question.of_script then return nil end
  local key = journal.key(here, "?")
  return key, mode.recorded_answer and mode.recorded_answer(key, question)
end

local told = { "text", "kind", "options", "default", "within", "type", "warning", "why", "before", "level", "level_why",
               "ignorance", "takes_back" }

-- The question as the journal keeps it; its plan stands there already.
function asking.event(question, key)
  local fields = { key = key }
  for _, name in ipairs(told) do fields[name] = question[name] end
  return fields
end

return asking
