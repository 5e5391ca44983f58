-- What runbook mutate breaks: every single change of a runbook's text that takes something away, turns it round or widens it.
--
-- A mutant: { line =, column =, from =, to = the bytes that are replaced, by =, what = in words, scenario = what would notice it,
-- excused = why the author lets it be }.
local facts = require "check.facts"
local lexer = require "syntax.lexer"
local parser = require "syntax.parser"
local walk = require "syntax.walk"

local mutants = {}

-------------------------------------------------------------------- Telling --

local function label_of(call)
  local first = call.arguments[1]
  if first and first.type == "string" then return "“" .. first.value .. "”" end
  return first and first.tree.text:sub(first.from, first.to):gsub("%s+", " ") or ""
end

local function add(state, node, from, to, by, what, scenario)
  local it = { line = node.line, column = node.column, from = from, to = to, by = by, what = what, scenario = scenario }
  if not load(mutants.text(state.text, it):gsub("^#", "--#"), "=mutant", "t", {}) then return end
  state.list[#state.list + 1] = it
end

local function replace(state, node, by, what, scenario) add(state, node, node.from, node.to, by, what, scenario) end

local function text_of(state, node) return state.text:sub(node.from, node.to) end

------------------------------------------------------------------ Operators --

local opposite = { ["=="] = "~=", ["~="] = "==", ["<"] = ">=", [">="] = "<", [">"] = "<=", ["<="] = ">", ["and"] = "or",
                   ["or"] = "and" }
local breaks = {}

function breaks.binary(state, it)
  local other = opposite[it.operator]
  local from, to = state.text:find(it.operator, it.left.to + 1, true)
  if not other or not from or to >= it.right.from then return end
  add(state, { line = it.line, column = it.column }, from, to, other, ("“%s” became “%s”"):format(it.operator, other),
    ("scenarios on both sides of “%s”"):format(text_of(state, it):gsub("%s+", " ")))
end

breaks["if"] = function(state, it)
  for _, clause in ipairs(it.clauses) do
    local condition = clause.condition
    replace(state, condition, ("not (%s)"):format(text_of(state, condition)), "the branch is turned round",
      ("a scenario in which “%s” holds, that expects what is done then"):format(text_of(state, condition):gsub("%s+", " ")))
  end
end

-- The remedy that a name means; nil when it means none.
local function remedy_of(name)
  local value = name.type == "name" and name.binding and name.binding.value
  return value and facts.word(value) == "remedy" and value or nil
end

local function swap_remedy(state, call)
  local name = call.object
  local it = remedy_of(name)
  if not it then return end
  for i, other in ipairs(state.remedies) do
    if other.name == name.name then
      local with = state.remedies[i % #state.remedies + 1]
      if with == other then return end
      return replace(state, name, with.name, ("remedy %s is asked for in place of %s"):format(label_of(with.call), label_of(it)),
        ("a scenario that approves %s and says so in expect.does"):format(label_of(it)))
    end
  end
end

local words = {}

function words.check(state, call, alone)
  local what = ("the check %s is gone"):format(label_of(call))
  local would = ("a scenario in which %s fails, that expects what follows from it"):format(label_of(call))
  if alone then replace(state, alone, "", what, would) else replace(state, call, "true", what, would) end
  local operator = call.arguments[3]
  if operator and operator.type == "string" and opposite[operator.value] then
    replace(state, operator, ("%q"):format(opposite[operator.value]), ("%s is compared the other way round"):format(label_of(call)),
      ("a scenario in which %s fails, and one in which it passes"):format(label_of(call)))
  end
end

function words.escalation(state, call, alone)
  if alone then replace(state, alone, "", ("the level after %s is gone"):format(label_of(call)),
    ("a scenario that takes longer than %s and expects its page"):format(label_of(call))) end
end

function words.recovered(state, call, alone)
  if alone then replace(state, alone, "", "the goal is gone", "a scenario that expects outcome = \"resolved\"") end
end

local function turn_end(state, call)
  local to = facts.word(call) == "resolved" and "unresolved" or "resolved"
  replace(state, call.object, to, ("the end %s is told as %s"):format(label_of(call), to),
    ("a scenario that ends with %s and expects its outcome"):format(label_of(call)))
end

words.resolved, words.unresolved = turn_end, turn_end

-- An item of a table constructor with the comma behind it, taken out.
local function drop_item(state, item, what, scenario)
  local first = item.key or item.value
  local _, to = state.text:find("^%s*[,;]", item.value.to + 1)
  local from = first.from
  if state.text:sub(from - 1, from - 1) == "[" then from = from - 1 end
  add(state, first, from, to or item.value.to, "", what, scenario)
end

local option_words = { warning = "a destructive change is asked for without its warning", undo = "nothing undoes it",
                       temporary = "it is no longer temporary", within = "its own time to work is gone" }

function words.remedy(state, call)
  local options = call.arguments[2]
  for _, item in ipairs(options and options.type == "table" and options.items or {}) do
    local why = item.key and option_words[item.key.value]
    if why then
      drop_item(state, item, ("%s of remedy %s is gone: %s"):format(item.key.value, label_of(call), why),
        ("a scenario that applies %s and expects how it ends"):format(label_of(call)))
    end
  end
end

local function fault_is_forgotten(state, call)
  local options = call.arguments[#call.arguments]
  for _, item in ipairs(options and options.type == "table" and options.items or {}) do
    if item.key and item.key.value == "fault" then
      drop_item(state, item, ("the check %s names no fault"):format(label_of(call)),
        ("a scenario in which %s fails, that expects what follows from it"):format(label_of(call)))
    end
  end
end

-------------------------------------------------------------------- Effects --

local wider = { name = '"*"', selector = '""', under = '"/"' }

local function break_options(state, name, options)
  for _, item in ipairs(options.items) do
    local key = item.key and item.key.type == "string" and item.key.value
    if key then
      local pattern = ("a scenario whose pattern for %s names its %s"):format(name, key)
      drop_item(state, item, ("%s: its argument %s is forgotten"):format(name, key), pattern)
      if wider[key] and text_of(state, item.value) ~= wider[key] then
        replace(state, item.value, wider[key], ("%s: %s is widened to %s"):format(name, key, wider[key]), pattern)
      end
    end
  end
end

local function break_effect(state, call, alone)
  local name = text_of(state, call.object)
  if alone then
    replace(state, alone, "", name .. " is not done", ("a scenario that expects %s in does"):format(name))
  end
  local last = call.arguments[#call.arguments]
  for _, argument in ipairs(call.arguments) do
    if argument.type == "table" then break_options(state, name, argument) end
  end
  if #call.arguments > 1 then
    add(state, last, call.arguments[#call.arguments - 1].to + 1, last.to, "", name .. ": its last argument is forgotten",
      ("a scenario whose pattern for %s names its arguments"):format(name))
  end
end

function breaks.call(state, it, above)
  local alone = above[#above] and above[#above].type == "call_alone" and above[#above] or nil
  local word = facts.word(it)
  if word == "check" then fault_is_forgotten(state, it) end
  if words[word] then words[word](state, it, alone) end
  if facts.effect(it) then break_effect(state, it, alone) end
  swap_remedy(state, it)
  if alone and remedy_of(it.object) then
    replace(state, alone, "", ("remedy %s is not asked for"):format(label_of(remedy_of(it.object))),
      ("a scenario that approves %s and says so in expect.does"):format(label_of(remedy_of(it.object))))
  end
end

----------------------------------------------------------------------- All --

local function remedies_of(names)
  local list = {}
  for _, it in ipairs(names.locals) do
    if it.value and facts.word(it.value) == "remedy" then list[#list + 1] = { name = it.name, call = it.value } end
  end
  return list
end

-- Comments "-- runbook: allow mutate why" hold in their line and the next.
local function excuse(tree, list)
  for _, comment in ipairs(tree.comments) do
    local why = comment.text:match "^%s*runbook:%s*allow%s+mutate%s+(.-)%s*$"
    for _, it in ipairs(why and why ~= "" and list or {}) do
      if it.line == comment.line or it.line == comment.line + 1 then it.excused = why end
    end
  end
end

-- The text of a mutant.
function mutants.text(text, it) return text:sub(1, it.from - 1) .. it.by .. text:sub(it.to + 1) end

-- The lines of a mutant's place, before and after.
function mutants.lines(text, it)
  return lexer.line(text, it.line), lexer.line(mutants.text(text, it), it.line)
end

-- All mutants of a text, in its order; nil and why it is no Lua. What a `prevention` looks at afterwards decides nothing in an
-- incident, so it is left alone.
function mutants.of(text)
  local tree, line, message = parser.parse(text)
  if not tree then return nil, ("%d: %s"):format(line, message) end
  local state = { text = text, list = {}, remedies = remedies_of(walk.names(tree)) }
  walk.each(tree.body, function(it, above)
    if facts.word(it) == "prevention" or facts.word(it) == "runbook" then return false end
    if breaks[it.type] then breaks[it.type](state, it, above) end
  end)
  excuse(tree, state.list)
  table.sort(state.list, function(a, b) return a.from < b.from end)
  return state.list
end

-- `max` of them by the seed, in the order of the text: the same for the same list, seed and number.
function mutants.choose(list, seed, max)
  local left, chosen, state = table.move(list, 1, #list, 1, {}), {}, seed
  local function below(limit)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 24) % limit + 1
  end
  while #left > 0 and #chosen < max do chosen[#chosen + 1] = table.remove(left, below(#left)) end
  table.sort(chosen, function(a, b) return a.from < b.from or a.from == b.from and a.what < b.what end)
  return chosen
end

return mutants
