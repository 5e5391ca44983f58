-- What Kubernetes' objects say of themselves, in a few fields: is it ready, and if not, why.
local json = require "raw.json"
local tasks = require "tasks"
local text = require "raw.text"

local state = {}

-- Objects that are not ready named in a summary; the others are counted.
local NAMED = 3

local function condition(object, kind)
  for _, it in ipairs((object.status or {}).conditions or {}) do
    if it.type == kind then return it end
  end
end

local function is_true(it) return it ~= nil and it.status == "True" end

------------------------------------------------------------------------ Pods --

-- How a container last ended: its reason and code.
local function ended(status)
  return (status.state or {}).terminated or (status.lastState or {}).terminated
end

local function each_container(status)
  local all = {}
  for _, list in ipairs { status.initContainerStatuses or {}, status.containerStatuses or {} } do
    for _, it in ipairs(list) do all[#all + 1] = it end
  end
  return all
end

-- Nothing wrong by itself: the container waits for others.
local patient = { PodInitializing = true, ContainerCreating = true }

-- The reason of the first container in trouble, and its words; what merely waits comes last.
local function trouble(containers)
  local reason, message
  for _, it in ipairs(containers) do
    local now = it.state or {}
    local bad = now.waiting or (now.terminated and now.terminated.exitCode ~= 0 and now.terminated) or nil
    if bad and (not reason or patient[reason] and not patient[bad.reason]) then
      reason, message = bad.reason or "Error", bad.message
    end
  end
  return reason, message
end

local function last_end(item, containers)
  for _, it in ipairs(containers) do
    local last = ended(it)
    if last and (last.exitCode ~= 0 or item.last_exit_code == nil) then
      item.last_reason, item.last_exit_code, item.last_message = last.reason, last.exitCode, last.message
      if last.exitCode ~= 0 then return end
    end
  end
end

local function pod_reason(object, item, containers)
  local status = object.status or {}
  if object.metadata.deletionTimestamp then return "Terminating" end
  if status.reason then return status.reason, status.message end
  if item.phase == "Succeeded" then return "Completed" end
  local reason, message = trouble(containers)
  if reason then return reason, message end
  local scheduled = condition(object, "PodScheduled")
  if scheduled and scheduled.status == "False" then return scheduled.reason, scheduled.message end
  local ready = condition(object, "Ready")
  if ready and ready.status ~= "True" then return ready.reason or "NotReady", ready.message end
end

local function pod(object, item)
  local containers = each_container(object.status or {})
  item.phase, item.node = (object.status or {}).phase, (object.spec or {}).nodeName
  item.ready = is_true(condition(object, "Ready")) and not object.metadata.deletionTimestamp
  item.restarts = 0
  for _, it in ipairs(containers) do item.restarts = item.restarts + (it.restartCount or 0) end
  last_end(item, containers)
  if not item.ready then item.reason, item.message = pod_reason(object, item, containers) end
end

------------------------------------------------------------------- Workloads --

-- Deployments, StatefulSets, ReplicaSets: how far the last change has come.
local function workload(object, item)
  local spec, status = object.spec or {}, object.status or {}
  item.desired = spec.replicas or 1
  item.ready_replicas, item.available = status.readyReplicas or 0, status.availableReplicas or 0
  item.updated = status.updatedReplicas or (object.kind == "ReplicaSet" and status.replicas) or 0
  item.replicas, item.paused = status.replicas or 0, spec.paused or false
  local seen = (status.observedGeneration or 0) >= (object.metadata.generation or 0)
  local partition = ((spec.updateStrategy or {}).rollingUpdate or {}).partition or 0
  item.complete = seen and item.updated >= item.desired - partition
    and (item.replicas <= item.desired or object.kind ~= "Deployment")
    and item.ready_replicas >= item.desired
    and (object.kind ~= "Deployment" or item.available >= item.desired)
  item.ready = item.ready_replicas >= item.desired
  local progress, failure = condition(object, "Progressing"), condition(object, "ReplicaFailure")
  local why = (is_true(failure) and failure) or (progress and progress.status == "False" and progress) or nil
  if why then item.reason, item.message = why.reason, why.message end
  local stuck = why and not item.complete and seen
  item.phase = stuck and "stuck" or item.complete and "complete" or item.paused and "paused" or "progressing"
  item.ready = item.ready and not stuck
end

local function daemon_set(object, item)
  local status = object.status or {}
  item.desired, item.ready_replicas = status.desiredNumberScheduled or 0, status.numberReady or 0
  item.updated, item.available = status.updatedNumberScheduled or 0, status.numberAvailable or 0
  local seen = (status.observedGeneration or 0) >= (object.metadata.generation or 0)
  item.complete = seen and item.updated >= item.desired and item.available >= item.desired
  item.ready = item.ready_replicas >= item.desired
  item.phase = item.complete and "complete" or "progressing"
end

---------------------------------------------------------------------- Others --

local function node(object, item)
  local ready = condition(object, "Ready")
  item.ready, item.cordoned = is_true(ready), (object.spec or {}).unschedulable or false
  item.phase = item.ready and "Ready" or "NotReady"
  if not item.ready and ready then item.reason, item.message = ready.reason, ready.message end
  if item.ready and item.cordoned then item.reason = "SchedulingDisabled" end
end

local function job(object, item)
  local failed = condition(object, "Failed")
  item.ready = not is_true(failed)
  item.phase = is_true(failed) and "Failed" or is_true(condition(object, "Complete")) and "Complete"
    or "Active"
  if is_true(failed) then item.reason, item.message = failed.reason, failed.message end
end

local function by_phase(object, item)
  item.phase = (object.status or {}).phase
  item.ready = item.phase == "Bound" or item.phase == "Active" or item.phase == "Available"
end

local kinds = { Pod = pod, Deployment = workload, StatefulSet = workload, ReplicaSet = workload,
                DaemonSet = daemon_set, Node = node, Job = job, PersistentVolumeClaim = by_phase,
                PersistentVolume = by_phase, Namespace = by_phase }

-- When an object was last changed, and by whom: of the fields that people and programs set, not of its status, which
-- changes by itself. Nothing where the server keeps no such record.
local function last_change(object)
  local at, by
  for _, it in ipairs(object.metadata.managedFields or {}) do
    local time = it.subresource ~= "status" and type(it.time) == "string" and text.time(it.time) or nil
    if time and (not at or time > at) then at, by = time, it.manager end
  end
  return at, by
end

-- Parts that are nobody's business in a journal: who last wrote which field, and what a Secret holds.
local function strip(object)
  local annotations = object.metadata.annotations
  object.metadata.managedFields = nil
  if object.kind ~= "Secret" then return end
  for _, part in ipairs { "data", "stringData" } do
    for name in pairs(object[part] or {}) do object[part][name] = "***" end
  end
  if annotations then annotations["kubectl.kubernetes.io/last-applied-configuration"] = nil end
end

-- null, which Lua's tables have not, is left out, in place.
local function without_null(value)
  for key, item in next, value do
    if item == json.null then
      value[key] = nil
    elseif type(item) == "table" then
      without_null(item)
    end
  end
  return value
end

-- An object's item. One of a kind that says nothing of its health is ready: it is there.
function state.item(object, keep_object)
  without_null(object).metadata = object.metadata or {}
  local created = object.metadata.creationTimestamp
  local item = { kind = object.kind, name = object.metadata.name, namespace = object.metadata.namespace,
                 ready = true,
                 age = created and math.max(0, tasks.wall() - (text.time(created) or 0)) or nil }
  item.changed, item.manager = last_change(object)
  local read = kinds[object.kind]
  if read then read(object, item) end
  if keep_object then
    strip(object)
    item.object = object
  end
  return item
end

--------------------------------------------------------------------- Summary --

-- "1 of 3 ready, 1 updated, ProgressDeadlineExceeded", or a pod's "CrashLoopBackOff, 4 restarts, last Error
-- (1)".
function state.brief(item)
  local parts = {}
  if item.desired then
    parts[1] = ("%d of %d ready"):format(item.ready_replicas, item.desired)
    if item.updated ~= item.desired then parts[2] = ("%d updated"):format(item.updated) end
    if item.paused then parts[#parts + 1] = "paused" end
  else
    parts[1] = item.ready and "ready" or item.reason or item.phase or "not ready"
  end
  if (item.restarts or 0) > 0 then
    parts[#parts + 1] = ("%d restart%s"):format(item.restarts, item.restarts == 1 and "" or "s")
  end
  if item.last_exit_code and item.last_exit_code ~= 0 then
    parts[#parts + 1] = ("last ended with %s (%d)"):format(item.last_reason or "Error", item.last_exit_code)
  end
  if item.desired and item.reason then parts[#parts + 1] = item.reason end
  return table.concat(parts, ", ")
end

local function named(list)
  local parts = {}
  for i = 1, math.min(#list, NAMED) do parts[i] = ("%s (%s)"):format(list[i].name, state.brief(list[i])) end
  if #list > NAMED then parts[#parts + 1] = ("%d more"):format(#list - NAMED) end
  return table.concat(parts, ", ")
end

-- The counts over items: ready, total, not_ready, completed, summary. A pod that has done its work is not
-- missed: it is in `items`, and counted apart.
function state.count(items, what)
  local fields = { items = items, ready = 0, total = 0, completed = 0, not_ready = {}, state = "present" }
  for _, item in ipairs(items) do
    if item.phase == "Succeeded" then
      fields.completed = fields.completed + 1
    else
      fields.total = fields.total + 1
      if item.ready then
        fields.ready = fields.ready + 1
      else
        fields.not_ready[#fields.not_ready + 1] = item
      end
    end
  end
  if fields.total == 0 then
    fields.state = fields.completed == 0 and "absent" or "present"
    fields.summary = "there are no " .. what
  else
    fields.summary = ("%d of %d ready"):format(fields.ready, fields.total)
    if #fields.not_ready > 0 then fields.summary = fields.summary .. ": " .. named(fields.not_ready) end
  end
  if fields.completed > 0 then
    fields.summary = ("%s; %d completed"):format(fields.summary, fields.completed)
  end
  return fields
end

return state
