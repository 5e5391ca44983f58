-- A remedy's plan: the writes its dry pass would make, each with its blast radius. The apply pass may make these and no
-- others, each once.
local aftermath = require "aftermath"
local blame = require "blame"
local byhand = require "byhand"
local catalogue = require "catalogue"
local json = require "raw.json"
local placeholder = require "placeholder"
local raw_text = require "raw.text"
local result = require "result"
local sends = require "sends"
local tasks = require "tasks"
local values = require "values"

local plan = {}
plan.__index = plan

-- More effects than this, or a longer pass, is no plan.
plan.EFFECTS_MAX = 1000
plan.SECONDS_MAX = 30
-- A plan older than this when it is approved is made anew, a write's preview when it is made.
plan.FRESH_SECONDS = 30
-- Of a write beyond it so much of its line stands in the question, that what differs is seen too.
plan.LINE_COLUMNS = 80

local ranks = { low = 1, medium = 2, high = 3 }

-- Two clocks: the one stands still while a laptop sleeps, the other may be set.
local function moment() return { now = tasks.now(), wall = tasks.wall() } end
local function age(seen) return math.max(tasks.now() - seen.now, tasks.wall() - seen.wall) end

function plan.new(remedy)
  return setmetatable({ remedy = remedy, entries = {}, looks = {}, assumptions = {}, effects = 0, seen = moment() }, plan)
end

-- Every effect of the planning pass is counted; too many are no plan, even for a script that catches the error.
function plan:count()
  self.effects = self.effects + 1
  if self.effects <= plan.EFFECTS_MAX then return end
  self.broken = ("more than %d effects: this is no plan"):format(plan.EFFECTS_MAX)
  blame.cannot_act("%s", self.broken)
end

function plan:add(act)
  self.entries[#self.entries + 1] = act
  aftermath.planned(act)
end

function plan:assume(label) self.assumptions[#self.assumptions + 1] = label end

local same

-- A placeholder of the plan stands for what the real run learned for that very field.
local function stands_for(planned, actual)
  if placeholder.is(actual) then return placeholder.alike(planned, actual) end
  local value = placeholder.value(planned, values.marked)
  if value == nil then return false end
  if type(value) == "table" then return same(value, actual) end
  return tostring(value) == tostring(values.marked(actual))
end

function same(planned, actual)
  if placeholder.is(planned) then return stands_for(planned, actual) end
  if placeholder.is(actual) then return false end
  if values.is_secret(planned) or values.is_secret(actual) then return values.marked(planned) == values.marked(actual) end
  if type(planned) ~= "table" or type(actual) ~= "table" then return planned == actual end
  for key, value in pairs(planned) do if not same(value, actual[key]) then return false end end
  for key in pairs(actual) do if planned[key] == nil then return false end end
  return true
end

-- The planned entry for a write about to be made, used up; nil when there is none.
function plan:take(act)
  for _, entry in ipairs(self.entries) do
    if not entry.taken and entry.entry == act.entry and same(entry.call, act.call) then
      entry.taken = true
      return entry
    end
  end
end

-- The first write is about to be made; `on_begin` hears of it.
function plan:begin()
  if self.begun then return end
  self.begun = true
  if self.on_begin then self.on_begin() end
end

-- What a planned write really gave: what stands for its fields in the plan. Gives the result back.
function plan:learn(entry, made)
  if entry then entry.learned = made end
  return made
end

-- Whether a read looks at what only a real run knows. A rehearsal tells of such reads itself.
function plan.is_open(act, here, mode)
  return here.plan and not mode.tells_open_looks and values.find_placeholder(act.call) ~= nil
end

-- It is not made; that it will be well stands in the plan, and its fields are placeholders too.
function plan:assume_look(act)
  self.looks[#self.looks + 1] = act
  self:assume(act.line .. " is well")
  return result.new(act.entry, act.line, "would", { ok = true, dry = true }, act)
end

-- What a read gave, which may be one that the plan assumed. Gives the result back.
function plan.learn_look(self, act, made)
  for _, look in ipairs(self and self.looks or {}) do
    if not look.learned and look.entry == act.entry and same(look.call, act.call) then
      look.learned = made
      break
    end
  end
  return made
end

-- Why a write is beyond the plan, in words.
function plan:why_beyond(act)
  return "it is not in the approved plan: " .. require("plan_difference").text(self.entries, act, same)
end

-- A write beyond the plan stops the remedy and asks; only a person may let it pass.
function plan:ask_beyond(act, mode)
  plan.foresee(act, mode)
  local text = ("%s is not in the plan you approved: %s. Make it?"):format(raw_text.truncate(act.line, plan.LINE_COLUMNS),
    require("plan_difference").text(self.entries, act, same))
  return require("approval").ask_one(self.remedy, act, text, true)
end

-- low, medium or high: the highest of the remedy's risk and of its plan's classes; and why, when the plan's is the higher.
function plan:level()
  local level = self.remedy.risk or "low"
  for _, act in ipairs(self.entries) do
    local loses = act.class == "destructive" or act.preview and act.preview.loses
    if loses and level ~= "high" then return "high", "it can't be undone" end
  end
  return level
end

function plan.covers(granted, level) return granted ~= nil and ranks[granted] >= ranks[level] end

---------------------------------------------------------------- Freshness --

function plan.is_old(it) return age(it.seen) > plan.FRESH_SECONDS end

local function size_of(act) return act.preview and act.preview.size or 1 end

-- What is pinned can't grow: what came since is left alone.
local function has_grown(approved, now) return not approved.entry.pins and size_of(now) > size_of(approved) end

-- Whether another plan does the same things to no more than this one. What was approved is what goes: its containers,
-- sessions and files, as they were then.
function plan:covers_plan(other)
  if #other.entries ~= #self.entries then return false end
  for i, act in ipairs(other.entries) do
    local mine = self.entries[i]
    if mine.entry ~= act.entry or not same(mine.call, act.call) or has_grown(mine, act) then return false end
  end
  for i, act in ipairs(other.entries) do act.preview = self.entries[i].preview end
  return true
end

-- Writes that were frozen since the plan was approved: whoever approved it did not know. Nil when this one may be made, else why.
function plan:frozen(act)
  local frozen = require("freeze").now()
  if not frozen or frozen.id == self.seen_freeze then return nil end
  local text = ("Writes are frozen since (%s). Make %s all the same?"):format(require("freeze").text(frozen),
    raw_text.truncate(act.line, plan.LINE_COLUMNS))
  if not require("approval").ask_one(self.remedy, act, text) then return "writes are frozen: " .. require("freeze").text(frozen) end
  self.seen_freeze = frozen.id
end

-- A write that is about to be made and was looked at too long ago is looked at again. Nil when it may go on, else why not.
function plan:renew(planned, act, mode)
  local frozen = self:frozen(act)
  if frozen then return frozen end
  if not planned or not plan.is_old(planned) or planned.entry.pins then return nil end
  plan.foresee(act, mode)
  if act.preview and act.preview.impossible then return act.preview.impossible end
  if not has_grown(planned, act) then return nil end
  local text = ("%s hits more than was approved. Make it all the same?"):format(raw_text.truncate(act.line, plan.LINE_COLUMNS))
  if not require("approval").ask_one(self.remedy, act, text) then return "it hits more than was approved" end
  planned.preview = act.preview
end

function plan:writes()
  local list = {}
  for _, act in ipairs(self.entries) do if act.class ~= "notify" then list[#list + 1] = act end end
  return list
end

-- The leave that a write of it needs and nobody gave, and the writes that need it.
function plan:needs()
  local needed, rows = nil, json.list {}
  for _, act in ipairs(self.entries) do
    needed = needed or act.needs
    if act.needs then rows[#rows + 1] = plan.row(act) end
  end
  return needed, rows
end

-- Looks at what a write would hit, by reads alone, and at what it sends.
function plan.foresee(act, mode)
  act.preview, act.seen = mode.preview(act), moment()
  act.sends = sends.of(act)
  act.saves = mode.save_evidence and act.entry.evidence and require("evidence").names(act) or nil
end

-- What was foreseen: the outcome of a write that was only told.
function plan.told(act)
  local radius = act.preview or {}
  return { preview = radius.text, detail = sends.first(radius.detail), sends = act.sends, needs = act.needs and act.needs.why,
           dry = true }
end

-- A write as plain data, for the journal and the screen.
function plan.row(act)
  local radius, told, command, none = act.preview or {}, plan.told(act), byhand.of(act)
  return { line = act.line, class = act.class, command = command, no_command = none, radius = radius.text,
           needs = told.needs, where = radius.where, detail = told.detail, sends = told.sends, saves = act.saves,
           size = radius.size ~= math.huge and radius.size or nil }
end

-- Plain data for the journal and the screen.
function plan:describe()
  local rows = {}
  for i, act in ipairs(self.entries) do rows[i] = plan.row(act) end
  return { remedy = self.remedy.title, level = self:level(), effects = json.list(rows), assumes = json.list(self.assumptions) }
end

-- What an operator types to approve a `type` plan: the target of its most dangerous write.
function plan:target()
  local found
  for _, act in ipairs(self.entries) do
    local target = act.entry.target and act.entry.target(act.call)
    if target and (act.class == "destructive" or not found) then found = target end
  end
  return found or self.remedy.title
end

plan.line = catalogue.line
return plan
