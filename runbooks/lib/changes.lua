-- What changed of late? What the runbooks share, by `local changes = require "lib.changes"`:
--
--   local what_changed = changes.probe { within = "24h", machines = { "", "db1" }, name = "conduit-api", on_docker = f }
--
-- A probe that looks at the packages and services of the machines and, when there is a `name`, at its container or at its
-- deployment and config maps, and says it in one sentence, the newest first. What can't be looked at hides nothing
-- else, and is never taken for "nothing changed".

local changes = {}

-- Of those that changed together within five minutes the first three are named, and six such events in all.
local TOGETHER, NAMED, EVENTS = 300, 3, 6

-- A look returns its events, { at = seconds since 1970, what = "nginx 1.1 → 1.2", did = "was upgraded" }, and what it
-- doesn't know, or nil.

local function is_well(result) return not result.error and result.ok end

-- "packages on db1 (permission denied)", or nil when they could be looked at.
local function not_known(what, result)
  if is_well(result) then return result.cut and "older " .. what or nil end
  return ("%s (%s)"):format(what, result.error and result.error.message or result.why)
end

------------------------------------------------------------- Where to look --

local done = { install = "was installed", upgrade = "was upgraded", remove = "was removed", purge = "was purged" }

local function packages(on, where, within)
  local result, events = sysinfo.packages { since = within, on = on }, {}
  local unknown = not_known("packages" .. where, result)
  for _, it in ipairs(is_well(result) and result.packages or {}) do
    local versions = it.from and it.to and it.from .. " → " .. it.to or it.to or it.from or ""
    events[#events + 1] = { at = it.at, what = it.name .. " " .. versions, did = done[it.action] .. where }
  end
  return events, unknown
end

-- A job of a timer that ended well, or somebody's login, is no change.
local function is_routine(it)
  return it.what == "state" and (it.type == "oneshot" and it.state ~= "failed" or it.name:find "^user@" ~= nil)
end

local function service_event(it, where)
  if it.what == "file" then
    local loaded = it.needs_reload and " (not loaded yet)" or ""
    return { at = it.at, what = it.file, did = "was written" .. where .. loaded }
  end
  local did = { active = "was started", inactive = "was stopped", failed = ("failed (%s)"):format(it.result) }
  return { at = it.at, what = it.name, did = (did[it.state] or "is " .. it.state) .. where }
end

local function services(on, where, within)
  local result, events = service.changes { since = within, on = on }, {}
  local unknown = not_known("services" .. where, result)
  for _, it in ipairs(is_well(result) and result.changes or {}) do
    if not is_routine(it) then events[#events + 1] = service_event(it, where) end
  end
  return events, unknown
end

local function container(name)
  local result, events = docker.inspect(name), {}
  local unknown = not_known("the container", result)
  if unknown or result.state == "absent" then return events, unknown end
  local created, started = result.created_at, result.started_at
  if created then
    events[1] = { at = created, what = "the container",
                  did = ("was created from %s (%s…)"):format(result.image, result.image_id:sub(1, 19)) }
  end
  if started and started > (created or 0) + 10 then
    events[#events + 1] = { at = started, what = "the container", did = "was started" }
  end
  return events
end

local function rollouts(name)
  local result, events = kubectl.rollout_history("deployment", name), {}
  local unknown = not_known("rollouts", result)
  for _, it in ipairs(is_well(result) and result.revisions or {}) do
    local about = table.concat(it.images or {}, ", ")
    if it.cause then about = ("%s; \"%s\""):format(about, it.cause) end
    if it.at then
      events[#events + 1] = { at = it.at, what = "deployment " .. name,
                              did = ("went to revision %d (image %s)"):format(it.revision, about) }
    elseif it.revision == result.current then
      unknown = ("when it went to revision %d"):format(it.revision)
    end
  end
  return events, unknown
end

local words = { configmaps = "config map", services = "Service" }

local function objects(kind)
  local word = words[kind]
  local result, events, dateless = kubectl.get(kind, { objects = false }), {}, 0
  local unknown = not_known(word .. "s", result)
  for _, it in ipairs(is_well(result) and result.items or {}) do
    if it.name == "kube-root-ca.crt" then -- the cluster's own, in each namespace
    elseif it.changed then
      events[#events + 1] = { at = it.changed, what = word .. " " .. it.name,
                              did = "was changed by " .. (it.manager or "somebody") }
    else
      dateless = dateless + 1
    end
  end
  if dateless > 0 then unknown = ("when %d %ss were changed"):format(dateless, word) end
  return events, unknown
end

-- The looks that there are to be made, as functions.
local function looks(it)
  local list, seen = {}, {}
  local function add(look, ...)
    local arguments = { ... }
    list[#list + 1] = function()
      local events, unknown = look(table.unpack(arguments))
      return { events = events, unknown = unknown }
    end
  end
  for _, on in ipairs(it.machines) do
    local where = on ~= "" and " on " .. on or ""
    if not seen[on] then
      add(packages, on, where, it.within)
      add(services, on, where, it.within)
    end
    seen[on] = true
  end
  if not it.name then return list end
  if it.on_docker() then
    add(container, it.name)
  else
    add(rollouts, it.name)
    add(objects, "configmaps")
    add(objects, "services")
  end
  return list
end

-------------------------------------------------------------- The sentence --

local units = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } }

local function ago(at)
  local seconds = time.since(at)
  for _, unit in ipairs(units) do
    local count = seconds // unit[1]
    if count >= 1 then return ("%d %s%s ago"):format(count, unit[2], count == 1 and "" or "s") end
  end
  return "just now"
end

-- Events, the newest first, with those that did the same at about the same time as one: { at =, did =, { what … } }.
local function together_at(events)
  table.sort(events, function(a, b) return a.at > b.at end)
  local groups = {}
  for _, it in ipairs(events) do
    local group
    for _, other in ipairs(groups) do
      if other.did == it.did and other.at - it.at <= TOGETHER then group = other end
    end
    if not group then
      group = { at = it.at, did = it.did }
      groups[#groups + 1] = group
    end
    group[#group + 1] = it.what
  end
  return groups
end

local function in_words(group)
  local what, did = table.concat(group, ", ", 1, math.min(#group, NAMED)), group.did
  if #group > 1 then did = did:gsub("^was ", "were ") end
  if #group > NAMED then what = ("%s and %d more"):format(what, #group - NAMED) end
  return ("%s %s %s"):format(ago(group.at), what, did)
end

local function sentence(events, unknown)
  local groups, parts = together_at(events), {}
  for i = 1, math.min(#groups, EVENTS) do parts[i] = in_words(groups[i]) end
  if #groups > EVENTS then parts[#parts + 1] = ("and %d earlier changes"):format(#groups - EVENTS) end
  if #unknown > 0 then parts[#parts + 1] = "not known: " .. table.concat(unknown, ", ") end
  return table.concat(parts, "; ")
end

------------------------------------------------------------------ The probe --

-- All events since `oldest`, and what isn't known.
local function look_everywhere(it, oldest)
  local found, unknown = {}, {}
  for _, look in ipairs { together(looks(it)) } do
    for _, event in ipairs(look.events) do
      if event.at >= oldest then found[#found + 1] = event end
    end
    unknown[#unknown + 1] = look.unknown
  end
  return found, unknown
end

-- `within`: how far back; `machines`: as the config names them, "" is this one; `name`: of the API's container or
-- deployment, with on_docker(), which says what it is.
function changes.probe(it)
  return probe("What changed", function()
    local found, unknown = look_everywhere(it, time.now() - time.seconds(it.within))
    local text = sentence(found, unknown)
    if #found == 0 and #unknown > 0 then error(text, 0) end                 -- which is not "nothing changed"
    note(#found > 0 and text or ("nothing changed in the last %s"):format(it.within))
    return { changed = #found > 0 }
  end)
end

return changes
