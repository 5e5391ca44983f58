-- Scenario: the world is a file's. Reads come from it, else from the catalogue's specimens; writes are recorded and change
-- that world; time is virtual.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local escalation = require "words.escalation"
local journal = require "journal"
local patterns = require "patterns"
local run = require "run"
local script = require "script"
local tasks = require "tasks"
local values = require "values"

-- done: lines of the writes made; told: what was sent to people; pages: how many; asked: lines of effects, questions and labels,
-- each once, so that the nearest to a pattern can be named
local scenario = { name = "scenario", done = {}, told = {}, pages = 0, asked = {}, questions = {}, labels = {} }

-- A run that takes longer, on its own clock, or makes more effects would never end.
scenario.SECONDS_MAX = 7 * 86400
scenario.EFFECTS_MAX = 20000

-- Patterns as they were written: of `after` what a write has changed so far, of `changes` what each write would.
local layers = {}
local turns = {} -- entry of the world or of the answers → how many of its list were given

-- `description` is what the file says (stdlib/scenario_shape.lua has checked it).
function scenario.open(description)
  for layer, key in pairs { world = "world", given = "given", answers = "answers", changes = "after", checks = "checks" } do
    layers[layer] = patterns.list(description[key] or {}, nil, key)
  end
  layers.after, scenario.layers = {}, layers
end

-- Whether the scenario expects that this mistake of the script's ends its probe.
function scenario.excuses(mistake)
  local expected = (run.scenario.expect or {}).unknown
  if mistake.what ~= "probe" or type(expected) ~= "table" then return false end
  for _, title in ipairs(expected) do
    if patterns.matches(patterns.compile(title), mistake.title) then return true end
  end
  return false
end

local known = { asked = {}, questions = {}, labels = {} }
local function remember(list, text)
  if known[list][text] then return end
  known[list][text] = true
  table.insert(scenario[list], text)
end

local effects = 0
local function count_effect()
  effects = effects + 1
  if effects <= scenario.EFFECTS_MAX then return end
  tasks.raise_end { outcome = "failed", text = ("%smore than %d effects: this would never end"):format(blame.position(),
    scenario.EFFECTS_MAX) }
end

local function next_of(entry, list)
  turns[entry] = math.min((turns[entry] or 0) + 1, #list)
  return list[turns[entry]]
end

local function entry_for(line)
  remember("asked", line)
  return patterns.best_of({ layers.after, layers.given, layers.world }, line)
end

-- The reply for a line: of a list the next, the last stays.
local function reply_for(line)
  local value, entry = entry_for(line)
  if type(value) ~= "table" or value[1] == nil then return value end
  return next_of(entry, value)
end

-- The same without using it up.
local function upcoming(line)
  local value, entry = entry_for(line)
  if type(value) ~= "table" or value[1] == nil then return value end
  return value[math.min((turns[entry] or 0) + 1, #value)]
end

local function linger(reply)
  if reply.never then tasks.sleep(1e9) end
  if reply.takes then tasks.sleep(duration.parse(reply.takes)) end
end

-- A reply that does not say whether it is well is judged as a real one is: a 503 is not, whatever else it says.
local function judge(act, fields, reply)
  if reply.ok == true or fields.why or not act.entry.unwell then return end
  fields.why = act.entry.unwell(fields, act.call)
end

local function laid_over(act, fields, reply)
  if reply.why then fields = {} end
  for name, value in pairs(reply) do
    if name ~= "takes" and name ~= "never" and name ~= "reply" and name ~= "radius" then fields[name] = values.copy(value) end
  end
  if not reply.why then judge(act, fields, reply) end
  if fields.ok == false and not fields.why then fields.why = "not well" end
  if fields.why then fields.ok = false end
  return fields
end

local function error_of(reply)
  local err = reply.error
  if type(err) ~= "table" then err = { kind = "failed", message = tostring(err) } end
  return { kind = err.kind or "failed", message = err.message or err.kind }
end

-- What an effect gives for a reply of a file's, laid over the fields of its specimen.
function scenario.reply(act, fields, reply)
  if reply.error then return nil, error_of(reply) end
  return laid_over(act, fields, reply)
end

local function answer(act, plan)
  local reply = reply_for(act.match) or {}
  linger(reply)
  return scenario.reply(act, catalogue.specimen(act.entry, act.call, plan), reply)
end

function scenario.read(act)
  count_effect()
  return answer(act)
end

-- What a write changed: the world of `after`, from now on. Made again, it lies over what came between.
local changed = {} -- entry of the changes → its entries in the layer of `after`
local function change_world(act)
  local change, by = patterns.best(layers.changes, act.match)
  if not change then return nil end
  local world = values.copy_shallow(change)
  world.reply = nil
  changed[by] = changed[by] or patterns.list(world, nil, ("after %q:"):format(by.pattern.text))
  for _, entry in ipairs(changed[by]) do
    for i = #layers.after, 1, -1 do if layers.after[i] == entry then table.remove(layers.after, i) end end
    turns[entry] = nil
    table.insert(layers.after, entry)
  end
  return change.reply
end

function scenario.write(act, plan)
  count_effect()
  table.insert(scenario.done, act.match)
  local fields, err = answer(act, plan)
  local reply = change_world(act)
  if not fields then return nil, err end
  if reply then
    linger(reply)
    if reply.error then return nil, error_of(reply) end
    fields = laid_over(act, fields, reply)
  end
  return fields
end

-- All texts of a value, however deep.
local function texts_of(value, list)
  if type(value) == "string" then list[#list + 1] = value end
  if type(value) ~= "table" or values.is_host(value) then return list end
  for _, key in ipairs(values.keys(value)) do
    local item = value[key]
    texts_of(item == nil and value[tonumber(key)] or item, list)
  end
  return list
end

local function tell(texts) table.insert(scenario.told, (table.concat(texts, " "):gsub("%s+", " "))) end

function scenario.notify(act)
  if act.entry.verb == "page" then scenario.pages = scenario.pages + 1 end
  tell(texts_of(journal.plain(act.call), {}))
  return answer(act)
end

-- What the file says (`radius`), else what the arguments alone tell: nobody looks at a real world here.
function scenario.preview(act)
  local reply = upcoming(act.match) or {}
  local meant = act.entry.intends and act.entry.intends(act.call)
  if meant and act.class == "destructive" then meant = meant .. "; how much is not known in a scenario" end
  return { text = reply.radius or meant or "not known in a scenario", size = 1 }
end

----------------------------------------------------------------------- Checks --

-- What the file says of a check, the goal or a wait by its label; else what was found.
function scenario.decide(label, found)
  remember("labels", label)
  local value, entry = patterns.best(layers.checks, label)
  if type(value) == "table" then value = next_of(entry, value) end
  if value == nil then return found end
  return value
end

------------------------------------------------------------------- Questions --

-- An answer may be a list given in turn, or { "yes", takes = "40s" }.
local function answer_to(label)
  remember("questions", label)
  local value, entry = patterns.best(layers.answers, label)
  if type(value) ~= "table" then return value end
  if not value.takes then return next_of(entry, value) end
  linger(value)
  return value[1]
end

local decisions = { yes = "yes", no = "no", [true] = "yes", [false] = "no" }

function scenario.ask(question)
  local value = answer_to(question.label)
  if value == nil or value == "silence" then
    tasks.sleep(question.within)
    return nil, "silence"
  end
  if question.kind ~= "approve" and question.kind ~= "confirm" then return value end
  if decisions[value] then return decisions[value] end
  tasks.raise_end { outcome = "usage", text = ("%s: scenario %q: answers: %q: yes, no or silence expected, got %s"):format(
    run.scenario.at, run.scenario.name, question.label, values.describe(value)) }
end

------------------------------------------------------------------- Escalation --

-- The escalation's clock, virtual here: each level at its time, unless the run has ended.
local fired, armed, put_off_until = {}, false, 0

-- The built-in page has the headline and the findings.
local function page_built_in(index, problem)
  local view = require("situation").view()
  scenario.pages = scenario.pages + 1
  tell { view.headline, table.unpack(view.findings) }
  journal.event("note", { text = ("escalation level %d failed, the built-in page goes out: %s"):format(index,
    blame.text(problem)) })
end

-- What a level reads of the script is what another process of the run has: its declarations, and nothing done since.
local function fire(index, why)
  fired[#fired + 1] = index
  journal.event("escalation.fired", { level = index, why = why })
  local ok, problem = pcall(function() escalation.carry_out(index, script.levels_anew()[index]) end)
  if ok then return end
  local interrupt = tasks.is_interrupt(problem)
  if interrupt and interrupt ~= "budget" then error(problem, 0) end
  if interrupt then tasks.handled() end
  page_built_in(index, interrupt and "it computed for too long without waiting" or problem)
end

function scenario.arm()
  armed = true
  escalation.add_default()
  for index, level in ipairs(run.levels) do
    escalation.rehearse(index)
    tasks.spawn(function()
      tasks.sleep(math.max(0, level.after - run.elapsed()))
      while tasks.now() < put_off_until do tasks.sleep(put_off_until - tasks.now()) end
      fire(index)
    end)
  end
end

function scenario.put_off(seconds) put_off_until = tasks.now() + seconds end

-- An unresolved or failed end fires the first level at once, as it would for real.
function scenario.settle(it)
  local bad = it.outcome == "unresolved" or it.outcome == "failed"
  if bad and #fired == 0 and armed then fire(1, it.outcome) end
  return {}
end

return scenario
