-- The request that makes a container anew from its own inspect: names, networks, aliases, static addresses,
-- volumes, labels and host settings are the old one's; only its variables differ. Works on inspects that keep
-- json.null.
local json = require "raw.json"
local values = require "values"

local copy = {}

local function known(value) return value ~= json.null and value or nil end

----------------------------------------------------------------- Variables --

-- The list with `set` laid over it and `unset` taken out; what was there keeps its place.
function copy.env(list, set, unset)
  local gone, env, seen = {}, {}, {}
  for _, name in ipairs(unset or {}) do gone[name] = true end
  for _, entry in ipairs(known(list) or {}) do
    local name = entry:match "^[^=]*"
    if set[name] ~= nil then entry = name .. "=" .. tostring(set[name]) end
    if not gone[name] then env[#env + 1] = entry end
    seen[name] = true
  end
  for _, name in ipairs(values.keys(set)) do
    if not seen[name] then env[#env + 1] = name .. "=" .. tostring(set[name]) end
  end
  return env
end

-- Names whose values would change, sorted.
function copy.changes(list, set, unset)
  local now, changed = {}, {}
  for _, entry in ipairs(known(list) or {}) do
    local name, value = entry:match "^([^=]*)=?(.*)$"
    now[name] = value
  end
  for _, name in ipairs(values.keys(set)) do
    if now[name] ~= tostring(set[name]) then changed[#changed + 1] = name end
  end
  for _, name in ipairs(unset or {}) do if now[name] then changed[#changed + 1] = name end end
  return changed
end

------------------------------------------------------------------ Networks --

local no_endpoint = { bridge = true, host = true, none = true, default = true, [""] = true }

-- What was asked of a network, without what the network answered; the engine adds the short id to the aliases
-- by itself.
local function endpoint_settings(endpoint, old_id)
  local aliases = {}
  for _, alias in ipairs(known(endpoint.Aliases) or {}) do
    if alias ~= old_id:sub(1, 12) then aliases[#aliases + 1] = alias end
  end
  return { IPAMConfig = known(endpoint.IPAMConfig), Links = known(endpoint.Links),
           DriverOpts = known(endpoint.DriverOpts),
           Aliases = #aliases > 0 and aliases or nil }
end

local function is_primary(name, endpoint, mode)
  return name == mode or endpoint.NetworkID == mode or (name == "bridge" and mode == "default")
end

-- The endpoint that creating takes (engines before API 1.44 take one), and the others: { { name =, settings =
-- }, … }.
local function networks(old)
  local mode, primary, others = old.HostConfig.NetworkMode, nil, {}
  for name, endpoint in pairs(known(old.NetworkSettings.Networks) or {}) do
    local settings = not no_endpoint[name] and endpoint_settings(endpoint, old.Id) or nil
    local it = { name = name, settings = settings }
    if is_primary(name, endpoint, mode) then primary = it else others[#others + 1] = it end
  end
  table.sort(others, function(a, b) return a.name < b.name end)
  return primary, others
end

------------------------------------------------------------------- Volumes --

local function is_bound(host, target)
  for _, bind in ipairs(known(host.Binds) or {}) do
    if bind:match "^[^:]+:([^:]+)" == target then return true end
  end
  for _, mount in ipairs(known(host.Mounts) or {}) do if mount.Target == target then return true end end
  return false
end

-- Volumes without a name of their own are taken over by the one the engine gave them: a new one would be
-- empty.
local function keep_volumes(old)
  local host, binds = old.HostConfig, {}
  for i, bind in ipairs(known(host.Binds) or {}) do binds[i] = bind end
  for _, mount in ipairs(known(old.Mounts) or {}) do
    local is_anonymous = mount.Type == "volume" and (known(old.Config.Volumes) or {})[mount.Destination]
    if is_anonymous and not is_bound(host, mount.Destination) then
      binds[#binds + 1] = ("%s:%s%s"):format(mount.Name, mount.Destination, mount.RW and "" or ":ro")
    end
    for _, asked in ipairs(known(host.Mounts) or {}) do
      local unnamed = asked.Type == "volume" and (not known(asked.Source) or asked.Source == "")
      if unnamed and asked.Target == mount.Destination then asked.Source = mount.Name end
    end
  end
  host.Binds = #binds > 0 and binds or json.null
end

-- Old-style links are told as /OTHER:/OWN/ALIAS and asked for as OTHER:ALIAS.
local function keep_links(host)
  for i, link in ipairs(known(host.Links) or {}) do
    local other, alias = link:match "^/?([^:/]+):.*/([^/]+)$"
    if other then host.Links[i] = other .. ":" .. alias end
  end
end

----------------------------------------------------------------- The request --

-- What was filled in for the old one, or what the mode of its network doesn't allow.
local function settle_config(old, image)
  local config, mode = old.Config, old.HostConfig.NetworkMode
  if config.Hostname == old.Id:sub(1, 12) or old.HostConfig.UTSMode == "host" then config.Hostname = nil end
  if mode:find "^container:" then
    config.Hostname, config.Domainname, config.ExposedPorts, config.MacAddress = nil, nil, nil, nil
  end
  -- It has none, its image has one: it was taken away, and that must be said.
  if not known(config.Entrypoint) and image.Config and known(image.Config.Entrypoint) then
    config.Entrypoint = { "" }
  end
end

-- The body of the request, and the networks to connect afterwards. `old` is an exact inspect and is used up;
-- `image` is that of the image it runs; `tag_moved`: its image's name means another image now.
function copy.request(old, image, tag_moved, env)
  local primary, others = networks(old)
  settle_config(old, image)
  keep_volumes(old)
  keep_links(old.HostConfig)
  local body = old.Config
  body.Env = env
  if tag_moved then body.Image = old.Image end
  body.HostConfig = old.HostConfig
  if primary and primary.settings then
    body.NetworkingConfig = { EndpointsConfig = { [primary.name] = primary.settings } }
  end
  return body, others
end

-- Why it can't be made anew, or nil.
function copy.obstacle(old, name)
  local labels, mode = known(old.Config.Labels) or {}, old.HostConfig.NetworkMode
  if old.HostConfig.AutoRemove then
    return name .. " was started with --rm: stopping it would delete it, and no way back"
  end
  if labels["com.docker.swarm.task.id"] then
    return name .. " belongs to a Swarm service: change the service"
  end
  if labels["io.kubernetes.pod.name"] then return name .. " belongs to Kubernetes: change the workload" end
  local status = old.State.Status
  if status == "removing" or status == "dead" then return ("%s is %s"):format(name, status) end
  if not mode:find "^container:" and not networks(old) then
    return ("%s has been taken off its first network, %s: make it anew by hand"):format(name, mode)
  end
end

return copy
