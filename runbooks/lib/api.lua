-- The API's instances, on either platform. `p` are a runbook's parameters: `platform`, and `name`, a container's or a
-- deployment's.
local api = {}

local function pods(p) return kubectl.get("pods", { selector = "app=" .. p.name }).items end

-- Names of those that run: pods that are ready, or the containers of the same image.
function api.instances(p)
  local names = {}
  if p.platform == "kubernetes" then
    for _, pod in ipairs(pods(p)) do if pod.ready then names[#names + 1] = pod.name end end
    return names
  end
  local image = docker.inspect(p.name).image
  for _, it in ipairs(docker.ps({ all = false }).containers) do
    if it.image == image then names[#names + 1] = it.name end
  end
  return names
end

-- Runs a program that only reads, in one of them.
function api.exec(p, instance, argv)
  if p.platform == "kubernetes" then return kubectl.exec(instance, argv, { reads = true }) end
  return docker.exec(instance, argv, { reads = true })
end

-- Values of secrets' names are nobody's business, nor are passwords in addresses and connection strings.
local function shown(name, value)
  if re.find(name, "(?i)passw|secret|token|key|credential|dsn|auth|private") then return "***" end
  value = re.gsub(value, [[(\w://)[^/@\s]*:[^/\s]*@]], "$1***@")
  return (re.gsub(value, [[(?i)(password\s*=\s*)[^;\s]+]], "$1***"))
end

local function add_all(env, map)
  for name, value in pairs(map or {}) do env[name] = shown(name, value) end
end

-- The variables that are set for it, as they may be shown. What a Secret holds is not looked up.
function api.variables(p)
  if p.platform == "docker" then return docker.inspect(p.name).env end
  local env, deployment = {}, kubectl.get("deployment", p.name).object
  for _, container in ipairs(deployment and deployment.spec.template.spec.containers or {}) do
    for _, from in ipairs(container.envFrom or {}) do
      local map = from.configMapRef and kubectl.get("configmap", from.configMapRef.name).object
      add_all(env, map and map.data)
    end
    for _, it in ipairs(container.env or {}) do add_all(env, { [it.name] = it.value }) end
  end
  return env
end

return api
