-- The decision as a graph: what is asked, what each answer leads to. Subtrees that are alike are one; a question whose answers
-- all lead to the same is left out.
local graph = {}

local function set_state(root, node, state)
  if not state then return end
  root.states = root.states or {}
  root.states[state] = node
end

-- Adds a way, its choices and its end, to the tree `root`; `met`: the number of the state in which it met another, which goes on
-- for it, instead of an end.
function graph.add(root, taken, ended, met)
  local node = root
  for _, choice in ipairs(taken) do
    node.label = node.label or choice.label
    set_state(root, node, choice.state)
    node.arms, node.order = node.arms or {}, node.order or {}
    if not node.arms[choice.arm] then
      node.arms[choice.arm] = {}
      table.insert(node.order, choice.arm)
    end
    node = node.arms[choice.arm]
  end
  node.ended, node.met = ended, met
end

-- The number of the node that stands for this one among `list`; alike ones have one.
local function merge(node, list, known)
  local key
  if node.met then node = known.states[node.met] end
  if node.number then return node.number end
  if known[node] then node = { ended = "goes on as before: " .. node.label } end
  if node.ended then
    key = "end\0" .. node.ended
    node = { ended = node.ended }
  else
    local arms, parts, same, tree = {}, { node.label }, true, node
    known[tree] = true
    for i, name in ipairs(node.order) do
      arms[i] = { name = name, to = merge(node.arms[name], list, known) }
      parts[#parts + 1] = name .. "\1" .. arms[i].to
      same = same and arms[i].to == arms[1].to
    end
    known[tree] = nil
    if same then
      tree.number = arms[1].to
      return tree.number
    end
    key, node = table.concat(parts, "\0"), { label = node.label, arms = arms }
    tree.number = known[key] or #list + 1
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
  local first = merge(root, list, { states = root.states })
  return list, first
end

return graph
