-- Who may say yes to a plan, and how: automatically, by a word, or by typing the target's name.
local asking = require "asking"
local freeze = require "freeze"
local gate = require "gate"
local journal = require "journal"
local plan = require "plan"
local run = require "run"

local approval = {}

-- How long an approval waits before silence is a no, in seconds.
approval.WITHIN = 300

-- What the config says for a level: auto, ask or type.
function approval.policy(level)
  local given = run.config and run.config.approvals and run.config.approvals[level]
  return given or "ask"
end

-- While writes are frozen a person alone lets one through, who was told of it.
local function frozen_text(it, made)
  local frozen = freeze.now()
  made.seen_freeze = frozen and frozen.id or nil
  if not frozen then return nil end
  journal.event("freeze", { by = frozen.by, why = frozen.why, text = freeze.text(frozen) })
  return ("Writes are frozen (%s). Apply “%s” all the same?"):format(freeze.text(frozen), it.title)
end

-- Granted without a question? Never when a finding was read that nobody knew, after what failed or was declined, and no way
-- back.
local function automatic(it, made)
  if asking.in_doubt() or it.takes_back or it.rest then return nil end
  local level = made:level()
  if plan.covers(run.options.yes, level) then return "--yes " .. run.options.yes end
  if approval.policy(level) == "auto" then return "config: approvals." .. level .. " = auto" end
end

local function record(title, granted, by, made)
  journal.event("approval", { remedy = title, granted = granted, by = by, level = made and made:level() }, true)
  if not granted then
    journal.event("remedy.ended", { remedy = title, state = "declined", why = by })
  end
  return granted
end

local function question(it, made)
  local asked = asking.about(it, made)
  asked.kind, asked.label, asked.text = "approve", it.title, it.text or ("Apply “%s”?"):format(it.title)
  asked.within, asked.default, asked.planned = approval.WITHIN, "no", "yes"
  asked.type = approval.policy(asked.level) == "type" and made:target() or nil
  asked.plan, asked.warning, asked.takes_back = made:describe(), it.warning, it.takes_back
  return asked
end

-- Asks for a plan; true when it was approved.
function approval.ask(it, made)
  local frozen = frozen_text(it, made)
  local granted = not frozen and automatic(it, made)
  if granted then return record(it.title, true, granted, made) end
  local asked = question(it, made)
  if frozen then asked.text, asked.in_person = frozen, true end
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
  asked.within, asked.default, asked.planned, asked.takes_back = approval.WITHIN, "no", "no", it.takes_back
  asked.otherwise = "with --here"
  asked.plan = { remedy = it.title, level = asked.level, effects = rows, assumes = {} }
  local answer, why = gate.ask(asked)
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
  local answer, why = gate.ask { kind = "approve", label = text, text = text, default = "no", beyond = beyond, in_person = true,
    within = approval.WITHIN, level = "high", ignorance = run.ignorance, planned = "no",
    plan = { remedy = it.title, level = "high", assumes = {}, effects = { plan.row(act) } } }
  journal.event("approval", { remedy = it.title, granted = answer == "yes", by = why or "operator",
                              line = act.line }, true)
  return answer == "yes"
end

return approval
