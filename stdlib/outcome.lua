-- How an effect ended: well, not well (the target was reached or gave no answer: a finding), or failed (we could not
-- look: unknown). Entries' run functions return these shapes.
local blame = require "blame"
local tasks = require "tasks"

local outcome = {}

-- Kinds of errors that are an answer about the target. All others mean that we could not look.
local findings = { refused = true, reset = true, timeout = true, tls = true, protocol = true, starting = true, reply = true,
                   limit = true }

-- What is not well → the error that said so: of a change it tells whether it may have been made all the same.
local causes = setmetatable({}, { __mode = "k" })

-- For a read that got { kind=, message= } from a raw module: not well with what was learned, or nil and the error. What we
-- look with (`instrument`, its name) is not the patient: of its own silence nothing is found.
function outcome.from_error(err, learned, instrument)
  if not findings[err.kind] then return nil, err end
  if instrument then return nil, { kind = instrument, message = err.message } end
  local fields = learned or {}
  fields.ok, fields.why = false, err.message
  causes[fields] = err
  return fields
end

-- Why a change did not succeed: its error, or what its answer says.
function outcome.of_failed(fields, err)
  return err or causes[fields] or { kind = "failed", message = fields.why or "it did not succeed" }
end

-- A read's status and its fields, from what its run gave.
function outcome.of_read(fields, err, instrument)
  if not fields then fields, err = outcome.from_error(err, nil, instrument) end
  if not fields then return "failed", { ok = false, error = outcome.error(err) } end
  if fields.ok == nil then fields.ok = true end
  return fields.ok and "ok" or "not_well", fields
end

local interrupts = { cancel = "cancelled", timeout = "a deadline around it passed", ["end"] = "the run ended",
                     budget = "it computed for too long" }

-- A failure as it stands in results and in the journal; `where`: our own line that did not understand an answer.
function outcome.error(err) return { kind = err.kind, message = err.message, where = err.where } end

-- A failed change that may have been made all the same: nobody knows how far it came.
local doubtful = { timeout = true, reset = true, answer = true }
function outcome.is_doubtful(err) return doubtful[err.kind] == true end

-- How a read ended that did not come to its end, by what was raised in it: { status =, why = }.
function outcome.of_break(err)
  local why = interrupts[tasks.is_interrupt(err)]
  return { status = why and "cancelled" or "failed", why = why or blame.text(err) }
end

-- A result that is not well.
function outcome.not_well(why, fields)
  fields = fields or {}
  fields.ok, fields.why = false, why
  return fields
end

-- nil and an error: failed.
function outcome.failed(kind, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  return nil, { kind = kind, message = message }
end

return outcome
