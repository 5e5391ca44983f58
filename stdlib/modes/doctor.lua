-- Doctor: a rehearsal that remembers what was asked for, so that it can be looked at beforehand. Reads and previews are
-- real. A read on the author's word, or of something that only a run knows, is not carried out. What is not carried out or
-- not well is answered by its specimen, so that what follows is reached; so is what failed, where the script can't go on. It
-- has no `write`, no `notify` and no `ask`.
local catalogue = require "catalogue"
local live = require "modes.live"
local outcome = require "outcome"
local result = require "result"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"

-- asked: one for each line: { act =, by = title of what asked first, fields =, err = of a read that was made, late = it did
-- not end, preview = of a write, open = why it can't be looked at now, nowhere = why it never can: it
-- names an unknown machine, needed = more than a prevention asks for it,
-- made_up = all who ask were told something made up before, handled = it failed, and the script looked at its error,
-- raised = it failed, and the script could not go on }
local doctor = { name = "doctor", tells_open_looks = true, grace = live.grace, asked = {}, here = false }
local by_line = {}

-- Writes to this machine, and what names an unknown one, are rehearsed too; what is wrong with them is a row of its own.
function doctor.open()
  doctor.here, settings.here = settings.here, true
  settings.any_machine = true
  result.on_error = function(line) if by_line[line] then by_line[line].handled = true end end
end

-- A secret that is not at hand is a placeholder, and so is what it was joined to.
local function is_unknown(value)
  if values.is_placeholder(value) then return true end
  if values.is_secret(value) then return values.marked(value):find("‹secret ", 1, true) ~= nil end
  for _, item in pairs(type(value) == "table" and value or {}) do if is_unknown(item) then return true end end
  return false
end

-- Whether it names a machine that is not in the config.
function doctor.is_nowhere(act)
  local on = act.entry.options.on and act.call.on
  return on and not settings.machines[on] and not require("effects.machine").is_here(on)
end

local function why_nowhere(act) return doctor.is_nowhere(act) and "its machine is not in the config" or nil end

local function why_open(act)
  if is_unknown(act.call) then return "what it touches is known only in a run" end
  return why_nowhere(act)
end

-- What is known of an effect, and whether it was asked for before.
local function remember(act)
  local it, here = by_line[act.match], tasks.context()
  local again = it ~= nil
  if not again then
    it = { act = act, by = here.by, open = why_open(act), nowhere = why_nowhere(act) }
    by_line[act.match], doctor.asked[#doctor.asked + 1] = it, it
  end
  it.needed = it.needed or not here.prevention
  it.made_up = (not again or it.made_up) and here.rehearsal ~= nil and here.rehearsal.made_up or false
  return it, again
end

-- Looked at once: who asks meanwhile waits. A deadline that ends the rehearsal leaves it as `late`.
local function look(it, act)
  it.late, it.looked = true, tasks.event()
  local ok, fields, err = pcall(live.read, act)
  if ok then
    if not fields then fields, err = outcome.from_error(err, nil, act.entry.instrument) end
    it.fields, it.err, it.late = fields, err, nil
  end
  it.looked:set()
  if not ok then error(fields, 0) end
end

function doctor.read(act)
  if tasks.context().checking then return live.read(act) end
  local it, again = remember(act)
  if it.looked then it.looked:wait() elseif act.class == "read" and not it.open and not again then look(it, act) end
  if it.fields and it.fields.ok ~= false then return values.copy(it.fields) end
  local rehearsal = tasks.context().rehearsal
  if it.err and rehearsal.honest then return nil, it.err end
  it.raised, rehearsal.made_up = it.err ~= nil, true
  local fields = catalogue.specimen(act.entry, act.call)
  fields.made_up = true -- for the journal
  return fields
end

-- What can't be done is told in the table; the rehearsal goes on as if it could.
function doctor.preview(act)
  local it, again = remember(act)
  if not it.open and not again then
    it.preview = { text = "not previewed in time", unknown = true }
    it.preview = live.preview(act) or {}
  end
  local radius = values.copy_shallow(it.preview or {})
  radius.impossible = nil
  return radius
end

-- Nothing was armed.
function doctor.settle() return {} end

return doctor
