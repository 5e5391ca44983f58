-- runbook list [ALERT]: the runbooks below this folder, or the one for an alert.
local blame = require "blame"
local json = require "raw.json"
local screen = require "screen"
local shelf = require "shelf"
local tty = require "raw.tty"

local EXIT_FOUND, EXIT_NONE, EXIT_USAGE = 0, 1, 2
local ROW = "%-24s  %-32s  %-8s  %s"

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

local function inert(text, max) return screen.inert(text or "", max) end

-- Alerts are named as Prometheus has them; who types one at night may leave out the capitals.
local function is_for(it, alert) return (it.alert or ""):lower() == alert:lower() end

local function hint(list, alert)
  local names = {}
  for _, it in ipairs(list) do names[#names + 1] = it.alert end
  return #names > 0 and blame.hint(alert, names) or ""
end

local function tell(it)
  local says = it.why and "can't be read: " .. it.why or it.title or "its title is not written out"
  put(ROW, inert(it.alert or "-"), inert(it.file), inert(it.severity or "-"), inert(says))
end

local formats = {}

function formats.text(list)
  for _, it in ipairs(list) do tell(it) end
end

function formats.json(list)
  for i, it in ipairs(list) do list[i] = { file = it.file, title = it.title, alert = it.alert, severity = it.severity,
                                           impact = it.impact, why = it.why } end
  put("%s", json.encode(json.list(list)))
end

return function(arguments, options)
  local list, why = shelf.below "."
  if not list then
    screen.complain("list: " .. why)
    return EXIT_USAGE
  end
  local alert, found = arguments[1], {}
  for _, it in ipairs(list) do if not alert or is_for(it, alert) then found[#found + 1] = it end end
  table.sort(found, function(a, b)
    if (a.alert or "~") ~= (b.alert or "~") then return (a.alert or "~") < (b.alert or "~") end
    return a.file < b.file
  end)
  formats[options.format or "text"](found)
  if #found > 0 then return EXIT_FOUND end
  screen.complain(alert and ("no runbook below this folder is for the alert %s%s"):format(screen.inert(alert), hint(list, alert))
    or "no runbook is below this folder")
  return EXIT_NONE
end
