-- kubectl: objects of a Kubernetes cluster, by the kubectl program. Reads are here; what changes a cluster is
-- in effects/kubectl_change.lua.
local blame = require "blame"
local catalogue = require "catalogue"
local client = require "effects.kubectl_client"
local history = require "effects.kubectl_history"
local json = require "raw.json"
local outcome = require "outcome"
local rollout = require "effects.kubectl_rollout"
local state = require "effects.kubectl_state"
local tasks = require "tasks"
local text = require "raw.text"

-- Of a list, whole objects are kept when they come to this many bytes together; of longer lists only the
-- fields.
local OBJECTS_MAX = 4 << 20
-- What is read of a list, in bytes: some 10,000 whole pods. Of longer ones only the fields' sources are
-- fetched.
local LIST_MAX = 64 << 20
-- One object, in bytes; a server takes 1.5 MB.
local OBJECT_MAX = 8 << 20
-- Of events, the newest up to this many are kept, and of their JSON this many bytes are read.
local EVENTS_MAX, EVENTS_BYTES = 500, 16 << 20

local kind_param = { "kind", "string", 'Kind of object: "pods", "deployment", "nodes" …' }
local name_param = { "name", "string", "Name of the object" }

local function options(more, all)
  local help = all and 'Namespace; "*": all; else the config\'s or the context\'s'
    or "Namespace; else the config's or the context's"
  more.namespace = { "string", nil, help, what = true }
  more.timeout = more.timeout or { "duration", "15s", "The longest it may take" }
  return more
end

-- catalogue.effect of a read: `words(call)` is the vector after kubectl's own flags, `all` that namespace "*"
-- is understood.
local function read(name, entry)
  local words, check = entry.words, entry.check
  entry.class, entry.ending = entry.class or "read", client.ENDING_SECONDS
  entry.options = options(entry.options or {}, entry.all)
  local through = entry.through or function(_, command) return command end
  entry.command = function(call) return through(call, client.command(call, words(call))) end
  entry.check = function(call)
    client.check(name, call, entry.all)
    if check then check(call) end
  end
  entry.target = function(call) return tostring(call.name or call.pod or call.kind) end
  catalogue.effect(name, entry)
end

------------------------------------------------------------------------- get --

local function get_words(call, format)
  local words = { "get", call.kind }
  if call.name then words[3] = call.name end
  if call.selector then words[#words + 1] = "--selector=" .. call.selector end
  if call.field_selector then words[#words + 1] = "--field-selector=" .. call.field_selector end
  if format then words[#words + 1] = "--output=" .. format end
  return words
end

local function absent(call)
  local why = ("there is no %s %s"):format(call.kind, call.name)
  return { state = "absent", items = {}, not_ready = {}, ready = 0, total = 0, completed = 0,
           terminating = 0, cut = false,
           summary = why, place = client.in_words(call) }
end

-- As JSON too, but with metadata.managedFields, which --output=json leaves out unless a flag says otherwise that older
-- kubectls don't know.
local ONE = "jsonpath={@}"

local function get_one(it, call)
  local looked = tasks.wall()
  local object, err = it:json(get_words(call, ONE), { max = OBJECT_MAX })
  if not object then
    if err.kind == "absent" then return absent(call) end
    return client.failed(err)
  end
  local item = state.item(object, call.objects, looked)
  local fields = state.count({ item }, call.kind, true)
  fields.looked = looked
  fields.state, fields.cut, fields.object, fields.place = "present", false, item.object, client.in_words(call)
  fields.summary = ("%s: %s"):format(item.name, state.brief(item))
  return fields
end

-- Each object on a line of its own: kubectl need not be held in memory as a whole, nor Lua's table of it.
local WHOLE = '{range .items[*]}{@}{"\\n"}{end}'
-- The parts that an item is made of.
local PARTS = '{range .items[*]}{.kind}{"\\t"}{.metadata.name}{"\\t"}{.metadata.namespace}{"\\t"}'
  .. '{.metadata.creationTimestamp}{"\\t"}{.metadata.deletionTimestamp}{"\\t"}{.metadata.generation}{"\\t"}'
  .. '{.spec.nodeName}{"\\t"}{.spec.replicas}{"\\t"}{.spec.paused}{"\\t"}{.spec.unschedulable}'
  .. '{"\\t"}{.status}{"\\n"}{end}'

local function filled(value) return value ~= "" and value or nil end

local function from_parts(line)
  local kind, name, namespace, created, deleted, generation, node, replicas, paused, cordoned, status =
    line:match(("([^\t]*)\t"):rep(10) .. "(.*)$")
  if not kind then return nil end
  return {
    kind = kind, status = status ~= "" and json.decode(status) or nil,
    metadata = { name = name, namespace = filled(namespace), creationTimestamp = filled(created),
                 deletionTimestamp = filled(deleted), generation = tonumber(generation) },
    spec = { nodeName = filled(node), replicas = tonumber(replicas), paused = paused == "true",
             unschedulable = cordoned == "true" },
  }
end

local function items_of(output, decode, whole, looked)
  local items = {}
  for line in output:gmatch "[^\n]+" do
    local object = decode(line)
    local problem = type(object) ~= "table" and "kubectl's list can't be read" or client.problem(object)
    if problem then return nil, problem end
    items[#items + 1] = state.item(object, whole, looked)
  end
  return items
end

local function get_many(it, call)
  local decode, looked = json.decode, tasks.wall()
  local done, err = it:carry_out(get_words(call, "jsonpath=" .. WHOLE), { max = LIST_MAX })
  if done and done.cut then
    decode = from_parts
    done, err = it:carry_out(get_words(call, "jsonpath=" .. PARTS), { max = LIST_MAX })
  end
  if not done then return client.failed(err) end
  local whole, printed = decode == json.decode and #done.stdout <= OBJECTS_MAX, done.stdout
  if done.cut then printed = printed:match "^.*\n" or "" end -- the last line is a part of one
  local items, problem = items_of(printed, decode, whole and call.objects, looked)
  if not items then return outcome.failed("io", "%s", problem) end
  local fields = state.count(items, call.kind)
  if done.cut then fields.summary = ("of the first %d: %s"):format(#items, fields.summary) end
  fields.cut, fields.place, fields.looked = done.cut or call.objects and not whole, client.in_words(call), looked
  return fields
end

local item_help = "each kind name namespace ready (by status.conditions for kinds it doesn't know; nil when they "
  .. "don't tell) phase restarts reason message node created (seconds since 1970) age object terminating changed (when its "
  .. "fields but the status were last set, seconds since 1970; nil when unknown) manager (by what); a pod also "
  .. "last_reason last_exit_code, a workload desired ready_replicas updated available complete paused, "
  .. "a node cordoned conditions (each type status reason message)"

-- A count that leaves out what nobody knows would be taken for health, or for a fault.
local function readiness_unknown(fields) blame.cannot_look("kubectl.get: %s", fields.summary) end

-- The part of an object that runbooks look into most.
local function specimen_object(kind, name)
  local pod = { containers = { { name = "main", image = "image:1" } } }
  local spec = kind:find "^po" and pod or { replicas = 1, template = { spec = pod } }
  return { metadata = { name = name, namespace = "default" }, spec = spec }
end

read("kubectl.get", {
  summary = "Reads objects of a kind: one by its name, or all, or those with labels",
  params = { kind_param, { "name", "string", "Name of one; without it all of them", optional = true } },
  options = {
    selector = { "string", nil, 'Labels: "app=api,tier!=web"', what = true },
    objects = { "boolean", true, "The whole objects too, with all that they hold" },
    timeout = { "duration", "30s", "The longest it may take" },
  },
  all = true,
  result = {
    items = "list: " .. item_help, object = "map: the object, when one was named; nil when it is absent",
    ready = "integer: how many are ready; a script that asks where one's readiness is not known ends its probe as unknown",
    total = "integer: how many there are that should be",
    completed = "integer: pods that have done their work; not in `total`",
    terminating = "integer: those on their way out, of a list; not in `total`",
    not_ready = "list: those items that are not ready", state = "string: present absent",
    summary = 'string: "1 of 3 ready: api-7c9f (CrashLoopBackOff, 4 restarts)"',
    cut = ("boolean: the list is longer than %d MB, its items have no `object`; of one longer than %d MB, told with as little "
      .. "as they are made of, the first are there, and counted"):format(OBJECTS_MAX >> 20, LIST_MAX >> 20),
    looked = "number: when the cluster was asked, seconds since 1970; nil when the object is absent",
    place = 'string: the namespace and context that were looked at: "conduit @ prod"',
  },
  check = function(call)
    if call.name and (call.selector or call.namespace == "*") then
      blame.raise "kubectl.get: one object is named: 'selector' and namespace \"*\" don't go with it"
    end
  end,
  words = function(call) return get_words(call, "json") end,
  run = function(call)
    local it = client.open(call)
    if call.name then return get_one(it, call) end
    return get_many(it, call)
  end,
  specimen = function(call)
    local name = call and call.name
    local item = { kind = "Pod", name = name or "name", namespace = "default", ready = true,
                   phase = "Running",
                   restarts = 0, node = "node", created = 1.7e9, age = 3600, changed = 1.7e9, manager = "kubectl" }
    return { items = { item }, ready = 1, total = 1, completed = 0, terminating = 0, not_ready = {},
             state = "present", object = name and specimen_object(call.kind, name) or nil, summary = "1 of 1 ready", cut = false,
             looked = 1.7e9 + 3600, place = "default @ cluster" }
  end,
  kept = state.kept, restored = state.restored,
  lazy = { ready = readiness_unknown, not_ready = readiness_unknown },
})

-------------------------------------------------------------------- describe --

read("kubectl.describe", {
  summary = "Describes an object for people, with its events",
  params = { kind_param, name_param },
  result = { text = "string: the description; the first 1 MB; nil when there is no such object",
             cut = "boolean: the end is missing", state = "string: present absent" },
  words = function(call) return { "describe", call.kind, call.name } end,
  run = function(call)
    local done, err = client.open(call):carry_out { "describe", call.kind, call.name }
    if done then return { state = "present", text = done.stdout, cut = done.cut } end
    if err.kind == "absent" then return { state = "absent", cut = false } end
    return client.failed(err)
  end,
  specimen = { state = "present", text = "", cut = false },
  sum_up = function(it) return it.state == "absent" and "there is no such object" or "described" end,
})

require("effects.kubectl_logs")(read)

------------------------------------------------------------------------- top --

local scale = { Ki = 1 << 10, Mi = 1 << 20, Gi = 1 << 30, Ti = 1 << 40, [""] = 1 }

local function quantity(word)
  local number, unit = word:match "^(%d+)(%a*)$"
  return number and scale[unit] and math.tointeger(tonumber(number) * scale[unit])
end

local function cores(word)
  local milli = word:match "^(%d+)m$"
  return milli and tonumber(milli) / 1000 or tonumber(word)
end

local function top_words(call)
  local words = { "top", call.kind }
  if call.name then words[3] = call.name end
  if call.selector then words[#words + 1] = "--selector=" .. call.selector end
  words[#words + 1] = "--no-headers"
  return words
end

local function top_item(call, line)
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  if call.kind:find "^nodes?$" then
    return { name = words[1], cpu = cores(words[2]), cpu_percent = tonumber((words[3]:gsub("%%", ""))),
             memory_bytes = quantity(words[4]), memory_percent = tonumber((words[5]:gsub("%%", ""))) }
  end
  local namespace = call.namespace == "*" and table.remove(words, 1) or nil
  return { name = words[1], namespace = namespace, cpu = cores(words[2]), memory_bytes = quantity(words[3]) }
end

local function top(call)
  local done, err = client.open(call):carry_out(top_words(call))
  if not done then
    if err.kind == "absent" then return { items = {}, state = "absent", cut = false } end
    if err.kind == "missing" then
      return outcome.failed("unmeasured", "this cluster measures nothing: %s (is the metrics server there?)",
                            err.message)
    end
    return client.failed(err)
  end
  local items = {}
  for line in done.stdout:gmatch "[^\n]+" do
    if line:find "^%S+%s+%S+%s+%S" then items[#items + 1] = top_item(call, line) end
  end
  return { items = items, state = "present", cut = done.cut }
end

read("kubectl.top", {
  summary = "CPU and memory that pods or nodes use, from the cluster's metrics server",
  params = { { "kind", "string", '"pods" or "nodes"', one_of = { "pods", "pod", "nodes", "node" } },
             { "name", "string", "Name of one; without it all of them", optional = true } },
  options = { selector = { "string", nil, "Labels", what = true } },
  all = true,
  result = { items = "list: each name namespace cpu (cores) memory_bytes; of nodes also cpu_percent "
               .. "memory_percent",
             state = "string: present absent", cut = "boolean: the end is missing" },
  words = top_words,
  run = top,
  specimen = { items = {}, state = "present", cut = false },
  sum_up = function(it) return ("%d measured"):format(#it.items) end,
})

--------------------------------------------------------------------- Rollouts --

read("kubectl.rollout_status", {
  summary = "How far the last change of a workload has come, and why it is stuck",
  params = { kind_param, name_param },
  result = rollout.fields,
  words = function(call) return { "rollout", "status", call.kind .. "/" .. call.name, "--watch=false" } end,
  run = function(call)
    local fields, err = rollout.look(client.open(call), call)
    if fields then return fields end
    if err.kind == "absent" then
      return { state = "absent", complete = false, pods = {},
               summary = ("there is no %s %s"):format(call.kind, call.name) }
    end
    return client.failed(err)
  end,
  specimen = { state = "complete", complete = true, desired = 1, ready = 1, updated = 1, available = 1,
               pods = {},
               summary = "1 of 1 ready" },
})

read("kubectl.rollout_history", {
  summary = "The revisions of a workload that are kept; of a deployment also when each was rolled out and its images",
  params = { kind_param, name_param },
  result = { revisions = "list: each revision (integer) cause (string or nil), oldest first; of a deployment also at "
               .. "(seconds since 1970 of its rollout; nil for an earlier one that an undo went back to) images (list) hash "
               .. "(its pods have it in their label pod-template-hash)",
             current = "integer: the newest revision", state = "string: present absent" },
  words = history.words,
  run = function(call)
    local fields, err = history.read(client.open(call), call)
    if fields then return fields end
    if err.kind == "absent" then return { state = "absent", revisions = {} } end
    return client.failed(err)
  end,
  specimen = { state = "present", revisions = { { revision = 1, at = 1.7e9, images = { "image:1" } } },
               current = 1 },
  sum_up = function(it) return ("%d revisions"):format(#it.revisions) end,
})

---------------------------------------------------------------------- Events --

local function events_words(call)
  local words, fields = { "get", "events" }, {}
  if call.name then fields[1] = "involvedObject.name=" .. call.name end
  if call.warnings then fields[#fields + 1] = "type=Warning" end
  if #fields > 0 then words[3] = "--field-selector=" .. table.concat(fields, ",") end
  words[#words + 1] = "--output=json"
  return words
end

local function event(it)
  local about = it.involvedObject or {}
  local function stamp(value) return type(value) == "string" and text.time(value) or nil end
  local series = type(it.series) == "table" and it.series or {} -- newer reporters count here
  local count = type(series.count) == "number" and series.count or it.count
  return { at = stamp(series.lastObservedTime) or stamp(it.lastTimestamp) or stamp(it.eventTime)
             or stamp(it.metadata.creationTimestamp),
           type = it.type, reason = it.reason, message = it.message, name = about.name, kind = about.kind,
           namespace = it.metadata.namespace, count = type(count) == "number" and count or 1 }
end

local function events(call)
  local list, err = client.open(call):json(events_words(call), { max = EVENTS_BYTES })
  if not list then return client.failed(err) end
  local found = {}
  for _, it in ipairs(list.items or {}) do
    local one = event(it)
    if not call.since or (one.at or 0) >= tasks.wall() - call.since then found[#found + 1] = one end
  end
  table.sort(found, function(a, b) return (a.at or 0) < (b.at or 0) end)
  local total = #found
  if total > EVENTS_MAX then found = table.move(found, total - EVENTS_MAX + 1, total, 1, {}) end
  return { events = found, total = total, cut = total > EVENTS_MAX }
end

read("kubectl.events", {
  summary = "What the cluster noted of late, oldest first; a cluster keeps events for an hour",
  options = {
    name = { "string", nil, "Only those about objects of this name", what = true },
    warnings = { "boolean", false, "Only warnings", what = true },
    since = { "duration", nil, "Only those younger than this", what = true },
    timeout = { "duration", "30s", "The longest it may take" },
  },
  all = true,
  result = { events = "list: each at type reason message kind name namespace count; the newest " .. EVENTS_MAX,
             total = "integer: how many there are", cut = "boolean: the oldest are missing" },
  words = events_words,
  run = events,
  specimen = { events = {}, total = 0, cut = false },
  sum_up = function(it) return ("%d events"):format(it.total) end,
})

----------------------------------------------------------------------- can_i --

local function can_i_words(call)
  local resource, sub = call.resource:match "^([^/]+)/(%w+)$"
  resource = resource or call.resource
  local words = { "auth", "can-i", call.verb, call.name and resource .. "/" .. call.name or resource }
  if sub then words[5] = "--subresource=" .. sub end
  return words
end

read("kubectl.can_i", {
  summary = "Asks the cluster whether we may do something; `ok` says that it answered",
  params = { { "verb", "string", "get list patch delete create …" },
             { "resource", "string", "Kind of object: pods, deployments.apps, pods/exec" } },
  options = { name = { "string", nil, "Name of one object", what = true } },
  all = true,
  result = { allowed = "boolean", reason = "string: the cluster's words, when it has any" },
  words = can_i_words,
  run = function(call)
    local done, err = client.open(call):start(can_i_words(call))
    if not done then return client.failed(err) end
    local word, why = done.stdout:match "^(%a+)%s*%-?%s*([^\n]*)"
    if word ~= "yes" and word ~= "no" then return client.failed(client.understand(done)) end
    return { ok = true, allowed = word == "yes", reason = filled(why or "") }
  end,
  specimen = { allowed = true },
  sum_up = function(it) return it.allowed and "allowed" or "not allowed" end,
})

require "effects.kubectl_change"
