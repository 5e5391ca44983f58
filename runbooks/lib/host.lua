-- How full the machine or the cluster's nodes are, told with the figure and by name. What the runbooks share, by
-- `local host = require "lib.host"`; each is called inside a probe.

local host = {}

-- Percent used of memory, of a disk's room, of its inodes: more is too much.
host.MOST = 90

-- Fault `memory_short`.
function host.check_memory(on)
  local it = sysinfo.memory { on = on }
  check("memory", it.used_percent, "<", host.MOST, { unit = "%", fault = "memory_short" })
  return it
end

-- The mount that a path lies on.
local function mount_of(path, by_mount)
  local found = "/"
  for mount in pairs(by_mount) do
    local inside = mount == "/" or path == mount or path:sub(1, #mount + 1) == mount .. "/"
    if inside and #mount > #found then found = mount end
  end
  return found
end

-- Whether one of `folders` lies on a mount that has too little room, or too few inodes, left.
local function any_full(by_mount, folders)
  for _, folder in ipairs(folders) do
    local disk = by_mount[mount_of(folder, by_mount)] or {}
    if (disk.used_percent or 0) >= host.MOST or (disk.inodes_used_percent or 0) >= host.MOST then return true end
  end
  return false
end

-- Fault `disk_full`: no room, or no inodes. True when clearing one of `folders` gives room where it is short.
function host.check_disks(on, folders)
  local disks = sysinfo.disks { on = on }
  local full = disks.fullest
  check("fullest disk " .. full.mount, full.used_percent, "<", host.MOST, { unit = "%", fault = "disk_full" })
  local few = disks.fewest_inodes
  if few then
    check("inodes of " .. few.mount, few.inodes_used_percent, "<", host.MOST, { unit = "%", fault = "disk_full" })
  end
  local freeable = any_full(disks.by_mount, folders)
  if not freeable and (full.used_percent >= host.MOST or few and few.inodes_used_percent >= host.MOST) then
    note(("clearing %s would free nothing on a full disk"):format(table.concat(folders, " and ")))
  end
  return freeable
end

local pressures = { MemoryPressure = { "memory", "memory_short" }, DiskPressure = { "disk", "disk_full" } }

local function conditions_of(node)
  return node.conditions or node.object and node.object.status and node.object.status.conditions or {}
end

-- Whether a node says of itself that it is ready.
local function is_ready(node)
  for _, it in ipairs(conditions_of(node)) do if it.type == "Ready" then return it.status == "True" end end
  return node.ready or false
end

-- A cordoned node is rarely a fault; that none is left for new pods is one.
local function check_cordoned(nodes)
  local open = 0
  for _, node in ipairs(nodes) do
    if node.cordoned then note(("node %s is cordoned: no new pods come to it"):format(node.name)) end
    if is_ready(node) and not node.cordoned then open = open + 1 end
  end
  if #nodes > 0 then check("nodes that take new pods", open, ">", 0, { fault = "node_lost" }) end
end

-- Of the cluster's nodes what their kubelets complain of: the same faults, and `node_lost`.
function host.check_nodes()
  local well, nodes = { memory = true, disk = true, ready = true }, kubectl.get("nodes").items
  check_cordoned(nodes)
  for _, node in ipairs(nodes) do
    for _, it in ipairs(conditions_of(node)) do
      local what, fault = table.unpack(pressures[it.type] or {})
      if what and it.status == "True" then
        well[what] = false
        check(("%s of node %s"):format(what, node.name), "short", "==", "enough",
              { fault = fault, detail = it.message and "short: " .. it.message or nil })
      elseif it.type == "Ready" and it.status ~= "True" then
        well.ready = false
        check("node " .. node.name, "not ready", "==", "ready",
              { fault = "node_lost", detail = it.message and "not ready: " .. it.message or nil })
      end
    end
  end
  if well.memory then check("memory of the nodes", "enough", "==", "enough", { fault = "memory_short" }) end
  if well.disk then check("disks of the nodes", "enough", "==", "enough", { fault = "disk_full" }) end
  if well.ready then check("nodes", "ready", "==", "ready", { fault = "node_lost" }) end
  return { freeable = not well.disk }
end

return host
