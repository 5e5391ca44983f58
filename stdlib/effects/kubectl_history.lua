-- The revisions of a workload. A deployment's are its ReplicaSets, which know when they were made, of which images, and
-- why; of other workloads kubectl knows the numbers and causes.
local rollout = require "effects.kubectl_rollout"
local text = require "raw.text"

local history = {}

-- The ReplicaSets of one deployment, in bytes of JSON; it keeps ten unless its spec says otherwise.
local SETS_MAX = 32 << 20

local PREFIX = "deployment.kubernetes.io/"

function history.words(call) return { "rollout", "history", call.kind .. "/" .. call.name } end

local function stamp(value) return type(value) == "string" and text.time(value) or nil end

local function belongs_to(set, deployment)
  for _, owner in ipairs(set.metadata.ownerReferences or {}) do
    if owner.uid == deployment.metadata.uid then return true end
  end
  return false
end

local function images(set)
  local list = {}
  for i, container in ipairs(set.spec.template.spec.containers) do list[i] = container.image end
  return list
end

-- When the deployment's rollout last got on: that of its newest revision.
local function rolled_out(deployment)
  for _, it in ipairs((deployment.status or {}).conditions or {}) do
    if it.type == "Progressing" then return stamp(it.lastUpdateTime) end
  end
end

-- An undo takes an old ReplicaSet again, under a new number: its age says nothing of that rollout.
local function revision_of(set, deployment)
  local notes = set.metadata.annotations or {}
  local number = math.tointeger(tonumber(notes[PREFIX .. "revision"] or ""))
  if not number then return nil end
  local at = stamp(set.metadata.creationTimestamp)
  if notes[PREFIX .. "revision-history"] then
    local now = ((deployment.metadata.annotations or {})[PREFIX .. "revision"]) == tostring(number)
    at = now and rolled_out(deployment) or nil
  end
  return { revision = number, cause = notes["kubernetes.io/change-cause"], at = at, images = images(set),
           hash = (set.metadata.labels or {})["pod-template-hash"] }
end

local function fields_of(revisions)
  table.sort(revisions, function(a, b) return a.revision < b.revision end)
  local newest = revisions[#revisions]
  return { state = "present", revisions = revisions, current = newest and newest.revision }
end

local function of_deployment(it, deployment)
  local words, selector = { "get", "replicasets", "--output=json" }, rollout.selector(deployment)
  if selector then words[4] = "--selector=" .. selector end
  local list, err = it:json(words, { max = SETS_MAX })
  if not list then return nil, err end
  local revisions = {}
  for _, set in ipairs(list.items or {}) do
    if belongs_to(set, deployment) then revisions[#revisions + 1] = revision_of(set, deployment) end
  end
  return fields_of(revisions)
end

local function by_words(it, call)
  local done, err = it:carry_out(history.words(call))
  if not done then return nil, err end
  local revisions = {}
  for number, cause in done.stdout:gmatch "\n(%d+)[ \t]+([^\n]*)" do
    cause = text.trimmed(cause)
    revisions[#revisions + 1] = { revision = math.tointeger(tonumber(number)),
                                  cause = cause ~= "<none>" and cause or nil }
  end
  return fields_of(revisions)
end

-- The fields of kubectl.rollout_history; nil and an error.
function history.read(it, call)
  local object, err = it:json { "get", call.kind, call.name, "--output=json" }
  if not object then return nil, err end
  if object.kind ~= "Deployment" then return by_words(it, call) end
  return of_deployment(it, object)
end

---------------------------------------------------------------- The way back --

-- The newest revision, and the one that an undo goes to: the given one, else the one before; nil when it is not kept.
function history.way_back(revisions, to)
  local newest = revisions[#revisions]
  if not to then return newest, revisions[#revisions - 1] end
  for _, it in ipairs(revisions) do
    if it.revision == to then return newest, it end
  end
  return newest
end

-- Characters of a change's cause that stand in a plan.
local CAUSE_MAX = 100

-- "revision 7 (api:1.5.0; why: kubectl set image …)"
function history.text(it)
  local parts = { it.images and table.concat(it.images, ", ") }
  if it.cause then parts[#parts + 1] = "why: " .. text.truncate((it.cause:gsub("%s+", " ")), CAUSE_MAX) end
  return ("revision %d%s"):format(it.revision, #parts > 0 and " (" .. table.concat(parts, "; ") .. ")" or "")
end

function history.none_to_go_to(revisions, call)
  local parts = {}
  for i, it in ipairs(revisions) do parts[i] = tostring(it.revision) end
  local kept = #parts > 0 and "kept: " .. table.concat(parts, ", ") or "none is kept"
  return ("%s %s has no revision %s to go back to (%s)"):format(call.kind, call.name, call.to or "before this one", kept)
end

return history
