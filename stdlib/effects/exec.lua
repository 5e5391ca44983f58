-- exec: runs a program with a list of arguments, never through a shell. A read when the list of readers or
-- the author says so, else a write. The child gets PATH, HOME, LANG and TZ, and what `env` names.
local blame = require "blame"
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local program = require "effects.program"
local settings = require "settings"
local values = require "values"

-- The longest that looking for a program on another machine may take, in seconds.
local LOOK_TIMEOUT = 10

local LEFT = "it left a process running that holds its output"

local function check(call)
  program.check("exec", 1, call)
  if call.cwd then call.cwd = machine.path("exec", "option 'cwd'", call.cwd) end
  if call.sudo and machine.is_here(call.on) then
    blame.raise "exec: option 'sudo' is for another machine (option 'on'); here { \"sudo\", \"-n\", … } does it"
  end
end

----------------------------------------------------------------------- Run --

local function carry_out(call, argv, timeout)
  return machine.run { argv = argv, env = call.env, cwd = call.cwd, stdin = call.stdin, timeout = timeout }
end

local function execute(call)
  local ended, err = carry_out(call, call.argv, call.timeout)
  if ended then
    ended.notice = ended.left and LEFT or nil
    return program.judge(call, ended)
  end
  if not program.looks(call) then return nil, err end
  return outcome.from_error(err, { stdout = err.stdout, stderr = err.stderr, cut = err.cut })
end

------------------------------------------------------------------- Preview --

-- Whether the program is nowhere to be found, as far as can be seen; the error when its machine can't be.
local function is_missing(name)
  if type(name) ~= "string" then return false end
  if machine.is_away() then
    local look = { "sh", "-c", 'command -v -- "$1"', "sh", name }
    local there, err = machine.run { argv = look, timeout = LOOK_TIMEOUT, sudo = false }
    return there and there.code ~= 0, err
  end
  if name:find "/" then
    local it = name:sub(1, 1) == "/" and files.stat(name)
    return it and it.state == "absent"
  end
  for folder in (settings.environment.PATH or "/usr/bin:/bin"):gmatch "[^:]+" do
    local it = files.stat(folder .. "/" .. name)
    if not it or it.state ~= "absent" then return false end
  end
  return true
end

local function preview(call)
  local missing, err = is_missing(call.argv[1])
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  if missing then
    local why = call.argv[1] .. ": no such program"
    return { text = why, size = 0, impossible = why }
  end
  return program.own_preview(call, function(argv, seconds) return carry_out(call, argv, seconds) end)
    or { text = "what it changes can't be told beforehand", size = 1 }
end

------------------------------------------------------------------- By hand --

local function command(call)
  if not call.cwd then return program.by_hand(call, {}) end
  local words = program.by_hand(call, next(call.env or {}) and {} or { "env" })
  table.insert(words, 2, "-C")
  table.insert(words, 3, call.cwd)
  return words
end

-- Each word of the line as one: those with blanks are quoted.
local function shown_words(argv)
  local words = {}
  for i, word in ipairs(argv) do
    words[i] = type(word) == "string" and word:find "%s" and '"' .. word .. '"' or word
  end
  return words
end

local function target(call)
  return type(call.argv[1]) == "string" and call.argv[1]:match "[^/]+$" or tostring(call.argv[1])
end

local result = values.copy_shallow(program.result)
result.left = "boolean: it ended with 0 and left a process running that holds its output; what that writes is not read"
result.notice = "string: that it left a process running, or nil"
result.signal, result.ms = "string: as SIGKILL, or nil", "number: how long it took, milliseconds"

machine.effect("exec", {
  summary = "Runs a program with a list of arguments, never through a shell",
  class = program.class,
  class_help = function() -- the list is long, and seldom wanted in words
    return program.class_help .. ". The list: " .. table.concat(require("effects.readers").describe(), ", ")
  end,
  reader = true,
  params = { { "argv", "strings", 'Program and arguments: { "df", "-h" }', show = shown_words } },
  options = program.options {
    cwd = { "string", nil, "The folder it runs in, from the root", what = true },
    sudo = { "boolean", false, "On another machine with sudo -n, also to look, and where the config has no sudo" },
  },
  result = result,
  optional = { json = "stdout", signal = "code", notice = "code" },
  check = check,
  run = execute,
  command = command,
  sends = program.sends,
  target = target,
  intends = function(call) return "runs " .. target(call) end,
  preview = preview,
  would = program.would,
  unwell = program.unwell,
  specimen = function(call)
    local fields = program.specimen(call)
    fields.ms, fields.left = 5, false
    return fields
  end,
  lazy = program.lazy,
  sum_up = program.sum_up,
})
