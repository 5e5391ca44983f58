-- The API's instances, on either platform. `place` says where it runs (lib/platform.lua): `name`, a container's or a
-- deployment's, and `on_docker()`.
local api = {}

-- An endpoint as `curl -I` asks for it; a server that serves no HEAD is asked by GET.
function api.health(url)
  local answer = http.head(url, { timeout = "5s" })
  if answer.ok or not re.find(answer.why, "^HTTP (405|501)\\b") then return answer end
  return http.get(url, { timeout = "5s" })
end

-- The labels by which the deployment itself finds its pods: Helm's differ from what a name suggests.
local function selector_of(place, deployment)
  local labels = {}
  for name, value in pairs(deployment and deployment.spec.selector and deployment.spec.selector.matchLabels or {}) do
    labels[#labels + 1] = name .. "=" .. value
  end
  return #labels > 0 and table.concat(labels, ",") or "app=" .. place.name
end

function api.selector(place) return selector_of(place, kubectl.get("deployment", place.name).object) end

-- Its pods, and its deployment as it was looked at. A role may list pods without seeing deployments: what a failed look at
-- the deployment hides is known only where pods are found without it.
function api.pods(place)
  local deployment = kubectl.get("deployment", place.name)
  local pods = kubectl.get("pods", { selector = selector_of(place, not deployment.error and deployment.object or nil) })
  return pods, deployment
end

-- Names of those that run: pods that are ready, or the containers of the same image.
function api.instances(place)
  local names = {}
  if not place.on_docker() then
    for _, pod in ipairs(kubectl.get("pods", { selector = api.selector(place) }).items) do
      if pod.ready then names[#names + 1] = pod.name end
    end
    return names
  end
  local image = docker.inspect(place.name).image
  for _, it in ipairs(docker.ps({ all = false }).containers) do
    if it.image == image then names[#names + 1] = it.name end
  end
  return names
end

-- Runs a program that only reads, in one of them.
function api.exec(place, instance, argv)
  if not place.on_docker() then return kubectl.exec(instance, argv, { reads = true }) end
  return docker.exec(instance, argv, { reads = true })
end

-- appsettings.json as .NET reads it: with comments, trailing commas and a byte order mark. Strings stay as they are.
function api.settings(text)
  local plain = re.gsub(text, [[(?s)^\xEF\xBB\xBF|("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/]], "$1")
  return json.decode((re.gsub(plain, [=[(?s)("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])]=], "$1")))
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
function api.variables(place)
  if place.on_docker() then return docker.inspect(place.name).env end
  local env, deployment = {}, kubectl.get("deployment", place.name).object
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
