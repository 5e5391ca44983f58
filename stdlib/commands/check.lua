-- runbook check FILE…: what is wrong with runbooks, their modules and test files, told without running them.
local check = require "check"
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_CLEAN, EXIT_FOUND, EXIT_USAGE = 0, 1, 2
-- A baseline is this long at most, in bytes.
local BASELINE_MAX = 16 << 20

-- What names a finding while lines move: its rule, file, words and the line it stands in.
local function fingerprint(it)
  return raw_run.sha256(table.concat({ it.rule, it.file, it.text, (it.source:gsub("^%s+", "")) }, "\0"))
end

local function read_baseline(path)
  local read, err = files.read { path = path, max = BASELINE_MAX }
  if not read then return nil, err.message end
  local list, problem = json.decode(read.text)
  if type(list) ~= "table" then return nil, problem and problem.message or "a JSON object of findings expected" end
  return list
end

-- Without those that the baseline knows, as often as it does.
local function unknown_to(baseline, findings)
  local left, kept = {}, {}
  for key, count in pairs(baseline) do left[key] = math.tointeger(count) or 0 end
  for _, it in ipairs(findings) do
    local key = fingerprint(it)
    left[key] = (left[key] or 0) - 1
    if left[key] < 0 then kept[#kept + 1] = it end
  end
  return kept
end

local function write_baseline(path, findings)
  local counts = {}
  for _, it in ipairs(findings) do counts[fingerprint(it)] = (counts[fingerprint(it)] or 0) + 1 end
  return files.write { path = path, text = json.encode(counts) .. "\n" }
end

local function complain(text, ...)
  screen.complain(text:format(...))
  return EXIT_USAGE
end

-- What stands on its author's word, by program, for who reads a change of it.
local function tell_declared(list, format)
  if format == "json" then return tty.write(1, json.encode(json.list(list)) .. "\n") end
  for _, it in ipairs(list) do
    tty.write(1, screen.inert(("%-20s  %-14s  %s:%d:%d"):format(it.program, it.effect, it.file, it.line, it.column), 1000) .. "\n")
  end
end

return function(arguments, options)
  if options.declared then
    local format = options.format or "text"
    if format ~= "text" and format ~= "json" then return complain("--declared: --format text or json expected") end
    tell_declared(check.declared(arguments), format)
    return EXIT_CLEAN
  end
  local findings = check.files(arguments)
  if options.write_baseline then
    local wrote, err = write_baseline(options.write_baseline, findings)
    if not wrote then return complain("--write-baseline %s: %s", options.write_baseline, err.message) end
    screen.say(("%d findings are known from now on: --baseline %s"):format(#findings, options.write_baseline))
    return EXIT_CLEAN
  end
  if options.baseline then
    local baseline, why = read_baseline(options.baseline)
    if not baseline then return complain("--baseline %s: %s", options.baseline, why) end
    findings = unknown_to(baseline, findings)
  end
  for _, it in ipairs(findings) do it.fingerprint = fingerprint(it) end
  check.tell(findings, options.format or "text")
  return #findings > 0 and EXIT_FOUND or EXIT_CLEAN
end
