-- runbook explore FILE: every way the runbook can go, and what is wrong with any of them.
local config = require "config"
local ending = require "ending"
local explore = require "explore"
local given = require "given"
local raw_task = require "raw.task"
local run = require "run"
local screen = require "screen"
local script = require "script"
local secrets = require "secrets"
local settings = require "settings"

local EXIT_CLEAN, EXIT_FOUND = 0, 1
-- When the ways take place: the same for all, whenever they are explored.
local WALL = 1.7e9

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

-- The number of --faults; math.huge for all.
local function faults_of(text)
  if text == nil then return explore.FAULTS end
  if text == "all" then return math.huge end
  local number = math.tointeger(tonumber(text))
  if not number or number < 0 then usage("--faults %s: a whole number, 0 or more, or all expected", text) end
  return number
end

-- The config says what is approved without a question; whose file it is doesn't matter where nothing is run.
local function open_config(options, host)
  local folder = script.split(run.file)
  if folder:sub(1, 1) ~= "/" then folder = (host.folder or "") .. "/" .. folder end
  local found, it = pcall(config.find, folder, host.getenv)
  run.config = found and it or {}
  local environment
  environment, run.environment = config.environment(run.config, options.env)
  config.apply(run.config, environment, options, function() end)
  run.given_params = given.params(options)
  table.insert(run.given_params, { name = "config", values = environment.params or {}, shared = true })
  run.first_given = run.given_params
end

local function prepare(options, host)
  script.expect_file(run.file)
  raw_task.virtual(WALL)
  secrets.pretend, settings.any_machine, settings.host_name, settings.here = true, true, "here", true
  run.start()
  run.host, run.user, run.seed = "here", "somebody", 1
  open_config(options, host)
  settings.here = true
end

local function carry_out(options, host)
  local faults = faults_of(options.faults)
  prepare(options, host)
  local record = explore.run(faults)
  record.faults = faults
  record.wrong, record.perhaps = explore.verdict(record)
  explore.tell(record, options)
  return (#record.wrong > 0 or not record.whole) and EXIT_FOUND or EXIT_CLEAN
end

return function(arguments, options, host)
  run.file, run.command = arguments[1], "explore"
  run.options = { scenario = "explore", yes = options.yes }
  local ok, code = pcall(carry_out, options, host)
  if ok then return code end
  local it = ending.of_error(code)
  screen.complain(it.text)
  return ending.exit(it)
end
