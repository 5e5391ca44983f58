-- How an effect ended: well, not well (the target was reached or gave no answer: a finding), or failed (we could not
-- look: unknown). Entries' run functions return these shapes.
local outcome = {}

-- Kinds of errors that are an answer about the target. All others mean that we could not look.
local findings = { refused = true, reset = true, timeout = true, tls = true, protocol = true, starting = true, reply = true,
                   limit = true }

-- For a read that got { kind=, message= } from a raw module: not well with what was learned, or nil and the error.
function outcome.from_error(err, learned)
  if not findings[err.kind] then return nil, err end
  local fields = learned or {}
  fields.ok, fields.why = false, err.message
  return fields
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
