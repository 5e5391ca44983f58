-- Where secrets come from: the environment, a file or a command, as the config says; fetched once, registered for redaction
-- at the moment they are known.
local raw = require "raw.secret"
local raw_text = require "raw.text"
local values = require "values"

local secrets = { fetched = {}, learned = {} } -- name → secret; value → name of what nobody declared
local sources, environment = {}, function() end

-- How long a command may take to print a secret, in seconds.
local COMMAND_SECONDS = 20
-- Bytes of what it said of its failure.
local SAID_MAX = 300

-- `given`: the config's `secrets`; `getenv`: how to look into our own environment.
function secrets.open(given, getenv)
  sources, environment = given or {}, getenv or environment
end

-- Secrets handed over by another process of the run, which is what a level's process has.
function secrets.handed_over(map)
  for name, value in pairs(map) do secrets.value(name, value) end
end

local function from_command(argv)
  local settings = require "settings"
  local done, err = require("raw.process").run { argv = argv, env = settings.environment, timeout = COMMAND_SECONDS }
  if not done then return nil, err.message end
  if done.code ~= 0 then
    local said = raw_text.last(raw_text.trimmed(done.stderr):gsub("[\r\n]+", "; "), SAID_MAX)
    return nil, ("%s ended with code %s%s"):format(argv[1], tostring(done.code or done.signal), said ~= "" and ": " .. said or "")
  end
  return (done.stdout:gsub("\r?\n$", ""))
end

local function fetch(name)
  local source = sources[name]
  if source == nil then
    local value = environment(name)
    if not value then return nil, ("the environment variable %s is not set, and the config names no other source"):format(name) end
    return value
  end
  if source.file then
    local value, err = raw.file(source.file)
    return value, err and err.message
  end
  return from_command(source.command)
end

-- Registers a value under a name and gives the opaque secret.
function secrets.value(name, value)
  local ok, err = raw.add(name, value)
  if not ok then return nil, err.message end
  secrets.fetched[name] = values.secret(name, value)
  return secrets.fetched[name]
end

-- Set by `runbook doctor`: name → why a secret can't be had. It is handed out as a placeholder then.
secrets.missed = nil

local function not_there(name, why)
  if not secrets.missed then return nil, why end
  secrets.missed[name] = why
  return values.placeholder("secret " .. name)
end

-- The secret of that name, or nil and why not. In a scenario it is made up.
function secrets.get(name)
  if secrets.fetched[name] then return secrets.fetched[name] end
  if secrets.pretend then return secrets.value(name, "secret-of-the-scenario-" .. name) end
  local value, why = fetch(name)
  if not value then return not_there(name, why) end
  if value == "" then return not_there(name, "it is empty") end
  local secret
  secret, why = secrets.value(name, value)
  if not secret then return not_there(name, why) end
  return secret
end

------------------------------------------------- Secrets nobody declared --

local function percent_decoded(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Names what gives itself away in a text of ours: NAME.1, NAME.2 … so that it is masked wherever it turns up, as Basic
-- authorization, in an error, and can be put back. `kind`: "config", "script" or "text". One that is too short to be masked
-- by value is masked in its place alone.
function secrets.learn(name, text, kind)
  local known = 0
  for _, value in ipairs(raw.learn(text, kind)) do
    for _, form in ipairs { value, percent_decoded(value) } do
      local new = not secrets.learned[form]
      if new then known = known + 1 end
      if new and raw.add(("%s.%d"):format(name, known), form) then secrets.learned[form] = ("%s.%d"):format(name, known) end
    end
  end
end

-- Of an effect's argument: the connection string that a script made up.
local arguments = 0
function secrets.spot(text)
  if not text:find "[:=]" then return end
  arguments = arguments + 1
  secrets.learn("argument." .. arguments, text, "text")
end

-- A kept value, or a text of it, with its secrets put back, however deep.
function secrets.restored(value)
  if type(value) == "string" then return (raw.restore(value)) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[secrets.restored(key)] = secrets.restored(item) end
  return copy
end

-- name → value of every secret this run has used, for the watchdog's memory.
function secrets.all()
  local map = {}
  for value, name in pairs(secrets.learned) do map[name] = value end
  for name, secret in pairs(secrets.fetched) do map[name] = values.reveal(secret) end
  return map
end

return secrets
