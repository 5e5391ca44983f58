-- How the API's container or pods are. What the runbooks share, by `local workload = require "lib.workload"`:
--
--   local work = workload.probe(place)      its findings: gone, scaled_to_zero, stopped, out_of_memory, fatal_logged
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

-- Of a pod the container that is in trouble: { name =, restarts =, killed = for memory }; nil when none is, or it isn't told.
local function troubled(pod)
  local status = pod.object and pod.object.status or {}
  for _, list in ipairs { status.initContainerStatuses or {}, status.containerStatuses or {} } do
    for _, it in ipairs(list) do
      local now = (it.state or {}).terminated or {}
      local before = (it.lastState or {}).terminated or {}
      if not it.ready and now.reason ~= "Completed" then
        return { name = it.name, restarts = it.restartCount or 0,
                 killed = now.reason == "OOMKilled" or before.reason == "OOMKilled" }
      end
    end
  end
end

local function look_at_pod(pod)
  local it = troubled(pod)
  local restarts = it and it.restarts or pod.restarts
  check_memory(pod.name .. "'s", it ~= nil and it.killed)
  note(kubectl.describe("pod", pod.name))
  check_log(pod.name .. "'s", kubectl.logs(pod.name, { tail = LINES, container = it and it.name, previous = restarts > 0 }))
end

local function look_at_pods(place)
  local deployment = kubectl.get("deployment", place.name)
  if not check("deployment", deployment.state, "==", "present", { fault = "gone",
               detail = ("%s is %s"):format(place.name, deployment.state) }) then return end
  local wanted = deployment.object and deployment.object.spec.replicas or 1
  if not check("pods wanted", wanted, ">", 0, { fault = "scaled_to_zero",
               detail = wanted == 0 and place.name .. " is scaled to 0" or nil }) then return end
  local pods = kubectl.get("pods", { selector = api.selector(place) })
  check("pods ready", pods.ready, ">=", math.max(wanted, pods.total), { fault = "stopped", detail = pods.summary })
  for _, pod in ipairs(pods.not_ready[1] and pods.not_ready or { pods.items[1] }) do look_at_pod(pod) end
end

function workload.probe(place)
  return probe("Container or pod status", function()
    if place.on_docker() then look_at_container(place) else look_at_pods(place) end
  end)
end

return workload
