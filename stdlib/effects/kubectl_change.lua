-- kubectl's changes of workloads and objects; those of nodes and inside containers are in kubectl_node.lua
-- and kubectl_exec.lua.
local blame = require "blame"
local client = require "effects.kubectl_client"
local history = require "effects.kubectl_history"
local json = require "raw.json"
local rollout = require "effects.kubectl_rollout"
local sends = require "sends"
local state = require "effects.kubectl_state"
local tasks = require "tasks"
local values = require "values"
local write = require "effects.kubectl_write"

-- Replicas at most: more is a typing mistake.
local REPLICAS_MAX = 1000
-- A restart within the second of the last one is none; it is tried again after so many seconds.
local RESTART_AGAIN_SECONDS = 1.1

local kind_param = { "kind", "string", 'Kind of object: "deployment", "pod" …' }
local name_param = { "name", "string", "Name of the object" }

local function slash(call) return call.kind .. "/" .. call.name end

-------------------------------------------------------------------- Rollouts --

local rollout_fields = values.copy_shallow(rollout.fields)
rollout_fields.changed = "boolean: false when it was so already"
rollout_fields.from = "integer: how many pods were wanted before; of scale alone"

local function rolled_out(words)
  return function(it, call)
    local fields, err = rollout.wait(it, call, words(call))
    if fields then fields.changed = true end
    return fields, err
  end
end

local function would_roll(_, plan)
  local count = plan and plan.replicas
  return { changed = not (plan and plan.same), state = "complete", complete = true, pods = {}, desired = count,
           ready = count, updated = count, available = count }
end

local function specimen(call)
  local count = call and call.replicas or 1
  return { changed = true, state = "complete", complete = true, desired = count, ready = count, updated = count,
           available = count, pods = {}, summary = ("%s of %s ready"):format(count, count) }
end

local function roll_options(more)
  more = more or {}
  more.wait = rollout.wait_option
  return more
end

local function roll(verb, entry)
  entry.params = { kind_param, name_param, table.unpack(entry.params or {}) }
  entry.options, entry.result = roll_options(entry.options), rollout_fields
  entry.evidence = entry.evidence or write.evidence
  entry.would, entry.specimen = would_roll, specimen
  write.effect(verb, entry)
end

local function not_paused(item)
  return item.paused and "it is paused, and can't be rolled before `kubectl rollout resume`" or nil
end

-- A restart only writes a mark into the template of the pods that are made next.
local function not_restarted(item)
  return item.on_delete and "its update strategy is OnDelete: a restart renews no pod before somebody deletes it"
    or not_paused(item)
end

-- What becomes of the pods: they are renewed, or stay as they are.
local function renewing(pods, item)
  if item and item.paused then return ", which is paused: its pods stay as they are" end
  if item and item.on_delete then return ": its pods stay as they are until somebody deletes them (OnDelete)" end
  return ", renewing " .. (pods or "its pods")
end

-- kubectl marks a restart with the second it was made in: a second one in it changes nothing. A kubectl before 1.25 only says
-- that its patch is empty.
local function too_soon(err)
  local message = err and err.message or ""
  return message:find("within the past second", 1, true) or message:find(": empty patch", 1, true)
end

local function restarts(call, pods) return ("restarts %s of %s %s"):format(pods or "the pods", call.kind, call.name) end

roll("rollout_restart", {
  summary = "Renews the pods of a workload, a few at a time, and waits until they are ready",
  words = function(call) return { "rollout", "restart", slash(call) } end,
  may = function(call) return { "patch", slash(call) } end,
  intends = restarts,
  radius = write.workload_radius(restarts, not_restarted),
  run = function(call)
    local it = client.open(call, true)
    local done, err = it:carry_out { "rollout", "restart", slash(call) }
    if too_soon(err) then
      tasks.sleep(RESTART_AGAIN_SECONDS)
      done, err = it:carry_out { "rollout", "restart", slash(call) }
    end
    if not done then return nil, err end
    return rolled_out(function() return "restarted" end)(it, call)
  end,
})

local function goes_back(call, pods, item, back)
  back = back or call.to and "to revision " .. tostring(call.to) or "to the revision before"
  return ("takes %s %s back %s%s"):format(call.kind, call.name, back, renewing(pods, item))
end

-- From which revision to which, with their images; a revision that is not kept is nothing to go back to.
local function undo_radius(it, call)
  local known, err = history.read(it, call)
  if not known then return nil, err end
  local from, to = history.way_back(known.revisions, call.to)
  if not to then
    local made = write.impossible(history.none_to_go_to(known.revisions, call))
    made.passing = not call.to -- the next rollout leaves one behind
    return made
  end
  local back = ("from %s to %s"):format(history.text(from), history.text(to))
  local function words(_, pods, item) return goes_back(call, pods, item, back) end
  local plan
  plan, err = write.workload_radius(words, not_paused)(it, call)
  if plan and from == to then
    plan.text, plan.same = ("changes nothing: it is at this revision already (%s)"):format(plan.text), true
  end
  return plan, err
end

roll("rollout_undo", {
  summary = "Goes back to the revision before, or to a given one, and waits until it is rolled out",
  options = { to = { "integer", nil, "The revision; the one before unless given", what = true } },
  words = function(call)
    local words = { "rollout", "undo", slash(call) }
    if call.to then words[4] = ("--to-revision=%d"):format(call.to) end
    return words
  end,
  check = function(call)
    if type(call.to) == "number" and call.to < 1 then
      blame.raise "kubectl.rollout_undo: option 'to': a revision expected"
    end
  end,
  intends = goes_back,
  radius = undo_radius,
  after = rolled_out(function() return "rolled back" end),
})

-- The number that was seen is the number that is changed: somebody else's scaling in between ends it.
local function scale_words(call, plan)
  local words = { "scale", slash(call), ("--replicas=%d"):format(call.replicas) }
  if plan and plan.replicas then words[4] = ("--current-replicas=%d"):format(plan.replicas) end
  return words
end

-- Fewer than the run met: growing is no debt, and a way back that goes half of it is none.
local function scaled_down(call, result, known)
  local thing = ("%s %s%s"):format(call.kind, call.name, call.namespace and " in " .. call.namespace or "")
  local from = known[thing] and known[thing].from or result.from
  local it = { thing = thing, from = from }
  if from and call.replicas < from then
    it.text = ("is scaled from %d to %d pods"):format(from, call.replicas)
    it.back = { "kubectl.scale", call.kind, call.name, from, { namespace = call.namespace } }
  end
  return { it }
end

-- What an autoscaler makes of the number, in words.
local function autoscaled(it, object, replicas)
  local list, err = it:json { "get", "horizontalpodautoscalers", "--output=json" }
  if not list then
    if err.kind == "absent" or err.kind == "usage" then return "" end -- a cluster that has none
    return "; whether an autoscaler sets it back is not known: " .. err.message
  end
  for _, one in ipairs(list.items or {}) do
    local spec = one.spec or {}
    local target = spec.scaleTargetRef or {}
    if target.kind == object.kind and target.name == object.metadata.name then
      local name = one.metadata.name or "?"
      if replicas == 0 then return ("; autoscaler %s is off while it is 0"):format(name) end
      return ("; autoscaler %s (%s to %s pods) will set it back"):format(name, ("%d"):format(spec.minReplicas or 1),
        spec.maxReplicas and ("%d"):format(spec.maxReplicas) or "?")
    end
  end
  return ""
end

roll("scale", {
  summary = "Changes how many pods a workload has, and waits until they are ready",
  params = { { "replicas", "integer", "How many" } },
  words = scale_words,
  intends = function(call) return ("scales %s %s to %s pods"):format(call.kind, call.name, tostring(call.replicas)) end,
  check = function(call)
    if type(call.replicas) == "number" and (call.replicas < 0 or call.replicas > REPLICAS_MAX) then
      blame.raise("kubectl.scale: argument 3 (replicas): 0 to %d expected, got %d", REPLICAS_MAX,
                  call.replicas)
    end
  end,
  radius = function(it, call)
    local item, err, object = rollout.read(it, call)
    if not item then return nil, err end
    local same = item.desired == call.replicas
    local text = ("%s %s in %s from %d to %d pods, %d ready"):format(call.kind, call.name,
                                                                     client.in_words(call),
      item.desired, call.replicas, item.ready_replicas)
    if not same then text = text .. autoscaled(it, object, call.replicas) end
    return { text = same and text or "scales " .. text, size = math.abs(call.replicas - item.desired),
             same = same or nil,
             replicas = item.desired, uid = object.metadata.uid }
  end,
  evidence = function(save, call, plan)
    if plan and plan.replicas and plan.replicas > call.replicas then write.evidence(save, call) end
  end,
  would = function(call, plan)
    local fields = would_roll(call, plan)
    for _, name in ipairs { "desired", "ready", "updated", "available" } do fields[name] = call.replicas end
    return fields
  end,
  after = function(it, call, plan)
    local fields, err = rollout.wait(it, call, "scaled")
    if fields then fields.from, fields.changed = plan.replicas, plan.replicas ~= call.replicas end
    return fields, err
  end,
  leaves = scaled_down,
  verify = function(call)
    local item = rollout.read(client.open(call), call)
    return item and item.desired == call.replicas
  end,
})

---------------------------------------------------------------------- set_env --

local function assignments(env)
  local words = {}
  for _, name in ipairs(values.keys(env)) do
    words[#words + 1] = env[name] == false and name .. "-" or ("%s=%s"):format(name, env[name])
  end
  return words
end

-- In an effect's line: A=1,B-
local function in_line(env)
  return values.is_placeholder(env) and env or { table.concat(assignments(env), ",") }
end

-- "sets A, B; removes C"
local function set_or_removed(env)
  local set, removed, parts = {}, {}, {}
  for _, name in ipairs(values.keys(env)) do table.insert(env[name] == false and removed or set, name) end
  if #set > 0 then parts[1] = "sets " .. table.concat(set, ", ") end
  if #removed > 0 then parts[#parts + 1] = "removes " .. table.concat(removed, ", ") end
  return table.concat(parts, "; ")
end

local function check_env(call)
  call.env = values.copy_shallow(call.env)
  if not next(call.env) then blame.raise "kubectl.set_env: argument 3 (env): no variable given" end
  for name, value in pairs(call.env) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_.]*$" then
      blame.raise("kubectl.set_env: argument 3 (env): %s is no name of a variable", values.describe(name))
    end
    if type(value) == "number" then call.env[name] = tostring(value) end
    if not values.is_placeholder(value) and type(call.env[name]) ~= "string" and value ~= false then
      blame.raise("kubectl.set_env: argument 3 (env): %s: a string, or false to remove it, expected, got %s",
                  name,
        values.describe(value))
    end
  end
end

local function sets(call, pods, item)
  return ("%s of %s %s%s"):format(set_or_removed(call.env), call.kind, call.name, renewing(pods, item))
end

local function set_env_words(call)
  local words = { "set", "env", slash(call) }
  if call.container then words[4] = "--containers=" .. call.container end
  local list = assignments(call.env)
  return table.move(list, 1, #list, #words + 1, words)
end

roll("set_env", {
  summary = "Sets variables of a workload's containers, renews its pods, and waits until they are ready",
  params = { { "env", "map", "Variable → value; false removes it", show = in_line } },
  options = { container = { "string", nil, "Only this container; all of them", what = true } },
  check = check_env,
  words = set_env_words,
  silent_when_same = true,
  intends = sets,
  radius = write.workload_radius(sets),
  after = function(it, call, _, done)
    local fields, err = rollout.wait(it, call, "set")
    if fields then fields.changed = done.stdout ~= "" end
    if fields and not fields.changed then
      fields.summary = "nothing changed: the values are so already; " .. fields.summary
    end
    return fields, err
  end,
})

---------------------------------------------------------------- One object --

local patch_types = { "strategic", "merge", "json" }

write.effect("patch", {
  summary = "Changes parts of an object",
  params = { kind_param, name_param, { "patch", "map", "The parts, as the API names them" } },
  sends = function(call) return sends.split(json.encode(call.patch)) end,
  options = { type = { "string", "strategic", "How lists are merged", one_of = patch_types, what = true } },
  result = write.fields,
  words = function(call)
    return { "patch", call.kind, call.name, "--type=" .. call.type, "--patch=" .. json.encode(call.patch) }
  end,
  intends = function(call) return ("patches %s %s"):format(call.kind, call.name) end,
  evidence = write.evidence,
  after = write.told,
  specimen = { changed = true, summary = "patched" },
})

local function pairs_words(verb)
  return function(call)
    local words = { verb, call.kind, call.name, "--overwrite" }
    local list = assignments(call.values)
    return table.move(list, 1, #list, 5, words)
  end
end

local function check_pairs(verb)
  return function(call)
    call.values = values.copy_shallow(call.values)
    if not next(call.values) then blame.raise("kubectl.%s: argument 3 (values): none given", verb) end
    for name, value in pairs(call.values) do
      if type(value) == "number" then call.values[name] = tostring(value) end
      if type(name) ~= "string" or not name:find "^%w[%w._/%-]*$" or type(call.values[name]) ~= "string"
        and value ~= false
        and not values.is_placeholder(value) then
        blame.raise("kubectl.%s: argument 3 (values): names with strings, or false to remove one, expected",
                    verb)
      end
    end
  end
end

-- Only `label` says by itself that all is so already.
local function pairs_radius(map, intends)
  local look = write.object_radius(intends)
  return function(it, call)
    local plan, err, object = look(it, call)
    if not plan then return nil, err end
    local now, same = object.metadata[map] or {}, true
    for name, value in pairs(call.values) do same = same and (now[name] or false) == value end
    if same then plan.text, plan.size, plan.same = ("changes nothing: it is so already (%s)"):format(plan.text), 0, true end
    return plan
  end
end

local function labelled(it, call, plan, done)
  local fields = write.told(it, call, plan, done)
  fields.changed = fields.changed and not plan.same
  return fields
end

for verb, what in pairs { label = "labels", annotate = "annotates" } do
  local function intends(call)
    return ("%s %s %s with %s"):format(what, call.kind, call.name, table.concat(assignments(call.values), " "))
  end
  write.effect(verb, {
    summary = ("Sets or removes %s of an object"):format(verb == "label" and "labels" or "annotations"),
    params = { kind_param, name_param, { "values", "map", "Name → value; false removes it", show = in_line } },
    result = write.fields,
    check = check_pairs(verb),
    words = pairs_words(verb),
    intends = intends,
    radius = pairs_radius(verb == "label" and "labels" or "annotations", intends),
    would = function(_, plan) return { changed = not (plan and plan.same) } end,
    after = labelled,
    specimen = { changed = true, summary = what },
  })
end

-- The object that was seen is the one that goes: not another of its name.
local function still_the_same(it, call, plan)
  if not plan or not plan.uid then return true end
  local object, err = it:json { "get", call.kind, call.name, "--output=json" }
  if not object then return nil, err end
  if object.metadata.uid == plan.uid then return true end
  return nil, { kind = "conflict", message = "it was replaced by another of the same name since the plan" }
end

local function delete_words(call)
  local words = { "delete", call.kind, call.name }
  if call.grace then words[4] = ("--grace-period=%d"):format(math.ceil(call.grace)) end
  return words
end

write.effect("delete", {
  summary = "Deletes an object, and waits until it is gone",
  class = "destructive",
  params = { kind_param, name_param },
  options = { grace = { "duration", nil, "How long a pod may take to stop; else its own" },
              timeout = { "duration", "2m", "The longest it may take" } },
  result = { state = "string: absent", summary = "string: kubectl's words" },
  words = delete_words,
  intends = function(call) return ("deletes %s %s"):format(call.kind, call.name) end,
  evidence = write.evidence,
  radius = function(it, call)
    local object, err = it:json { "get", call.kind, call.name, "--output=json" }
    if not object then return nil, err end
    local item = state.item(object)
    local text = ("deletes %s %s in %s (%s)"):format(item.kind, call.name, client.in_words(call),
                                                     state.brief(item))
    local size = 1
    if item.desired then
      local pods = item.replicas or item.desired
      text, size = ("%s and its %s"):format(text, write.pods_text(pods)), 1 + pods
    elseif item.kind == "Namespace" or item.kind == "Node" or item.kind == "PersistentVolumeClaim" then
      text, size = text .. " and all that is in it", math.huge
    elseif item.kind == "Pod" and not object.metadata.ownerReferences then
      text = text .. "; nothing makes it anew"
    end
    return { text = text, size = size, uid = object.metadata.uid }
  end,
  run = function(call, plan)
    local it = client.open(call, true)
    local same, err = still_the_same(it, call, plan)
    local done
    if same then done, err = it:carry_out(delete_words(call)) end
    if not done then return nil, err end
    return { state = "absent", summary = client.first_line(done.stdout) }
  end,
  would = function() return { state = "absent" } end,
  verify = function(call)
    local _, err = client.open(call):json { "get", call.kind, call.name, "--output=json" }
    return err and err.kind == "absent" or false
  end,
  specimen = { state = "absent", summary = "deleted" },
})

require "effects.kubectl_node"
require "effects.kubectl_exec"
