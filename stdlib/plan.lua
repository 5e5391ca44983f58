-- A remedy's plan: the writes its dry pass would make, each with its blast radius. The apply pass may make these and no
-- others, each once.
local blame = require "blame"
local byhand = require "byhand"
local catalogue = require "catalogue"
local json = require "raw.json"
local sends = require "sends"
local tasks = require "tasks"
local values = require "values"

local plan = {}
plan.__index = plan

-- More effects than this, or a longer pass, is no plan.
plan.EFFECTS_MAX = 1000
plan.SECONDS_MAX = 30
-- A plan older than this when it is approved is made anew.
plan.FRESH_SECONDS = 30

local ranks = { low = 1, medium = 2, high = 3 }

function plan.new(remedy)
  return setmetatable({ remedy = remedy, entries = {}, assumptions = {}, effects = 0, made = tasks.now() }, plan)
end

-- Every effect of the planning pass is counted; too many are no plan, even for a script that catches the error.
function plan:count()
  self.effects = self.effects + 1
  if self.effects <= plan.EFFECTS_MAX then return end
  self.broken = ("more than %d effects: this is no plan"):format(plan.EFFECTS_MAX)
  blame.cannot_act("%s", self.broken)
end

function plan:add(act) self.entries[#self.entries + 1] = act end

function plan:assume(label) self.assumptions[#self.assumptions + 1] = label end

-- A placeholder of the plan stands for whatever the real run learned in its place.
local function matches_placeholder(placeholder, actual)
  if type(actual) ~= "string" and type(actual) ~= "number" then return false end
  local text = tostring(placeholder):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("‹.-›", ".-")
  return tostring(actual):match("^" .. text .. "$") ~= nil
end

local function same(planned, actual)
  if values.is_placeholder(planned) then return matches_placeholder(planned, actual) end
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

-- A write beyond the plan stops the remedy and asks; only a person may let it pass.
function plan:ask_beyond(act, mode)
  plan.foresee(act, mode)
  local text = ("%s is not in the plan you approved. Make it?"):format(act.line)
  return require("approval").ask_one(self.remedy, act, text)
end

-- low, medium or high: the highest of the remedy's risk and of its plan's classes; and why, when the plan's is the higher.
function plan:level()
  local level = self.remedy.risk or "low"
  for _, act in ipairs(self.entries) do
    if act.class == "destructive" and level ~= "high" then return "high", "it can't be undone" end
  end
  return level
end

function plan.covers(granted, level) return granted ~= nil and ranks[granted] >= ranks[level] end

-- The sum of its writes' radii; grows when the world has grown since.
function plan:radius()
  local sum = 0
  for _, act in ipairs(self.entries) do sum = sum + (act.preview and act.preview.size or 1) end
  return sum
end

-- Whether another plan does the same things to no more than this one.
function plan:covers_plan(other)
  if #other.entries ~= #self.entries then return false end
  for i, act in ipairs(other.entries) do
    local mine = self.entries[i]
    if mine.entry ~= act.entry or not same(mine.call, act.call) then return false end
    if (act.preview and act.preview.size or 1) > (mine.preview and mine.preview.size or 1) then return false end
  end
  return true
end

function plan:writes()
  local list = {}
  for _, act in ipairs(self.entries) do if act.class ~= "notify" then list[#list + 1] = act end end
  return list
end

-- Looks at what a write would hit, by reads alone, and at what it sends.
function plan.foresee(act, mode)
  act.preview = mode.preview(act)
  act.sends = sends.of(act)
  act.saves = mode.save_evidence and act.entry.evidence and require("evidence").names(act) or nil
end

-- What was foreseen: the outcome of a write that was only told.
function plan.told(act)
  local radius = act.preview or {}
  return { preview = radius.text, detail = sends.first(radius.detail), sends = act.sends, dry = true }
end

-- A write as plain data, for the journal and the screen.
function plan.row(act)
  local radius, told, command, none = act.preview or {}, plan.told(act), byhand.of(act)
  return { line = act.line, class = act.class, command = command, no_command = none, radius = radius.text,
           where = radius.where, detail = told.detail, sends = told.sends, saves = act.saves,
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
