-- runbook coverage: which alerts have no runbook, which runbooks no alert, and whether the rules' runbook_url lead there.
local alert_rules = require "alert_rules"
local blame = require "blame"
local json = require "raw.json"
local screen = require "screen"
local shelf = require "shelf"
local tty = require "raw.tty"
local values = require "values"

local EXIT_COVERED, EXIT_GAPS, EXIT_USAGE = 0, 1, 2
local ROW = "%-10s  %-32s  %s"

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

-- A page's or a file's name without its folder, end and what stands behind it: what an address and a runbook have in common.
local function stem(address)
  local name = address:gsub("[?#].*$", ""):gsub("/+$", ""):match "[^/]+$" or ""
  return (name:gsub("%.%w+$", ""):lower():gsub("[_ ]", "-"))
end

-- Alerts by name, with the places of their rules: one alert may have several, one for each severity.
local function by_alert(rules)
  local names, found = {}, {}
  for _, rule in ipairs(rules) do
    if not found[rule.alert] then
      found[rule.alert] = {}
      names[#names + 1] = rule.alert
    end
    table.insert(found[rule.alert], rule)
  end
  table.sort(names)
  return names, found
end

local function runbooks_by(list)
  local alerts, stems = {}, {}
  for _, it in ipairs(list) do
    if it.alert then
      alerts[it.alert] = alerts[it.alert] or {}
      table.insert(alerts[it.alert], it)
    end
    stems[stem(it.file)] = it
  end
  return alerts, stems
end

-- What is wrong with where a rule sends people, or nil; `own`: the runbooks for its alert.
local function url_problem(rule, own, stems)
  local url = rule.annotations.runbook_url
  if not url then return own and ("its rule names no runbook_url: %s is for it"):format(own[1].file) or nil end
  local meant = stems[stem(url)]
  if not meant then
    return ("its runbook_url %s is none of these runbooks%s"):format(url, own and ("; %s is for it"):format(own[1].file) or "")
  end
  if meant.alert == rule.alert then return nil end
  local other = meant.alert and "the alert " .. meant.alert or "no alert"
  return ("its runbook_url leads to %s, which is for %s"):format(meant.file, other)
end

local function gaps_of(rules, list)
  local names, found = by_alert(rules)
  local alerts, stems = runbooks_by(list)
  local gaps = { alerts = #names, covered = 0, runbooks = #list, list = {} }
  local function add(kind, name, at, text) table.insert(gaps.list, { kind = kind, name = name, at = at, text = text }) end
  for _, name in ipairs(names) do
    if alerts[name] then gaps.covered = gaps.covered + 1
    else add("no-runbook", name, found[name][1].at, "no runbook is for this alert") end
  end
  for _, name in ipairs(names) do
    for _, rule in ipairs(found[name]) do
      local problem = url_problem(rule, alerts[name], stems)
      if problem then add("url", name, rule.at, problem) end
    end
  end
  for _, it in ipairs(list) do
    if it.why then add("unreadable", it.file, it.file, it.why)
    elseif not it.alert then add("no-alert", it.title or it.file, it.file, "it says no alert")
    elseif not found[it.alert] then
      add("no-alert", it.alert, it.file, ("no rule has the alert %s%s"):format(it.alert, blame.hint(it.alert, values.copy(names))))
    end
  end
  return gaps
end

local formats = {}

function formats.text(gaps)
  for _, it in ipairs(gaps.list) do
    put(ROW, it.kind, screen.inert(it.name), screen.inert(("%s (%s)"):format(it.text, it.at), 500))
  end
  put("alerts %d · with a runbook %d · runbooks %d · gaps %d", gaps.alerts, gaps.covered, gaps.runbooks, #gaps.list)
end

function formats.json(gaps)
  put("%s", json.encode { alerts = gaps.alerts, covered = gaps.covered, runbooks = gaps.runbooks, gaps = json.list(gaps.list) })
end

local function rules_of(options)
  if options.rules and options.prometheus then return nil, "either --rules or --prometheus" end
  if options.rules then return alert_rules.of_files(options.rules) end
  if options.prometheus then return alert_rules.of_server(options.prometheus) end
  return nil, "which alerts? --rules FILE or --prometheus URL expected"
end

return function(arguments, options)
  local rules, why = rules_of(options)
  local list
  if rules then list, why = shelf.below(arguments[1] or ".") end
  if not list then
    screen.complain("coverage: " .. why)
    return EXIT_USAGE
  end
  local gaps = gaps_of(rules, list)
  formats[options.format or "text"](gaps)
  return #gaps.list > 0 and EXIT_GAPS or EXIT_COVERED
end
