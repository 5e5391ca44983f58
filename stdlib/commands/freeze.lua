-- runbook freeze [WHY…] and runbook thaw: one switch for every write of every run of this machine.
local config = require "config"
local duration = require "duration"
local freeze = require "freeze"
local helpers = require "helpers"
local origin = require "origin"
local run = require "run"
local screen = require "screen"
local settings = require "settings"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_DONE, EXIT_WRONG, EXIT_USAGE = 0, 1, 2
local WHY_MAX = 500 -- characters

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

local function fail(code, text, ...)
  screen.complain(text:format(...))
  return code
end

-- Where several people freeze and thaw, the config beside them says it.
local function open_config(host)
  local found, it = pcall(config.find, host.folder or ".", host.getenv)
  settings.shared_dir = found and it.shared_dir or nil
end

-- "2h" from now, or a moment.
local function end_of(text)
  local seconds = duration.parse(text)
  if seconds then return tasks.wall() + seconds end
  local at, why = helpers.time.parse(text)
  if not at then return nil, ("--until %s: a duration like 2h, or a time: %s"):format(text, why) end
  if at <= tasks.wall() then return nil, ("--until %s is over already"):format(text) end
  return at
end

local function tell_history()
  local now = freeze.now()
  for _, it in ipairs(freeze.history()) do
    put("%-6s  %s", it.freezes and "freeze" or "thaw", screen.inert(freeze.text(it), WHY_MAX))
  end
  put("%s", now and "writes are frozen" or "writes are free")
  return EXIT_DONE
end

local function begin(words, options, by)
  local why, ends, wrong = table.concat(words, " "), nil, nil
  if options["until"] then ends, wrong = end_of(options["until"]) end
  if wrong then return fail(EXIT_USAGE, "%s", wrong) end
  local said, problem = freeze.say("freeze", { by = by, why = why:sub(1, WHY_MAX), ends = ends }, options.shared)
  if not said then return fail(EXIT_WRONG, "nothing is frozen: %s", problem) end
  put("writes are frozen (%s)", screen.inert(freeze.text(freeze.now()), WHY_MAX))
  return EXIT_DONE
end

local function lift(by, options)
  if not freeze.now() then
    put "writes are free already"
    return EXIT_DONE
  end
  local said, problem = freeze.say("thaw", { by = by, why = "" }, options.shared)
  if not said then return fail(EXIT_WRONG, "%s", problem) end
  local left = freeze.now()
  if left then return fail(EXIT_WRONG, "still frozen: %s", freeze.text(left)) end
  put "writes are free"
  return EXIT_DONE
end

return function(arguments, options, host, command)
  run.options = {}
  open_config(host)
  local by = origin.user(host.getenv, host.uid)
  if command == "thaw" then return lift(by, options) end
  if #arguments == 0 then return tell_history() end
  return begin(arguments, options, by)
end
