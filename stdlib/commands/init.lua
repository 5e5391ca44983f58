-- runbook init DIR: a repository of runbooks to begin with. runbook init --alert RULES NAME: a runbook for an alert of these rules.
local alert_rules = require "alert_rules"
local blame = require "blame"
local files = require "raw.files"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_MADE, EXIT_USAGE = 0, 2

local function complain(text, ...)
  screen.complain("init: " .. text:format(...))
  return EXIT_USAGE
end

local function put(text, ...) tty.write(1, screen.inert(text:format(...), 1000) .. "\n") end

-- What is there already stays: the first of the files that is, or nil.
local function first_existing(list)
  for _, file in ipairs(list) do
    local stat, err = files.stat(file.path)
    if not stat then return nil, err.message end
    if stat.state ~= "absent" then return file.path end
  end
end

-- Writes files, { path =, text = } each: all of them, or none where one is there already. The exit code.
local function write(list)
  local there, why = first_existing(list)
  if why then return complain("%s", why) end
  if there then return complain("%s is there already: nothing is written over, and nothing was written", there) end
  for _, file in ipairs(list) do
    local wrote, err = files.write { path = file.path, text = file.text, folders = true }
    if not wrote then return complain("%s", err.message) end
    put("%s", file.path)
  end
  return EXIT_MADE
end

local function in_folder(folder, list)
  for _, file in ipairs(list) do file.path = folder .. "/" .. file.path end
  return list
end

local function make_repository(folder)
  folder = folder == "/" and folder or folder:gsub("/+$", "")
  local code = write(in_folder(folder, require("commands.init_repository").files()))
  if code == EXIT_MADE then put("next: cd %s && runbook test runbooks, and then README.md", folder) end
  return code
end

-- The first rule of an alert; nil and why there is none.
local function rule_of(path, alert)
  local rules, why = alert_rules.of_files { path }
  if not rules then return nil, why end
  local names = {}
  for _, rule in ipairs(rules) do
    if rule.alert == alert then return rule end
    names[#names + 1] = rule.alert
  end
  return nil, ("%s has no alert %s%s"):format(path, alert, #names > 0 and blame.hint(alert, names) or "")
end

local function make_runbook(path, alert)
  local rule, why = rule_of(path, alert)
  if not rule then return complain("%s", why) end
  local stat = files.stat "runbooks"
  local list = require("commands.init_alert").files(rule)
  if stat and stat.state == "directory" then in_folder("runbooks", list) end
  local code = write(list)
  if code == EXIT_MADE then put("next: runbook test %s", list[1].path) end
  return code
end

return function(arguments, options)
  local name = arguments[1]
  if ("/" .. name .. "/"):find("/../", 1, true) then return complain("%s: a path without .. expected", name) end
  if options.alert then return make_runbook(options.alert, name) end
  return make_repository(name)
end
