-- kubectl: the program, where it goes, and whether the cluster lets us do what the runbook's effects need.
local client = require "effects.kubectl_client"
local json = require "raw.json"
local look = require "doctor.look"
local tasks = require "tasks"

-- Refused permissions named in one row.
local NAMED = 4

---------------------------------------------------------------------- Needs --

local function on_object(...)
  local verbs = { ... }
  return function(call)
    local needs = { { "get", call.kind, call.name } }
    for i, verb in ipairs(verbs) do needs[i + 1] = { verb, call.kind, call.name } end
    return needs
  end
end

local function fixed(...)
  local needs = { ... }
  return function() return needs end
end

local function in_pod(verb, part)
  return function(call) return { { "get", "pods", call.pod }, { verb, "pods/" .. part, call.pod } } end
end

-- Effect → what kubectl asks the cluster for on its behalf: verb, resource, name.
local needs = {
  get = function(call) return { { call.name and "get" or "list", call.kind, call.name } } end,
  describe = on_object(), rollout_status = on_object(), delete = on_object "delete",
  logs = in_pod("get", "log"), exec = in_pod("create", "exec"),
  top = function(call) return { { "list", (call.kind:match "^node" and "nodes" or "pods") .. ".metrics.k8s.io" } } end,
  events = fixed { "list", "events" },
  rollout_history = function(call) return { { "get", call.kind, call.name }, { "list", "replicasets.apps" } } end,
  rollout_undo = function(call) return { { "patch", call.kind, call.name }, { "list", "replicasets.apps" } } end,
  scale = function(call) -- with --current-replicas kubectl reads the number and writes it whole
    return { { "get", call.kind, call.name }, { "get", call.kind .. "/scale", call.name },
             { "update", call.kind .. "/scale", call.name } }
  end,
  cordon = fixed({ "get", "nodes" }, { "patch", "nodes" }), uncordon = fixed({ "get", "nodes" }, { "patch", "nodes" }),
  drain = fixed({ "get", "nodes" }, { "patch", "nodes" }, { "list", "pods", everywhere = true },
                { "create", "pods/eviction", everywhere = true }),
}
for _, verb in ipairs { "patch", "label", "annotate", "rollout_restart", "set_env" } do needs[verb] = on_object "patch" end

local function text_of(need)
  return ("%s %s%s"):format(need[1], need[2], need[3] and "/" .. need[3] or "")
end

-- Each permission once: { verb, resource, name, namespace =, call = of an effect that needs it }.
local function all_needs(uses)
  local list, seen = {}, {}
  for _, it in ipairs(uses) do
    local of = not it.open and needs[it.act.entry.verb]
    for _, need in ipairs(of and of(it.act.call) or {}) do
      local namespace = need.everywhere and "*" or it.act.call.namespace
      local one = { need[1], need[2], need[3], namespace = namespace, call = { namespace = namespace } }
      local key = text_of(one) .. " " .. tostring(namespace)
      if not seen[key] then seen[key], list[#list + 1] = true, one end
    end
  end
  return list
end

---------------------------------------------------------------------- Looks --

local function program()
  local it = look.ask("exec", { "kubectl", "version", "--client", "--output=json" }, { reads = true })
  local told = look.is_well(it) and json.decode(it.stdout)
  local version = type(told) == "table" and told.clientVersion and told.clientVersion.gitVersion
  return look.row("program", it, { text = "kubectl " .. tostring(version), mend = "install kubectl" })
end

local function ask_each(list)
  local functions = {}
  for i, need in ipairs(list) do
    functions[i] = function()
      need.answer = look.ask("kubectl.can_i", need[1], need[2], { name = need[3], namespace = need.namespace })
    end
  end
  tasks.all(functions)
end

local function refusal(need)
  local place = client.in_words(need.call)
  return { what = "permission", state = "stops", text = ("may not %s in %s"):format(text_of(need), place),
           mend = ("give the user of this context the verb %s on %s"):format(need[1], need[2]) }
end

-- The rows of the answers; one that could not be had tells of all.
local function permissions(list)
  ask_each(list)
  local rows, allowed = {}, {}
  for _, need in ipairs(list) do
    if not look.is_well(need.answer) then return { look.row("server", need.answer) } end
    if need.answer.allowed then allowed[#allowed + 1] = text_of(need) else rows[#rows + 1] = refusal(need) end
  end
  if #allowed > 0 then
    table.insert(rows, 1, { what = "permission", state = "ok", text = "may " .. look.some(allowed, NAMED) })
  end
  return rows
end

return function(asked, check)
  local uses = look.of(asked, "kubectl")
  if #uses == 0 then return end
  check("cluster", function()
    local rows = { program() }
    if rows[1].state ~= "ok" then return rows end
    local place, err = client.place()
    if not place then
      rows[2] = look.failure("context", err, "kubectl = { context = …, namespace = … } in the config, or KUBECONFIG")
      return rows
    end
    rows[2] = { what = "context", state = "ok", text = client.where() }
    local answers = permissions(all_needs(uses))
    return table.move(answers, 1, #answers, 3, rows)
  end, uses)
end
