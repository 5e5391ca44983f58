-- What a runbook's own scenarios say of the world: replies to its looks, beside the catalogue's healthy ones. A value that decides
-- something and that no specimen has, like a deployment scaled to nothing, is reached through them.
local files = require "raw.files"
local patterns = require "patterns"
local values = require "values"

local worlds = {}

local entries = {} -- of all scenarios: { pattern =, value = }

local function is_list(value) return type(value) == "table" and value[1] ~= nil end

local function add(map)
  for _, entry in ipairs(patterns.list(map or {})) do
    for _, value in ipairs(is_list(entry.value) and entry.value or { entry.value }) do
      if type(value) == "table" then entries[#entries + 1] = { pattern = entry.pattern, value = value } end
    end
  end
end

-- Reads the scenarios of the runbook's test file, where there is one; nil and why it can't be read.
function worlds.read(runbook)
  local path = runbook:gsub("%.lua$", "") .. ".test.lua"
  if files.stat(path).state ~= "file" then return true end
  local loaded, why = require("scenario_file").load(path)
  if not loaded then return nil, why end
  add(loaded.world)
  for _, name in ipairs(loaded.names) do
    local scenario = loaded.scenarios[name]
    add(scenario.given)
    for _, changes in pairs(scenario.after or {}) do add(changes) end
  end
  return true
end

local names = { string = function(value) return ("%q"):format(value):gsub("\\\n", "\\n") end }

-- A reply as it would be written in a scenario.
function worlds.literal(value)
  if type(value) ~= "table" then return (names[type(value)] or tostring)(value) end
  local parts = {}
  for i = 1, #value do parts[i] = worlds.literal(value[i]) end
  for _, key in ipairs(values.keys(value)) do
    if value[key] ~= nil then
      local name = key:find "^[%a_][%w_]*$" and key or ("[%q]"):format(key)
      parts[#parts + 1] = name .. " = " .. worlds.literal(value[key])
    end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local known = {} -- line → replies

-- The replies that scenarios have for an effect's line, each once: a list of { name = as it is written, value = }.
function worlds.replies(line)
  if known[line] then return known[line] end
  local list, seen = {}, {}
  for _, entry in ipairs(entries) do
    local name = patterns.matches(entry.pattern, line) and worlds.literal(entry.value)
    if name and not seen[name] then seen[name], list[#list + 1] = true, { name = name, value = entry.value } end
  end
  known[line] = list
  return list
end

return worlds
