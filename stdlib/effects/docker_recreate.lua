-- docker.set_env: a container's variables can't be changed, so it is made anew from its own inspect. The old
-- one is stopped, renamed and kept until the new one has been up for `steady`; whatever goes wrong before
-- that brings the old one back.
local blame = require "blame"
local catalogue = require "catalogue"
local copy = require "effects.docker_copy"
local docker_change = require "effects.docker_change"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local json = require "raw.json"
local raw_text = require "raw.text"
local run = require "run"
local sends = require "sends"
local state = require "effects.docker_state"
local stream = require "effects.docker_stream"
local tasks = require "tasks"
local values = require "values"

-- How long the new one must be up, and the old one may take to stop.
local STEADY, GRACE = "30s", "10s"
-- Between two looks at the new one, in seconds.
local LOOK_SECONDS = 0.5
-- What bringing the old one back may take, whatever was left of the effect's own time; and what the rest
-- needs besides steady and grace.
local ROLLBACK_SECONDS, MARGIN_SECONDS = 30, 20

local function known(value) return value ~= json.null and value or nil end

------------------------------------------------------------------- Preview --

local function moved(it, old)
  local now = it:get(engine.path("/images/%s/json", old.Config.Image))
  return not now or now.Id ~= old.Image
end

-- Names of containers that live in this one's network.
local function lodgers(it, id)
  local names = {}
  for _, other in ipairs(it:get("/containers/json", { query = { all = true } }) or {}) do
    local mode = other.HostConfig and other.HostConfig.NetworkMode
    if mode == "container:" .. id then
      names[#names + 1] = (other.Names[1] or other.Id:sub(1, 12)):gsub("^/", "")
    end
  end
  return names
end

local function from_image(image, unset)
  for _, entry in ipairs(image and image.Config and known(image.Config.Env) or {}) do
    for _, name in ipairs(unset or {}) do if entry:match "^[^=]*" == name then return name end end
  end
end

local function obstacle(it, old, call)
  local why = copy.obstacle(old, call.container)
  if why then return why end
  local name = from_image(it:get(engine.path("/images/%s/json", old.Image)), call.unset)
  return name and ("%s comes from the image: it can be set, not taken out"):format(name) or nil
end

local function describe(it, old, call, changes)
  local fields = state.fields(engine.plain(old))
  local parts = { ("makes %s anew with %s changed (%s)"):format(call.container, table.concat(changes, ", "),
    state.brief(fields)) }
  parts[2] = ("the old one is kept until the new one was up for %s, and comes back if it isn't"):format(
    duration.text(call.steady))
  if moved(it, old) then
    parts[#parts + 1] = ("%s names another image now: the running one is kept"):format(old.Config.Image)
  end
  local others = lodgers(it, old.Id)
  if #others > 0 then parts[#parts + 1] = "takes the network from under " .. table.concat(others, ", ") end
  return { text = table.concat(parts, "; "), size = 1 + #others, id = old.Id, changes = changes }
end

local function preview(call)
  local it = engine.open(call.timeout)
  local old, err = it:inspect(call.container, true)
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  if not old then
    local why = ("there is no container %s"):format(call.container)
    return { text = why, size = 0, impossible = why }
  end
  local changes = copy.changes(old.Config.Env, call.env, call.unset)
  if #changes == 0 then
    return { text = call.container .. " has these variables already: nothing to do", size = 0, id = old.Id,
             changes = changes }
  end
  local why = obstacle(it, old, call)
  if why then return { text = why, size = 0, impossible = why } end
  return describe(it, old, call, changes)
end

--------------------------------------------------------------------- Steps --

-- A job: { it = the engine, call =, old = its inspect, kept = the old one's name meanwhile, new = the new
-- one's id }. Each step returns true, or nil and an error, and notes what it has done, for the way back.
local steps = {}

local function post(job, path, query, body)
  return job.it:change("POST", path, { query = query, json = body })
end

-- Under a name of its own first, so that what can't be made is known before the old one is touched.
function steps.create(job)
  local image, err = job.it:get(engine.path("/images/%s/json", job.old.Image))
  if not image then return nil, err or { kind = "missing", message = "its image is gone" } end
  local env = copy.env(job.old.Config.Env, job.call.env, job.call.unset)
  local body, others = copy.request(job.old, image, moved(job.it, job.old), env)
  local reply
  job.creating = true
  reply, err = post(job, "/containers/create", { name = job.kept:gsub("%-before%-", "-next-") }, body)
  if not reply then return nil, err end
  local made
  made, err = engine.decode(reply)
  if not made then return nil, err end
  job.new, job.networks = made.Id, others
  return true
end

function steps.connect(job)
  for _, network in ipairs(job.networks) do
    local done, err = post(job, engine.path("/networks/%s/connect", network.name), nil,
      { Container = job.new, EndpointConfig = network.settings })
    if not done then return nil, err end
  end
  return true
end

function steps.stop(job)
  if not job.was_running then return true end
  job.stopped = true
  return post(job, engine.path("/containers/%s/stop", job.old.Id), { t = math.ceil(job.call.grace) })
end

function steps.rename(job)
  job.renamed = true
  local done, err = post(job, engine.path("/containers/%s/rename", job.old.Id), { name = job.kept })
  if not done then return nil, err end
  return post(job, engine.path("/containers/%s/rename", job.new), { name = job.name })
end

function steps.start(job) return post(job, engine.path("/containers/%s/start", job.new)) end

local function last_words(job)
  local reply = job.it:request("GET", engine.path("/containers/%s/logs", job.new),
    { query = { stdout = true, stderr = true, tail = 1 } })
  if not reply or reply.status ~= 200 then return "" end
  local text = raw_text.trimmed(stream.read(reply, job.old.Config.Tty).both)
  return text ~= "" and ": " .. text or ""
end

local function trouble(job, now)
  local fields = state.fields(now)
  if fields.state ~= "running" or fields.restarts > 0 then
    local message = ("the new container is %s%s"):format(fields.summary, last_words(job))
    return { kind = "exited", message = message }
  end
  if fields.health == "unhealthy" then
    return { kind = "unhealthy", message = "the new container is unhealthy" }
  end
end

function steps.watch(job)
  local ends = tasks.now() + job.call.steady
  while true do
    local now, err = job.it:inspect(job.new)
    if not now then return nil, err or { kind = "missing", message = "the new container is gone" } end
    err = trouble(job, now)
    if err then return nil, err end
    job.now = now
    if tasks.now() >= ends then return true end
    tasks.sleep(math.min(LOOK_SECONDS, math.max(0.01, ends - tasks.now())))
  end
end

-------------------------------------------------------------------- Rollback --

-- As it was: true, or nil and what is wrong and what to type.
local function undo(job)
  job.it = engine.open(ROLLBACK_SECONDS)
  local next_name = job.kept:gsub("%-before%-", "-next-")
  local done, err = true, nil
  -- When the answer to creating it was lost, its name still tells it.
  if job.creating then
    done, err = job.it:request("DELETE", engine.path("/containers/%s", job.new or next_name),
      { query = { force = true } })
  end
  if done and job.renamed then
    done, err = job.it:change("POST", engine.path("/containers/%s/rename", job.old.Id),
      { query = { name = job.name } })
    -- It kept its name after all.
    if not done and err.kind ~= "timeout" and (job.it:inspect(job.old.Id) or {}).Name == "/" .. job.name then
      done = true
    end
  end
  if done and job.stopped then done, err = post(job, engine.path("/containers/%s/start", job.old.Id)) end
  if done then return true end
  return nil, ("%s; by hand: docker rm -f %s; docker rename %s %s; docker start %s"):format(err.message,
    (job.new or next_name):sub(1, 12), job.old.Id:sub(1, 12), job.name, job.name)
end

local function roll_back(job, err)
  if not job.creating then return nil, err end
  local done, why = undo(job)
  if not done then
    return nil, { kind = "failed", message = ("%s; and the way back failed: %s"):format(err.message, why) }
  end
  return nil, { kind = "rolled_back", message = ("%s; rolled back: %s is as it was%s"):format(err.message,
    job.name,
    job.was_running and " and runs" or "") }
end

------------------------------------------------------------------------- Run --

local order = { "create", "connect", "stop", "rename", "start", "watch" }

local function carry_out(job)
  for _, name in ipairs(order) do
    local done, err = steps[name](job)
    if not done then return nil, err end
  end
  return true
end

-- Cancelled half-way, it goes back too: nobody is there to watch the new one.
local function with_rollback(job)
  local results = table.pack(pcall(carry_out, job))
  if not results[1] then
    roll_back(job, { kind = "cancelled", message = "interrupted" })
    error(results[2], 0)
  end
  if results[2] then return true end
  return roll_back(job, results[3])
end

-- The old one goes; its volumes, which the new one has, do not.
local function remove_old(job)
  local reply = job.it:request("DELETE", engine.path("/containers/%s", job.old.Id))
  return reply and reply.status < 300
end

local function suffix()
  return run.id or ("%d-%04x"):format(tasks.wall() // 1, math.random(0, 0xffff))
end

local function set_env(call)
  local it = engine.open(call.timeout)
  local old, err = it:inspect(call.container, true)
  if not old then
    return nil, err or { kind = "missing", message = ("there is no container %s"):format(call.container) }
  end
  if #copy.changes(old.Config.Env, call.env, call.unset) == 0 then
    local fields = state.fields(engine.plain(old))
    return { changed = false, state = fields.state, id = fields.id, started_at = fields.started_at,
             summary = fields.summary }
  end
  local why = obstacle(it, old, call)
  if why then return nil, { kind = "impossible", message = why } end
  local name = old.Name:gsub("^/", "")
  local job = { it = it, call = call, old = old, name = name, was_running = old.State.Running,
                kept = ("%s-before-%s"):format(name, suffix()) }
  local done
  done, err = with_rollback(job)
  if not done then return nil, err end
  local fields = state.fields(job.now)
  return { changed = true, state = fields.state, id = fields.id, started_at = fields.started_at,
           summary = fields.summary,
           kept = not remove_old(job) and job.kept or nil }
end

local function check(call)
  engine.check_name("docker.set_env", call.container)
  local count = #(call.unset or {})
  for name, value in pairs(call.env) do
    count = count + 1
    if type(name) ~= "string" or name == "" or name:find "[=%z]" then
      blame.raise("docker.set_env: %s is no variable's name", values.describe(name))
    end
    local kind = type(value)
    local plain = kind == "string" or kind == "number" or values.is_secret(value)
      or values.is_placeholder(value)
    if not plain then
      blame.raise("docker.set_env: %s: a string expected, got %s", name, values.describe(value))
    end
  end
  if count == 0 then blame.raise("docker.set_env: argument 2 (env): no variable given") end
  if call.timeout < call.steady + call.grace + MARGIN_SECONDS then
    blame.raise("docker.set_env: timeout must leave %d s more than steady (%s) and grace (%s)",
      MARGIN_SECONDS, duration.text(call.steady), duration.text(call.grace))
  end
end

catalogue.effect("docker.set_env", {
  summary = "Changes a container's variables: makes it anew, and goes back if the new one doesn't stay up",
  class = "destructive",
  params = { { "container", "string", "Name or id" },
             { "env", "map", "Variables and their values", secret = true } },
  options = {
    unset = { "strings", nil, "Variables to take out", what = true },
    steady = { "duration", STEADY, "How long the new one must be up before the old one goes" },
    grace = { "duration", GRACE, "How long the old one may take to stop by itself" },
    timeout = { "duration", "2m", "The longest it may take" },
  },
  result = { changed = "boolean: false when it had these values already", state = "string: what it is in now",
             id = "string: the new one's", started_at = "number: seconds since 1970",
             summary = "string: its state in words",
             kept = "string: the old one's name, if it could not be deleted" },
  check = check,
  intends = function(call)
    local set, parts = values.keys(call.env), {}
    if #set > 0 then parts[1] = "sets " .. table.concat(set, ", ") end
    if call.unset then parts[#parts + 1] = "removes " .. table.concat(call.unset, ", ") end
    return ("makes %s anew: %s"):format(call.container, table.concat(parts, "; "))
  end,
  sends = function(call) return sends.variables(call.env) end,
  preview = preview,
  evidence = docker_change.evidence,
  run = set_env,
  target = function(call) return call.container end,
  place = docker_host.place,
  would = function(_, plan)
    return { changed = not plan or #(plan.changes or {}) > 0, state = "running", summary = "running" }
  end,
  verify = function(call)
    local now = engine.open(call.timeout):inspect(call.container)
    return now and #copy.changes(now.Config.Env, call.env, call.unset) == 0
  end,
  specimen = { changed = true, state = "running", id = ("0"):rep(64), started_at = 1.7e9,
               summary = "running for 30 seconds" },
  sum_up = function(fields)
    return fields.changed == false and "had these values already" or fields.summary
  end,
})
