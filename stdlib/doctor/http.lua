-- http: is there somebody at each address? An answer of any status is well: an API that is down is the incident.
local look = require "doctor.look"

-- The row of a read that the rehearsal made; nil when it made none.
local function told(what, it)
  if it.err then
    return look.failure(what, it.err)
  elseif it.fields and it.fields.status then
    return { what = what, state = "ok", text = ("answers (HTTP %d)"):format(it.fields.status) }
  elseif it.fields then
    return look.not_well(what, it.fields.why)
  end
end

-- The best that was seen of an origin.
local function best(what, uses)
  local found
  for _, it in ipairs(uses) do
    local row = told(what, it)
    if row and (not found or row.state == "ok") then found = row end
  end
  return found
end

return function(asked, check)
  local by_origin = look.groups(look.of(asked, "http"), function(it)
    return look.known(it.act.call.url) and look.origin(it.act.call.url)
  end)
  for _, uses in ipairs(by_origin) do
    local origin = uses.key
    check(origin, function() return { best(origin, uses) or look.address(origin, origin) } end, uses)
  end
end
