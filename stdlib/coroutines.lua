-- Coroutines of scripts, run by tasks: a wait inside one is passed up to its task, and its answer back down. What would
-- resume a task, or a coroutine that waits in another task, out of turn is refused.
local blame = require "blame"
local raw_task = require "raw.task"
local tasks = require "tasks"
local values = require "values"

local coroutines = {}

local MARK = raw_task.mark -- what a coroutine yields while it waits for an effect
local running, status, yield = coroutine.running, coroutine.status, coroutine.yield

-- coroutine → { waiting = for an effect, entered = the context it was resumed in, plan = it was made in }
local made = setmetatable({}, { __mode = "k" })
-- What a script that is in none of its own coroutines sees as the running one.
local none = coroutine.create(function() end)

local function check(word, co)
  if type(co) ~= "thread" then blame.raise("coroutine.%s: a coroutine expected, got %s", word, values.describe(co)) end
  return made[co]
end

-- A plan pass is undone, and how far a coroutine has come can't be.
local function outside_plan(it)
  local here = tasks.context()
  return (here.pass == "plan" or here.pass == "dry") and it.plan ~= here.plan
end

local function why_not(it)
  if not it then return "cannot resume non-suspended coroutine" end
  if it.waiting then return "cannot resume a coroutine that waits for an effect elsewhere" end
  if outside_plan(it) then
    return "a coroutine begun before the remedy can't go on in its plan: that could not be undone"
  end
end

-- What ends more than a pcall goes on up; what the coroutine holds open is closed first.
local function pass_interrupts(co, ok, ...)
  if not ok then
    if tasks.is_interrupt((...)) then pcall(coroutine.close, co) end
    tasks.pass_on((...))
  end
  return ok, ...
end

function coroutines.create(f)
  if type(f) ~= "function" then blame.raise("coroutine.create: a function expected, got %s", values.describe(f)) end
  local co = coroutine.create(f)
  made[co] = { plan = tasks.context().plan }
  return co
end

function coroutines.resume(co, ...)
  local it = check("resume", co)
  local refused = why_not(it)
  if refused then return false, blame.position() .. refused end
  it.entered = tasks.context()
  local results = table.pack(coroutine.resume(co, ...))
  while results[1] and results[2] == MARK do
    it.waiting = true
    yield(MARK)
    it.waiting = false
    results = table.pack(coroutine.resume(co))
  end
  return pass_interrupts(co, table.unpack(results, 1, results.n))
end

function coroutines.wrap(f)
  local co = coroutines.create(f)
  return function(...)
    local results = table.pack(coroutines.resume(co, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    if status(co) ~= "dead" then error(results[2], 0) end
    local closed, problem = coroutines.close(co)
    error(closed and results[2] or problem, 0)
  end
end

function coroutines.yield(...)
  local it = made[running()]
  if not it then blame.raise("coroutine.yield: attempt to yield from outside a coroutine") end
  if tasks.context() ~= it.entered then blame.raise("coroutine.yield: a probe or remedy can't be left half-way") end
  return yield(...)
end

function coroutines.status(co)
  local it = check("status", co)
  if not it then return "running" end
  return it.waiting and "normal" or status(co)
end

function coroutines.running()
  local co = running()
  if made[co] then return co, false end
  return none, true
end

function coroutines.isyieldable() return made[running()] ~= nil and coroutine.isyieldable() end

function coroutines.close(co)
  local it = check("close", co)
  if not it or it.waiting or outside_plan(it) then
    blame.raise("coroutine.close: this coroutine can't be closed here: %s", why_not(it))
  end
  return pass_interrupts(co, coroutine.close(co))
end

return coroutines
