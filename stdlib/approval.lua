-- Who may say yes to a plan, and how: automatically, by a word, or by typing the target's name.
local asking = require "asking"
local consent = require "consent"
local freeze = require "freeze"
local gate = require "gate"
local journal = require "journal"
local plan = require "plan"
local run = require "run"

local approval = {}

-- How long an approval waits before silence is a no, in seconds; longer where several people must give it.
approval.WITHIN = 300
approval.WITHIN_SEVERAL = 900

-- While writes are frozen a person alone lets one through, who was told of it.
local function frozen_text(it, made)
  local frozen = freeze.now()
  made.seen_freeze = frozen and frozen.id or nil
  if not frozen then return nil end
  journal.event("freeze", { by = frozen.by, why = frozen.why, text = freeze.text(frozen) })
  return ("Writes are frozen (%s). Apply “%s” all the same?"):format(freeze.text(frozen), it.title)
end

-- By what it is granted without a question, or nil.
local function automatic(asked)
  if not consent.refusal("yes", asked) then return "--yes " .. run.options.yes end
  if not consent.refusal("config", asked) then return "config: approvals." .. asked.level .. " = auto" end
end

local function record(title, granted, by, made)
  journal.event("approval", { remedy = title, granted = granted, by = by, level = made and made:level() }, true)
  if not granted then
    journal.event("remedy.ended", { remedy = title, state = "declined", why = by })
  end
  return granted
end

-- How many people must say yes, and until when they can.
local function by_people(asked)
  asked.needed = consent.needed(asked.level)
  asked.within = asked.needed > 1 and approval.WITHIN_SEVERAL or approval.WITHIN
  return asked
end

local function question(it, made)
  local asked = asking.about(it, made)
  asked.kind, asked.label, asked.text = "approve", it.title, it.text or ("Apply “%s”?"):format(it.title)
  asked.default, asked.planned, asked.rest = "no", "yes", it.rest
  asked.type = consent.policy(asked.level) == "type" and made:target() or nil
  asked.plan, asked.warning, asked.takes_back = made:describe(), it.warning, it.takes_back
  return by_people(asked)
end

-- Asks for a plan; true when it was approved.
function approval.ask(it, made)
  local frozen, asked = frozen_text(it, made), question(it, made)
  if frozen then asked.text, asked.in_person = frozen, true end
  local granted = automatic(asked)
  if granted then return record(it.title, true, granted, made) end
  local answer, why = gate.ask(asked)
  return record(it.title, answer == "yes", why or answer == nil and "silence" or "operator", made)
end

-- Asks whether this machine may be changed at all, by its name and before the plan is shown. A person alone can say so; what
-- was said holds for this remedy.
function approval.allow(it, made)
  local needed, rows = made:needs()
  if not needed or it.allowed then return true end
  local asked = asking.about(it, made)
  asked.kind, asked.label, asked.type, asked.in_person = "approve", it.title, needed.name, true
  asked.text = ("“%s” changes this machine, %s, which nobody allowed: allow it?"):format(it.title, needed.name)
  asked.default, asked.planned, asked.takes_back = "no", "no", it.takes_back
  asked.otherwise = "with --here"
  asked.plan = { remedy = it.title, level = asked.level, effects = rows, assumes = {} }
  local answer, why = gate.ask(by_people(asked))
  it.allowed = answer == "yes"
  local by = why or answer == nil and "silence" or "operator"
  journal.event("approval", { remedy = it.title, granted = it.allowed, by = by, machine = needed.name }, true)
  if not it.allowed then
    journal.event("remedy.ended", { remedy = it.title, state = "declined", why = ("%s: %s"):format(by, needed.why) })
  end
  return it.allowed
end

-- Asks for one write that was not approved so; only a person's yes counts. `beyond`: it is not in the plan at all.
function approval.ask_one(it, act, text, beyond)
  local answer, why = gate.ask(by_people { kind = "approve", label = text, text = text, default = "no", beyond = beyond,
    in_person = true, level = "high", ignorance = run.ignorance, planned = "no",
    plan = { remedy = it.title, level = "high", assumes = {}, effects = { plan.row(act) } } })
  journal.event("approval", { remedy = it.title, granted = answer == "yes", by = why or "operator",
                              line = act.line }, true)
  return answer == "yes"
end

return approval
