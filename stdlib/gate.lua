-- The gate. Every touch of the outside world is an effect, and every effect passes gate.perform: nothing else in the
-- program calls an entry's run, and scripts hold nothing but functions that end here. What a mode may do is decided by one
-- small table (stdlib/modes/): how it answers reads, and whether its writes are carried out or only told.
--
-- A doubting reader wants three facts from this file:
--   1. refuse(): a write in a probe, or outside a remedy, ends here, in every mode.
--   2. write(): in a plan or dry pass a write is previewed and told, never run; a mode without `write` has no way to run one.
--   3. apply(): a real write is in the approved plan, once, what it would destroy is saved first, and its intent is on disk
--      before the world is touched.
local blame = require "blame"
local catalogue = require "catalogue"
local journal = require "journal"
local outcome = require "outcome"
local plans = require "plan"
local result = require "result"
local run = require "run"
local tasks = require "tasks"

local gate = {}
local mode -- the table of the mode this process runs in; set once

-- Effects in flight at a time; the others wait their turn.
gate.IN_FLIGHT = 200
local slots = tasks.slots(gate.IN_FLIGHT)

local changes = { write = "a write", destructive = "a destructive write" }

function gate.open(mode_table)
  assert(not mode, "the mode is set once")
  mode = mode_table
end

function gate.mode() return mode end

----------------------------------------------------------------- Refusal --

local function refuse(act, why, is_mistake)
  journal.outcome(act, "refused", { why = why })
  blame[is_mistake and "raise" or "cannot_act"]("%s refused: %s", act.line, why)
end
local function misplaced(act, why) refuse(act, why, true) end

-- Law 3: only a remedy changes anything, a probe least of all; telling people is allowed anywhere but in a probe.
local function check_place(act, here)
  local class, kind, way = act.class, changes[act.class], catalogue.way_to_look(act.entry)
  if kind then
    if here.probe then misplaced(act, ("it is %s, and a probe changes nothing%s"):format(kind, way)) end
    if here.level then misplaced(act, "an escalation may only notify") end
    if not here.remedy then misplaced(act, ("it is %s: put it in a remedy%s"):format(kind, way)) end
  elseif class == "notify" then
    if here.probe then misplaced(act, "a probe tells nobody") end
  elseif here.level then
    misplaced(act, "an escalation may only notify")
  end
  act.needs = kind and act.entry.permission and act.entry.permission(act.call) or nil
  if act.needs and here.pass == "apply" and not here.remedy.allowed then refuse(act, act.needs.why) end
end

------------------------------------------------------------------- Reads --

-- An effect that doesn't end in time gave no answer: a finding for a read.
local function in_time(act, f, ...)
  local seconds = act.call.timeout + (mode.grace or 0) + (act.entry.ending or 0)
  act.began = tasks.now() -- what it waited for its turn is not the target's time
  local results = table.pack(tasks.deadline(seconds, f, ...))
  if results[1] then return results[2], results[3] end
  return nil, { kind = "timeout", message = ("no answer within %g s"):format(act.call.timeout), at_gate = true }
end

-- What was begun and broken off has an outcome too.
local function broken_off(act, how, err)
  journal.outcome(act, how.status, { why = how.why }, act.began and tasks.now() - act.began)
  error(err, 0)
end

local function read(act, here)
  if plans.is_open(act, here, mode) then return here.plan:assume_look(act) end
  journal.begun(act)
  local done, fields, err = pcall(slots, in_time, act, mode.read, act)
  if not done then broken_off(act, outcome.of_break(fields), fields) end
  local status, learned = outcome.of_read(fields, err, act.entry.instrument)
  journal.outcome(act, status, learned, tasks.now() - act.began)
  return plans.learn_look(here.plan, act, result.new(act.entry, act.line, status, learned))
end

------------------------------------------------------------------ Writes --

-- Intent on disk, act, outcome. What is cancelled or times out may have happened: its outcome is unknown.
local function act_on(act, do_it, plan)
  journal.intent(act)
  local done, fields, err = pcall(in_time, act, do_it, act, plan)
  if not done then broken_off(act, { status = "unknown", why = "interrupted: may have run" }, fields) end
  local ms = tasks.now() - act.began
  if fields and (fields.ok ~= false or act.class == "notify") then
    local status = fields.ok == false and "not_well" or "ok" -- what could not be told yet waits, and is not done
    fields.ok = fields.ok ~= false
    journal.outcome(act, status, fields, ms)
    return result.new(act.entry, act.line, status, fields)
  end
  err = outcome.of_failed(fields, err)
  local late = outcome.is_doubtful(err)
  journal.outcome(act, late and "unknown" or "failed", { error = outcome.error(err), why = late and "may have run" or nil,
                                                            partly = err.partly }, ms)
  return nil, err
end

local function raise_write(act, err) blame.cannot_act("%s failed: %s", act.line, err.message) end

-- Law 6: only what was approved, each once.
local function apply(act, here)
  local planned = here.plan:take(act)
  if not planned and not here.plan:ask_beyond(act, mode) then refuse(act, here.plan:why_beyond(act)) end
  local grown = here.plan:renew(planned, act, mode)
  if grown then refuse(act, grown) end
  local preview = (planned or act).preview
  act.pins = preview and act.entry.pins and act.entry.pins(preview)
  if act.entry.evidence and mode.save_evidence and not mode.save_evidence(act, preview) then
    refuse(act, "its evidence can't be saved")
  end
  here.plan:begin()
  local done, err = act_on(act, mode.write, preview)
  if done then return here.plan:learn(planned, done) end
  raise_write(act, err)
end

-- Law 5: told as `would`, never as `ok`.
local function tell(act, here)
  plans.foresee(act, mode)
  if act.preview and act.preview.impossible then refuse(act, act.preview.impossible) end
  if here.plan then here.plan:add(act) end
  local fields = act.entry.would and act.entry.would(act.call, act.preview) or {}
  fields.ok, fields.dry = true, true
  if here.pass ~= "plan" then journal.outcome(act, "would", plans.told(act)) end
  return result.new(act.entry, act.line, "would", fields, act)
end

local function write(act, here)
  if here.pass == "apply" and mode.write then return apply(act, here) end
  return tell(act, here)
end

-- Telling people: in a plan pass it is told, elsewhere it goes out if the mode lets it.
local function notify(act, here)
  if here.pass == "plan" or not mode.notify then return tell(act, here) end
  local done, err = act_on(act, mode.notify)
  if done then return here.pass == "apply" and here.plan:learn(here.plan:take(act), done) or done end
  if here.level then raise_write(act, err) end
  return result.new(act.entry, act.line, "not_well", { ok = false, why = err.message, error = err })
end

--------------------------------------------------------------- Questions --

-- The operator's word. `question`: { kind="confirm"|"choose"|"ask"|"approve", text=, label=, options=, default=, within= };
-- returns the answer, or nil and "silence". A plan pass takes what the design says for it: yes, the first, the default.
function gate.ask(question)
  local here = tasks.context()
  if here.level then blame.raise("an escalation asks nobody: it may only notify") end
  blame.check_can_wait(question.text)
  run.acting()
  if here.pass == "plan" or not mode.ask then return question.planned end
  local asking = require "asking"
  local key, known = asking.place(question, here, mode)
  if known then return known.answer, known.why end
  journal.event("question", asking.event(question, key))
  local answer, why, given = mode.ask(question) -- `given`: names of the words by which others said so
  journal.event("answer", { key = key, text = question.text, kind = question.kind, answer = answer, why = why, words = given })
  return answer, why
end

-------------------------------------------------------------------- Entry --

-- What one call of a script's is: the entry, checked arguments, the class the host gives it, its line.
function gate.act(entry, ...)
  local call = catalogue.call(entry, ...)
  local act = { entry = entry, call = call, match = catalogue.line(entry, call) }
  act.line = #act.match <= catalogue.LINE_ARGUMENT and act.match or catalogue.line(entry, call, catalogue.LINE_ARGUMENT)
  act.class = type(entry.class) == "function" and entry.class(call) or entry.class
  return act
end

-- The one door: carries out, tells or refuses what a script asked for, as its place and the mode allow.
function gate.perform(entry, ...)
  local here, act = tasks.context(), gate.act(entry, ...)
  blame.check_can_wait(act.line)
  if not here.level then run.acting() end
  if here.plan and here.pass ~= "apply" then here.plan:count() end
  act.key, act.from, act.poll = journal.key(here), blame.place(), here.poll or nil
  act.probe, act.probe_args = here.probe or nil, here.probe_args or nil
  check_place(act, here)
  local recorded = mode.recorded and mode.recorded(act, here)
  if recorded then return recorded() end
  if changes[act.class] then return write(act, here) end
  if act.class == "notify" then return notify(act, here) end
  return read(act, here)
end

return gate
