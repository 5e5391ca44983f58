-- Tasks for the host's own code: contexts, deadlines, side-by-side work, and interrupts told from errors.
local raw = require "raw.task"

local tasks = { now = raw.now, wall = raw.wall, sleep = raw.sleep, event = raw.event, signal = raw.signal, current = raw.current,
                hurried = raw.hurried }

-- What ended a pcall, by its error: "cancel", "timeout", "budget" or "end" for what ends more than a pcall, and which
-- deadline; nil for an ordinary error. An error that a script raised on the way out (in a __close) covers nothing: the
-- task knows what was raised in it.
function tasks.is_interrupt(err)
  local interrupt, scope = raw.is_interrupt(err)
  if interrupt then return interrupt, scope end
  if tasks.ended then return "end" end
  return raw.is_interrupt((raw.raised()))
end

-- Raises the end of the run: { outcome =, text =, … }, kept as tasks.ended, where no script can reach it. No pcall of a
-- script's stops it, and none of its errors covers it up.
local the_end = raw.the_end()
function tasks.raise_end(fields)
  tasks.ended = fields
  error(the_end, 0)
end

-- Once the run's end was raised nothing of the script's goes on.
function tasks.stop_if_ended()
  if tasks.ended then error(the_end, 0) end
end

-- Raises again what nobody has dealt with: no pcall of a script's goes on after it.
function tasks.pass_on(err)
  tasks.stop_if_ended()
  local raised = raw.raised()
  if raised then error(raised, 0) end
  if raw.is_interrupt(err) then error(err, 0) end
end

-- What was raised is dealt with here: the probe is unknown, or the run is over. The fields of an end.
function tasks.handled()
  local ended = tasks.ended
  tasks.ended = nil
  raw.handled()
  return ended
end

-- The end of a run: no signal breaks it off from here on; one only says that somebody waits (tasks.hurried).
function tasks.shield() raw.shield(true) end

-- A piece of the end that a signal may break off, as a question is: what f(...) returns, nothing when it was.
function tasks.interruptible(f, ...)
  raw.shield(false)
  local results = table.pack(pcall(f, ...))
  local interrupt = not results[1] and tasks.is_interrupt(results[2])
  raw.shield(true)
  if results[1] then return table.unpack(results, 2, results.n) end
  if not interrupt then error(results[2], 0) end
  tasks.handled()
end

-- What the running task is inside of: {probe=, remedy=, pass=, …}; fields of outer contexts show through.
local outside = {}
function tasks.context()
  local task = raw.current()
  return task and raw.context(task) or outside
end

local function set_context(value) raw.set_context(raw.current(), value) end

-- Runs f(...) with `fields` laid over the context, restored however it ends.
function tasks.within(fields, f, ...)
  local before = tasks.context()
  set_context(setmetatable(fields, { __index = before }))
  local results = table.pack(pcall(f, ...))
  set_context(before)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function in_scope(scope, f, ...)
  local results = table.pack(pcall(f, ...))
  local interrupt, which
  if not results[1] then interrupt, which = tasks.is_interrupt(results[2]) end
  raw.scope_end(scope)
  if results[1] then return table.unpack(results, 1, results.n) end
  if interrupt == "timeout" and which == scope then return false end
  error(results[2], 0)
end

-- Runs f(...) for at most `seconds`: true and its results, or false when the time was over. Other errors pass.
function tasks.deadline(seconds, f, ...) return in_scope(raw.scope_begin(seconds), f, ...) end

-- The same around what a script does, known to all that it does as `limit` of the context: what a recorded run was late with is
-- late when it is resumed, too (tasks.expire).
function tasks.limited(seconds, f, ...)
  local scope = raw.scope_begin(seconds)
  return in_scope(scope, tasks.within, { limit = { task = raw.current(), scope = scope } }, f, ...)
end

function tasks.expire(limit) raw.expire(limit.task, limit.scope) end

-- Starts f(...) as a task of its own that inherits the context.
function tasks.spawn(f, ...)
  local context, arguments = tasks.context(), table.pack(...)
  return raw.spawn(function()
    set_context(setmetatable({}, { __index = context }))
    return f(table.unpack(arguments, 1, arguments.n))
  end)
end

tasks.join, tasks.cancel = raw.join, raw.cancel

-- Runs all functions side by side; a list of their packed results. The first error, in time, cancels the others at once,
-- waits for their end and is raised.
function tasks.all(functions)
  local running, results, failure = {}, {}, nil
  local function fail(problem)
    if failure then return end
    failure = { problem }
    for _, task in ipairs(running) do if task ~= raw.current() then raw.cancel(task) end end
  end
  for i, f in ipairs(functions) do
    running[i] = tasks.spawn(function()
      if failure then return end
      local packed = table.pack(pcall(f))
      if packed[1] then results[i] = table.pack(table.unpack(packed, 2, packed.n)) else fail(packed[2]) end
    end)
  end
  for _, task in ipairs(running) do
    local joined, problem = pcall(raw.join, task)
    if not joined then fail(problem) end
  end
  if failure then
    raw.adopt(failure[1])
    error(failure[1], 0)
  end
  return results
end

-- At most `size` holders at a time; the others wait in order.
function tasks.slots(size)
  local free, waiting, first, last = size, {}, 1, 0
  local function release()
    while first <= last do
      local turn = waiting[first]
      waiting[first], first = nil, first + 1
      if not turn.gone then
        turn.granted = true
        return turn.event:set()
      end
    end
    free = free + 1
  end
  local function acquire()
    if free > 0 then
      free = free - 1
      return
    end
    local turn = { event = raw.event() }
    last = last + 1
    waiting[last] = turn
    local ok, interrupt = pcall(turn.event.wait, turn.event)
    if ok then return end
    turn.gone = true
    if turn.granted then release() end
    error(interrupt, 0)
  end
  return function(f, ...)
    acquire()
    local results = table.pack(pcall(f, ...))
    release()
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end
end

return tasks
