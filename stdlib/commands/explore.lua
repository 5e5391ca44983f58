-- runbook explore FILE: every way the runbook can go, and what is wrong with any of them.
local ending = require "ending"
local explore = require "explore"
local run = require "run"
local screen = require "screen"

local EXIT_CLEAN, EXIT_FOUND = 0, 1

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

-- The number of --faults; math.huge for all.
local function faults_of(text)
  if text == nil then return explore.FAULTS end
  if text == "all" then return math.huge end
  local number = math.tointeger(tonumber(text))
  if not number or number < 0 then usage("--faults %s: a whole number, 0 or more, or all expected", text) end
  return number
end

local function carry_out(options, host)
  local faults = faults_of(options.faults)
  explore.prepare(options, host)
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
