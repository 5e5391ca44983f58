-- Whether the pods that a drain evicts find room on the other nodes, by what they request: a pod that finds none waits.
-- Affinities and tolerations are not looked at.
local room = {}

-- All pods, or all nodes, in bytes of JSON.
local LIST_MAX = 64 << 20

local scale = { n = 1e-9, u = 1e-6, m = 1e-3, [""] = 1, k = 1e3, M = 1e6, G = 1e9, T = 1e12, P = 1e15, E = 1e18,
                Ki = 2.0 ^ 10, Mi = 2.0 ^ 20, Gi = 2.0 ^ 30, Ti = 2.0 ^ 40, Pi = 2.0 ^ 50, Ei = 2.0 ^ 60 }

-- "100m", "64Mi", "1e3" as a number; nil when it is none.
function room.quantity(text)
  if type(text) == "number" then return text end
  if type(text) ~= "string" then return nil end
  local number, unit = text:match "^([%d.]+)(%a*)$"
  return number and scale[unit] and tonumber(number) and tonumber(number) * scale[unit] or tonumber(text)
end

local function takes_pods(node)
  for _, taint in ipairs((node.spec or {}).taints or {}) do
    if taint.effect == "NoSchedule" or taint.effect == "NoExecute" then return false end
  end
  if (node.spec or {}).unschedulable then return false end
  for _, it in ipairs((node.status or {}).conditions or {}) do
    if it.type == "Ready" then return it.status == "True" end
  end
  return false
end

local function over(pod)
  local phase = (pod.status or {}).phase
  return phase == "Succeeded" or phase == "Failed"
end

-- What a pod requests: { cpu, memory, pods }.
local function requests(pod)
  local sum = { cpu = 0, memory = 0, pods = 1 }
  for _, container in ipairs((pod.spec or {}).containers or {}) do
    local wanted = (container.resources or {}).requests or {}
    for _, what in ipairs { "cpu", "memory" } do sum[what] = sum[what] + (room.quantity(wanted[what]) or 0) end
  end
  return sum
end

-- What the other nodes have left: node → { cpu, memory, pods }; what a node doesn't say is no limit.
local function left_of(nodes, pods, drained)
  local left = {}
  for _, node in ipairs(nodes) do
    local can = (node.status or {}).allocatable or {}
    if node.metadata.name ~= drained and takes_pods(node) then
      left[node.metadata.name] = { cpu = room.quantity(can.cpu) or math.huge, memory = room.quantity(can.memory) or math.huge,
                                   pods = room.quantity(can.pods) or math.huge }
    end
  end
  for _, pod in ipairs(pods) do
    local on = left[(pod.spec or {}).nodeName or ""]
    if on and not over(pod) then
      for what, amount in pairs(requests(pod)) do on[what] = on[what] - amount end
    end
  end
  return left
end

local function fits(wanted, left)
  return wanted.cpu <= left.cpu and wanted.memory <= left.memory and wanted.pods <= left.pods
end

-- How many find a place: the largest first, each on the node with the most memory left of those that it fits on.
local function placed(evicted, left)
  local list, count = {}, 0
  for _, pod in ipairs(evicted) do if not over(pod) then list[#list + 1] = requests(pod) end end
  table.sort(list, function(a, b) return a.memory > b.memory end)
  for _, wanted in ipairs(list) do
    local best
    for _, it in pairs(left) do if fits(wanted, it) and (not best or it.memory > best.memory) then best = it end end
    if best then
      count = count + 1
      for what, amount in pairs(wanted) do best[what] = best[what] - amount end
    end
  end
  return count, #list
end

local function all(it, kind)
  local list, err = it:json({ "get", kind, "--output=json" }, { everywhere = kind == "pods", max = LIST_MAX })
  return list and (list.items or {}), err
end

-- In words, for a plan: is there room on other nodes than `drained` for these pods?
function room.text(it, drained, evicted)
  local nodes, err = all(it, "nodes")
  local pods
  if nodes then pods, err = all(it, "pods") end
  if not pods then return "whether other nodes have room is not known: " .. err.message end
  local left, others = left_of(nodes, pods, drained), 0
  for _ in pairs(left) do others = others + 1 end
  if others == 0 then return "no other node takes pods: they will wait until one does" end
  local count, wanted = placed(evicted, left)
  if count == wanted then
    return ("%d other node%s by what they request"):format(others, others == 1 and " has room for them," or "s have room for them,")
  end
  return ("other nodes have room for %d of %d, by what they request: the others will wait"):format(count, wanted)
end

return room
