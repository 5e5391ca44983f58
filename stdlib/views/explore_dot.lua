-- The decision graph in Graphviz' language.
local screen = require "screen"
local tty = require "raw.tty"

local view = {}

local TEXT_MAX = 80

local function quoted(text) return '"' .. screen.inert(text, TEXT_MAX):gsub('[\\"]', "\\%0") .. '"' end

local colours = { resolved = "palegreen", unresolved = "lightyellow", failed = "lightpink" }

local function node_line(node)
  if not node.ended then return ('  n%d [label=%s];\n'):format(node.number, quoted(node.label)) end
  local outcome = node.ended:match "^%a+"
  return ('  n%d [label=%s, shape=box, style=filled, fillcolor=%s];\n'):format(node.number, quoted(node.ended),
    colours[outcome] or "white")
end

function view.tell(record)
  local nodes = record.graph()
  local parts = { "digraph runbook {\n", ('  label=%s; labelloc=t; node [shape=ellipse];\n'):format(quoted(record.title or "")) }
  for _, node in ipairs(nodes) do parts[#parts + 1] = node_line(node) end
  for _, node in ipairs(nodes) do
    for _, arm in ipairs(node.arms or {}) do
      parts[#parts + 1] = ('  n%d -> n%d [label=%s];\n'):format(node.number, arm.to, quoted(arm.name))
    end
  end
  parts[#parts + 1] = "}\n"
  tty.write(1, table.concat(parts))
end

return view
