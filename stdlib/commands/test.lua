-- runbook test [PATH…]: every scenario of the files found, each in a process of its own; what differs, what no scenario tried.
local carry_out = require "commands.run"
local coverage = require "coverage"
local ending = require "ending"
local files = require "raw.files"
local last_failed = require "last_failed"
local patterns = require "patterns"
local scenario_file = require "scenario_file"
local screen = require "screen"
local tasks = require "tasks"
local trials = require "trials"
local verdict = require "scenario_verdict"

-- Test files found below a folder, at most.
local FILES_MAX = 10000
local WATCH_SECONDS = 0.5 -- between two looks at the files
local FILE_CLOCK_SECONDS = 0.01 -- the clock of files lags behind by this much at most
local EXIT_HELD, EXIT_DIFFERS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

----------------------------------------------------------------- The files --

local function is_test(path) return path:find "%.test%.lua$" ~= nil end

-- "x.lua" or "x.test.lua" → "x.test.lua", "x.lua"
local function pair_of(path)
  local stem = path:gsub("%.test%.lua$", ""):gsub("%.lua$", "")
  return stem .. ".test.lua", stem .. ".lua"
end

local function below(folder, list)
  local walked, err = files.walk { under = folder, name = "*.test.lua", max = FILES_MAX }
  if not walked then usage("%s: %s", folder, err.message) end
  local hidden = walked.errors
  if hidden.count > 0 then usage("%s: not all of it can be looked into: %s", folder, hidden.first) end
  if walked.cut then usage("%s: more than %d test files: name some of its folders", folder, FILES_MAX) end
  for _, file in ipairs(walked.files) do list[#list + 1] = folder == "." and file.path:gsub("^%./", "") or file.path end
end

-- The test files that the arguments name: files, runbooks, folders; none: the folder we are in.
local function find(arguments)
  local list, seen, found = {}, {}, {}
  for _, path in ipairs(#arguments > 0 and arguments or { "." }) do
    local stat, err = files.stat(path)
    if not stat then usage("%s: %s", path, err.message) end
    if stat.state == "absent" then usage("%s: there is no such file or folder", path) end
    if stat.state == "directory" then below(path, list) else list[#list + 1] = (pair_of(path)) end
  end
  for _, path in ipairs(list) do
    if not seen[path] then found[#found + 1] = path end
    seen[path] = true
  end
  if #found == 0 then usage("no test file below %s: NAME.test.lua beside NAME.lua expected", table.concat(arguments, ", ")) end
  return found
end

-- A file's scenarios as jobs, with what is common to them: { path =, runbook =, jobs =, coverage = }, or its `why`.
local function load(path)
  local _, runbook = pair_of(path)
  local suite = { path = path, runbook = runbook, jobs = {}, coverage = coverage.new(), asked = {}, idle = {} }
  local wall = tasks.wall()
  local loaded, why = scenario_file.load(path)
  if not loaded then
    suite.why = why
  elseif #loaded.names == 0 then
    suite.why = path .. ": there is no scenario in it"
  elseif files.stat(runbook).state ~= "file" then
    suite.why = ("%s: its runbook %s is missing"):format(path, runbook)
  end
  if suite.why then return suite end
  for i, scenario in ipairs(scenario_file.all(loaded)) do
    suite.jobs[i] = { suite = suite, runbook = runbook, scenario = scenario, name = scenario.name, wall = wall }
  end
  suite.all = #suite.jobs
  return suite
end

--------------------------------------------------------------- What is left --

local function choose(suite, options, failed)
  local kept = {}
  for _, job in ipairs(suite.jobs) do
    local wanted = not options.filter or patterns.holds(options.filter, job.name)
    if wanted and (not failed or failed(job)) then kept[#kept + 1] = job end
  end
  suite.jobs = kept
end

local function chosen(suites, options)
  local failed, jobs = options.failed and last_failed.known(), {}
  for _, suite in ipairs(suites) do
    choose(suite, options, failed)
    table.move(suite.jobs, 1, #suite.jobs, #jobs + 1, jobs)
  end
  if options.filter and #jobs == 0 then usage("--filter %s: no scenario %sis called so", options.filter,
    failed and "that failed last " or "") end
  return jobs
end

-- What each scenario says of its file.
local function gather(job)
  local record, suite = job.record, job.suite
  if record.seen then coverage.add(suite.coverage, record.seen) end
  for _, pattern in ipairs(record.idle) do suite.idle[pattern] = (suite.idle[pattern] or 0) + 1 end
  for _, line in ipairs(record.asked) do
    if not suite.asked[line] then table.insert(suite.asked, line) end
    suite.asked[line] = true
  end
end

-- Patterns of the file's world that none of its scenarios used; told only where all were carried out to their end.
local function idle_of(suite)
  local list = {}
  for _, job in ipairs(suite.jobs) do if job.record.broken then return list end end
  for pattern, count in pairs(suite.idle) do
    if count == suite.all then list[#list + 1] = verdict.idle_text(pattern, suite.asked) end
  end
  table.sort(list)
  return list
end

local function finish(suite)
  suite.failed = 0
  for _, job in ipairs(suite.jobs) do
    if not job.record.held then suite.failed = suite.failed + 1 end
  end
  suite.whole = #suite.jobs == suite.all and suite.all > 0
  suite.unused = suite.whole and idle_of(suite) or {}
  suite.sum = suite.whole and coverage.sum(suite.coverage) or nil
end

----------------------------------------------------------------------- Once --

local function totals(suites)
  local sum = { scenarios = 0, failed = 0, files = #suites, broken = 0, tried = 0, all = 0 }
  for _, suite in ipairs(suites) do
    sum.scenarios, sum.failed = sum.scenarios + #suite.jobs, sum.failed + suite.failed
    if suite.why or #suite.unused > 0 then sum.broken = sum.broken + 1 end
    if suite.sum then sum.tried, sum.all = sum.tried + suite.sum.tried, sum.all + suite.sum.all end
  end
  sum.percent = sum.all == 0 and 100 or sum.tried * 100 // sum.all
  return sum
end

local function exit_of(suites, sum, least)
  for _, suite in ipairs(suites) do if suite.why then return EXIT_USAGE end end
  if sum.failed > 0 or sum.broken > 0 or least and sum.percent < least then return EXIT_DIFFERS end
  return EXIT_HELD
end

-- Tests all that the arguments name; the exit code, and the suites.
local function once(arguments, options, host)
  local view, suites, began = trials.view(options.format), {}, tasks.now()
  for i, path in ipairs(find(arguments)) do suites[i] = load(path) end
  local jobs = chosen(suites, options)
  if view.open then view.open(suites, options) end
  local whole = trials.carry_out(jobs, carry_out, host, function(job)
    gather(job)
    if view.trial then view.trial(job) end
  end)
  if not whole then return EXIT_INTERRUPTED, suites end
  for _, suite in ipairs(suites) do finish(suite) end
  last_failed.keep(jobs)
  local sum = totals(suites)
  sum.seconds, sum.least = tasks.now() - began, options.min_coverage
  view.close(suites, sum)
  return exit_of(suites, sum, options.min_coverage), suites
end

---------------------------------------------------------------------- Watch --

-- What was changed while the scenarios ran was perhaps not read: it counts as changed after them.
local function state_of(path, since)
  local stat = files.stat(path)
  if not stat then return "?" end
  return ("%s %s %s"):format(stat.state, stat.bytes, since and stat.modified >= since and "?" or stat.modified)
end

local function watched(suites, since)
  local states = {}
  for _, suite in ipairs(suites) do
    states[suite.path], states[suite.runbook] = state_of(suite.path, since), state_of(suite.runbook, since)
    for _, job in ipairs(suite.jobs) do
      for _, path in ipairs(job.record and job.record.sources or {}) do states[path] = state_of(path, since) end
    end
  end
  return states
end

local function wait_for_change(states)
  while true do
    for path, state in pairs(states) do if state_of(path) ~= state then return path end end
    tasks.sleep(WATCH_SECONDS)
  end
end

local function watch(arguments, options, host)
  while true do
    local began = tasks.wall() - FILE_CLOCK_SECONDS
    local code, suites = once(arguments, options, host)
    if code == EXIT_INTERRUPTED then return code end
    screen.say(("changed: %s"):format(wait_for_change(watched(suites, began))))
  end
end

-------------------------------------------------------------------- Command --

local function read_options(options)
  local least = options.min_coverage
  options.min_coverage = least and tonumber(least)
  if least and not (options.min_coverage and options.min_coverage >= 0 and options.min_coverage <= 100) then
    usage("--min-coverage %s: a percentage from 0 to 100 expected", least)
  end
  if options.watch and options.format and options.format ~= "text" then usage("--watch goes with --format text alone") end
end

return function(arguments, options, host)
  local ok, code = pcall(function()
    read_options(options)
    return (options.watch and watch or once)(arguments, options, host)
  end)
  if ok then return code end
  if tasks.is_interrupt(code) == "cancel" then return EXIT_INTERRUPTED end
  if type(code) ~= "table" then error(code, 0) end
  local it = ending.of_error(code)
  screen.complain(it.text)
  return it.outcome == "refused" and 6 or EXIT_USAGE
end
