-- The catalogue and the words as a definition file of lua-language-server: what its editors complete, show and underline.
local catalogue = require "catalogue"
local helpers = require "helpers"
local values = require "values"
local vocabulary = require "vocabulary"

local luals = {}

local types = { string = "string", integer = "integer", number = "number", boolean = "boolean", duration = "string",
                size = "string|integer", strings = "string[]", map = "table", list = "any[]", any = "any", table = "table",
                ["function"] = "fun(...: any): any" }

local HEAD = [[
---@meta _
-- What a runbook may say, for lua-language-server. Written by `runbook effects --format luals`: not to be edited.

---@class runbook.secret

-- What every look and every change gives.
---@class runbook.result
---@field ok boolean it is well; raises when we could not look
---@field why? string why it is not well
---@field error? { kind: string, message: string } why we could not look
---@field dry? boolean it was told, not made
---@field cut? boolean there was more of it

-- What an escalation level sees.
---@class runbook.situation
---@field [string] any
---@field headline string
---@field severity string
---@field findings any]]

-- The helpers beside Lua's own libraries: what they take and give.
local signatures = {
  re = { find = "fun(text: string, pattern: string): boolean", match = "fun(text: string, pattern: string): table?",
         all = "fun(text: string, pattern: string): table[]", count = "fun(text: string, pattern: string): integer",
         gsub = "fun(text: string, pattern: string, replacement: string): string, integer",
         lines = "fun(text: string, pattern: string): string[]" },
  json = { decode = "fun(text: string): any, string?", encode = "fun(value: any): string" },
  text = { lines = "fun(text: string): string[]", tail = "fun(text: string, count: integer): string",
           table = "fun(text: string): table[]" },
  time = { now = "fun(): integer", parse = "fun(text: string): number?, string?", text = "fun(at: number|string): string",
           seconds = "fun(duration: string): number", ago = "fun(at: number|string): string",
           since = "fun(at: number|string): integer" },
}

-- What a test file says besides.
local OF_TESTS = [[
---@param name string
---@return fun(description: { given?: table, answers?: table, after?: table, params?: table, expect?: table })
function scenario(name) end

---@param given table
function world(given) end

---@param duration string
---@return number
function ago(duration) end]]

local function one_line(text) return (tostring(text):gsub("%s+", " ")) end

local function add(lines, text, ...) lines[#lines + 1] = select("#", ...) > 0 and text:format(...) or text end

local function quoted(list)
  local words = {}
  for i, value in ipairs(list) do words[i] = type(value) == "string" and ("%q"):format(value) or tostring(value) end
  return table.concat(words, "|")
end

local function type_of(kind, spec)
  local text = spec.one_of and quoted(spec.one_of) or types[kind] or "any"
  return spec.secret and text .. "|runbook.secret" or text
end

-- A name as a field, or in brackets where Lua would not take it for a name.
local function field_name(name) return name:find "^[%a_][%w_]*$" and name or ("[%q]"):format(name) end

local function add_options(lines, class, options)
  add(lines, "---@class %s", class)
  for _, name in ipairs(values.keys(options)) do
    local option = options[name]
    local default = option[3] and option[2] ~= nil and option[2] ~= "" and (" (default %s)"):format(tostring(option[2])) or ""
    local help = option[3] or option[2]
    add(lines, "---@field %s%s %s %s%s", field_name(name), option.required and "" or "?", type_of(option[1], option),
      one_line(help), default)
  end
  add(lines, "")
end

----------------------------------------------------------------------- Effects --

local function result_type(text)
  local kind, meaning = text:match "^(%l+): *(.*)$"
  return types[kind] or "any", one_line(meaning or text)
end

local function add_result(lines, entry)
  add(lines, "---@class runbook.%s.result: runbook.result", entry.name)
  for _, name in ipairs(values.keys(entry.result)) do
    add(lines, "---@field %s %s %s", field_name(name), result_type(entry.result[name]))
  end
  if entry.open_fields then add(lines, "---@field [string] any whatever the target itself sends") end
  add(lines, "")
end

-- Where an optional name is left out, the options follow at once.
local function add_overload(lines, entry, options)
  local before = {}
  for _, param in ipairs(entry.params) do
    if param.optional and param[2] == "string" then
      before[#before + 1] = "options?: " .. options
      return add(lines, "---@overload fun(%s): runbook.%s.result", table.concat(before, ", "), entry.name)
    end
    before[#before + 1] = ("%s: %s"):format(param[1], type_of(param[2], param))
  end
end

local function add_effect(lines, entry)
  local options = ("runbook.%s.options"):format(entry.name)
  add_options(lines, options, entry.options)
  add_result(lines, entry)
  add(lines, "---%s", one_line(entry.summary))
  local names = {}
  for i, param in ipairs(entry.params) do
    names[i] = param[1]
    add(lines, "---@param %s%s %s %s", param[1], param.optional and "?" or "", type_of(param[2], param), one_line(param[3]))
  end
  if entry.rest then
    add(lines, "---@param ... string|number|%s %s; the options stand last", options, one_line(entry.rest[2]))
  else
    add(lines, "---@param options? %s", options)
    add_overload(lines, entry, options)
  end
  names[#names + 1] = entry.rest and "..." or "options"
  add(lines, "---@return runbook.%s.result", entry.name)
  add(lines, "function %s(%s) end", entry.name, table.concat(names, ", "))
  add(lines, "")
end

local function add_family(lines, family)
  local entries = catalogue.family(family)
  if not entries[true] then add(lines, "%s = {}\n", family) end
  local list = {}
  for _, entry in pairs(entries) do list[#list + 1] = entry end
  table.sort(list, function(a, b) return a.name < b.name end)
  for _, entry in ipairs(list) do add_effect(lines, entry) end
end

------------------------------------------------------------------------- Words --

local special = { escalation = { fn = "fun(run: runbook.situation)" }, secret = { gives = "runbook.secret" } }

local function add_word(lines, name)
  local word, names = vocabulary.words[name], {}
  local options = word.options and ("runbook.%s.options"):format(name)
  if options then add_options(lines, options, word.options) end
  add(lines, "---%s", one_line(word.help))
  for i, take in ipairs(word.takes) do
    local own = (special[name] or {})[take[1]:gsub("%?$", "")]
    local is_options = options and take[2] == "table" and (take[1] == "options?" or take[1] == "about")
    names[i] = take[1]:gsub("%?$", "")
    add(lines, "---@param %s %s", take[1], own or is_options and options or types[take[2]])
  end
  local gives = (special[name] or {}).gives or word.gives
  if word.takes[2] and word.takes[2][1] == "options?" and word.takes[3] then -- a function in the place of the options
    add(lines, "---@overload fun(%s: string, fn: fun(...: any): any)%s", names[1], gives and ": " .. gives or "")
  end
  if gives then add(lines, "---@return %s", gives) end
  add(lines, "function %s(%s) end\n", name, table.concat(names, ", "))
end

local function add_helpers(lines)
  local members = { re = require "raw.re", json = helpers.json, text = helpers.text, time = helpers.time }
  for _, name in ipairs(values.keys(members)) do
    add(lines, "---@class runbook.%s", name)
    for _, key in ipairs(values.keys(members[name])) do
      add(lines, "---@field %s %s", key, signatures[name][key] or "any")
    end
    add(lines, "%s = {}\n", name)
  end
end

-- The whole file, without the end of its last line.
function luals.text()
  local lines = { HEAD, "" }
  for _, name in ipairs(values.keys(vocabulary.words)) do add_word(lines, name) end
  add_helpers(lines)
  for _, family in ipairs(catalogue.families) do add_family(lines, family) end
  add(lines, OF_TESTS)
  return table.concat(lines, "\n")
end

return luals
