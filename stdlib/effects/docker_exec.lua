-- docker.exec: runs a program inside a container.
local blame = require "blame"
local byhand = require "byhand"
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local outcome = require "outcome"
local program = require "effects.program"
local state = require "effects.docker_state"
local stats = require "effects.docker_stats"
local stream = require "effects.docker_stream"
local tasks = require "tasks"
local values = require "values"

-- What goes to its standard input, in bytes: Linux takes 128 KiB in one variable.
local STDIN_MAX = 96 << 10
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

-- The engine's way to a program's standard input is a connection that is taken over; here it goes in with a variable, which
-- the program itself doesn't get.
local STDIN_SCRIPT = 'rb_in=$RB_STDIN; unset RB_STDIN; printf %s "$rb_in" | "$@"'

-- The vector and its variables as the engine takes them.
local function process_of(call, argv)
  local list = {}
  for _, name in ipairs(values.keys(call.env or {})) do list[#list + 1] = name .. "=" .. call.env[name] end
  if call.stdin then
    list[#list + 1] = "RB_STDIN=" .. call.stdin
    argv = table.move(argv, 1, #argv, 5, { "/bin/sh", "-c", STDIN_SCRIPT, "sh" })
  end
  return argv, #list > 0 and list or nil
end

local function create(it, call, argv, id)
  local vector, env = process_of(call, argv)
  local reply, err = it:change("POST", engine.path("/containers/%s/exec", id), { json = {
    AttachStdout = true, AttachStderr = true, Cmd = vector, Env = env, WorkingDir = call.cwd, User = call.user } })
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

-- What the shell in front of it says of a program that isn't there.
local function not_runnable(call, it)
  if not NOT_RUNNABLE[it.code] then return nil end
  if it.output.both:find(RUNC_SAYS) then return program.first_line(it.output.both) end
  return call.stdin and it.output.stderr:find "^sh: " and program.first_line(it.output.stderr) or nil
end

-- What came of it as a result: well, not well, or failed.
local function judge(call, it)
  if it.err then
    if program.looks(call) and it.err.kind ~= "timeout" then return nil, engine.cannot_look(it.err) end
    local message = it.err.kind == "timeout"
      and ("it did not end within %s, and may still run in the container"):format(
      duration.text(call.timeout)) or it.err.message
    return outcome.from_error { kind = it.err.kind, message = message }
  end
  local missing = not_runnable(call, it)
  if missing then return outcome.failed("missing", "%s", missing) end
  return program.judge(call, { code = it.code, stdout = it.output.stdout, stderr = it.output.stderr, cut = it.cut })
end

-- How it ended: as `start` says it; nil and an error when it never began.
local function carry_out(it, call, argv)
  local inspect, err = admit(it, call.container)
  if not inspect then return nil, err end
  local id
  id, err = create(it, call, argv, inspect.Id)
  if not id then return nil, engine.cannot_look(err) end
  return start(it, id)
end

local function run(call)
  if call.stdin and #call.stdin > STDIN_MAX then
    return outcome.failed("usage", "stdin: at most %s go in with it", duration.size_text(STDIN_MAX))
  end
  local done, err = carry_out(engine.open(call.timeout), call, call.argv)
  if not done then return nil, err end
  local fields
  fields, err = judge(call, done)
  -- A write that timed out may have run: the gate wants to know that as an error.
  if done.err and not program.looks(call) then
    return nil, { kind = done.err.kind, message = fields and fields.why or err.message }
  end
  return fields, err
end

local function intends(call) return ("runs %s in %s"):format(tostring(call.argv[1]), call.container) end

local function preview(call)
  local it = engine.open(call.timeout)
  local inspect, err = it:inspect(call.container)
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  local problem = inspect and refusal(it, inspect, call.container)
  if not inspect then problem = { message = ("there is no container %s"):format(call.container) } end
  if problem then return { text = problem.message, size = 0, impossible = problem.message } end
  local text = ("%s (%s)"):format(intends(call), state.brief(state.fields(inspect)))
  local own = program.own_preview(call, function(argv, seconds)
    local done, failure = carry_out(engine.open(seconds), call, argv)
    if not done or done.err then return nil, failure or done.err end
    return { code = done.code, stdout = done.output.stdout, stderr = done.output.stderr }
  end)
  if not own then return { size = 1, text = text } end
  own.text = text .. "; " .. own.text
  return own
end

local function check(call)
  engine.check_name("docker.exec", call.container)
  program.check("docker.exec", 2, call)
  if type(call.stdin) == "string" and call.stdin:find "\0" then
    blame.raise "docker.exec: option 'stdin': it holds a NUL byte, which can't go in with it"
  end
end

local function by_hand(call)
  local words = docker_host.command "exec"
  if call.stdin then words[#words + 1] = "-i" end
  for _, name in ipairs(values.keys(call.env or {})) do
    words[#words + 1], words[#words + 2] = "-e", byhand.assignment(name, call.env[name])
  end
  if call.cwd then words[#words + 1], words[#words + 2] = "-w", call.cwd end
  if call.user then words[#words + 1], words[#words + 2] = "-u", call.user end
  words[#words + 1] = call.container
  words.stdin = call.stdin
  return table.move(call.argv, 1, #call.argv, #words + 1, words)
end

catalogue.effect("docker.exec", {
  summary = "Runs a program in a container",
  class = program.class,
  class_help = program.class_help,
  reader = true,
  params = { { "container", "string", "Name or id" },
             { "argv", "strings", "The program and its arguments; no shell" } },
  options = program.options {
    cwd = { "string", nil, "The folder it runs in" },
    user = { "string", nil, "Who it runs as", what = true },
    stdin = { "string", nil, ("What it reads, %s at most; the container needs a /bin/sh for it"):format(
      duration.size_text(STDIN_MAX)), secret = true },
  },
  result = program.result,
  optional = program.optional,
  check = check,
  run = run,
  intends = intends,
  preview = preview,
  command = by_hand,
  sends = program.sends,
  target = function(call) return call.container end,
  place = docker_host.place,
  would = program.would,
  unwell = program.unwell,
  specimen = program.specimen,
  lazy = program.lazy,
  sum_up = program.sum_up,
})
