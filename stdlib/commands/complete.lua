-- runbook _complete WORD…: what could follow on a command line whose last word is begun. The first line is "files" where a
-- file's name is one of the answers, else "words"; then one candidate a line, a tab and what it means.
local config = require "config"
local raw_run = require "raw.run"
local screen = require "screen"
local script = require "script"
local tasks = require "tasks"
local tty = require "raw.tty"
local run = require "run"

-- A run directory may hold years: the newest are offered.
local RUNS_MAX = 100

-- nil when it fails: who completes a word wants no error's text in the middle of the line.
local function try(fn, ...)
  local ok, value = pcall(fn, ...)
  if not ok then tasks.handled() end
  return ok and value or nil
end

-- What is already there: the command, its arguments, and the option whose value the last word is.
local function read(words, commands)
  local it = { begun = words[#words], arguments = {}, given = {} }
  for _, command in ipairs(commands) do if #words > 1 and command.name == words[1] then it.command = command end end
  if not it.command then return it end
  local by_name = {}
  for _, option in ipairs(it.command.options) do
    by_name["--" .. option.name] = option
    if option.letter then by_name["-" .. option.letter] = option end
  end
  for i = 2, #words - 1 do
    local option = by_name[words[i]:match "^[^=]+" or words[i]]
    if it.option then
      it.given[it.option.name], it.option = words[i], nil
    elseif option and words[i]:find "=" then
      it.given[option.name] = words[i]:match "=(.*)"
    elseif option then
      it.option = option.takes_value and option or nil
    elseif words[i] ~= "--" then
      it.arguments[#it.arguments + 1] = words[i]
    end
  end
  local name, begun = it.begun:match "^(%-%-[%w-]+)=(.*)$"
  if name and by_name[name] then it.option, it.begun, it.before = by_name[name], begun, name .. "=" end
  return it
end

local offers = {} -- by what is completed; each returns a list of { word, help }, and true where a file may stand there

local function config_of(path, host)
  local folder = path and script.split(path) or "."
  if folder:sub(1, 1) ~= "/" then folder = (host.folder or "") .. "/" .. folder end
  return config.find(folder, host.getenv)
end

function offers.env(it, host)
  local list = {}
  for name, environment in require("exact").pairs((try(config_of, it.arguments[1], host) or {}).environments or {}) do
    list[#list + 1] = { name, environment.default and "the default" or "environment of the config" }
  end
  return list
end

-- What `params{…}` declares: the script is run as far as that word, and no further.
local function specs_of(path)
  local specs
  local words = script.words()
  words.params = function(given)
    specs = given
    tasks.raise_end { outcome = "declared" }
  end
  run.file, run.declaring = path, true
  try(script.load(path, words))
  tasks.ended = nil
  return specs
end

function offers.param(it)
  local list = {}
  for name, spec in pairs(it.arguments[1] and try(specs_of, it.arguments[1]) or {}) do
    if type(spec) == "table" and not spec.secret then
      list[#list + 1] = { tostring(name) .. "=", type(spec[2]) == "string" and spec[2] or "" }
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- FILE, or FILE:NAME once the file is there.
function offers.scenario(it)
  local path = it.begun:match "^(.-%.lua):?"
  local loaded = path and try(require("scenario_file").load, path)
  local list = {}
  for i, name in ipairs(loaded and loaded.names or {}) do list[i] = { path .. ":" .. name, "scenario" } end
  return list, true
end

function offers.params() return {}, true end
for _, name in ipairs { "answers", "rules", "alert", "baseline" } do offers[name] = offers.params end

function offers.RUN()
  local runs, list = raw_run.list(), { { "last", "the last live run" } }
  for i = #runs, math.max(1, #runs - RUNS_MAX + 1), -1 do
    if not runs[i].id:find "^dry%-" then list[#list + 1] = { runs[i].id, "run" } end
  end
  return list
end

function offers.FILE() return {}, true end

function offers.ALERT()
  local list = {}
  for _, it in ipairs(require("shelf").below "." or {}) do
    if it.alert then list[#list + 1] = { it.alert, it.title or "" } end
  end
  return list
end

offers.DIR, offers.PATH = offers.FILE, offers.FILE

function offers.NAME()
  local catalogue, list = require "catalogue", {}
  for _, family in ipairs(catalogue.families) do
    list[#list + 1] = { family, "a family of effects" }
    for _, entry in pairs(catalogue.family(family)) do
      if entry.verb then list[#list + 1] = { entry.name, entry.summary } end
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

function offers.SHELL() return { { "bash", "" }, { "zsh", "" }, { "fish", "" } } end

local function options_of(it)
  local list = {}
  for i, option in ipairs(it.command.options) do list[i] = { "--" .. option.name, option.help } end
  list[#list + 1] = { "--help", "how it is used" }
  return list
end

local function candidates(it, host)
  local list = {}
  if not it.command then
    for i, command in ipairs(host.commands()) do list[i] = { command.name, command.help } end
    list[#list + 1] = { "--help", "all commands" }
    list[#list + 1] = { "--version", "which version it is" }
    return list
  end
  if it.option then
    for i, value in ipairs(it.option.values or {}) do list[i] = { value, it.option.help } end
    if it.option.values then return list end
    local offer = offers[it.option.name]
    if offer then return offer(it, host) end
    return list
  end
  if it.begun:find "^%-" then return options_of(it) end
  local offer = #it.arguments == 0 and offers[it.command.arguments:match "%u+" or ""]
  if offer then return offer(it, host) end
  return options_of(it)
end

return function(words, _, host)
  local it = read(words, host.commands())
  local list, file = candidates(it, host)
  local lines = { file and "files" or "words" }
  for _, candidate in ipairs(list) do
    local word = candidate[1]
    if word:sub(1, #it.begun) == it.begun and not word:find "%c" then
      lines[#lines + 1] = ("%s%s\t%s"):format(it.before or "", word, screen.inert(candidate[2]))
    end
  end
  tty.write(1, table.concat(lines, "\n") .. "\n")
  return 0
end
