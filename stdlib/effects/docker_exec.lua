-- docker.exec: runs a program inside a container. A read only on the author's word (`reads = true`).
local blame = require "blame"
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local json = require "raw.json"
local outcome = require "outcome"
local state = require "effects.docker_state"
local stats = require "effects.docker_stats"
local stream = require "effects.docker_stream"
local tasks = require "tasks"
local values = require "values"

-- Of its output, the newest bytes up to this many are kept.
local OUTPUT_MAX = 1 << 20
-- A container with a memory limit must have this many bytes free below it: one more process there may be its
-- end.
local HEADROOM = 64 << 20
-- The output ends a moment before the engine knows the exit code; it is asked again after this many seconds.
local CODE_SECONDS = 0.02
-- What a shell says of a program that can't be run, and how runc says it on the output.
local NOT_RUNNABLE = { [126] = true, [127] = true }
local RUNC_SAYS = "^OCI runtime exec failed: "

----------------------------------------------------------------- Before it --

-- nil, or { kind =, message = } when nothing more may be started in there.
local function refusal(it, inspect, name)
  if inspect.State.Status ~= "running" then
    return { kind = "missing", message = ("%s does not run: %s"):format(name, state.fields(inspect).summary) }
  end
  local limit = stats.limit(inspect)
  if not limit then return nil end
  local sample, err = stats.sample(it, inspect.Id)
  if not sample then return err end
  local free = limit - (sample.memory_bytes or 0)
  if free >= HEADROOM then return nil end
  local size = duration.size_text
  return { kind = "memory", message = ("%s has %s free below its memory limit of %s, and one more process "
    .. "could be its end: %s are wanted"):format(name, size(math.max(0, free)), size(limit), size(HEADROOM)) }
end

-- The container's id when a program may be started in it; nil and an error.
local function admit(it, name)
  local inspect, err = it:inspect(name)
  if not inspect then
    return nil, err or { kind = "missing", message = ("there is no container %s"):format(name) }
  end
  err = refusal(it, inspect, name)
  if err then return nil, err end
  return inspect
end

------------------------------------------------------------------------ It --

local function env_list(env)
  local list = {}
  for _, name in ipairs(values.keys(env or {})) do list[#list + 1] = name .. "=" .. tostring(env[name]) end
  return #list > 0 and list or nil
end

local function create(it, call, id)
  local reply, err = it:change("POST", engine.path("/containers/%s/exec", id), { json = {
    AttachStdout = true, AttachStderr = true, Cmd = call.argv, Env = env_list(call.env),
    WorkingDir = call.cwd, User = call.user } })
  if not reply then return nil, err end
  local made
  made, err = engine.decode(reply)
  return made and made.Id, err
end

local function exit_code(it, path)
  while true do
    local told, err = it:get(path .. "/json")
    if not told then return nil, err or { kind = "missing", message = "the engine forgot the exit code" } end
    if not told.Running then return told.ExitCode end
    if tasks.now() >= it.ends then
      return nil, { kind = "timeout", message = "its output ended, and it did not" }
    end
    tasks.sleep(CODE_SECONDS)
  end
end

-- Carries it out: { output =, cut =, code =, err = }, or nil and an error when it never began.
local function start(it, id)
  local path = engine.path("/exec/%s", id)
  local reply, err = it:request("POST", path .. "/start", { json = { Detach = false, Tty = false },
                                                            max_body = OUTPUT_MAX,
                                keep = "tail" })
  if not reply then return { err = err, output = stream.split "" } end
  if reply.status >= 400 then return nil, engine.problem(reply) end
  local code, problem = exit_code(it, path)
  return { output = stream.read(reply, false, true), cut = reply.cut or false, code = code, err = problem }
end

local function expected(call, code)
  for _, wanted in ipairs(call.expect or { 0 }) do if wanted == code then return true end end
  return false
end

local function first_line(text) return text:match "[^\r\n]+" or "" end

-- What came of it as a result: well, not well, or failed.
local function judge(call, it)
  if it.err then
    if call.reads and it.err.kind ~= "timeout" then return nil, engine.cannot_look(it.err) end
    local message = it.err.kind == "timeout"
      and ("it did not end within %s, and may still run in the container"):format(
      duration.text(call.timeout)) or it.err.message
    return outcome.from_error { kind = it.err.kind, message = message }
  end
  local output = it.output
  if NOT_RUNNABLE[it.code] and output.both:find(RUNC_SAYS) then
    return outcome.failed("missing", "%s", first_line(output.both))
  end
  local fields = { code = it.code, stdout = output.stdout, stderr = output.stderr, cut = it.cut }
  if expected(call, it.code) then return fields end
  local said = first_line(output.stderr ~= "" and output.stderr or output.stdout)
  return outcome.not_well(("exit code %s%s"):format(it.code, said ~= "" and ": " .. said or ""), fields)
end

local function run(call)
  local it = engine.open(call.timeout)
  local inspect, err = admit(it, call.container)
  if not inspect then return nil, err end
  local id
  id, err = create(it, call, inspect.Id)
  if not id then return nil, engine.cannot_look(err) end
  local done
  done, err = start(it, id)
  if not done then return nil, err end
  local fields
  fields, err = judge(call, done)
  -- A write that timed out may have run: the gate wants to know that as an error.
  if done.err and not call.reads then
    return nil, { kind = done.err.kind, message = fields and fields.why or err.message }
  end
  return fields, err
end

local function preview(call)
  local it = engine.open(call.timeout)
  local inspect, err = it:inspect(call.container)
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  local problem = inspect and refusal(it, inspect, call.container)
  if not inspect then problem = { message = ("there is no container %s"):format(call.container) } end
  if problem then return { text = problem.message, size = 0, impossible = problem.message } end
  return { size = 1, text = ("runs %s in %s (%s)"):format(call.argv[1], call.container,
    state.brief(state.fields(inspect))) }
end

local function check(call)
  engine.check_name("docker.exec", call.container)
  if #call.argv == 0 then
    blame.raise("docker.exec: argument 2 (argv): at least the program's name expected")
  end
  for i, word in ipairs(call.argv) do
    if values.is_secret(word) then
      blame.raise("docker.exec: argument 2 (argv): entry %d is a secret, and arguments are public: use env", i)
    end
  end
  for name, value in pairs(call.env or {}) do
    if type(name) ~= "string" or name == "" or name:find "[=%z]" then
      blame.raise("docker.exec: option 'env': %s is no variable's name", values.describe(name))
    end
    local plain = type(value) == "string" or type(value) == "number" or values.is_secret(value)
      or values.is_placeholder(value)
    if not plain then
      blame.raise("docker.exec: option 'env': %s: a string expected, got %s", name, values.describe(value))
    end
  end
  for _, code in ipairs(call.expect or {}) do
    if math.type(code) ~= "integer" then
      blame.raise("docker.exec: option 'expect': a list of exit codes expected, got %s",
        values.describe(code))
    end
  end
end

catalogue.effect("docker.exec", {
  summary = "Runs a program in a container; `reads = true` says that it changes nothing",
  class = function(call)
    return call.destructive and "destructive" or call.reads and "declared" or "write"
  end,
  params = { { "container", "string", "Name or id" },
             { "argv", "strings", "The program and its arguments; no shell" } },
  options = {
    reads = { "boolean", false, "On your word it changes nothing: a declared read" },
    destructive = { "boolean", false, "What it does can't be undone" },
    env = { "map", nil, "Variables besides the container's own", secret = true },
    cwd = { "string", nil, "The folder it runs in" },
    user = { "string", nil, "Who it runs as", what = true },
    expect = { "any", nil, "List of exit codes that are well; { 0 }" },
  },
  result = {
    code = "integer: the exit code", stdout = "string", stderr = "string: of both together the newest 1 MB",
    json = "any: stdout decoded, nil when it isn't JSON",
    cut = "boolean: the beginning of the output is missing",
  },
  check = check,
  run = run,
  preview = preview,
  command = function(call)
    local words = docker_host.command "exec"
    for _, name in ipairs(values.keys(call.env or {})) do
      words[#words + 1], words[#words + 2] = "-e", name .. "=" .. call.env[name]
    end
    if call.cwd then words[#words + 1], words[#words + 2] = "-w", call.cwd end
    if call.user then words[#words + 1], words[#words + 2] = "-u", call.user end
    words[#words + 1] = call.container
    return table.move(call.argv, 1, #call.argv, #words + 1, words)
  end,
  match = function(call) return { call.cwd or "", values.keys(call.env or {}) } end,
  target = function(call) return call.container end,
  place = docker_host.place,
  would = function() return { code = 0, stdout = "", stderr = "", cut = false } end,
  specimen = { code = 0, stdout = "", stderr = "", cut = false },
  lazy = { json = function(fields) return fields.stdout and json.decode(fields.stdout) or nil end },
  sum_up = function(fields) return fields.code and ("exit code %d"):format(fields.code) end,
})
