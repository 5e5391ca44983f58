-- The shapes of Kubernetes' objects, as far as they are looked into (the API's reference, v1.32). What a server leaves out or
-- sends as null is not there; a part of another type is no answer. Of kinds that are not listed only what every object has.
local shape = require "shape"

local shapes = {}

local function list(spec) return { list = spec } end
local function map(spec) return { map = spec } end
local function fields(spec) return { fields = spec } end

local metadata = fields {
  name = "string", namespace = "string", uid = "string", creationTimestamp = "string", deletionTimestamp = "string",
  generation = "number", labels = map "string", annotations = map "string", ownerReferences = list(fields { uid = "string" }),
  managedFields = list(fields { manager = "string", subresource = "string", time = "string" }),
}
local conditions = list(fields { type = "string", status = "string", reason = "string", message = "string",
                                 lastUpdateTime = "string", lastTransitionTime = "string" })
local ended = fields { reason = "string", message = "string", exitCode = "number", finishedAt = "string" }
local container_state = fields { waiting = fields { reason = "string", message = "string" }, terminated = ended }
local containers = list(fields { name = "string", ready = "boolean", restartCount = "number", state = container_state,
                                 lastState = container_state })
local container = fields { name = "string", image = "string", resources = fields { requests = map "any" },
                           ports = list(fields { name = "string" }) }
local pod_spec = fields { nodeName = "string", containers = list(container), initContainers = list(container),
                          volumes = list(fields { name = "string" }) }
local replicas = {}
for _, name in ipairs { "replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "observedGeneration" } do
  replicas[name] = "number"
end
replicas.conditions = conditions
local workload = {
  spec = fields { replicas = "number", paused = "boolean", template = fields { spec = pod_spec },
                  selector = fields { matchLabels = map "string" },
                  updateStrategy = fields { type = "string", rollingUpdate = map "any" } },
  status = fields(replicas),
}
local scheduled = { conditions = conditions }
for _, name in ipairs { "desiredNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
                        "numberUnavailable", "observedGeneration" } do
  scheduled[name] = "number"
end

local parts_of = {
  Pod = { spec = pod_spec, status = fields { phase = "string", reason = "string", message = "string", conditions = conditions,
                                             containerStatuses = containers, initContainerStatuses = containers } },
  Deployment = workload, ReplicaSet = workload, StatefulSet = workload,
  DaemonSet = { spec = workload.spec, status = fields(scheduled) },
  Node = { spec = fields { unschedulable = "boolean", taints = list(fields { effect = "string" }) },
           status = fields { conditions = conditions, allocatable = map "any" } },
  HorizontalPodAutoscaler = { spec = fields { minReplicas = "number", maxReplicas = "number",
                                              scaleTargetRef = fields { kind = "string", name = "string" } } },
  Job = { status = fields { active = "number", succeeded = "number", failed = "number", conditions = conditions } },
}

local specs = {}
local function spec_of(kind)
  if not specs[kind] then
    local all = { metadata = metadata, kind = "string" }
    for name, spec in pairs(parts_of[kind] or {}) do all[name] = spec end
    specs[kind] = fields(all)
  end
  return specs[kind]
end

-- What is wrong with an object, in words, or nil.
function shapes.problem(object)
  local kind = type(object.kind) == "string" and object.kind or ""
  local problem = shape.problem(object, spec_of(parts_of[kind] and kind or ""))
  local name = type(object.metadata) == "table" and type(object.metadata.name) == "string" and object.metadata.name or "?"
  return problem and ("%s %s is not what it should be: %s"):format(kind ~= "" and kind or "an object", name, problem) or nil
end

return shapes
