-- docker.prune: makes room. What the preview listed is what goes, by id; what came since, or is in use now,
-- stays. A stopped container keeps its image; containers go only when asked, and never one that the script
-- names. Volumes never go.
local blame = require "blame"
local catalogue = require "catalogue"
local docker_change = require "effects.docker_change"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local run = require "run"
local tasks = require "tasks"

-- The engine adds up sizes for the listing, which takes a while; the preview waits this many seconds at most.
local LISTING_SECONDS = 25
-- Deleting a large image takes a while too.
local TIMEOUT = "5m"

local at_rest = { exited = true, created = true, dead = true }

------------------------------------------------------------------- Listing --

local function named_by_params(names)
  for _, name in ipairs(names or {}) do
    for _, value in pairs(run.params) do if value == name:gsub("^/", "") then return true end end
  end
  return false
end

local function may_go(container)
  return at_rest[container.State] and not engine.is_named(container.Id, container.Names)
    and not named_by_params(container.Names)
end

local function list_containers(df)
  local going, kept = {}, 0
  for _, container in ipairs(df.Containers or {}) do
    if may_go(container) then
      going[#going + 1] = { id = container.Id, bytes = container.SizeRw or 0,
                            name = container.Names and container.Names[1] }
    elseif at_rest[container.State] then
      kept = kept + 1
    end
  end
  return going, kept
end

-- Images that no container uses but those that go.
local function list_images(df, containers, older_than)
  local goes, used, going = {}, {}, {}
  for _, container in ipairs(containers) do goes[container.id] = true end
  for _, container in ipairs(df.Containers or {}) do
    if not goes[container.Id] then used[container.ImageID] = true end
  end
  local newest = older_than and tasks.wall() - older_than
  for _, image in ipairs(df.Images or {}) do
    if not used[image.Id] and not (newest and image.Created > newest) then
      local shared = math.max(0, image.SharedSize or 0)
      going[#going + 1] = { id = image.Id, bytes = math.max(0, (image.Size or 0) - shared) }
    end
  end
  return going
end

local function list_cache(df)
  local count, bytes = 0, 0
  for _, entry in ipairs(df.BuildCache or {}) do
    if not entry.InUse then
      count = count + 1
      if not entry.Shared then bytes = bytes + (entry.Size or 0) end
    end
  end
  return { count = count, bytes = bytes }
end

-- What goes: { images = {{id=, bytes=}…}, containers = {…}, cache = {count=, bytes=} }, each nil unless asked
-- for.
local function list(call)
  local it = engine.open(math.min(call.timeout, LISTING_SECONDS))
  local df, err = it:get "/system/df"
  if not df then return nil, err or { kind = "engine", message = "the engine lists no disk usage" } end
  local containers, kept = list_containers(df)
  return {
    containers = call.containers and containers or nil, kept = kept,
    images = call.images and list_images(df, call.containers and containers or {}, call.older_than) or nil,
    cache = call.build_cache and list_cache(df) or nil,
  }
end

------------------------------------------------------------------- Preview --

local function sum(rows)
  local bytes = 0
  for _, row in ipairs(rows) do bytes = bytes + row.bytes end
  return bytes
end

local function words(count, one, many, bytes)
  return ("%d %s (%s)"):format(count, count == 1 and one or many, duration.size_text(bytes))
end

local function intends(call)
  local parts = {}
  if call.containers then parts[1] = "stopped containers" end
  if call.images then
    parts[#parts + 1] = "unused images" .. (call.older_than and " older than " .. duration.text(call.older_than) or "")
  end
  if call.build_cache then parts[#parts + 1] = "the build cache" end
  return "deletes " .. table.concat(parts, ", ")
end

local function preview(call)
  local found, err = list(call)
  if not found then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  local parts, size = {}, 0
  if found.containers then
    parts[#parts + 1] = words(#found.containers, "stopped container", "stopped containers",
      sum(found.containers))
    size = size + #found.containers
  end
  if found.images then
    parts[#parts + 1] = words(#found.images, "unused image", "unused images", sum(found.images))
    size = size + #found.images
  end
  if found.cache then
    parts[#parts + 1] = words(found.cache.count, "build cache entry", "build cache entries",
      found.cache.bytes)
    size = size + found.cache.count
  end
  found.text, found.size = "deletes " .. table.concat(parts, ", "), size
  return found
end

--------------------------------------------------------------------- Apply --

-- Deletes one thing; true when it is gone, false with the reason when it stays, nil and an error when nothing
-- more can be said.
local function delete(it, path, query)
  local reply, err = it:request("DELETE", path, { query = query })
  if not reply then return nil, err end
  if reply.status < 300 or reply.status == 404 then return true end
  return false, engine.problem(reply).message
end

-- An image with one name goes by its id, which the engine refuses when somebody uses it; one with several
-- loses its names one by one, each looked up anew, for a name may have moved to another image since.
local function delete_image(it, image)
  local now, err = it:get(engine.path("/images/%s/json", image.id))
  if not now then
    if err then return nil, err end
    return true
  end
  local tags = now.RepoTags or {}
  if #tags <= 1 then return delete(it, engine.path("/images/%s", image.id)) end
  for _, tag in ipairs(tags) do
    local named = it:get(engine.path("/images/%s/json", tag))
    if named and named.Id == image.id then
      local gone, why = delete(it, engine.path("/images/%s", tag))
      if not gone then return gone, why end
    end
  end
  return true
end

local function delete_all(it, rows, result, delete_one)
  local gone = 0
  for _, row in ipairs(rows) do
    local done, why = delete_one(it, row)
    if done == nil then return nil, why end
    if done then
      gone, result.bytes = gone + 1, result.bytes + row.bytes
    else
      result.left[#result.left + 1] = { id = row.id, why = why }
    end
  end
  return gone
end

-- Podman's engine has no cache of this kind: that is no failure, and said.
local function prune_cache(it, result)
  local reply, err = it:request("POST", "/build/prune", { query = { all = "true" } })
  if not reply then return nil, err end
  if reply.status == 404 or reply.status == 501 then
    result.skipped = "build cache: this engine has none"
    return 0
  end
  if reply.status >= 400 then return nil, engine.problem(reply) end
  local told = engine.decode(reply) or {}
  result.bytes = result.bytes + (told.SpaceReclaimed or 0)
  return #(told.CachesDeleted or {})
end

local function delete_container(it, container)
  return delete(it, engine.path("/containers/%s", container.id))
end

-- What was asked for, in its order: containers first, for they hold images.
local function steps(call, plan)
  local list = {}
  local function add(name, f) if call[name] then list[#list + 1] = { name = name, f = f } end end
  add("containers", function(it, result) return delete_all(it, plan.containers or {}, result, delete_container) end)
  add("images", function(it, result) return delete_all(it, plan.images or {}, result, delete_image) end)
  add("build_cache", prune_cache)
  return list
end

-- What went before a step failed is told with the failure: it is gone all the same.
local function half_done(result, failed, err)
  local done = {}
  for _, name in ipairs { "containers", "images" } do
    if result[name] then done[#done + 1] = ("%s: %d deleted"):format(name, result[name]) end
  end
  done[#done + 1] = ("%s: %s"):format(failed:gsub("_", " "), err.message)
  return nil, { kind = err.kind, message = table.concat(done, "; ") }
end

local function apply(call, plan)
  if not plan or plan.unknown then
    return nil, { kind = "unknown", message = "nothing was listed, so nothing is deleted" }
  end
  local it, result = engine.open(call.timeout), { bytes = 0, left = {} }
  for _, step in ipairs(steps(call, plan)) do
    local count, err = step.f(it, result)
    if not count then return half_done(result, step.name, err) end
    result[step.name] = count
  end
  return result
end

-- Docker knows no days.
local function go_duration(seconds)
  seconds = math.ceil(seconds)
  if seconds % 3600 == 0 then return ("%dh"):format(seconds // 3600) end
  return seconds % 60 == 0 and ("%dm"):format(seconds // 60) or ("%ds"):format(seconds)
end

-- `docker system prune` deletes stopped containers too, so no single command does the same as two of these; and Docker's own
-- pruning of containers spares none that the script names.
local function command(call)
  if call.containers then return nil, "no single command spares the containers that the script names" end
  if call.images and call.build_cache then return nil end
  local line = docker_host.command(call.images and "image" or "builder", "prune", "-f", "-a")
  if call.images and call.older_than then
    line[#line + 1] = "--filter=until=" .. go_duration(call.older_than)
  end
  return line
end

-- What went, for who reads the run afterwards.
local function pins(plan)
  local list = {}
  for _, kind in ipairs { "containers", "images" } do
    for _, row in ipairs(plan[kind] or {}) do
      list[#list + 1] = { kind = kind:sub(1, -2), id = row.id, bytes = row.bytes, name = row.name }
    end
  end
  return list
end

catalogue.effect("docker.prune", {
  summary = "Deletes unused images, build cache, if asked stopped containers; never one that the script names",
  class = "destructive",
  options = {
    images = { "boolean", false, "Images that no container uses, not even a stopped one", what = true },
    build_cache = { "boolean", false, "The build cache that isn't in use", what = true },
    containers = { "boolean", false, "Stopped containers, but those the script names", what = true },
    older_than = { "duration", nil, "Only images made longer ago", what = true },
    timeout = { "duration", TIMEOUT, "The longest it may take" },
  },
  result = {
    bytes = "integer: how much room that made", images = "integer: how many went",
    containers = "integer: how many went",
    build_cache = "integer: how many entries went", skipped = "string: what this engine does not have; nil when it has all",
    left = "list: each at id why: listed, and in use by then",
  },
  check = function(call)
    if not (call.images or call.build_cache or call.containers) then
      blame.raise("docker.prune: say what: images = true, build_cache = true or containers = true")
    end
  end,
  intends = intends,
  preview = preview,
  evidence = function(save, _, plan) docker_change.save_all(save, plan and plan.containers or {}) end,
  run = apply,
  command = command,
  pins = pins,
  target = docker_host.target,
  place = docker_host.place,
  would = function(_, plan)
    plan = plan or {}
    local cache_bytes = plan.cache and plan.cache.bytes or 0
    return { bytes = sum(plan.images or {}) + sum(plan.containers or {}) + cache_bytes, left = {},
             images = plan.images and #plan.images, containers = plan.containers and #plan.containers,
             build_cache = plan.cache and plan.cache.count }
  end,
  specimen = { bytes = 3 << 30, images = 12, left = {} },
  sum_up = function(fields)
    local freed = fields.bytes and duration.size_text(fields.bytes) .. " freed"
    return freed and fields.skipped and freed .. "; " .. fields.skipped or freed
  end,
})
