-- What running a program is, whoever runs it: exec on a machine, docker.exec in a container, kubectl.exec in a pod. The same
-- options, the same classes by the same list of readers, the same judgement of how it ended.
local blame = require "blame"
local byhand = require "byhand"
local duration = require "duration"
local json = require "raw.json"
local outcome = require "outcome"
local run = require "run"
local sends = require "sends"
local text = require "raw.text"
local values = require "values"

local program = {}

-- Lines of a preview's output that a plan shows, and columns of each.
local PREVIEW_LINES, LINE_MAX = 5, 200
-- The longest a preview may take, in seconds: a plan has 30 in all.
local PREVIEW_TIMEOUT = 20

-- Loaded when a class is asked for: a long list, of which most scripts need nothing.
local function readers() return require "effects.readers" end

------------------------------------------------------------------- Entry --

-- The options of all three; `more` are one's own.
function program.options(more)
  local options = {
    env = { "map", nil, "Variables beside those it has there", secret = true },
    stdin = { "string", nil, "What it reads; nothing otherwise", secret = true, binary = true },
    expect = { "any", 0, "The exit code that is well, or a list of them" },
    reads = { "boolean", false, "On your word it changes nothing: a declared read" },
    destructive = { "boolean", false, "It can't be undone: approved as such" },
    preview = { "strings", nil,
                "Another list, run as a read to show what this would do: { \"apt-get\", \"-s\", … }" },
    timeout = { "duration", "10s", "The longest it may take" },
  }
  for name, option in pairs(more or {}) do options[name] = option end
  return options
end

program.result = {
  code = "integer: its exit code; 128 and the signal's number when one ended it",
  stdout = "string: its output", stderr = "string: its words beside that; 1 MB is kept",
  json = "any: stdout decoded, nil when it isn't JSON", cut = "boolean: there was more output",
}

program.optional = { json = "stdout" }
program.lazy = { json = function(it)
  if not it.stdout then return nil end
  return (json.decode(it.stdout))
end }

program.class_help = "a read by its program, verb and options if all of them stand in the list of readers (see `exec`) or the "
  .. "config's `readers` begin it; declared read with `reads = true`, destructive with `destructive = true`, else write"

function program.class(call)
  if call.destructive then return "destructive" end
  if readers().reads(call.argv, call.env, call.stdin ~= nil) then return "read" end
  return call.reads and "declared" or "write"
end

function program.looks(call)
  local class = program.class(call)
  return class == "read" or class == "declared"
end

--------------------------------------------------------------- Arguments --

local function check_words(effect, what, words)
  if #words == 0 or words[1] == "" then blame.raise("%s: %s: a program is needed", effect, what) end
end

local function check_variable(effect, name, value)
  if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
    blame.raise("%s: option 'env': %s is no name of a variable", effect, values.describe(name))
  end
  if type(value) == "string" and value:find "\0" then blame.raise("%s: option 'env': %s holds a NUL byte", effect, name) end
  local fits = type(value) == "string" or type(value) == "number" or values.is_secret(value) or values.is_placeholder(value)
  if not fits then
    blame.raise("%s: option 'env': %s: a string expected, got %s", effect, name, values.describe(value))
  end
end

local function check_env(effect, call)
  if not call.env or values.is_placeholder(call.env) then return end
  call.env = values.copy_shallow(call.env)
  for name, value in pairs(call.env) do
    check_variable(effect, name, value)
    if type(value) == "number" then call.env[name] = tostring(value) end
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

local function first_expected(call)
  local expect = call and call.expect or 0
  return type(expect) == "table" and expect[1] or expect
end

-- `place`: which of the effect's arguments the vector is.
function program.check(effect, place, call)
  check_words(effect, ("argument %d (argv)"):format(place), call.argv)
  if call.preview then check_words(effect, "option 'preview'", call.preview) end
  check_env(effect, call)
  if not expected(call.expect) then
    blame.raise("%s: option 'expect': an exit code or a list of them expected, got %s", effect, values.describe(call.expect))
  end
  if call.reads and call.destructive then blame.raise("%s: 'reads' and 'destructive' contradict each other", effect) end
end

------------------------------------------------------------------- Ended --

function program.first_line(output)
  return text.truncate((output or ""):match "[^\r\n]*%S[^\r\n]*" or "", LINE_MAX)
end

local function why_unexpected(ended, codes)
  if not ended.signal and codes[ended.code] then return nil end
  local said = program.first_line(ended.stderr)
  local how = ended.signal and "ended by " .. ended.signal or ("exit code %s"):format(ended.code)
  return said ~= "" and how .. ": " .. said or how
end

-- Why an end is not well, or nil.
function program.unwell(ended, call) return why_unexpected(ended, expected(call.expect)) end

-- An end that wasn't expected is a finding of a read, with all that was written; a write raises it.
function program.judge(call, ended)
  local why = program.unwell(ended, call)
  if why then return outcome.not_well(why, ended) end
  return ended
end

function program.would(call) return { code = first_expected(call), cut = false } end

function program.specimen(call) return { code = first_expected(call), stdout = "", stderr = "", cut = false } end

local function told(it)
  local said = program.first_line(it.stdout)
  if said ~= "" or not it.ms then return said ~= "" and said or ("exit code %s"):format(it.code) end
  return ("exit code %d after %s"):format(it.code, duration.text(it.ms / 1000))
end

function program.sum_up(it)
  return it.notice and told(it) .. "; " .. it.notice or told(it)
end

---------------------------------------------------------------- The plan --

-- What it reads, then its variables.
function program.sends(call)
  local lines = call.stdin ~= nil and sends.split(call.stdin) or {}
  return table.move(sends.variables(call.env), 1, #values.keys(call.env or {}), #lines + 1, lines)
end

local function first_lines(output)
  local lines = {}
  for line in output:gmatch "[^\r\n]*%S[^\r\n]*" do
    if #lines == PREVIEW_LINES then
      lines[#lines + 1] = "…"
      break
    end
    lines[#lines + 1] = program.first_line(line)
  end
  return table.concat(lines, "\n")
end

-- The author's own preview, a read on the author's word: nil without one. `carry_out(argv, seconds)` → how it ended.
function program.own_preview(call, carry_out)
  if not call.preview then return nil end
  for _, word in ipairs(call.preview) do
    if type(word) ~= "string" then
      return { text = "what its preview would be given is known only in the run", size = 1 }
    end
  end
  local shown = table.concat(call.preview, " ")
  if run.options.dry_run == "strict" and not readers().reads(call.preview, call.env, call.stdin ~= nil) then
    return { text = shown .. " was not run under --dry-run=strict", size = 1 }
  end
  local ended, err = carry_out(call.preview, math.min(call.timeout, PREVIEW_TIMEOUT))
  local why = not ended and err.message or why_unexpected(ended, { [0] = true })
  if why then
    return { text = ("radius unknown: %s: %s"):format(shown, why), size = math.huge, unknown = true }
  end
  local said = first_lines(ended.stdout)
  said = said ~= "" and "says: " .. said or "has nothing to say"
  return { text = shown .. " " .. said, size = 1 }
end

-- The words with their variables before them, for people.
function program.by_hand(call, words)
  if next(call.env or {}) then words[#words + 1] = "env" end
  for _, name in ipairs(values.keys(call.env or {})) do words[#words + 1] = byhand.assignment(name, call.env[name]) end
  table.move(call.argv, 1, #call.argv, #words + 1, words)
  words.stdin = call.stdin
  return words
end

return program
