-- A runbook as the page that people read, in Markdown, told by its text without running it.
local decision = require "doc_decision"
local facts = require "check.facts"
local files = require "raw.files"
local parser = require "syntax.parser"
local raw_text = require "raw.text"
local walk = require "syntax.walk"

local doc = {}

local SIZE_MAX = facts.SIZE_MAX

local function put(lines, text, ...) lines[#lines + 1] = select("#", ...) > 0 and text:format(...) or text end

------------------------------------------------------------------------- Text --

-- Words of the file as Markdown's plain text.
local function plain(text) return (raw_text.inert(text, { flat = true }):gsub("[\\`*_<>%[%]|]", "\\%0")) end

local function code(text)
  local ticks = text:find("`", 1, true) and "``" or "`"
  return ticks .. raw_text.inert(text, { flat = true }) .. ticks
end

-- What an expression is: its words where they are written out, else as it stands in the file.
local function told(it, node)
  if not node then return nil end
  local origin = facts.origin(node)
  if origin.type == "string" then return plain(origin.value) end
  return code(facts.source(node))
end

local function field(options, name) return (facts.field(options and facts.origin(options), name)) end

-------------------------------------------------------------------------- Parts --

local parts = {}

-- All calls of a word, in the order of the text.
local function calls_of(it, word)
  local list = {}
  facts.each(it.tree.body, function(node) if facts.word(node) == word then list[#list + 1] = node end end)
  return list
end

-- The options among a word's arguments, and its function.
local function read(call)
  local options
  for i = 2, #call.arguments do
    local origin = facts.origin(call.arguments[i])
    if origin.type == "table" then options = origin end
  end
  return options, facts.body(call)
end

function parts.about(it, lines)
  local about = calls_of(it, "runbook")[1].arguments[1]
  put(lines, "# %s", told(it, field(about, "title")) or plain(it.file))
  local rows = {}
  for _, name in ipairs { "alert", "severity", "condition", "impact" } do
    local value = field(about, name)
    if value then put(rows, "| %s | %s |", name, told(it, value)) end
  end
  if #rows > 0 then put(lines, "\n| | |\n| --- | --- |\n%s", table.concat(rows, "\n")) end
  local related = {}
  for _, item in ipairs((field(about, "related") or {}).items or {}) do related[#related + 1] = told(it, item.value) end
  if #related > 0 then put(lines, "\nSee also: %s", table.concat(related, ", ")) end
end

function parts.params(it, lines)
  local call = calls_of(it, "params")[1]
  local list = call and call.arguments[1] and facts.origin(call.arguments[1])
  if not list or not list.items or #list.items == 0 then return end
  put(lines, "\n## Parameters\n\n| name | default | |\n| --- | --- | --- |")
  for _, item in ipairs(list.items) do
    local own = item.value.type == "table" and item.value.items or {}
    local default, help = own[1] and not own[1].key and own[1].value, own[2] and not own[2].key and own[2].value
    local must = field(item.value, "required") and "required" or field(item.value, "secret") and "a secret" or nil
    local shown = must or default and code(facts.source(default)) or ""
    put(lines, "| %s | %s | %s |", item.key and told(it, item.key) or "", shown, help and told(it, help) or "")
  end
end

function parts.goal(it, lines)
  local call = calls_of(it, "recovered")[1]
  if not call then return end
  put(lines, "\n## It is over when\n\n%s", told(it, call.arguments[1]))
  local options, times = read(call), {}
  for _, name in ipairs { "within", "every", "holds" } do
    local value = field(options, name)
    if value then times[#times + 1] = ("%s %s"):format(name, told(it, value)) end
  end
  if #times > 0 then lines[#lines] = ("%s (%s)"):format(lines[#lines], table.concat(times, ", ")) end
end

-- The effects that a function carries out, each once, as they stand in the file.
local function deeds(it, body, wanted)
  local list, seen = {}, {}
  facts.each_carried_out(body, function(node)
    local entry = facts.effect(node)
    local source = entry and wanted(entry, node) and facts.source(node)
    if not source or seen[source] then return end
    seen[source] = true
    list[#list + 1] = source
  end)
  return list
end

local function tells(entry) return entry.class == "notify" end

local looked = { read = true, declared = true }
local function changes(entry, node) return not tells(entry) and not looked[facts.class(entry, node)] end

function parts.escalation(it, lines)
  local levels = calls_of(it, "escalation")
  if #levels == 0 then return end
  put(lines, "\n## When it is not over\n")
  for _, call in ipairs(levels) do
    local body = facts.body(call)
    local list = body and deeds(it, body, tells) or {}
    for i, source in ipairs(list) do list[i] = code(source) end
    put(lines, "- after %s: %s", told(it, call.arguments[1]), #list > 0 and table.concat(list, ", ")
      or "a page with the headline and the findings")
  end
end

-- "Redis memory: `m.used_percent` < 90 %", and the finding that it names.
local function check_line(it, call)
  local text, options = told(it, call.arguments[1]), read(call)
  local comparison = call.arguments[3]
  if comparison and comparison.type == "string" and call.arguments[4] then
    local unit = field(options, "unit")
    text = ("%s %s %s%s"):format(text, plain(comparison.value), told(it, call.arguments[4]), unit and " " .. told(it, unit) or "")
  end
  local fault = field(options, "fault")
  return ("- %s%s"):format(text, fault and (" (else **%s**)"):format(told(it, fault)) or "")
end

-- Where the checks stand in a module, the calls that lead there.
local function add_calls(it, lines, body)
  for _, statement in ipairs(body.body) do
    local value = statement.call or (statement.values or {})[1]
    if value and value.type == "call" then put(lines, "- %s", code(facts.source(value))) end
  end
end

local function add_checks(it, lines, call)
  local body, before = facts.body(call), #lines
  if not body then return end
  facts.each_carried_out(body, function(node)
    if facts.word(node) == "check" and node.arguments[1] then put(lines, check_line(it, node)) end
  end)
  if #lines == before then add_calls(it, lines, body) end
end

local function looks(word, heading)
  return function(it, lines)
    local list = calls_of(it, word)
    if #list > 0 then put(lines, "\n## %s", heading) end
    for _, call in ipairs(list) do
      put(lines, "\n### %s\n", told(it, call.arguments[1]))
      add_checks(it, lines, call)
    end
  end
end

parts.probes, parts.preventions = looks("probe", "What is looked at"), looks("prevention", "So that it does not happen again")

function parts.remedies(it, lines)
  local list = calls_of(it, "remedy")
  if #list > 0 then put(lines, "\n## What can be done") end
  for _, call in ipairs(list) do
    local options, body = read(call)
    local risk = field(options, "risk")
    put(lines, "\n### %s\n\n- risk: %s", told(it, call.arguments[1]), risk and told(it, risk) or "low")
    for _, name in ipairs { "warning", "why", "within" } do
      local value = field(options, name)
      if value then put(lines, "- %s: %s", name, told(it, value)) end
    end
    if field(options, "temporary") then put(lines, "- stands for the time of the incident alone, and is taken down at its end") end
    if field(options, "undo") then put(lines, "- can be taken back") end
    for _, source in ipairs(body and deeds(it, body, changes) or {}) do put(lines, "- does %s", code(source)) end
  end
end

function parts.decision(it, lines)
  local steps = decision.lines(it, { told = told, code = code })
  if #steps > 0 then put(lines, "\n## The decision\n\n%s", table.concat(steps, "\n")) end
end

local order = { "about", "params", "goal", "escalation", "probes", "remedies", "decision", "preventions" }

-- { tree =, file = }, or nil and why it is no runbook.
local function load_tree(path)
  local text, err = files.read { path = path, max = SIZE_MAX }
  if not text then return nil, err.message end
  if text.cut then return nil, ("it is longer than %d bytes"):format(SIZE_MAX) end
  local tree, line, message = parser.parse(text.text)
  if not tree then return nil, ("line %d: %s"):format(line, message) end
  walk.names(tree)
  facts.module = facts.modules_of(path:match "^(.*/)[^/]*$" or "")
  local it = { tree = tree, file = path }
  local first = calls_of(it, "runbook")[1]
  if not first or not first.arguments[1] then return nil, "it is no runbook: runbook{…} expected" end
  return it
end

-- The page of a file; nil and why there is none.
function doc.page(path)
  local it, why = load_tree(path)
  if not it then return nil, why end
  local lines = {}
  for _, name in ipairs(order) do parts[name](it, lines) end
  return table.concat(lines, "\n") .. "\n"
end

return doc
