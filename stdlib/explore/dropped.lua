-- Calls of remedies whose result nothing asks for: declined or applied without help, the script goes on alike, and both are one
-- way. Told by the runbook's text.
local facts = require "check.facts"
local parser = require "syntax.parser"
local script = require "script"
local walk = require "syntax.walk"

local dropped = {}

local lines = {} -- path → line → calls of remedies in it that are statements; false of one that is not

local function is_remedy(call)
  return not call.method and facts.word(facts.origin(call.object)) == "remedy"
end

local function read(path)
  local found = {}
  local tree = parser.parse(script.text(path) or "", path)
  if not tree then return found end
  walk.names(tree)
  walk.each(tree.body, function(node, above)
    if node.type ~= "call" or not is_remedy(node) then return end
    local parent = above[#above]
    local alone = parent and parent.type == "call_alone"
    found[node.line] = alone and found[node.line] ~= false
  end)
  return found
end

-- Whether what the remedy that is called right now gives back is asked for by nobody. `level`: of the script's function, as
-- debug.getinfo counts for the caller.
function dropped.is(level)
  local info = debug.getinfo(level + 1, "Sl")
  local path = info and info.source:match "^@(.*)$"
  if not path then return false end
  lines[path] = lines[path] or read(path)
  return lines[path][info.currentline] == true
end

return dropped
