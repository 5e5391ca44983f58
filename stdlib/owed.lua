-- What remedies owe: to take back what they put up. A remedy with an `undo` owes it from its first write on; a cure that came
-- to its end owes nothing more, scaffolding (`temporary`) does until a person had it taken down.
local approval = require "approval"
local gate = require "gate"
local goal = require "words.goal"
local journal = require "journal"
local json = require "raw.json"
local plan = require "plan"
local run = require "run"
local screen = require "screen"
local tasks = require "tasks"

local owed = {}

local count = 0

-- What its undo is called: in the question, the journal, a file of answers.
function owed.title(debt) return "Undo: " .. debt.title end

local function as_list(arguments)
  local list = json.list {}
  for i = 1, arguments.n do list[i] = arguments[i] == nil and json.null or arguments[i] end
  return list
end

-- Whether the journal of a run that is resumed has the next debt already: its remedy began to write before.
function owed.is_recorded()
  local recorded = gate.mode().recorded_debt
  local event = recorded and recorded(count + 1)
  return event ~= nil and event.call == tasks.context().call
end

-- The remedy's first write is about to be made. On disk before it: whoever finds a dead run must know what it put up.
function owed.incur(it, level, arguments)
  count = count + 1
  local debt = { number = count, title = it.title, undo = it.undo, temporary = it.temporary, level = level,
                 allowed = it.allowed, arguments = arguments, args = as_list(arguments) }
  run.owed[#run.owed + 1] = debt
  journal.event("owed", { call = tasks.context().call, number = count, remedy = it.title, level = level,
                          temporary = it.temporary or nil,
                          args = debt.args }, true)
  return debt
end

function owed.settle(debt)
  for i, other in ipairs(run.owed) do if other == debt then return table.remove(run.owed, i) end end
end

-- For the journal's last line: what a later `undo` would have to take back.
function owed.list()
  local list = json.list {}
  for i, debt in ipairs(run.owed) do
    list[i] = { number = debt.number, remedy = debt.title, level = debt.level, temporary = debt.temporary or nil, args = debt.args }
  end
  return list
end

------------------------------------------------------------------ The end --

local asked_when = { resolved = "The incident is over", unresolved = "The run ends unresolved", failed = "The run failed" }

local function ask(debt, it)
  local helped = it.by == debt.title and ", which is what helped" or ""
  return require("words.remedy").undo(debt,
    ("%s, silence keeps “%s”%s: take it back?"):format(asked_when[it.outcome], debt.title, helped))
end

-- Whether the goal, which held, holds after what was taken back: the proof must not be older than the last change.
local function look_again(it, last)
  if it.outcome ~= "resolved" or not run.goal or tasks.interruptible(goal.holds) then return it end
  return { outcome = "unresolved", text = ("“%s” was taken back, and this doesn't hold any more: %s"):format(last, run.goal.label) }
end

-- Whether anything can be asked about at this end, and somebody is there.
function owed.is_open(it)
  if tasks.hurried() then return false end
  if not asked_when[it.outcome] or not gate.mode().write then return false end
  for _, debt in ipairs(run.owed) do
    if debt.temporary and screen.can_ask(owed.title(debt)) then return true end
  end
  return false
end

-- Of a resolved run nobody is paged while it is asked about: each question may take its time.
function owed.put_off()
  local seconds = #run.owed * (approval.WITHIN + plan.SECONDS_MAX) + goal.POLL_SECONDS
  local put_off = gate.mode().put_off or require("arming").put_off
  put_off(seconds)
end

-- Asks a person about each piece of scaffolding that stands, the last one first. How the run ends after that.
function owed.take_down(it)
  local last
  for i = #run.owed, 1, -1 do
    local debt = run.owed[i]
    local asked = debt.temporary and screen.can_ask(owed.title(debt))
    if asked and tasks.interruptible(ask, debt, it) then last = debt.title end
  end
  return last and look_again(it, last) or it
end

return owed
