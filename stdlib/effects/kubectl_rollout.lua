-- How far the last change of a workload has come, and waiting for its end. Read from the objects themselves:
-- `kubectl rollout status --watch=false` ends with 0 on an unfinished rollout, and says nothing of the pods.
local duration = require "duration"
local state = require "effects.kubectl_state"
local tasks = require "tasks"

local rollout = {}

-- Between two looks at a rollout, seconds.
local POLL_SECONDS = 1
-- What looks and the change itself need beyond the wait, in seconds.
local MARGIN_SECONDS = 30
-- Of the pods that hold a rollout up, named.
local PODS_NAMED = 3
-- The pods of one workload, in bytes of JSON.
local PODS_MAX = 32 << 20

rollout.fields = {
  state = "string: complete progressing stuck paused absent", complete = "boolean: state is complete",
  desired = "integer: replicas wanted", ready = "integer: replicas ready",
  updated = "integer: of the newest revision",
  available = "integer: ready for long enough",
  reason = "string: why it is stuck, as ProgressDeadlineExceeded",
  message = "string: the same in words", pods = "list: its pods that are not ready, as kubectl.get's items",
  summary = 'string: "2 of 3 ready, 1 updated; api-7c9f (CrashLoopBackOff)"',
}

-- The labels by which a workload chooses its pods, as kubectl takes them; nil when they are not plain ones.
function rollout.selector(object)
  local selector, parts = ((object.spec or {}).selector or {}), {}
  if selector.matchExpressions or not selector.matchLabels then return nil end
  for name, value in pairs(selector.matchLabels) do parts[#parts + 1] = name .. "=" .. value end
  table.sort(parts)
  return table.concat(parts, ",")
end

-- All pods of a workload as items, with their objects when `whole`; nil and an error.
function rollout.pods(it, object, whole)
  local selector = rollout.selector(object)
  if not selector then return nil, { kind = "usage", message = "its pods are not chosen by plain labels" } end
  local list, err = it:json({ "get", "pods", "--selector=" .. selector, "--output=json" }, { max = PODS_MAX })
  if not list then return nil, err end
  local items = {}
  for i, pod in ipairs(list.items or {}) do items[i] = state.item(pod, whole) end
  return items
end

local function held_up_by(pods)
  local parts = {}
  for i = 1, math.min(#pods, PODS_NAMED) do
    parts[i] = ("%s (%s)"):format(pods[i].name, state.brief(pods[i]))
  end
  if #pods > PODS_NAMED then parts[#parts + 1] = ("%d more"):format(#pods - PODS_NAMED) end
  return table.concat(parts, ", ")
end

local function fields_of(item)
  return { state = item.phase, complete = item.complete or false, desired = item.desired,
           ready = item.ready_replicas,
           updated = item.updated, available = item.available, reason = item.reason, message = item.message,
           pods = {}, summary = state.brief(item) }
end

-- The object and its item; nil and an error, also for a kind that has no rollouts.
function rollout.read(it, call)
  local object, err = it:json { "get", call.kind, call.name, "--output=json" }
  if not object then return nil, err end
  local item = state.item(object)
  if not item.desired then
    return nil, { kind = "usage", message = ("a %s has no replicas"):format(object.kind or call.kind) }
  end
  return item, nil, object
end

-- The fields of kubectl.rollout_status. That the pods can't be listed takes nothing from what was seen.
function rollout.look(it, call)
  local item, err, object = rollout.read(it, call)
  if not item then return nil, err end
  local fields = fields_of(item)
  if fields.complete then return fields end
  for _, pod in ipairs(rollout.pods(it, object) or {}) do
    if not pod.ready and not pod.terminating and pod.phase ~= "Succeeded" then fields.pods[#fields.pods + 1] = pod end
  end
  if #fields.pods > 0 then fields.summary = fields.summary .. "; " .. held_up_by(fields.pods) end
  return fields
end

-- The option `wait`; the effect's deadline is always longer.
rollout.wait_option = { "duration", "2m", "How long to wait for the rollout's end; \"0s\": not at all" }

function rollout.check_wait(call)
  if type(call.wait) == "number" and type(call.timeout) == "number" then
    if call.wait > 0 then call.timeout = math.max(call.timeout, call.wait + MARGIN_SECONDS) end
  end
end

-- Waits until the change is rolled out, and returns rollout_status's fields. One that got stuck, or didn't
-- end within the wait, has failed: what follows would be built on it. `done` says in words what was done.
function rollout.wait(it, call, done)
  local ends = tasks.now() + call.wait
  while true do
    local item, err = rollout.read(it, call)
    if not item and not err.lost and err.kind ~= "unreachable" then
      local message = ("%s; how it went can't be seen: %s"):format(done, err.message)
      return nil, { kind = err.kind, message = message }
    end
    if item and (item.complete or item.paused or item.on_delete or call.wait == 0) then return fields_of(item) end
    if item and item.phase == "stuck" or tasks.now() >= ends then break end
    tasks.sleep(math.min(POLL_SECONDS, math.max(0.01, ends - tasks.now())))
  end
  local fields, err = rollout.look(it, call)
  if fields and fields.complete then return fields end
  local why = fields and fields.state == "stuck" and "the rollout is stuck"
    or ("the rollout had not ended after %s"):format(duration.text(call.wait))
  local message = ("%s, but %s: %s"):format(done, why, fields and fields.summary or err.message)
  return nil, { kind = "rollout", message = message }
end

return rollout
