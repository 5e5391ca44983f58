-- Before a runbook is explored: what it is given, and a world that is nobody's.
local config = require "config"
local given = require "given"
local raw_task = require "raw.task"
local run = require "run"
local script = require "script"
local secrets = require "secrets"
local settings = require "settings"

-- When the ways take place: the same for all, whenever they are explored.
local WALL = 1.7e9

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

-- Makes this process one that explores run.file: nothing of it is real.
return function(options, host)
  script.expect_file(run.file)
  raw_task.virtual(WALL)
  secrets.pretend, settings.any_machine, settings.host_name, settings.here = true, true, "here", true
  run.start()
  run.host, run.user, run.seed = "here", "somebody", 1
  open_config(options, host)
  settings.here = true
end
