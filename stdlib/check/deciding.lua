-- Rules about what a decision rests on: findings, results, the order of things.
local blame = require "blame"
local facts = require "check.facts"
local values = require "values"

local rules = {}

----------------------------------------------------------------- Findings --

-- What sets findings in a probe can be told when it calls nothing but words, effects, Lua's own and functions written out here.
local function is_closed(call)
  if call.method or facts.effect(call) or facts.word(call) then return true end
  local object = call.object
  return object.type == "index" and facts.global(object.object) ~= nil
end

local add_findings

local function of_call(call, found)
  if facts.word(call) == "check" then
    for _, argument in ipairs(call.arguments) do
      local fault, open = facts.field(argument, "fault")
      if fault and fault.type ~= "string" or open then return false end
      if fault then found[fault.value] = true end
    end
    local last = call.arguments[#call.arguments]
    return #call.arguments < 3 or last.type ~= "name" and last.type ~= "call"
  end
  local called = facts.origin(call.object)
  if called.type == "function" then return add_findings(called, found) end
  return is_closed(call)
end

local function of_return(it, found)
  for _, value in ipairs(it.values) do
    local origin = facts.origin(value)
    for _, item in ipairs(origin.type == "table" and origin.items or {}) do
      if not item.key or item.key.type ~= "string" then return false end
      found[item.key.value] = true
    end
    if origin.type == "name" or origin.type == "index" then return false end
  end
  return true
end

local underway = {}
function add_findings(fn, found)
  if underway[fn] then return true end
  underway[fn] = true
  local closed = true
  facts.each(fn.body, function(node)
    if node.type == "call" and node.object then closed = of_call(node, found) and closed end
    if node.type == "return" then closed = of_return(node, found) and closed end
  end)
  underway[fn] = nil
  return closed
end

-- The probe whose findings a node holds, as the call that made it; nil when it is none.
local function probe_of(it)
  local origin = facts.origin(it)
  if origin.type ~= "call" or origin.method then return nil end
  local made = facts.origin(origin.object)
  return facts.word(made) == "probe" and made or nil
end

local always = { unknown = true, why = true }

rules["unknown-finding"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local probe = node.type == "index" and node.key.type == "string" and probe_of(node.object)
    local body = probe and facts.body(probe)
    if not body then return end
    local found = {}
    if not add_findings(body, found) or found[node.key.value] or always[node.key.value] then return end
    say(node.key, "no check of this probe has the fault '%s', so it is never true%s", node.key.value,
      blame.hint(node.key.value, values.keys(found)))
  end)
end

rules["unknown-as-no"] = function(it, say)
  facts.each(it.tree.body, function(node)
    if node.type ~= "unary" or node.operator ~= "not" then return end
    local operand = facts.origin(node.operand)
    if operand.type ~= "index" or operand.key.type ~= "string" or not probe_of(operand.object) then return end
    say(node, "a finding that is not known is nil, and `not` takes it for no: write `%s == false`",
      facts.source(node.operand))
  end)
end

----------------------------------------------------------------- Conditions --

local function conditions(node, f)
  if node.type == "if" then for _, clause in ipairs(node.clauses) do f(clause.condition) end end
  if node.type == "while" or node.type == "repeat" then f(node.condition) end
  if node.type == "unary" and node.operator == "not" then f(node.operand) end
  if node.type == "binary" and (node.operator == "and" or node.operator == "or") then f(node.left) end
end

rules["result-as-condition"] = function(it, say)
  facts.each(it.tree.body, function(node)
    conditions(node, function(condition)
      local entry = facts.effect(facts.origin(condition))
      if entry then say(condition, "a result of %s is a table, which is always true: ask for its .ok", entry.name) end
    end)
  end)
end

-- Lua's own that answer the same to the same: what they are asked twice is one question.
local constant = { type = true, tonumber = true, tostring = true, rawequal = true, rawlen = true, select = true }
local constant_in = { string = true, math = true, re = true, text = true, utf8 = true }

-- A probe, a question, a look at the clock may answer otherwise when it is asked again.
local function may_change(condition)
  local found = false
  facts.each(condition, function(node)
    if node.type ~= "call" then return end
    local object = node.object
    local of = object.type == "index" and facts.global(object.object)
    found = found or not (constant[facts.global(object)] or constant_in[of] and object.key.value ~= "random")
  end)
  return found
end

-- Names of which `error` is asked: their authors think of looks that fail.
local function forgiven(it)
  local names = {}
  facts.each(it.tree.body, function(node)
    if node.type == "index" and node.key.value == "error" and node.object.binding then names[node.object.binding] = true end
  end)
  return names
end

-- In a probe a look that fails leaves it unknown; outside it ends the script.
rules["raising-look"] = function(it, say)
  local thought_of = forgiven(it)
  facts.each(it.tree.body, function(node, above)
    conditions(node, function(condition)
      if condition.type ~= "index" or condition.key.value ~= "ok" or not facts.is_at_top(above) then return end
      local entry = facts.effect(facts.origin(condition.object))
      if not entry or thought_of[condition.object.binding] then return end
      say(condition, "when %s can't look, `.ok` raises, and here that ends the script: look in a probe, or ask its .error first",
        entry.name)
    end)
  end)
end

rules["same-condition"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local seen = {}
    for _, clause in ipairs(node.type == "if" and node.clauses or {}) do
      local text = not may_change(clause.condition) and facts.source(clause.condition, " ")
      local first = text and seen[text]
      if first then say(clause.condition, "the same condition as in line %d: this branch is never taken", first) end
      if text then seen[text] = first or clause.condition.line end
    end
  end)
end

local comparisons = { ["=="] = true, ["~="] = true, ["<"] = true, [">"] = true, ["<="] = true, [">="] = true }

local function is_nan(it)
  if it.type == "paren" then return is_nan(it.value) end
  if it.type == "unary" and it.operator == "-" then return is_nan(it.operand) end
  return it.type == "binary" and it.operator == "/" and it.left.value == 0 and it.right.value == 0
end

rules["nan-comparison"] = function(it, say)
  facts.each(it.tree.body, function(node)
    if node.type == "binary" and comparisons[node.operator] and (is_nan(node.left) or is_nan(node.right)) then
      say(node, "nothing is equal to 0/0, not even itself: to ask for it write `x ~= x`")
    end
  end)
end

---------------------------------------------------------------------- Order --

-- Whether a statement acts when the script runs: calls an effect, a probe or a remedy outside any function.
local function acts(node, above)
  if not facts.is_at_top(above) then return false end
  if facts.effect(node) then return true end
  local made = node.type == "call" and not node.method and facts.word(facts.origin(node.object))
  return made == "probe" or made == "remedy"
end

rules["late-escalation"] = function(it, say)
  local first
  facts.each(it.tree.body, function(node, above)
    if acts(node, above) then first = first or node end
    if first and facts.word(node) == "escalation" and facts.is_at_top(above) then
      say(node, "the run acts in line %d already, and levels are armed before that: declare it above", first.line)
    end
  end)
end

rules["unproved-resolved"] = function(it, say)
  local proved, said = false, nil
  facts.each(it.tree.body, function(node)
    local word = facts.word(node)
    proved = proved or word == "recovered" or word == "probe" or word == "handover" or word == "require"
    if word == "resolved" then said = said or node end
  end)
  if said and not proved then
    say(said, "nobody looked: without a goal (recovered) or a probe it is the script's word alone that the incident is over")
  end
end

local risks = { low = 1, medium = 2, high = 3 }

-- The risk of a remedy that a statement calls without asking what came of it; nil when it does not.
local function dropped(statement)
  local call = statement.type == "call_alone" and statement.call
  local made = call and not call.method and facts.origin(call.object)
  if not made or facts.word(made) ~= "remedy" then return nil end
  local risk = facts.field(made.arguments[2], "risk")
  return risks[risk and risk.value or "low"]
end

-- Statements that ask something, after which all is decided anew.
local asks = { ["if"] = true, ["while"] = true, ["repeat"] = true }

-- Of a list of statements: the one that risks least is remembered until something is asked.
local function check_list(list, say)
  local least, before
  for _, statement in ipairs(list) do
    local risk = dropped(statement)
    if asks[statement.type] then least, before = nil, nil end
    if risk and least and risk > least then
      say(statement, "what came of the remedy in line %d is not asked, and this one risks more: write `if … then`",
        before.line)
    end
    if risk and (not least or risk < least) then least, before = risk, statement end
  end
end

rules["dropped-remedy"] = function(it, say)
  check_list(it.tree.body, say)
  facts.each(it.tree.body, function(node)
    if node.body then check_list(node.body, say) end
    for _, clause in ipairs(node.clauses or {}) do check_list(clause.body, say) end
    if node.otherwise then check_list(node.otherwise, say) end
  end)
end

return rules
