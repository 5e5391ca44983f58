-- kubectl.cordon, uncordon and drain: what a node takes on, and sending its pods elsewhere.
local client = require "effects.kubectl_client"
local room = require "effects.kubectl_room"
local state = require "effects.kubectl_state"
local raw_text = require "raw.text"
local write = require "effects.kubectl_write"

-- A node's pods, in bytes of JSON.
local PODS_MAX = 32 << 20
-- Between two tries to evict a pod kubectl waits 5 s; with what a request takes.
local RETRY_SECONDS = 7
-- Pods named in a preview; the others are counted.
local NAMED = 5

local node_param = { "node", "string", "Name of the node" }

local function cordoned(call)
  return { { thing = "node " .. call.node, text = "is cordoned", back = { "kubectl.uncordon", call.node } } }
end
local function uncordoned(call) return { { thing = "node " .. call.node } } end

local function switch(verb, summary, tells)
  write.effect(verb, {
    summary = summary,
    params = { node_param },
    result = write.fields,
    everywhere = true,
    words = function(call) return { verb, call.node } end,
    intends = function(call) return tells:format(call.node) end,
    after = write.told,
    verify = function(call)
      local object = client.open(call):json { "get", "node", call.node, "--output=json" }
      return object and ((object.spec or {}).unschedulable or false) == (verb == "cordon")
    end,
    leaves = verb == "cordon" and cordoned or uncordoned,
    would = function() return { changed = true } end,
    specimen = { changed = true, summary = verb .. "ed" },
  })
end

switch("cordon", "No new pods come to a node", "keeps new pods off node %s")
switch("uncordon", "New pods may come to a node again", "lets new pods come to node %s")

----------------------------------------------------------------------- drain --

local function owner(pod)
  for _, it in ipairs(pod.metadata.ownerReferences or {}) do if it.controller then return it.kind end end
end

-- "conduit/api-1", or what of it is said.
local function name_of(pod)
  local it = pod.metadata
  return (it.namespace and it.namespace .. "/" or "") .. (it.name or "?")
end

local function has_local_data(pod)
  for _, volume in ipairs((pod.spec or {}).volumes or {}) do if volume.emptyDir then return true end end
  return false
end

local function done(pod)
  local phase = (pod.status or {}).phase
  return phase == "Succeeded" or phase == "Failed"
end

-- What kubectl does with each pod of the node: evicts it, leaves it (daemon sets, the node's own), or
-- refuses.
local function sort_out(list, call)
  local sorted = { evicted = {}, pods = {}, stay = 0, with_data = {}, bare = {} }
  for _, pod in ipairs(list.items or {}) do
    local name, kind = name_of(pod), owner(pod)
    if (pod.spec or {}).nodeName and pod.spec.nodeName ~= call.node then
      goto continue -- a server that knows no field selectors answers with all pods
    end
    if kind == "DaemonSet" or (pod.metadata.annotations or {})["kubernetes.io/config.mirror"] then
      sorted.stay = sorted.stay + 1
    else
      sorted.evicted[#sorted.evicted + 1], sorted.pods[#sorted.pods + 1] = name, pod
      if has_local_data(pod) and not done(pod) then sorted.with_data[#sorted.with_data + 1] = name end
      if not kind and not done(pod) then sorted.bare[#sorted.bare + 1] = name end
    end
    ::continue::
  end
  sorted.refused = #sorted.with_data > 0 and not call.delete_local_data and "with local data" or nil
  if #sorted.bare > 0 and not call.force then sorted.refused = "that nothing makes anew" end
  return sorted
end

local function named(list)
  local text = table.concat(list, ", ", 1, math.min(#list, NAMED))
  return #list > NAMED and ("%s and %d more"):format(text, #list - NAMED) or text
end

local function radius(it, call)
  local object, err = it:json { "get", "node", call.node, "--output=json" }
  if not object then return nil, err end
  local list
  list, err = it:json({ "get", "pods", "--field-selector=spec.nodeName=" .. call.node, "--output=json" },
    { everywhere = true, max = PODS_MAX })
  if not list then return nil, err end
  local item, sorted = state.item(object), sort_out(list, call)
  local text = ("evicts %s from node %s in %s (%s)"):format(write.pods_text(#sorted.evicted), call.node,
    client.in_words(call), state.brief(item))
  if #sorted.evicted > 0 then text = ("%s: %s"):format(text, named(sorted.evicted)) end
  if sorted.stay > 0 then text = ("%s; %d of daemon sets or the node's own stay"):format(text, sorted.stay) end
  if #sorted.with_data > 0 then text = ("%s; %d lose local data"):format(text, #sorted.with_data) end
  if #sorted.pods > 0 and not sorted.refused then text = text .. "; " .. room.text(it, call.node, sorted.pods) end
  local plan = { text = text, size = #sorted.evicted, pods = #sorted.evicted }
  if sorted.refused then
    local which = sorted.refused == "with local data" and sorted.with_data or sorted.bare
    local option = sorted.refused == "with local data" and "delete_local_data" or "force"
    plan.impossible = ("%s %s on the node: %s (option '%s' allows it)"):format(write.pods_text(#which),
                                                                               sorted.refused,
      named(which), option)
  end
  return plan
end

-- kubectl ends by itself before it is ended, and says why: it looks at its own limit between two tries, which are 5 s apart.
local function own_limit(seconds) return math.max(1, math.floor(seconds - math.min(RETRY_SECONDS, seconds / 3))) end

local function words(call, _, left)
  local list = { "drain", call.node, "--ignore-daemonsets" }
  if call.delete_local_data then list[#list + 1] = "--delete-emptydir-data" end
  if call.force then list[#list + 1] = "--force" end
  if call.grace then list[#list + 1] = ("--grace-period=%d"):format(math.ceil(call.grace)) end
  list[#list + 1] = ("--timeout=%ds"):format(own_limit(math.min(call.timeout, left or math.huge)))
  return list
end

-- What a drain did before it failed stays so.
local function half_done(call, plan, err)
  local said = "\n" .. (err.stdout or "")
  err.partly = said:find "\nnode/%S+ cordoned" ~= nil
  if not err.partly then return nil, err end
  local _, gone = said:gsub("\npod/%S+ evicted", "")
  err.message = ("node %s stays cordoned, %d of its %s went: %s"):format(call.node, gone,
    write.pods_text(plan.pods or 0), err.message)
  return nil, err
end

write.effect("drain", {
  summary = "Keeps new pods off a node and evicts those it has; disruption budgets are kept",
  class = "destructive",
  params = { node_param },
  everywhere = true,
  options = {
    delete_local_data = { "boolean", false, "Also pods with emptyDir volumes, whose data is lost",
                          what = true },
    force = { "boolean", false, "Also pods that nothing makes anew", what = true },
    grace = { "duration", nil, "How long a pod may take to stop; else its own" },
    timeout = { "duration", "5m", "The longest it may take" },
  },
  result = { evicted = "integer: how many pods went, as planned", summary = "string: kubectl's words" },
  words = words,
  intends = function(call) return ("evicts the pods of node %s"):format(call.node) end,
  radius = radius,
  evidence = function(save, call) save("kubectl.describe", "node", call.node) end,
  run = function(call, plan)
    plan = plan or {}
    local ended, err = client.open(call, true):carry_out(words(call))
    if not ended then return half_done(call, plan, err) end
    local summary = raw_text.last_line(ended.stdout)
    return { evicted = plan.pods, summary = summary ~= "" and summary or "drained" }
  end,
  leaves = cordoned,
  would = function(_, plan) return { evicted = plan and plan.pods } end,
  specimen = { evicted = 1, summary = "drained" },
})
