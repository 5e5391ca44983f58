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
  item.ready = is_true(condition(object, "Ready")) and not item.terminating
  item.restarts = 0
  for _, it in ipairs(containers) do item.restarts = item.restarts + (it.restartCount or 0) end
  last_end(item, containers)
  if not item.ready then item.reason, item.message = pod_reason(object, item, containers) end
end

------------------------------------------------------------------- Workloads --

-- Whether its status is of the object as it is now: an older one, or none, makes nothing ready.
local function is_seen(object)
  local status = object.status or {}
  return next(status) ~= nil and (tonumber(status.observedGeneration) or 0) >= (object.metadata.generation or 0)
end

-- A workload whose pods are renewed only when somebody deletes them: its change is never rolled out by itself.
local function waits_for_deletion(object, item)
  item.on_delete = ((object.spec or {}).updateStrategy or {}).type == "OnDelete" or nil
  if not item.on_delete or item.complete then return end
  item.phase, item.reason = "paused", item.reason or "OnDelete"
end

local function not_known(item) item.ready, item.reason = nil, "readiness not known" end

-- Deployments, StatefulSets, ReplicaSets: how far the last change has come.
local function workload(object, item)
  local spec, status = object.spec or {}, object.status or {}
  item.desired = spec.replicas or 1
  item.ready_replicas, item.available = status.readyReplicas or 0, status.availableReplicas or 0
  item.updated = status.updatedReplicas or (object.kind == "ReplicaSet" and status.replicas) or 0
  item.replicas, item.paused = status.replicas or 0, spec.paused or false
  local seen = is_seen(object)
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
  if not stuck then waits_for_deletion(object, item) end
  if item.ready and not seen then not_known(item) end
end

local function daemon_set(object, item)
  local status = object.status or {}
  item.desired, item.ready_replicas = status.desiredNumberScheduled or 0, status.numberReady or 0
  item.updated, item.available = status.updatedNumberScheduled or 0, status.numberAvailable or 0
  local seen = is_seen(object)
  item.complete = seen and item.updated >= item.desired and item.available >= item.desired
  item.ready = item.ready_replicas >= item.desired
  if item.ready and not seen then not_known(item) end
  item.phase = item.complete and "complete" or "progressing"
  waits_for_deletion(object, item)
end

---------------------------------------------------------------------- Others --

local function node(object, item)
  local ready = condition(object, "Ready")
  item.ready, item.cordoned = is_true(ready), (object.spec or {}).unschedulable or false
  item.phase = item.ready and "Ready" or "NotReady"
  item.conditions = {}
  for i, it in ipairs((object.status or {}).conditions or {}) do
    item.conditions[i] = { type = it.type, status = it.status, reason = it.reason, message = it.message }
  end
  if not item.ready and ready then item.reason, item.message = ready.reason, ready.message end
  if item.ready and item.cordoned then item.reason = "SchedulingDisabled" end
end

local function job(object, item)
  local failed = condition(object, "Failed")
  if not is_true(failed) then failed = condition(object, "FailureTarget") end -- its pods are being ended for it
  item.ready = not is_true(failed)
  item.phase = is_true(failed) and "Failed" or is_true(condition(object, "Complete")) and "Complete"
    or "Active"
  if is_true(failed) then item.reason, item.message = failed.reason, failed.message end
  if item.ready and next(object.status or {}) == nil then not_known(item) end
end

local function by_phase(object, item)
  item.phase = (object.status or {}).phase
  item.ready = item.phase == "Bound" or item.phase == "Active" or item.phase == "Available"
end

-- What conditions of kinds that nothing more is known of say when they are True: well, or not.
local says = { Ready = "well", Available = "well", Healthy = "well", Established = "well", Programmed = "well",
               Accepted = "well", Synced = "well", Reconciled = "well", AbleToScale = "well", ScalingActive = "well",
               Succeeded = "well", Complete = "well", Degraded = "ill", Failed = "ill", Failing = "ill",
               Stalled = "ill", NotReady = "ill", Unhealthy = "ill", Error = "ill", Denied = "ill" }
local opposite = { well = "ill", ill = "well" }

-- A condition's word on its object as it is now: well, ill or unsure; nil when it speaks of something else.
local function word_of(it, object)
  local meant = type(it) == "table" and says[it.type]
  if not meant then return nil end
  local seen, now = tonumber(it.observedGeneration or object.status.observedGeneration), object.metadata.generation
  if type(seen) == "number" and type(now) == "number" and seen < now then return "unsure" end
  return it.status == "True" and meant or it.status == "False" and opposite[meant] or "unsure"
end

-- One that is ill makes the object not ready; without a word, or with an unsure one, nobody knows: `ready` is nil.
local function by_conditions(object, item)
  local status, first = object.status, {}
  local list = type(status) == "table" and status.conditions
  for _, it in ipairs(type(list) == "table" and list or {}) do
    local word = word_of(it, object)
    if word then first[word] = first[word] or it end
  end
  local phase = type(status) == "table" and status.phase
  if first.ill then
    item.ready, item.message = false, first.ill.message
    item.reason = first.ill.reason or (says[first.ill.type] == "well" and "not " or "") .. first.ill.type
  elseif says[phase] == "ill" then
    item.ready, item.reason, item.message = false, phase, type(status.message) == "string" and status.message or nil
  elseif first.well and not first.unsure then
    item.ready = true
  else
    not_known(item)
  end
end

-- Kinds that have no health: to be there is all that they do.
local inert = {}
for name in ([[ConfigMap Secret Service ServiceAccount Endpoints EndpointSlice Ingress IngressClass NetworkPolicy Role
    RoleBinding ClusterRole ClusterRoleBinding StorageClass PriorityClass LimitRange ResourceQuota ControllerRevision
    Lease Event CronJob PodTemplate]]):gmatch "%a+" do
  inert[name] = true
end

-- Another API's kind of the same name may have conditions nevertheless.
local function by_what_it_says(object, item)
  by_conditions(object, item)
  if item.ready == nil and inert[object.kind] and not (object.status or {}).conditions then
    item.ready, item.reason = true, nil
  end
end

local kinds = { Pod = pod, Deployment = workload, StatefulSet = workload, ReplicaSet = workload,
                ReplicationController = workload,
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

state.without_null = without_null

-- An object's item as it was when it was looked at; its `ready` is nil when nobody knows.
function state.item(object, keep_object, looked)
  without_null(object).metadata = object.metadata or {}
  local created = object.metadata.creationTimestamp and (text.time(object.metadata.creationTimestamp) or 0)
  local item = { kind = object.kind, name = object.metadata.name, namespace = object.metadata.namespace,
                 terminating = object.metadata.deletionTimestamp ~= nil or nil,
                 created = created, age = created and math.max(0, (looked or tasks.wall()) - created) }
  item.changed, item.manager = last_change(object)
  local read = kinds[object.kind] or by_what_it_says
  read(object, item)
  if item.terminating then item.ready, item.reason = false, "Terminating" end
  if keep_object then
    strip(object)
    item.object = object
  end
  return item
end

-- An age is another at every look, and would make every look at a thousand pods another: the journal keeps `created`, and the
-- result's `looked`.
local function without_age(items)
  local list = {}
  for i, item in ipairs(items) do
    list[i] = {}
    for name, value in next, item do if name ~= "age" then list[i][name] = value end end
  end
  return list
end

-- A result's fields as the journal keeps them.
function state.kept(fields)
  local kept = {}
  for name, value in next, fields do kept[name] = value end
  for _, name in ipairs { "items", "not_ready" } do kept[name] = fields[name] and without_age(fields[name]) end
  return kept
end

-- The same with their ages as they were.
function state.restored(fields)
  for _, name in ipairs { "items", "not_ready" } do
    for _, item in ipairs(fields[name] or {}) do
      item.age = item.created and math.max(0, fields.looked - item.created) or nil
    end
  end
  return fields
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

-- How an item counts. A pod that has done its work is not missed, nor is what is on its way out, unless it was asked for.
local function place_of(item, by_name)
  if item.phase == "Succeeded" then return "completed" end
  if item.terminating and not by_name then return "terminating" end
  return item.ready and "ready" or item.ready == nil and "unknown" or "not_ready"
end

local function summary_of(sorted, total, what)
  local parts = {}
  if total == 0 then
    parts[1] = "there are no " .. what
  elseif #sorted.unknown > 0 then
    parts[1] = ("%d of %d: %s"):format(#sorted.unknown, total, named(sorted.unknown))
    if #sorted.not_ready > 0 then parts[2] = "not ready: " .. named(sorted.not_ready) end
  else
    parts[1] = ("%d of %d ready"):format(#sorted.ready, total)
    if #sorted.not_ready > 0 then parts[1] = parts[1] .. ": " .. named(sorted.not_ready) end
  end
  for _, apart in ipairs { "completed", "terminating" } do
    if #sorted[apart] > 0 then parts[#parts + 1] = ("%d %s"):format(#sorted[apart], apart) end
  end
  return table.concat(parts, "; ")
end

-- The counts over items: ready, total, not_ready, completed, terminating, summary. Without `ready` and `not_ready` when
-- that of one is not known: no number would be true.
function state.count(items, what, by_name)
  local sorted = { ready = {}, not_ready = {}, unknown = {}, completed = {}, terminating = {} }
  for _, item in ipairs(items) do table.insert(sorted[place_of(item, by_name)], item) end
  local known = #sorted.unknown == 0
  local total = #sorted.ready + #sorted.not_ready + #sorted.unknown
  return { items = items, total = total, completed = #sorted.completed, terminating = #sorted.terminating,
           ready = known and #sorted.ready or nil, not_ready = known and sorted.not_ready or nil,
           state = #items == 0 and "absent" or "present", summary = summary_of(sorted, total, what) }
end

return state
