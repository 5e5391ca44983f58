-- Changes whose way back the catalogue knows and nobody went: a node that is cordoned, a unit that is stopped. Read off the
-- run's own writes and told at its end. An entry says what it leaves:
--   leaves(call, result, known) → a list of { thing = "node n1", text = "is cordoned", back = { "kubectl.uncordon", "n1" } }
-- Without text the thing is as it was. `known`: thing → what an earlier write left, with the fields that its entry put there.
local byhand = require "byhand"
local catalogue = require "catalogue"
local gate = require "gate"
local journal = require "journal"

local left = {}

local things, order = {}, {}

local changes = { write = true, destructive = true }
local happened = { ok = true, unknown = true }

-- Hears how each effect ended. One that found nothing to change leaves what others did.
local function note(fields)
  local entry, result = catalogue.effects[fields.line:match "^%S+"], fields.result or {}
  if not changes[fields.class] or not (happened[fields.status] or result.partly) then return end
  if not entry or not entry.leaves or result.changed == false then return end
  for _, it in ipairs(entry.leaves(fields.args, result, things)) do
    if not things[it.thing] then order[#order + 1] = it.thing end
    it.line, it.unsure = fields.line, fields.status == "unknown" and not result.partly
    things[it.thing] = it
  end
end

local function way_back(name, ...)
  local family, verb = name:match "^(%l+)%.?([%l_]*)$"
  return gate.act(catalogue.family(family)[verb ~= "" and verb or true], ...)
end

-- In the order in which they were first touched: { line = of the write, text =, back = the effect that takes it back, command = }.
function left.list()
  local list = {}
  for _, thing in ipairs(order) do
    local it = things[thing]
    if it.text then
      local act = way_back(table.unpack(it.back))
      list[#list + 1] = { line = it.line, text = ("%s %s%s"):format(thing, it.text, it.unsure and ", perhaps" or ""),
                          back = act.line, command = (byhand.of(act)) }
    end
  end
  return list
end

journal.listen(function(name, fields) if name == "effect.outcome" then note(fields) end end)

return left
