-- runbook effects [NAME]: the catalogue as Markdown, of an effect, a family, or all: that is spec/effects.md. Or all of it as a
-- definition file for editors.
local blame = require "blame"
local catalogue = require "catalogue"
local introductions = require "commands.effects_introductions"
local screen = require "screen"
local tty = require "raw.tty"
local values = require "values"

local COLUMNS = 110 -- of the text
local USAGE = 2     -- exit code

local classes = { read = "read", declared = "declared read", notify = "notify", write = "write",
                  destructive = "destructive" }
local ranks = { read = 1, declared = 2, notify = 3, write = 5, destructive = 6 } -- decided by its arguments: 4

-- `text` in lines of COLUMNS at most; all but the first begin with `indent`.
local function wrapped(text, indent)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and utf8.len(line) + 1 + utf8.len(word) > COLUMNS then
      lines[#lines + 1], line = line, indent .. word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- A list's point: "- text", or deeper. `wrapped` takes blanks at the beginning away, so they are put back.
local function point(level, text)
  local indent = ("  "):rep(level)
  return indent .. wrapped(("- %s"):format(text), indent .. "  ")
end

local function sentence(text) return text:find "[.?!]$" and text or text .. "." end

------------------------------------------------------------------ One effect --

local function signature(entry)
  local words = {}
  for i, param in ipairs(entry.params) do words[i] = param.optional and "[" .. param[1] .. "]" or param[1] end
  if entry.rest then words[#words + 1] = entry.rest[1] .. " …" end
  words[#words + 1] = "[options]"
  return ("%s(%s)"):format(entry.name, table.concat(words, ", "))
end

-- What stands on the screen, in the journal, and in scenarios' patterns.
local function line(entry)
  local words = { entry.name }
  for _, param in ipairs(entry.params) do
    words[#words + 1] = param.optional and "[" .. param[1]:upper() .. "]" or param[1]:upper()
  end
  if entry.rest then words[#words + 1] = entry.rest[1]:upper() .. "…" end
  for _, name in ipairs(values.keys(entry.options)) do
    local option = entry.options[name]
    if option.what then words[#words + 1] = (option.required and "%s=…" or "[%s=…]"):format(name) end
  end
  if entry.place then words[#words + 1] = entry.options.on and "@MACHINE" or "[@HOST]" end
  return table.concat(words, " ")
end

local function class_of(entry) return classes[entry.class] or "class by its arguments" end

local function changes(entry) return (ranks[entry.class] or 4) >= 4 end

local function option_text(name, option)
  local parts = { option[1] }
  if option[2] and option[2] ~= "" then parts[#parts + 1] = ("default `%s`"):format(tostring(option[2])) end
  if option.required then parts[#parts + 1] = "required" end
  if option.one_of then parts[#parts + 1] = table.concat(option.one_of, " or ") end
  if option.secret then parts[#parts + 1] = "takes secrets" end
  return ("`%s` (%s): %s"):format(name, table.concat(parts, ", "), option[3])
end

local function add_arguments(lines, entry)
  for _, param in ipairs(entry.params) do
    local kind = param[2] .. (param.secret and ", takes secrets" or "")
    lines[#lines + 1] = point(0, ("`%s` (%s): %s"):format(param[1], kind, param[3]))
  end
  if entry.rest then lines[#lines + 1] = point(0, ("`%s …` (strings): %s"):format(table.unpack(entry.rest))) end
  local names = {}
  for _, name in ipairs(values.keys(entry.options)) do
    if name ~= "timeout" then names[#names + 1] = name end
  end
  if #names == 0 then return end
  lines[#lines + 1] = "- options:"
  for _, name in ipairs(names) do lines[#lines + 1] = point(1, option_text(name, entry.options[name])) end
end

local function result_text(entry)
  local lines = {}
  for _, name in ipairs(values.keys(entry.result)) do
    lines[#lines + 1] = point(1, ("`%s` %s"):format(name, entry.result[name]))
  end
  if entry.open_fields then lines[#lines + 1] = point(1, "and every name that the target itself sends") end
  return table.concat(lines, "\n")
end

-- `shown`: result text → the effect that had it first, so that it is printed once; nil prints it always.
local function add_result(lines, entry, shown)
  local text = result_text(entry)
  if text == "" then
    lines[#lines + 1] = "- result: `ok` and `why` alone"
  elseif shown and shown[text] then
    lines[#lines + 1] = ("- result: as of `%s`"):format(shown[text])
  else
    lines[#lines + 1] = "- result:"
    lines[#lines + 1] = text
    if shown then shown[text] = entry.name end
  end
end

local function facts(entry)
  local list = { class_of(entry), "deadline " .. entry.options.timeout[2], ("line `%s`"):format(line(entry)) }
  if changes(entry) and not entry.preview then list[#list + 1] = "its plan can't say what it would hit" end
  return wrapped(table.concat(list, " · "), "")
end

local function describe(entry, shown)
  local lines = { "### " .. entry.name, "", ("`%s`\\"):format(signature(entry)), facts(entry), "",
                  wrapped(sentence(entry.summary), "") }
  if type(entry.class) == "function" and entry.class_help then
    lines[#lines + 1] = ""
    local help = entry.class_help
    lines[#lines + 1] = wrapped(sentence("Its class: " .. (type(help) == "function" and help() or help)), "")
  end
  lines[#lines + 1] = ""
  add_arguments(lines, entry)
  add_result(lines, entry, shown)
  return table.concat(lines, "\n")
end

----------------------------------------------------------------- A family, all --

-- What only looks stands first.
local function entries_of(family)
  local list = {}
  for _, entry in pairs(catalogue.family(family)) do list[#list + 1] = entry end
  table.sort(list, function(a, b)
    local left, right = ranks[a.class] or 4, ranks[b.class] or 4
    if left ~= right then return left < right end
    return a.name < b.name
  end)
  return list
end

-- `mark`: a comment above the example that lets the test of spec/ run it.
local function describe_family(family, mark)
  local introduction = introductions.families[family]
  local lines, shown = { "## " .. family, "" }, {}
  if introduction then
    lines[#lines + 1] = wrapped(introduction.text, "")
    if mark then
      lines[#lines + 1] = ""
      lines[#lines + 1] = ("<!-- example: %s, exit %d -->"):format(family, introduction.exit or 0)
    end
    lines[#lines + 1] = ("%s```lua\n%s```"):format(mark and "" or "\n", introduction.example)
  end
  for _, entry in ipairs(entries_of(family)) do
    lines[#lines + 1] = ""
    lines[#lines + 1] = describe(entry, shown)
  end
  return table.concat(lines, "\n")
end

local weights = { destructive = "**%s**" }

local function index()
  local lines = { "| family | looks, tells | changes (**destructive**, *by its arguments*) |",
                  "| --- | --- | --- |" }
  for _, family in ipairs(catalogue.families) do
    local looks, acts = {}, {}
    for _, entry in ipairs(entries_of(family)) do
      local name = "`" .. (entry.verb or entry.name) .. "`"
      local list = changes(entry) and acts or looks
      list[#list + 1] = (weights[entry.class] or classes[entry.class] and "%s" or "*%s*"):format(name)
    end
    lines[#lines + 1] = ("| [%s](#%s) | %s | %s |"):format(family, family, table.concat(looks, " "),
      table.concat(acts, " "))
  end
  return table.concat(lines, "\n")
end

local function all()
  local parts = { introductions.head, index() }
  for _, family in ipairs(catalogue.families) do parts[#parts + 1] = describe_family(family, true) end
  return table.concat(parts, "\n\n")
end

--------------------------------------------------------------------- Command --

local function is_family(name)
  for _, known in ipairs(catalogue.families) do if known == name then return true end end
  return false
end

local function text_for(name)
  if not name then return all() end
  local family = name:match "^%l+"
  if is_family(family) then catalogue.family(family) end
  if catalogue.effects[name] then return describe(catalogue.effects[name]) end
  if is_family(name) then return describe_family(name, false) end
  local names = values.keys(catalogue.effects)
  if #names == 0 then names = values.copy(catalogue.families) end
  return nil, ("there is no effect %s%s"):format(name, blame.hint(name, names))
end

local function luals_for(name)
  if name then return nil, "--format luals is of the whole catalogue: no NAME expected" end
  return require("commands.effects_luals").text()
end

return function(arguments, options)
  local text, why = (options.format == "luals" and luals_for or text_for)(arguments[1])
  if text then
    tty.write(1, text .. "\n")
    return 0
  end
  screen.complain(why)
  return USAGE
end
