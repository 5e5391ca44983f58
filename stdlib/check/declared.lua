-- Reads on the author's word: calls with `reads = true`, by the program that they start.
local facts = require "check.facts"

local declared = {}

-- The argument vector among a call's arguments: the first table with a word in it.
local function vector_of(call)
  for _, argument in ipairs(call.arguments) do
    local origin = facts.origin(argument)
    local first = origin.type == "table" and origin.items[1]
    if first and not first.key then return origin end
  end
end

local function says_so(call)
  for _, argument in ipairs(call.arguments) do
    local value = facts.field(facts.origin(argument), "reads")
    if value and value.type ~= "false" then return true end
  end
  return false
end

-- { program = its name, or the effect's when none is started or it isn't written out, effect =, line =, column = } each.
function declared.reads(tree)
  local list = {}
  facts.each(tree.body, function(node)
    local entry = facts.effect(node)
    if not entry or not entry.options.reads or not says_so(node) then return end
    local _, name = facts.program(vector_of(node))
    list[#list + 1] = { program = name or entry.name, effect = entry.name, line = node.line, column = node.column }
  end)
  return list
end

return declared
