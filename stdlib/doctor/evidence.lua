-- What the rehearsal itself proved: reads that failed, and what each remedy would do now.
local look = require "doctor.look"
local run = require "run"
local secrets = require "secrets"
local values = require "values"

local evidence = {}

local function add(rows, area, row)
  row.area = area
  rows[#rows + 1] = row
end

-- Reads that failed with the same words make one row; what nobody has in time is told too.
local function failed_reads(asked, rows)
  local failed = {}
  for _, it in ipairs(asked) do
    local is_program = it.err and it.err.kind == "missing" and it.act.entry.family == "exec" -- told by its machine
    if (it.err or it.late) and not is_program then failed[#failed + 1] = it end
  end
  for _, group in ipairs(look.groups(failed, function(it) return it.err and it.err.message or "no answer in time" end)) do
    local it, lines = group[1], {}
    for i, other in ipairs(group) do lines[i] = other.act.line end
    local row = look.failure(it.by, it.err or { kind = "timeout", message = group.key })
    row.text = ("%s: %s"):format(look.some(lines, 1), row.text)
    look.soften(row, group)
    look.on_made_up(row, it)
    add(rows, "read", row)
  end
end

local function plan_row(it)
  local radius = it.preview or {}
  local why = it.nowhere or radius.impossible or radius.unknown and radius.text:gsub("^radius unknown: ", "")
  local state = (it.nowhere or radius.impossible and not radius.passing) and "stops"
    or (radius.unknown or radius.impossible) and "warning" or "ok"
  local text = why or radius.text or it.open or "what it changes can't be told"
  local row = { what = it.by, state = state, text = ("%s: %s"):format(it.act.line, text), said = why or nil,
                mend = state == "stops" and "this remedy would be refused: put it in place, or point the parameters elsewhere"
                  or nil }
  look.on_made_up(row, it)
  return row
end

-- What the remedies would change, in the order of the script: a rehearsal's effects come between another's.
local function changes(asked)
  local places, list = {}, {}
  for i, remedy in ipairs(run.remedies) do places[remedy.title], places["Undo: " .. remedy.title] = 2 * i, 2 * i + 1 end
  for _, it in ipairs(asked) do if look.is_change(it) then list[#list + 1] = it end end
  for i, it in ipairs(list) do it.place = (places[it.by] or 0) * 1e6 + i end
  table.sort(list, function(a, b) return a.place < b.place end)
  return list
end

-- Rows of area "read" and "remedy"; what they have `said` may stand in an area's own row already.
function evidence.rows(asked)
  local rows = {}
  failed_reads(asked, rows)
  for _, it in ipairs(changes(asked)) do add(rows, "remedy", plan_row(it)) end
  return rows
end

-- Whether every secret that was asked for is at hand.
function evidence.secrets()
  local rows, there = {}, {}
  for name in pairs(secrets.fetched) do there[#there + 1] = name end
  table.sort(there)
  if #there > 0 then add(rows, "secret", { what = look.some(there, 5), state = "ok", text = "at hand" }) end
  for _, name in ipairs(values.keys(secrets.missed)) do
    add(rows, "secret", { what = name, state = "stops", text = secrets.missed[name],
                          mend = ("set it, or say in the config's secrets where it is: %s = { file = … }"):format(name) })
  end
  return rows
end

return evidence
