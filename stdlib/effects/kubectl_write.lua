-- How kubectl's changes are made: each is previewed from the objects as they are, and tried on the server
-- where the verb has --dry-run=server; where it has not, the server is asked whether we may.
local catalogue = require "catalogue"
local client = require "effects.kubectl_client"
local rollout = require "effects.kubectl_rollout"
local state = require "effects.kubectl_state"
local values = require "values"

local write = {}

-- The longest a preview may take, in seconds: a plan has 30 in all.
local PREVIEW_SECONDS = 15
-- Lines of a container's log that are saved before a change.
local SAVED_LINES = 1000

local function object_name(call) return tostring(call.name or call.pod or call.node) end

--------------------------------------------------------------------- Previews --

function write.impossible(why) return { text = why, size = 0, impossible = why } end

-- Errors that the change itself would meet too: kubectl looks before each change, with the same rights.
local certain = { permission = true, login = true, absent = true, invalid = true, usage = true, missing = true,
                  conflict = true, certificate = true }

-- What can't be seen beforehand is unknown; what the server refuses, or hasn't got, can't be done.
local function not_seen(call, err)
  if err.kind == "absent" then
    return write.impossible(("there is no %s %s in %s"):format(call.kind or call.pod and "pod" or "node",
                                                         object_name(call),
      client.in_words(call)))
  end
  if certain[err.kind] then return write.impossible(err.message) end
  return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true }
end

local function try(it, entry, call, plan)
  if entry.may then
    local words = entry.may(call)
    local done = it:start(table.move(words, 1, #words, 3, { "auth", "can-i" }))
    if done and done.stdout:find "^no" then
      return write.impossible(("not allowed: %s"):format(table.concat(words, " ")))
    end
    return plan
  end
  local words = entry.words(call, plan, it:left())
  local at = #words + 1
  for i, word in ipairs(words) do if word == "--" then at = i end end
  words = table.move(words, 1, #words, 1, {})
  table.insert(words, at, "--dry-run=server")
  local done, err = it:carry_out(words, { reads = true })
  if done then
    plan.same = plan.same or entry.silent_when_same and done.stdout == "" or nil
    if plan.same then plan.text, plan.size = "changes nothing: it is so already (" .. plan.text .. ")", 0 end
  elseif certain[err.kind] then
    return write.impossible(err.message)
  else
    plan.text = ("%s; it could not be tried beforehand: %s"):format(plan.text, err.message)
  end
  return plan
end

local function preview_of(entry)
  return function(call)
    for name, value in pairs(call) do
      if values.is_placeholder(value) then
        return { text = ("its %s, %s, is known only in the run"):format(name, tostring(value)), size = 1 }
      end
    end
    local it = client.open(call, false, PREVIEW_SECONDS)
    local plan, err = entry.radius(it, call)
    if not plan then return not_seen(call, err) end
    if plan.impossible then return plan end
    return try(it, entry, call, plan)
  end
end

function write.pods_text(count) return ("%d pod%s"):format(count, count == 1 and "" or "s") end

-- Radius of a change of a workload that renews its pods.
-- `what(call, pods, item)`, for an entry's `intends` too: without pods it speaks of "its pods".
function write.workload_radius(what, why_not)
  return function(it, call)
    local item, err, object = rollout.read(it, call)
    if not item then return nil, err end
    local why = why_not and why_not(item)
    if why then return write.impossible(why) end
    local pods = item.replicas or item.desired
    local text = ("%s in %s, %d ready"):format(what(call, write.pods_text(pods), item), client.in_words(call),
                                               item.ready_replicas)
    if item.phase == "stuck" then text = ("%s; its last rollout is stuck (%s)"):format(text, item.reason) end
    return { text = text, size = pods, replicas = item.desired, uid = object.metadata.uid }
  end
end

-- Radius of a change of one object: what(call), an entry's `intends` too, names it.
function write.object_radius(what)
  return function(it, call)
    local object, err = it:json { "get", call.kind or call.pod and "pod" or "node", object_name(call),
                                  "--output=json" }
    if not object then return nil, err end
    local item = state.item(object)
    local text = ("%s in %s (%s)"):format(what(call), client.in_words(call), state.brief(item))
    return { text = text, size = 1, uid = object.metadata.uid, item = item }, nil, object
  end
end

------------------------------------------------------------------- Evidence --

-- Of a workload's pods so many are saved, those in trouble first.
local SAVED_PODS = 5

local function save_logs(save, pod, place)
  local spec = pod.object and pod.object.spec or {}
  local containers = table.move(spec.initContainers or {}, 1, #(spec.initContainers or {}), 1, {})
  table.move(spec.containers or {}, 1, #(spec.containers or {}), #containers + 1, containers)
  for _, container in ipairs(containers) do
    save("kubectl.logs", pod.name, { container = container.name, namespace = place, tail = SAVED_LINES })
    if (pod.restarts or 0) > 0 then
      save("kubectl.logs", pod.name, { container = container.name, namespace = place, tail = SAVED_LINES,
                                       previous = true })
    end
  end
end

local function save_pods(save, call, object)
  local list = rollout.pods(client.open(call, false, PREVIEW_SECONDS), object, true) or {}
  table.sort(list, function(a, b) return not a.ready and b.ready end)
  for i = 1, math.min(#list, SAVED_PODS) do
    save("kubectl.describe", "pod", list[i].name, { namespace = call.namespace })
    save_logs(save, list[i], call.namespace)
  end
end

-- The object as it is, and what its pods wrote: with them it goes.
function write.evidence(save, call)
  local place, name = call.namespace, object_name(call)
  save("kubectl.describe", call.kind, name, { namespace = place })
  local now = save("kubectl.get", call.kind, name, { namespace = place })
  local item = now and now.items and now.items[1]
  if not item then return end
  if item.kind == "Pod" then return save_logs(save, item, place) end
  if item.desired then save_pods(save, call, item.object) end
end

-------------------------------------------------------------------- Effects --

-- catalogue.effect of a write: `words(call, plan, left)` is the vector (`left`: seconds for a trial), `radius(it, call)`
-- the preview before it is tried, `may(call)` what to ask `auth can-i` for verbs without --dry-run,
-- `after(it, call, plan, done)` the fields when it is done.
function write.effect(verb, entry)
  local name, check = "kubectl." .. verb, entry.check
  entry.class, entry.options, entry.ending = entry.class or "write", entry.options or {}, client.ENDING_SECONDS
  if not entry.everywhere then
    entry.options.namespace = { "string", nil, "Namespace; else the config's or the context's", what = true }
  end
  entry.options.timeout = entry.options.timeout or { "duration", "30s", "The longest it may take" }
  entry.check = function(call)
    client.check(name, call)
    rollout.check_wait(call)
    if check then check(call) end
  end
  local by_hand = entry.by_hand or entry.words
  entry.command = function(call)
    local words = by_hand(call)
    return words and client.command(call, words)
  end
  entry.radius = entry.radius or write.object_radius(entry.intends)
  entry.target, entry.where, entry.preview = object_name, client.where, preview_of(entry)
  entry.run = entry.run or function(call, plan)
    local it = client.open(call, true)
    local done, err = it:carry_out(entry.words(call, plan))
    if not done then return nil, err end
    return entry.after(it, call, plan or {}, done)
  end
  catalogue.effect(name, entry)
end

write.fields = { changed = "boolean: false when it was so already", summary = "string: kubectl's words" }

function write.told(_, _, _, done)
  local said = client.first_line(done.stdout)
  return { changed = said ~= "" and not said:find "not labeled" and not said:find "no change"
           and not said:find "already "
             or false,
           summary = said ~= "" and said or "nothing changed: it is so already" }
end

return write
