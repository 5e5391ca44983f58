-- runbook mutate FILE: the runbook broken in many ways, one at a time; which does nobody notice?
local carry_out = require "commands.run"
local ending = require "ending"
local files = require "raw.files"
local json = require "raw.json"
local mutants = require "mutants"
local mutation = require "mutation"
local scenario_file = require "scenario_file"
local screen = require "screen"
local script = require "script"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_ENOUGH, EXIT_TOO_FEW, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
local MAX = 100 -- mutants, unless --max says otherwise
local MAX_ALLOWED = 100000
local SIZE_MAX = 1 << 20 -- of a runbook, as for check
local WIDTH = 1000

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

local function whole_number(options, key, default, least, most)
  local given = options[key]
  local number = given == nil and default or math.tointeger(tonumber(given))
  if not number or number < least or number > most then
    usage("--%s %s: a whole number from %d to %d expected", key, given, least, most)
  end
  return number
end

local function min_score(options)
  local least = options.min_score and tonumber(options.min_score)
  if options.min_score and not (least and least >= 0 and least <= 100) then
    usage("--min-score %s: a percentage from 0 to 100 expected", options.min_score)
  end
  return least
end

local function read_text(path)
  script.expect_file(path)
  local read, err = files.read { path = path, max = SIZE_MAX }
  if not read then usage("%s", err.message) end
  if read.cut then usage("%s: it is longer than %d bytes", path, SIZE_MAX) end
  return read.text
end

local function scenarios_of(path)
  if files.stat(path).state ~= "file" then return {} end
  local loaded, why = scenario_file.load(path)
  if not loaded then usage("%s", why) end
  return scenario_file.all(loaded)
end

--------------------------------------------------------------------- Result --

-- { mutants =, possible =, noticed = by tool, survivors = list, excused =, score = percent of those not excused }
local function sum_up(list, possible)
  local sum = { mutants = #list, possible = possible, noticed = { check = 0, test = 0, explore = 0 }, survivors = {}, excused = 0 }
  for _, it in ipairs(list) do
    if it.noticed_by then sum.noticed[it.noticed_by] = sum.noticed[it.noticed_by] + 1
    elseif it.excused then sum.excused = sum.excused + 1
    else table.insert(sum.survivors, it) end
  end
  local counted = #list - sum.excused
  sum.score = counted == 0 and 100 or (counted - #sum.survivors) * 100 / counted
  return sum
end

local tell = {}

local function line(text, ...) tty.write(1, screen.inert(text:format(...), WIDTH) .. "\n") end

function tell.text(it, sum)
  local possible = sum.possible > sum.mutants and (" of %d (--seed %d)"):format(sum.possible, it.seed) or ""
  line("%s: %d mutants%s, %d scenarios", it.runbook, sum.mutants, possible, it.count)
  line("noticed by check %d, by test %d, by explore %d; by nobody %d%s", sum.noticed.check, sum.noticed.test,
    sum.noticed.explore, #sum.survivors, sum.excused > 0 and (", excused %d"):format(sum.excused) or "")
  for _, mutant in ipairs(sum.survivors) do
    local was, is = mutants.lines(it.text, mutant)
    tty.write(1, "\n")
    line("%s:%d: %s", it.runbook, mutant.line, mutant.what)
    line("  - %s", was:match "^%s*(.-)%s*$")
    line("  + %s", is:match "^%s*(.-)%s*$")
    line("  would notice: %s", mutant.scenario)
  end
  tty.write(1, "\n")
  line("score %.1f %%", sum.score)
end

function tell.json(it, sum)
  local survivors = {}
  for i, mutant in ipairs(sum.survivors) do
    local was, is = mutants.lines(it.text, mutant)
    survivors[i] = { file = it.runbook, line = mutant.line, column = mutant.column, what = mutant.what, was = was, is = is,
                     scenario = mutant.scenario }
  end
  tty.write(1, json.encode { file = it.runbook, seed = it.seed, mutants = sum.mutants, possible = sum.possible,
    noticed = sum.noticed, excused = sum.excused, score = sum.score, survivors = json.list(survivors) } .. "\n")
end

-------------------------------------------------------------------- Command --

local function mutate(path, options, host)
  local it = { runbook = path, seed = whole_number(options, "seed", 1, 0, 1 << 53), carry_out = carry_out, host = host,
               tests = path:gsub("%.lua$", "") .. ".test.lua", wall = tasks.wall() }
  local max, least = whole_number(options, "max", MAX, 1, MAX_ALLOWED), min_score(options)
  it.text = read_text(path)
  local all, why = mutants.of(it.text)
  if not all then usage("%s:%s", path, why) end
  it.scenarios = scenarios_of(it.tests)
  it.count = #it.scenarios
  local list = mutants.choose(all, it.seed, max)
  if not mutation.judge(it, list, function(mutant) return mutants.text(it.text, mutant) end) then return EXIT_INTERRUPTED end
  local sum = sum_up(list, #all)
  tell[options.format or "text"](it, sum)
  return least and sum.score < least and EXIT_TOO_FEW or EXIT_ENOUGH
end

return function(arguments, options, host)
  local ok, code = pcall(mutate, arguments[1], options, host)
  if ok then return code end
  if tasks.is_interrupt(code) == "cancel" then return EXIT_INTERRUPTED end
  if type(code) ~= "table" then error(code, 0) end
  local it = ending.of_error(code)
  screen.complain(it.text)
  return it.outcome == "refused" and 6 or EXIT_USAGE
end
