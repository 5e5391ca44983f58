-- Where does the API run? What the runbooks share, by `local platform = require "lib.platform"`:
--
--   local place = platform.of(p.platform, p.name)       "auto" finds out; "docker" or "kubernetes" look at nothing
--   if not place.settle() then return unresolved(place.unsettled) end     once, before the first remedy: may ask
--   if place.on_docker() then …                         in probes, remedies and preventions; asks nobody

local platform = {}

-- Each of the two as it was seen, { is =, text = }: the workload is there, absent, unknown, or none: there is no engine, no
-- cluster that could hold it.

local function container(name)
  local seen = docker.inspect(name, { timeout = "5s" })
  local err = seen.error
  if err and err.kind == "missing" then return { is = "none", text = "no Docker engine (" .. err.message .. ")" } end
  if err or not seen.ok then
    return { is = "unknown", text = ("it can't be seen whether there is a container %s (%s)"):format(name,
             err and err.message or seen.why) }
  end
  if seen.state == "absent" then return { is = "absent", text = ("there is no container %s"):format(name) } end
  return { is = "there", text = ("there is a container %s (%s)"):format(name, seen.summary) }
end

local function deployment(name)
  local seen = kubectl.get("deployment", name, { objects = false, timeout = "10s" })
  local err = seen.error
  if err and (err.kind == "missing" or err.kind == "usage") then
    return { is = "none", text = "no cluster (" .. err.message .. ")" }
  end
  if err or not seen.ok then
    return { is = "unknown", text = ("it can't be seen whether there is a deployment %s (%s)"):format(name,
             err and err.message or seen.why) }
  end
  local at = (" (%s)"):format(seen.place)
  if seen.state == "absent" then return { is = "absent", text = ("there is no deployment %s"):format(name) .. at } end
  return { is = "there", text = ("there is a deployment %s"):format(name) .. at }
end

-- What only one of them can be; nil when that can't be told: somebody must say.
local function decide(seen)
  local docker_is, kubernetes_is = seen.docker.is, seen.kubernetes.is
  if docker_is == "unknown" or kubernetes_is == "unknown" or docker_is == kubernetes_is then return nil end
  for _, is in ipairs { "there", "absent" } do                     -- the workload, else whatever could hold it
    if docker_is == is then return "docker" end
    if kubernetes_is == is then return "kubernetes" end
  end
end

local function both(seen) return seen.docker.text .. ", and " .. seen.kubernetes.text end

-- Both choices, the likelier first: it is the one that a dry run and an audit take.
local function choices(seen)
  local weight = { there = 2, unknown = 1, absent = 1, none = 0 }
  if weight[seen.kubernetes.is] > weight[seen.docker.is] then return { "kubernetes", "docker" } end
  return { "docker", "kubernetes" }
end

local names = { docker = "Docker", kubernetes = "Kubernetes" }

-- `given`: auto, docker or kubernetes; `name`: that of the container or deployment.
function platform.of(given, name)
  local place, looking, seen, taken = { name = name }, false, nil, nil
  if given ~= "auto" then taken = given end

  local function take(what, how)
    taken = what
    note(names[what] .. how)
  end

  -- Once, though preventions ask side by side.
  local function find()
    if looking then
      return wait_until("the platform was looked at", { every = "20ms" }, function() return seen ~= nil end)
    end
    looking = true
    local c, d = together(function() return container(name) end, function() return deployment(name) end)
    seen = { docker = c, kubernetes = d }
    local sure = decide(seen)
    if sure then take(sure, ": " .. both(seen)) end
  end

  local look = probe("Platform", find)

  -- Looks, and asks where that doesn't tell. False when nobody answered.
  function place.settle()
    if not taken then look() end
    if taken then return true end
    note((both(seen):gsub("^%l", string.upper)))
    local answer = choose("Where does the API run?", choices(seen))
    if answer then take(answer, ", as answered (a dry run takes the first choice)") end
    return answer ~= nil
  end

  place.unsettled = "nobody said whether the API runs on Docker or on Kubernetes: run it again with "
    .. "-p platform=docker or -p platform=kubernetes"

  -- Before it was settled (in an audit, after a false alarm) it looks, and takes the likelier: nobody is asked.
  function place.on_docker()
    if not taken then find() end
    if not taken then take(choices(seen)[1], ", the first choice (nobody is asked here):\n" .. both(seen)) end
    return taken == "docker"
  end

  return place
end

return platform
