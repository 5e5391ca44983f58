-- Scenario: the world is a file's. Reads come from it, else from the catalogue's specimens; writes are recorded and change
-- that world; time is virtual.
local blame = require "blame"
local catalogue = require "catalogue"
local escalation = require "words.escalation"
local journal = require "journal"
local patterns = require "patterns"
local run = require "run"
local tasks = require "tasks"
local values = require "values"

local scenario = { name = "scenario", done = {}, pages = 0 }

local world, answers, after = {}, {}, {}
local turns = {} -- entry of the world or of the answers → how many of its list were given

-- `description` is what the file says: given, answers, after (stdlib/scenario_file.lua has checked it).
function scenario.open(description)
  world = patterns.list(description.world or {})
  world = patterns.list(description.given or {}, world)
  answers = patterns.list(description.answers or {})
  after = patterns.list(description.after or {})
  scenario.lists = { world = world, answers = answers, after = after }
end

local function next_of(item, list)
  turns[item] = math.min((turns[item] or 0) + 1, #list)
  return list[turns[item]]
end

-- The reply for a line: of a list the next, the last stays.
local function reply_for(line)
  local value, item = patterns.best(world, line)
  if type(value) ~= "table" or value[1] == nil then return value end
  return next_of(item, value)
end

-- The same without using it up.
local function upcoming(line)
  local value, item = patterns.best(world, line)
  if type(value) ~= "table" or value[1] == nil then return value end
  return value[math.min((turns[item] or 0) + 1, #value)]
end

local function linger(reply)
  if reply.never then tasks.sleep(1e9) end
  if reply.takes then tasks.sleep(require("duration").parse(reply.takes)) end
end

local function laid_over(fields, reply)
  if reply.why then fields = {} end
  for name, value in pairs(reply) do
    if name ~= "takes" and name ~= "never" and name ~= "reply" then fields[name] = values.copy(value) end
  end
  if fields.ok == false and not fields.why then fields.why = "not well" end
  if fields.why then fields.ok = false end
  return fields
end

local function error_of(reply)
  local err = reply.error
  if type(err) ~= "table" then err = { kind = "failed", message = tostring(err) } end
  return { kind = err.kind or "failed", message = err.message or err.kind }
end

local function answer(act, plan)
  local reply = reply_for(act.match) or {}
  linger(reply)
  if reply.error then return nil, error_of(reply) end
  return laid_over(catalogue.specimen(act.entry, act.call, plan), reply)
end

function scenario.read(act) return answer(act) end

-- What a write changed: the world of `after`, from now on.
local function change_world(act)
  local change = patterns.best(after, act.match)
  if not change then return nil end
  local given = {}
  for key, value in pairs(change) do if key ~= "reply" then given[key] = value end end
  patterns.list(given, world)
  return change.reply
end

function scenario.write(act, plan)
  scenario.done[#scenario.done + 1] = act.line
  local fields, err = answer(act, plan)
  local reply = change_world(act)
  if not fields then return nil, err end
  if reply then
    linger(reply)
    if reply.error then return nil, error_of(reply) end
    fields = laid_over(fields, reply)
  end
  return fields
end

function scenario.notify(act)
  if act.entry.verb == "page" then scenario.pages = scenario.pages + 1 end
  return answer(act)
end

-- The catalogue's preview looks at the real world; here the file may say it (`radius`), else the specimen's holds.
function scenario.preview(act)
  local reply = upcoming(act.match) or {}
  return { text = reply.radius or act.entry.specimen_radius, size = 1 }
end

-- An answer may be a list given in turn, or { "yes", takes = "40s" }.
local function answer_to(label)
  local value, item = patterns.best(answers, label)
  if type(value) ~= "table" then return value end
  if not value.takes then return next_of(item, value) end
  linger(value)
  return value[1]
end

function scenario.ask(question)
  local value = answer_to(question.label)
  if value == nil or value == "silence" then
    tasks.sleep(question.within)
    return nil, "silence"
  end
  if question.kind == "approve" then return (value == "yes" or value == true) and "yes" or "no" end
  return value
end

-- The escalation's clock, virtual here: each level at its time, unless the run has ended.
local fired, armed = {}, false

-- A level that fails is told by the built-in page, as it is for real.
local function fire(index, why)
  fired[#fired + 1] = index
  journal.event("escalation.fired", { level = index, why = why })
  local ok, problem = pcall(escalation.carry_out, index)
  if ok then return end
  if tasks.is_interrupt(problem) then error(problem, 0) end
  scenario.pages = scenario.pages + 1
  journal.event("note", { text = ("escalation level %d failed, the built-in page goes out: %s"):format(index,
    blame.text(problem)) })
end

function scenario.arm()
  armed = true
  escalation.add_default()
  for index, level in ipairs(run.levels) do
    escalation.rehearse(index)
    tasks.spawn(function()
      tasks.sleep(math.max(0, level.after - run.elapsed()))
      fire(index)
    end)
  end
end

-- An unresolved or failed end fires the first level at once, as it would for real.
function scenario.settle(it)
  local bad = it.outcome == "unresolved" or it.outcome == "failed"
  if bad and #fired == 0 and armed then fire(1, it.outcome) end
  return {}
end

return scenario
