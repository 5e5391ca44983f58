-- The decision as a graph: what is asked, what each answer leads to. Subtrees that are alike are one; a question whose answers
-- all lead to the same is left out.
local graph = {}

-- Adds a way, its choices and its end, to the tree `root`.
function graph.add(root, taken, ended)
  local node = root
  for _, choice in ipairs(taken) do
    node.label = node.label or choice.label
    node.arms, node.order = node.arms or {}, node.order or {}
    if not node.arms[choice.arm] then
      node.arms[choice.arm] = {}
      table.insert(node.order, choice.arm)
    end
    node = node.arms[choice.arm]
  end
  node.ended = ended
end

-- The number of the node that stands for this one among `list`; alike ones have one.
local function merge(node, list, known)
  local key
  if node.ended then
    key = "end\0" .. node.ended
    node = { ended = node.ended }
  else
    local arms, parts, same = {}, { node.label }, true
    for i, name in ipairs(node.order) do
      arms[i] = { name = name, to = merge(node.arms[name], list, known) }
      parts[#parts + 1] = name .. "\1" .. arms[i].to
      same = same and arms[i].to == arms[1].to
    end
    if same then return arms[1].to end
    key, node = table.concat(parts, "\0"), { label = node.label, arms = arms }
  end
  if not known[key] then
    list[#list + 1] = node
    node.number, known[key] = #list, #list
  end
  return known[key]
end

-- The nodes of the graph, { number =, label =, arms = { { name =, to = number } … } } or { number =, ended = text }, and the number
-- of the first.
function graph.of(root)
  local list = {}
  local first = merge(root, list, {})
  return list, first
end

return graph
