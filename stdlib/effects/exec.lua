-- exec: runs a program with a list of arguments, never through a shell. A read when the list of readers or
-- the author says so, else a write. The child gets PATH, HOME, LANG and TZ, and what `env` names.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local json = require "raw.json"
local machine = require "effects.machine"
local outcome = require "outcome"
local readers = require "effects.exec_readers"
local run = require "run"
local settings = require "settings"
local values = require "values"

-- Lines of its preview's output that a plan shows.
local PREVIEW_LINES = 5
-- The longest a preview may take, in seconds: a plan has 30 in all.
local PREVIEW_TIMEOUT = 20
-- The longest that looking for a program on another machine may take, in seconds.
local LOOK_TIMEOUT = 10

--------------------------------------------------------------------- Class --

local function class(call)
  if call.destructive then return "destructive" end
  if readers.reads(call.argv, call.env, call.stdin ~= nil) then return "read" end
  return call.reads and "declared" or "write"
end

----------------------------------------------------------------- Arguments --

local function check_words(what, words)
  if #words == 0 or words[1] == "" then blame.raise("exec: %s: a program is needed", what) end
  for i, word in ipairs(words) do
    if type(word) == "string" and word:find "\0" then
      blame.raise("exec: %s: word %d holds a NUL byte", what, i)
    end
  end
end

local function check_env(env)
  for name, value in pairs(env) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      blame.raise("exec: option 'env': %s is no name of a variable", values.describe(name))
    end
    if type(value) == "number" then env[name] = tostring(value) end
    if type(value) == "string" and value:find "\0" then
      blame.raise("exec: option 'env': %s holds a NUL byte", name)
    end
    if type(value) ~= "string" and type(value) ~= "number" and not values.is_secret(value)
      and not values.is_placeholder(value) then
      blame.raise("exec: option 'env': %s: a string expected, got %s", name, values.describe(value))
    end
  end
end

-- `expect` as a set: exit code → true.
local function expected(expect)
  if type(expect) ~= "table" then expect = { expect } end
  local codes = {}
  for _, code in ipairs(expect) do
    if math.type(code) ~= "integer" or code < 0 or code > 255 then return nil end
    codes[code] = true
  end
  return next(codes) and codes
end

local function first_expected(expect) return type(expect) == "table" and expect[1] or expect end

local function check(call)
  check_words("argument 1 (argv)", call.argv)
  if call.preview then check_words("option 'preview'", call.preview) end
  if call.env then
    call.env = values.copy_shallow(call.env)
    check_env(call.env)
  end
  if call.cwd then call.cwd = machine.path("exec", "option 'cwd'", call.cwd) end
  if not expected(call.expect) then
    blame.raise("exec: option 'expect': an exit code or a list of them expected, got %s",
      values.describe(call.expect))
  end
  if call.reads and call.destructive then
    blame.raise "exec: 'reads' and 'destructive' contradict each other"
  end
end

----------------------------------------------------------------------- Run --

local function why_unexpected(ended, codes)
  if not ended.signal and codes[ended.code] then return nil end
  local said = machine.first_line(ended.stderr)
  local how = ended.signal and "ended by " .. ended.signal or ("exit code %d"):format(ended.code)
  return said ~= "" and how .. ": " .. said or how
end

local function spec(call, argv, timeout)
  return { argv = argv, env = call.env, cwd = call.cwd, stdin = call.stdin, timeout = timeout }
end

-- An end that wasn't expected is a finding of a read, with all that was written; a write raises it.
local function execute(call)
  local ended, err = machine.run(spec(call, call.argv, call.timeout))
  if not ended then
    if class(call) == "write" or class(call) == "destructive" then return nil, err end
    return outcome.from_error(err, { stdout = err.stdout, stderr = err.stderr, cut = err.cut })
  end
  local why = why_unexpected(ended, expected(call.expect))
  if why then return outcome.not_well(why, ended) end
  return ended
end

------------------------------------------------------------------- Preview --

-- Whether the program is nowhere to be found, as far as can be seen; the error when its machine can't be.
local function is_missing(program)
  if type(program) ~= "string" then return false end
  if machine.is_away() then
    local look = { "sh", "-c", 'command -v -- "$1"', "sh", program }
    local there, err = machine.run { argv = look, timeout = LOOK_TIMEOUT, sudo = false }
    return there and there.code ~= 0, err
  end
  if program:find "/" then
    local it = program:sub(1, 1) == "/" and files.stat(program)
    return it and it.state == "absent"
  end
  for folder in (settings.environment.PATH or "/usr/bin:/bin"):gmatch "[^:]+" do
    local it = files.stat(folder .. "/" .. program)
    if not it or it.state ~= "absent" then return false end
  end
  return true
end

local function first_lines(output)
  local lines = {}
  for line in output:gmatch "[^\r\n]*%S[^\r\n]*" do
    if #lines == PREVIEW_LINES then
      lines[#lines + 1] = "…"
      break
    end
    lines[#lines + 1] = machine.first_line(line)
  end
  return table.concat(lines, "\n")
end

-- The author's own preview, a read on the author's word.
local function own_preview(call)
  for _, word in ipairs(call.preview) do
    if type(word) ~= "string" then
      return { text = "what its preview would be given is known only in the run", size = 1 }
    end
  end
  local shown = table.concat(call.preview, " ")
  if run.options.dry_run == "strict" and not readers.reads(call.preview, call.env, call.stdin ~= nil) then
    return { text = shown .. " was not run under --dry-run=strict", size = 1 }
  end
  local ended, err = machine.run(spec(call, call.preview, math.min(call.timeout, PREVIEW_TIMEOUT)))
  local why = not ended and err.message or why_unexpected(ended, { [0] = true })
  if why then
    return { text = ("radius unknown: %s: %s"):format(shown, why), size = math.huge, unknown = true }
  end
  local said = first_lines(ended.stdout)
  said = said ~= "" and "says: " .. said or "has nothing to say"
  return { text = shown .. " " .. said, size = 1 }
end

local function preview(call)
  local missing, err = is_missing(call.argv[1])
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  if missing then
    local why = call.argv[1] .. ": no such program"
    return { text = why, size = 0, impossible = why }
  end
  if call.preview then return own_preview(call) end
  return { text = "what it changes can't be told beforehand", size = 1 }
end

------------------------------------------------------------------- By hand --

-- `env` carries what the child gets beside its words.
local function command(call)
  local words = {}
  if call.cwd then words = { "-C", call.cwd } end
  for _, name in ipairs(values.keys(call.env or {})) do
    words[#words + 1] = name .. "=" .. call.env[name]
  end
  if #words > 0 then table.insert(words, 1, "env") end
  table.move(call.argv, 1, #call.argv, #words + 1, words)
  words.stdin = call.stdin
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

machine.effect("exec", {
  summary = "Runs a program with a list of arguments, never through a shell",
  class = class,
  class_help = "read by program and leading words (" .. table.concat(readers.describe(), ", ")
    .. ", the config's `readers`), declared read with `reads = true`, else write",
  params = { { "argv", "strings", 'Program and arguments: { "df", "-h" }', show = shown_words } },
  options = {
    env = { "map", nil, "Variables beside PATH, HOME, LANG and TZ", secret = true },
    stdin = { "string", nil, "What it reads; nothing otherwise", secret = true, binary = true },
    cwd = { "string", nil, "The folder it runs in, from the root", what = true },
    expect = { "any", 0, "The exit code that is well, or a list of them" },
    reads = { "boolean", false, "On your word it changes nothing: a declared read" },
    destructive = { "boolean", false, "It can't be undone: approved as such" },
    preview = { "strings", nil,
                "Another list, run as a read to show what this would do: { \"apt-get\", \"-s\", … }" },
  },
  result = {
    code = "integer: its exit code; 128 and the signal's number when one ended it",
    signal = "string: as SIGKILL, or nil",
    stdout = "string: the first 1 MB", stderr = "string: the first 1 MB",
    json = "any: stdout decoded, nil when it isn't JSON",
    cut = "boolean: there was more output", ms = "number: how long it took, milliseconds",
  },
  check = check,
  run = execute,
  command = command,
  target = target,
  preview = preview,
  would = function(call) return { code = first_expected(call.expect), cut = false } end,
  specimen = function(call)
    return { code = first_expected(call and call.expect or 0), stdout = "", stderr = "", cut = false, ms = 5 }
  end,
  lazy = { json = function(it)
    if not it.stdout then return nil end
    return (json.decode(it.stdout))
  end },
  sum_up = function(it)
    local said = machine.first_line(it.stdout)
    if said ~= "" or not it.ms then return said end
    return ("exit code %d after %s"):format(it.code, duration.text(it.ms / 1000))
  end,
})
