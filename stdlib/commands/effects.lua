-- runbook effects [NAME]: the catalogue as Markdown; spec/effects.md is this text.
local catalogue = require "catalogue"
local tty = require "raw.tty"
local values = require "values"

local intros = {
  read = "read", declared = "declared read", notify = "notify", write = "write", destructive = "write, destructive",
}

local function class_of(entry)
  if type(entry.class) == "string" then return intros[entry.class] end
  return entry.class_help or "decided from its arguments"
end

local function usage(entry)
  local words = {}
  for i, param in ipairs(entry.params) do words[i] = param.optional and "[" .. param[1] .. "]" or param[1] end
  if entry.rest then words[#words + 1] = "…" end
  words[#words + 1] = next(entry.options) and "[options]" or nil
  return ("%s(%s)"):format(entry.name, table.concat(words, ", "))
end

local function option_line(name, option)
  local parts = { ("  - `%s` (%s"):format(name, option[1]) }
  if option[2] ~= nil then parts[#parts + 1] = (", default `%s`"):format(tostring(option[2])) end
  if option.required then parts[#parts + 1] = ", required" end
  return table.concat(parts) .. "): " .. option[3]
end

local function describe(entry)
  local lines = { "### " .. entry.name, "", ("`%s` · %s"):format(usage(entry), class_of(entry)), "", entry.summary .. ".", "" }
  local function add(text) lines[#lines + 1] = text end
  for _, param in ipairs(entry.params) do add(("- `%s` (%s): %s"):format(param[1], param[2], param[3])) end
  if next(entry.options) then add "- options:" end
  for _, name in ipairs(values.keys(entry.options)) do add(option_line(name, entry.options[name])) end
  add "- result: `ok`, `why`, and"
  for _, name in ipairs(values.keys(entry.result)) do add(("  - `%s` %s"):format(name, entry.result[name])) end
  add ""
  return table.concat(lines, "\n")
end

local function all()
  local lines = { "# Effects", "", "Generated from the catalogue by `runbook effects`. Every effect passes the gate; the class says what"
    .. " that means:", "reads happen in live and dry runs alike, writes only in an approved remedy.", "" }
  for _, family in ipairs(catalogue.families) do
    lines[#lines + 1] = "## " .. family
    lines[#lines + 1] = ""
    local names = {}
    for _, entry in pairs(catalogue.family(family)) do names[#names + 1] = entry.name end
    table.sort(names)
    for _, name in ipairs(names) do lines[#lines + 1] = describe(catalogue.effects[name]) end
  end
  return table.concat(lines, "\n")
end

return function(arguments)
  local name = arguments[1]
  if not name then
    tty.write(1, all() .. "\n")
    return 0
  end
  local family = name:match "^%l+"
  for _, known in ipairs(catalogue.families) do if known == family then catalogue.family(family) end end
  if not catalogue.effects[name] then
    tty.write(2, ("runbook: there is no effect %s%s\n"):format(name, require("blame").hint(name, values.keys(catalogue.effects))))
    return 2
  end
  tty.write(1, describe(catalogue.effects[name]) .. "\n")
  return 0
end
