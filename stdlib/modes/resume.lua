-- Resume: live, behind what a run wrote down. What came to the script before comes to it again, in the journal's order and without
-- touching the world; the first thing that is not written there is real, and so is all that follows.
local aftermath = require "aftermath"
local blame = require "blame"
local clock = require "clock"
local journal = require "journal"
local live = require "modes.live"
local recorded = require "recording"
local result = require "result"
local tasks = require "tasks"

local resume = setmetatable({ name = "live" }, { __index = live })

-- Nothing was delivered for so long, in seconds, while the script waits for something that is not written: it goes another way.
local STUCK_SECONDS = 2
local LOOK_SECONDS = 0.1

local book           -- the recording
local place = 1      -- of what is delivered next
local waiting = {}   -- place → the event that whoever waits for it is woken by
local caught_up      -- set once everything was delivered
local asked = {}     -- what the script asks for and the journal does not have: a list of acts
local looked_anew = 0 -- reads under way because what they learned was masked for good
local root           -- the script's own task
local differs        -- how the run ends because it went another way

function resume.open(recording)
  book, caught_up, root = recording, tasks.event(), tasks.current()
  journal.has = resume.has
  journal.counts.may_have_run = journal.counts.may_have_run + book:count_doubts()
  if #book.order == 0 then caught_up:set() end
end

function resume.is_caught_up() return place > #book.order end

------------------------------------------------------------------- Order --

local function advance()
  while book.order[place] and book.order[place].delivered do place = place + 1 end
  if waiting[place] then waiting[place]:set() end
  if resume.is_caught_up() then caught_up:set() end
end

local function deliver(event)
  event.delivered = true
  if event.t then clock.delivered(event.t, ('{"at":"%s"'):format(event.at)) end
  advance()
end

local waiters = 0 -- who waits for something to be delivered: without any the script is busy, and goes no other way yet

local function wait_on(event)
  waiters = waiters + 1
  local ok, err = pcall(event.wait, event)
  waiters = waiters - 1
  if not ok then error(err, 0) end
end

-- Waits until all that came before it was delivered.
local function wait_for_turn(event)
  if event.settled or event.place == place then return end
  waiting[event.place] = tasks.event()
  wait_on(waiting[event.place])
end

-- What is not written is real, but nothing real happens before the rest was delivered.
local function wait_until_caught_up(what)
  if resume.is_caught_up() then return end
  asked[#asked + 1] = what
  wait_on(caught_up)
end

-- It was broken off, by a deadline around it or with the task it was in: so it is again.
local function be_broken_off(event, here)
  local why = (event.result or {}).why
  local ok, err = pcall(function()
    wait_for_turn(event)
    if why == "cancelled" then tasks.sleep(LOOK_SECONDS) end -- by a neighbour that failed
    if here.limit then tasks.expire(here.limit) end
    tasks.event():wait()
  end)
  deliver(event)
  error(not ok and err, 0)
end

-------------------------------------------------------------- Divergence --

local function where(event) return event.from and (" (%s)"):format(event.from) or "" end

local function described(event)
  if event.event == "effect.outcome" then return event.line .. where(event) end
  if event.event == "wait" then return ("a wait for “%s”"):format(event.poll or "") end
  if event.event == "answer" then return ("the answer to “%s”"):format(event.text) end
  return ("“%s” %s"):format(event.remedy or "", event.event == "remedy.begun" and "begins" or "ends: " .. tostring(event.state))
end

local function diverge(event, found)
  differs = { outcome = "suspended", diverged = true, text =
    ("the runbook goes another way than before: line %d of the journal has %s, now comes %s; nothing was done since")
      :format(event.seq, described(event), found) }
  return differs
end

-- How the run ends when its task was cancelled because it went another way.
function resume.diverged() return differs end

local function check_line(event, act)
  if event.line == act.line then return end
  tasks.raise_end(diverge(event, ("%s (%s)"):format(act.line, act.from or "?")))
end

-- The script came to its end before the journal did.
function resume.finish()
  if resume.is_caught_up() then return end
  tasks.raise_end(diverge(book.order[place], "the end of the script"))
end

-- Looks whether anything is delivered at all.
function resume.watch()
  local seen, since = nil, tasks.now()
  while not resume.is_caught_up() do
    if seen ~= place or looked_anew > 0 or waiters == 0 then seen, since = place, tasks.now() end
    if tasks.now() - since > STUCK_SECONDS then
      diverge(book.order[place], asked[1] or "something that waits for it")
      return tasks.cancel(root)
    end
    tasks.sleep(LOOK_SECONDS)
  end
end

------------------------------------------------------------------ Effects --

local is_read = { read = true, declared = true }

local function failed(act, fields)
  local why = fields.error and fields.error.message or fields.why or "it did not succeed"
  if is_read[act.class] then blame.cannot_look("%s", why) end
  blame.cannot_act("%s failed: %s", act.line, why)
end

-- What the script got for it.
local function answer(event, act, fields)
  local status = event.status
  if act.entry.passed then act.entry.passed(act.call) end
  if status == "refused" then blame.cannot_act("%s refused: %s", act.line, fields.why) end
  if is_read[act.class] and (status ~= "failed" or fields.error) then
    if act.probe then aftermath.read(act, fields) end
    return result.new(act.entry, act.line, status, fields)
  end
  if status == "ok" or status == "not_well" then return result.new(act.entry, act.line, status, fields) end
  if act.class ~= "notify" then failed(act, fields) end
  local err = fields.error or { kind = "failed", message = fields.why }
  return result.new(act.entry, act.line, "not_well", { ok = false, why = err.message, error = err })
end

local function fields_of(event, act)
  local fields, all = recorded.unmasked(event.result or {})
  if act.entry.restored then fields = act.entry.restored(fields) end
  return fields, all
end

-- A value that was masked and can't be put back is looked at again.
local function look_anew(act)
  looked_anew = looked_anew + 1
  journal.event("note", { text = ("%s is looked at again: what it gave was masked for good"):format(act.line) })
  local fields, err = live.read(act)
  looked_anew = looked_anew - 1
  local status, learned = require("outcome").of_read(fields, err, act.entry.instrument)
  return result.new(act.entry, act.line, status, learned)
end

-- In the plan of what is left of a remedy: what it did already is no part of it.
local function served(act, here)
  if not here.rest then return nil end
  local event = book.by_key[here.rest.call .. act.key:sub(#here.rest.path + 1)]
  if not event then return nil end
  check_line(event, act)
  return function() return answer(event, act, (fields_of(event, act))) end
end

-- What this effect gave before, as a function that returns or raises it; nil when it is real.
function resume.recorded(act, here)
  if here.level then return nil end
  if here.pass == "plan" then return served(act, here) end
  local event = book.by_key[act.key]
  if not event then return wait_until_caught_up(("%s (%s)"):format(act.line, act.from or "?")) end
  check_line(event, act)
  if event.status == "cancelled" then return function() be_broken_off(event, here) end end
  wait_for_turn(event)
  local fields, all = fields_of(event, act)
  deliver(event)
  if not all and is_read[act.class] then return function() return look_anew(act) end end
  return function() return answer(event, act, fields) end
end

-- Whether this wait was waited before.
function resume.recorded_wait(it)
  local event = book.by_key[it.key]
  if not event then return wait_until_caught_up(("a wait for “%s”"):format(it.poll or "")) end
  if event.status == "cancelled" then be_broken_off(event, tasks.context()) end
  wait_for_turn(event)
  deliver(event)
  return true
end

-- What was answered to this question, as { answer =, why = }; nil when it is to be asked.
function resume.recorded_answer(key, question)
  local event = book.by_key[key]
  if not event then return wait_until_caught_up(("the question “%s”"):format(question.text)) end
  if event.text ~= question.text then tasks.raise_end(diverge(event, ("the question “%s”"):format(question.text))) end
  wait_for_turn(event)
  deliver(event)
  return event
end

----------------------------------------------------------------- Remedies --

-- What became of the call of a remedy at this place: { state =, begun = }; nil when it never got to its writes. Then it is planned
-- and asked for, which must not be done for one that stands where the journal has something else.
function resume.recorded_remedy(path, title)
  local it = book.calls[path]
  if it and (it.state or it.begun) then return it end
  wait_until_caught_up(("“%s”"):format(title))
end

-- The event of the debt of that number; nil when none was incurred.
function resume.recorded_debt(number) return book.owed[number] end

-- Whether the journal has the event: what a step writes again when it is taken again.
function resume.has(name, fields)
  local event = book.by_key[name == "effect.outcome" and fields.key or fields.call and name .. " " .. fields.call]
  if not event then return book:has(name, fields) end
  if not event.delivered then
    wait_for_turn(event)
    deliver(event)
  end
  return true
end

function resume.doubts(path) return book:doubts(path) end
function resume.recorded_failure(path) return book:has_failed(path) end

-- A doubt that a person has settled: the remedy's call has its outcome now.
function resume.settle_doubt(event, status, fields)
  book.begun[event.key] = nil
  journal.counts.may_have_run = journal.counts.may_have_run - 1
  if not status then return end
  book.by_key[event.key] = { event = "effect.outcome", key = event.key, line = event.line, class = event.class, status = status,
                             result = fields, seq = event.seq, settled = true }
end

return resume
