-- runbook check, without running anything: a file and the modules it requires, looked at by rules (stdlib/check/).
--
-- A finding: { rule =, file =, line =, column =, text =, source = the line it stands in }.
local blame = require "blame"
local declared = require "check.declared"
local facts = require "check.facts"
local files = require "raw.files"
local foreign = require "foreign"
local lexer = require "syntax.lexer"
local parser = require "syntax.parser"
local scenario_file = require "scenario_file"
local tasks = require "tasks"
local values = require "values"
local walk = require "syntax.walk"

local check = {}

local SIZE_MAX = facts.SIZE_MAX

local rules = {}
for _, family in ipairs { "naming", "calls", "effects", "deciding", "literals" } do
  for name, rule in pairs(require("check." .. family)) do rules[name] = rule end
end

-- All rules' names, those of the file itself too.
function check.rules()
  local names = values.keys(rules)
  for _, name in ipairs { "syntax", "unreadable", "scenario", "allowance" } do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function add(state, file, text, rule, node, message)
  state.findings[#state.findings + 1] = { rule = rule, file = file, line = node.line, column = node.column or 1,
    text = foreign.line(message), source = foreign.line(lexer.line(text, node.line)) }
end

----------------------------------------------------------------- Allowances --

-- "-- runbook: allow RULE why" holds in its line and the next: { line =, rule =, why = }.
local function allowances(tree)
  local list = {}
  for _, comment in ipairs(tree.comments) do
    local rule, why = comment.text:match "^%s*runbook:%s*allow%s+(%S+)%s*(.-)%s*$"
    if rule then list[#list + 1] = { line = comment.line, rule = rule, why = why } end
  end
  return list
end

local function is_allowed(list, rule, line)
  for _, it in ipairs(list) do
    if it.rule == rule and it.why ~= "" and (it.line == line or it.line + 1 == line) then
      it.used = true
      return true
    end
  end
  return false
end

local function check_allowances(list, say)
  for _, it in ipairs(list) do
    if it.rule == "mutate" and it.why ~= "" then
      it.used = true -- the word is runbook mutate's
    elseif not rules[it.rule] then
      say(it, "there is no rule '%s'%s", it.rule, blame.hint(it.rule, values.keys(rules)))
    elseif it.why == "" then
      say(it, "allow %s: a reason is expected behind it", it.rule)
    elseif not it.used then
      say(it, "allow %s: nothing is found there any more: remove it", it.rule)
    end
  end
end

----------------------------------------------------------------------- Files --

local function check_tree(state, file, tree)
  local allowed, it = allowances(tree), { tree = tree, names = walk.names(tree), file = file }
  for _, name in ipairs(values.keys(rules)) do
    tasks.sleep(0) -- each rule may compute as long as a script may
    rules[name](it, function(node, message, ...)
      if node.tree ~= tree or is_allowed(allowed, name, node.line) then return end -- a module's own are said of its file
      add(state, file, tree.text, name, node, message:format(...))
    end)
  end
  check_allowances(allowed, function(node, message, ...)
    add(state, file, tree.text, "allowance", node, message:format(...))
  end)
  return it
end

-- The modules that a file requires by a name that is written out, as paths.
local function required(tree, folder)
  local paths = {}
  walk.each(tree.body, function(node)
    local name = node.type == "call" and node.object.type == "name" and node.object.name == "require" and node.arguments[1]
    if name and name.type == "string" then paths[#paths + 1] = folder .. name.value:gsub("%.", "/") .. ".lua" end
  end)
  return paths
end

local too_much = { budget = "it computes for too long", memory = "it takes too much memory" }

-- What is too long for us is said of the file: no defect, and the others are looked at.
local function look(state, path, text, folder)
  local tree, line, message, column = parser.parse(text)
  if not tree then return add(state, path, text, "syntax", { line = line, column = column }, message) end
  local it = check_tree(state, path, tree)
  if state.on_tree then state.on_tree(path, it.tree) end
  return required(tree, folder)
end

local function look_within_limits(state, path, text, folder)
  local ok, modules = pcall(look, state, path, text, folder)
  if ok then return modules or {} end
  local limit = tasks.is_interrupt(modules) or modules == "not enough memory" and "memory"
  if not too_much[limit] then error(modules, 0) end
  tasks.handled()
  add(state, path, "", "unreadable", { line = 1 }, "to look at " .. too_much[limit] .. ": is it a runbook?")
  return {}
end

local function check_scenarios(state, path, text)
  local loaded, why = scenario_file.load(path)
  if loaded then return end
  local line = tonumber(why:match "^.-:(%d+): ") or 1
  add(state, path, text, "scenario", { line = line }, (why:gsub("^.-:%d+: ", "")))
end

-- Looks at a file, and at what it requires from the runbook's `folder`; each once.
local function check_file(state, path, folder)
  if state.seen[path] then return end
  state.seen[path] = true
  local read, err = files.read { path = path, max = SIZE_MAX }
  local why = not read and err.message or read.cut and ("it is longer than %d bytes"):format(SIZE_MAX)
  if why then return add(state, path, "", "unreadable", { line = 1 }, why) end
  if path:find "%.test%.lua$" then return check_scenarios(state, path, read.text) end
  for _, module in ipairs(look_within_limits(state, path, read.text, folder)) do check_file(state, module, folder) end
end

local function look_at_all(state, paths)
  for _, path in ipairs(paths) do
    local folder = path:match "^(.*/)[^/]*$" or ""
    facts.module = facts.modules_of(folder)
    check_file(state, path, folder)
  end
end

-- All findings of runbooks, their modules and test files, in the order of files, lines and columns.
function check.files(paths)
  local state = { findings = {}, seen = {} }
  look_at_all(state, paths)
  table.sort(state.findings, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return a.line < b.line end
    if a.column ~= b.column then return a.column < b.column end
    return a.rule < b.rule
  end)
  return state.findings
end

-- What is found in a text that stands for the file `path`; the modules it requires are not looked at.
function check.text(path, text)
  local state, folder = { findings = {}, seen = {} }, path:match "^(.*/)[^/]*$" or ""
  facts.module = facts.modules_of(folder)
  look_within_limits(state, path, text, folder)
  return state.findings
end

-- The reads that only their author's word says are some (`reads = true`), in the files and their modules: { program =, effect =,
-- file =, line =, column = }, in the order of programs.
function check.declared(paths)
  local list = {}
  local state = { findings = {}, seen = {}, on_tree = function(file, tree)
    for _, it in ipairs(declared.reads(tree)) do
      it.file = file
      list[#list + 1] = it
    end
  end }
  look_at_all(state, paths)
  table.sort(list, function(a, b)
    if a.program ~= b.program then return a.program < b.program end
    if a.file ~= b.file then return a.file < b.file end
    return a.line < b.line or a.line == b.line and a.column < b.column
  end)
  return list
end

-- Tells them on standard output, as `format` has it (stdlib/views/findings.lua).
function check.tell(findings, format) require("views.findings")[format](findings) end

return check
