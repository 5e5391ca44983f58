-- How the API's container or pods are. What the runbooks share, by `local workload = require "lib.workload"`:
--
--   local work = workload.probe(place)      its findings: gone, scaled_to_zero, stopped, rollout_failed, cut_off, out_of_memory,
--                                           fatal_logged
--
-- `place` says where it runs (lib/platform.lua).
local api = require "lib.api"

local workload = {}

-- The line of a log that decides, and how many lines are read for it.
local FATAL = [[(?i)\b(fatal|unhandled exception|panic|out ?of ?memory|no space left|segmentation fault)]]
local LINES = 100

-- The newest line that decides stands beside the failed check, and the log among the notes.
local function check_log(whose, log)
  local lines = re.lines(log.text, FATAL)
  check(whose .. " log", #lines > 0 and "fatal" or "no fatal error", "==", "no fatal error",
        { fault = "fatal_logged", detail = lines[#lines] })
  note(log)
end

local function check_memory(whose, killed, limit)
  check(whose .. " memory", killed and "used up" or "enough", "==", "enough", { fault = "out_of_memory",
        detail = killed and ("used up, killed for it%s"):format(limit and " (limit " .. limit .. ")" or "") or nil })
end

-------------------------------------------------------------------- Docker --

local function look_at_container(place)
  local c = docker.inspect(place.name)
  if not check("container", c.state, "==", "running", { fault = "stopped", detail = c.summary }) and c.state ~= "absent" then
    check_memory("its", c.oom_killed, c.memory_limit and ("%d MB"):format(c.memory_limit >> 20))
  end
  if c.state == "absent" then return end
  check_log("its", docker.logs(place.name, { tail = LINES }))
  note(docker.stats(place.name))
end

---------------------------------------------------------------- Kubernetes --

-- Waits for another container of its pod, and has written nothing.
local waits = { PodInitializing = true, ContainerCreating = true }

local function killed_for_memory(it)
  local now, before = (it.state or {}).terminated or {}, (it.lastState or {}).terminated or {}
  return now.reason == "OOMKilled" or before.reason == "OOMKilled"
end

-- Of a pod the containers, init containers too, that are not ready; where all are, those that were restarted.
local function troubled(pod)
  local status, not_ready, restarted = pod.object and pod.object.status or {}, {}, {}
  for _, list in ipairs { status.initContainerStatuses or {}, status.containerStatuses or {} } do
    for _, it in ipairs(list) do
      local state = it.state or {}
      local idle = state.waiting and waits[state.waiting.reason] or state.terminated and state.terminated.reason == "Completed"
      local into = not it.ready and not idle and not_ready or (it.restartCount or 0) > 0 and restarted or {}
      into[#into + 1] = it
    end
  end
  return #not_ready > 0 and not_ready or restarted
end

-- What it wrote before it was restarted; where that is not kept, what it writes now.
local function look_at_log(pod, whose, container, restarts)
  local log = kubectl.logs(pod.name, { tail = LINES, container = container, previous = restarts > 0 })
  if restarts > 0 and log.state == "absent" then log = kubectl.logs(pod.name, { tail = LINES, container = container }) end
  if log.state ~= "absent" then check_log(whose, log) end
end

local function look_at_pod(pod)
  note(kubectl.describe("pod", pod.name))
  local containers = troubled(pod)
  for _, it in ipairs(containers) do
    local whose = #containers > 1 and ("%s's %s's"):format(pod.name, it.name) or pod.name .. "'s"
    check_memory(whose, killed_for_memory(it))
    look_at_log(pod, whose, it.name, it.restartCount or 0)
  end
  if #containers > 0 then return end
  check_memory(pod.name .. "'s", false)
  look_at_log(pod, pod.name .. "'s", nil, pod.restarts or 0)
end

-- Those in trouble; where there are none, one of those that stay, rather one that was restarted.
local function in_question(pods)
  if pods.not_ready[1] then return pods.not_ready end
  local chosen
  for _, pod in ipairs(pods.items) do
    if not pod.terminating and (not chosen or (pod.restarts or 0) > (chosen.restarts or 0)) then chosen = pod end
  end
  return { chosen }
end

-- How many pods there should be; nil when the deployment is gone or scaled to 0. That it can't be looked at hides no pods.
local function pods_wanted(place, deployment, pods)
  if deployment.error and pods.total > 0 then return pods.total end
  if not check("deployment", deployment.state, "==", "present", { fault = "gone",
               detail = ("%s is %s"):format(place.name, deployment.state) }) then return nil end
  local wanted = deployment.object and deployment.object.spec.replicas or 1
  return check("pods wanted", wanted, ">", 0, { fault = "scaled_to_zero",
               detail = wanted == 0 and place.name .. " is scaled to 0" or nil }) and wanted or nil
end

-- A rollout that is younger than this is the first to be doubted, in seconds.
local NEW = 3600

-- Whether pods of a new revision are what fails: then a restart would only make the same again, and the way back longer.
local function check_rollout(place, pods)
  local history = kubectl.rollout_history("deployment", place.name)
  if history.error then return note("its revisions can't be looked at: " .. history.error.message) end
  local newest, before = history.revisions[#history.revisions], history.revisions[#history.revisions - 1]
  if not newest or not before or not newest.at or time.since(newest.at) > NEW then return end
  local failing = 0
  for _, pod in ipairs(pods.not_ready) do
    local labels = pod.object and pod.object.metadata.labels or {}
    if newest.hash and labels["pod-template-hash"] == newest.hash then failing = failing + 1 end
  end
  check(("pods of revision %d not ready"):format(newest.revision), failing, "==", 0, { fault = "rollout_failed",
        detail = ("rolled out %s with %s; revision %d had %s"):format(time.ago(newest.at),
          table.concat(newest.images or {}, ", "), before.revision, table.concat(before.images or {}, ", ")) })
end

local function selector_text(selector)
  local parts = {}
  for name, value in pairs(selector) do parts[#parts + 1] = name .. "=" .. value end
  return table.concat(parts, ",")
end

-- The ports' names of a group of addresses; nil: they have all of the Service's.
local function names_of(ports)
  if not ports then return nil end
  local names = {}
  for _, port in ipairs(ports) do names[port.name or ""] = true end
  return names
end

-- Of EndpointSlices, which newer clusters have in the place of Endpoints.
local function slices_of(name)
  local slices = kubectl.get("endpointslices", { selector = "kubernetes.io/service-name=" .. name })
  if slices.error then return nil, slices.error.message end
  local groups = {}
  for _, item in ipairs(slices.items) do
    local slice, ready = item.object or {}, 0
    for _, it in ipairs(slice.endpoints or {}) do
      if (it.conditions or {}).ready ~= false then ready = ready + #(it.addresses or {}) end
    end
    groups[#groups + 1] = { addresses = ready, names = names_of(slice.ports) }
  end
  return groups
end

-- What is behind a Service: groups of { addresses = how many are ready, names = of the ports that they have }; nil and why.
local function behind(name)
  local endpoints = kubectl.get("endpoints", name)
  if endpoints.error or endpoints.state ~= "present" then
    local groups, why = slices_of(name)
    if groups or endpoints.error then return groups, why end
  end
  local groups = {}
  for i, subset in ipairs(endpoints.object and endpoints.object.subsets or {}) do
    groups[i] = { addresses = #(subset.addresses or {}), names = names_of(subset.ports) }
  end
  return groups
end

-- How many addresses the Service's port with the fewest leads to, and that port.
local function reached(groups, ports)
  local fewest, of
  for _, port in ipairs(#ports > 0 and ports or { {} }) do
    local addresses = 0
    for _, group in ipairs(groups) do
      if not group.names or #ports == 0 or group.names[port.name or ""] then addresses = addresses + group.addresses end
    end
    if not fewest or addresses < fewest then fewest, of = addresses, port end
  end
  return fewest, of
end

-- A port that is named by no container of the pods leads nowhere, whatever the selector finds.
local function unnamed(port, pods)
  local name = port.targetPort
  if type(name) ~= "string" or tonumber(name) then return nil end
  for _, pod in ipairs(pods.items) do
    for _, container in ipairs(pod.object and pod.object.spec and pod.object.spec.containers or {}) do
      for _, it in ipairs(container.ports or {}) do if it.name == name then return nil end end
    end
  end
  return ('none: its port %s leads to the port named "%s", which no container of its pods has'):format(
    tostring(port.name or port.port), name)
end

-- Whether the Service of its name leads to the pods that are ready: healthy pods that nobody reaches are not mended by a restart.
local function check_service(place, pods)
  local service = kubectl.get("service", place.name)
  if service.error then return note("its Service can't be looked at: " .. service.error.message) end
  local selector = service.state == "present" and service.object and service.object.spec and service.object.spec.selector
  if not selector or pods.ready == 0 then return end
  local groups, why = behind(place.name)
  if not groups then return note("its endpoints can't be looked at: " .. why) end
  local fewest, of = reached(groups, service.object.spec.ports or {})
  check("addresses behind its Service", fewest, ">", 0, { fault = "cut_off",
        detail = fewest == 0 and (unnamed(of, pods) or ("none: Service %s looks for %s, and %d pods are ready"):format(
          place.name, selector_text(selector), pods.ready)) or nil })
end

local function look_at_pods(place)
  local pods, deployment = api.pods(place)
  local wanted = pods_wanted(place, deployment, pods)
  if not wanted then return end
  check("pods ready", pods.ready, ">=", math.max(wanted, pods.total), { fault = "stopped", detail = pods.summary })
  if #pods.not_ready > 0 then check_rollout(place, pods) end
  check_service(place, pods)
  for _, pod in ipairs(in_question(pods)) do look_at_pod(pod) end
end

function workload.probe(place)
  return probe("Container or pod status", function()
    if place.on_docker() then look_at_container(place) else look_at_pods(place) end
  end)
end

return workload
