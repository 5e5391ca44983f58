-- Changes of this machine that the script's text names while nobody allowed them: told in the first lines of a run, so that
-- nobody hears of it first at a remedy at 03:00. Only what stands there in plain words is seen; the gate misses nothing.
local catalogue = require "catalogue"
local journal = require "journal"
local json = require "raw.json"
local machine = require "effects.machine"
local run = require "run"
local script = require "script"
local tokens = require "tokens"

local here = {}
local is = tokens.is

-- Words of a call that are shown.
local WORDS_MAX = 3

local families = { "exec", "files", "service" }
local opens, closes = { ["("] = true, ["{"] = true, ["["] = true }, { [")"] = true, ["}"] = true, ["]"] = true }

-- The entry that a call at `k` names, and where its arguments begin.
local function entry_at(list, k)
  if list[k].kind ~= "name" or is(list[k - 1], ".") or is(list[k - 1], ":") then return nil end
  local family, verb = list[k].text, is(list[k + 1], ".") and list[k + 2] and list[k + 2].text or nil
  local after = list[verb and k + 3 or k + 1]
  if not after or not (after.kind == "text" or is(after, "(") or is(after, "{")) then return nil end
  return catalogue.effects[verb and family .. "." .. verb or family], verb and k + 3 or k + 1
end

-- The tokens of a call's arguments.
local function arguments_at(list, first)
  local depth, arguments = 0, {}
  for k = first, #list do
    local sign = list[k].kind == "sign" and list[k].text
    arguments[#arguments + 1] = list[k]
    depth = depth + (opens[sign] and 1 or closes[sign] and -1 or 0)
    if depth == 0 then return arguments end
  end
  return arguments
end

-- The texts that they begin with: `{ "touch", "/x", name }` → { "touch", "/x" }.
local function literals(arguments)
  local words = {}
  for _, token in ipairs(arguments) do
    if token.kind == "text" then words[#words + 1] = token.text
    elseif token.kind ~= "sign" or #words > 0 and token.text ~= "," then return words end
  end
  return words
end

-- The first token of an option's value.
local function option(arguments, name)
  for k, token in ipairs(arguments) do
    if is(token, name) and is(arguments[k + 1], "=") then return arguments[k + 2], arguments[k + 4] end
  end
end

-- Whether it is on this machine: false for another one, and for what only the run knows.
local function is_here(arguments)
  local on, field = option(arguments, "on")
  if not on then return true end
  if on.kind == "text" then return machine.is_here(on.text) end
  local param = field and field.kind == "name" and run.params[field.text]
  return type(param) == "string" and machine.is_here(param)
end

-- What a program does only its words can tell; the other effects say it by their names.
local function is_change(entry, words, arguments)
  local class = entry.class
  if type(class) == "function" then
    local ok, found = pcall(class, { argv = words, reads = is(option(arguments, "reads"), "true") })
    class = #words > 0 and ok and found
  end
  return class == "write" or class == "destructive"
end

-- " touch /x", " postgresql", " /var/log": as far as it stands there in plain words.
local function shown(entry, words, arguments)
  local under = option(arguments, "under")
  if #words == 0 then return under and under.kind == "text" and " " .. under.text or "" end
  return " " .. table.concat(words, " ", 1, entry.name == "exec" and math.min(#words, WORDS_MAX) or 1)
end

-- "service.stop postgresql (api-down.lua:161)" when the call at `k` changes this machine.
local function told_at(source, list, k)
  local entry, first = entry_at(list, k)
  if not entry or not entry.permission then return nil end
  local arguments = arguments_at(list, first)
  local words = literals(arguments)
  if not is_here(arguments) or not is_change(entry, words, arguments) then return nil end
  return ("%s%s (%s:%d)"):format(entry.name, shown(entry, words, arguments), source.path, list[k].line)
end

-- Whether a text names a family at all; those that it names are loaded.
local function load_families(text)
  local found = false
  for _, family in ipairs(families) do
    if text:find("%f[%w_]" .. family .. "%f[^%w_]") then
      catalogue.family(family)
      found = true
    end
  end
  return found
end

-- Tells them: the journal and the screen.
function here.tell()
  local told = json.list {}
  for _, source in ipairs(script.sources) do
    local list = load_families(source.text) and tokens.of(source.text) or {}
    for k in ipairs(list) do told[#told + 1] = told_at(source, list, k) end
  end
  if #told > 0 then journal.event("permission.missing", { machine = machine.own_name(), changes = told }) end
end

return here
