-- How the doctor's areas look, and what their looks mean. A row is { what =, state = "ok" | "warning" | "stops", text =,
-- mend = }: what was looked at, how it is, in words, and how it is put right. `said`: the bare message in the text.
local catalogue = require "catalogue"
local gate = require "gate"
local result = require "result"
local values = require "values"

local look = {}

-- Kinds of errors that may be the very incident: nothing is missing here. All others keep a run from its work.
local incident = { refused = true, reset = true, timeout = true, tls = true, protocol = true, starting = true, limit = true,
                   reply = true, unreachable = true, engine = true, io = true, prometheus = true }

local mends = {
  missing = "install it, or point the runbook's parameters at what is there",
  permission = "allow it, or run as a user who may",
  login = "put the credentials right",
  usage = "put the config or the runbook's parameters right",
  dns = "put the name right, or the resolver",
  trust = "give this machine the file of the authority that signed it",
}

function look.state(kind) return incident[kind] and "warning" or "stops" end
function look.mend(kind) return mends[kind] or "see what the message says" end

-- Makes a read of the catalogue's through the gate, for the doctor itself: `look.ask("sql.row", dsn, "SELECT 1")`.
function look.ask(name, ...)
  local family, verb = name:match "^(%l+)%.?([%l_]*)$"
  return gate.perform(catalogue.family(family)[verb ~= "" and verb or true], ...)
end

-- Whether an answer is well, and in words why it isn't: of one that failed no field may be touched.
function look.is_well(it) return result.status(it) == "ok" end
function look.why(it) return result.summary(it) end

-- Rows of a look that failed, and of a server that doesn't do well.
function look.failure(what, err, mend)
  if err.kind == "unmeasured" then -- a probe won't know; all else can be done
    return { what = what, state = "warning", text = err.message, said = err.message }
  end
  local state = look.state(err.kind)
  if state == "warning" then return look.not_well(what, err.message) end
  return { what = what, state = state, text = err.message, said = err.message, mend = mend or look.mend(err.kind) }
end

function look.not_well(what, why)
  return { what = what, state = "warning", text = why .. " (the incident itself?)", said = why }
end

-- The row that an asked result makes. `given`: text = when it is well, mend = when it isn't.
function look.row(what, it, given)
  if it.error then
    return look.failure(what, it.error, given and given.mend)
  elseif not it.ok then
    return look.not_well(what, it.why)
  end
  return { what = what, state = "ok", text = given and given.text or result.summary(it) }
end

-- Of all that was asked for, the effects of these families.
function look.of(asked, ...)
  local wanted, list = {}, {}
  for _, family in ipairs { ... } do wanted[family] = true end
  for _, it in ipairs(asked) do if wanted[it.act.entry.family] then list[#list + 1] = it end end
  return list
end

local function none(uses, field)
  for _, it in ipairs(uses) do if it[field] then return false end end
  return true
end

local function soften(row, why)
  if row.state == "stops" then row.state, row.text = "warning", ("%s (%s)"):format(row.text, why) end
end

-- What only preventions ask for keeps no run from its work, and neither does what the runbook can do without.
function look.soften(row, uses)
  if none(uses, "needed") then soften(row, "for preventions") end
  for _, it in ipairs(uses) do if not it.handled or it.raised then return end end
  soften(row, "the runbook goes on without")
end

-- What was asked for on made-up answers may be made up too.
function look.on_made_up(row, it)
  if it.made_up then soften(row, "asked for on made-up answers") end
end

function look.is_change(it) return it.act.class == "write" or it.act.class == "destructive" end

-- The items in groups by key(item), in order: { { key =, items }, … }; an item without a key is left out.
function look.groups(list, key)
  local groups, by_key = {}, {}
  for _, item in ipairs(list) do
    local name = key(item)
    if name ~= nil then
      local group = by_key[name]
      if not group then
        group = { key = name }
        by_key[name], groups[#groups + 1] = group, group
      end
      group[#group + 1] = item
    end
  end
  return groups
end

-- An argument that names a server, as a key for groups; nil for what only a run knows.
function look.known(value)
  if values.is_placeholder(value) or values.is_secret(value) and values.marked(value):find("‹", 1, true) then return nil end
  return values.marked(value)
end

-- HEAD / of an origin: an answer of any status is well, and such a question changes nothing and tells nobody.
function look.address(what, origin)
  local it = look.ask("http.head", origin .. "/")
  if it.error then return look.row(what, it) end
  if not it.status then return look.not_well(what, it.why) end
  return { what = what, state = "ok", text = ("%s answers"):format(origin) }
end

-- "http://user@api.conduit.im:8080/x" → "http://api.conduit.im:8080"
function look.origin(url)
  local scheme, place = tostring(values.reveal(url)):match "^(%a[%w+.-]*://)([^/?#]*)"
  return scheme and scheme .. place:gsub("^.*@", "")
end

-- "a, b and 3 more"
function look.some(list, most)
  local shown = table.concat(list, ", ", 1, math.min(#list, most))
  return #list > most and ("%s and %d more"):format(shown, #list - most) or shown
end

return look
