-- The decision of a runbook in words: what stands at the end of its file, statement by statement, as a list of Markdown.
local facts = require "check.facts"

local decision = {}

local INDENT = "  "

-- What the words declare is told elsewhere on the page.
local declarations = { runbook = true, params = true, recovered = true, escalation = true, probe = true, remedy = true,
                       prevention = true, require = true, secret = true }

-- The call that a statement is, or gives to its locals.
local function call_of(statement)
  local it = statement.type == "call_alone" and statement.call or (statement.values or {})[1]
  return it and it.type == "call" and it or nil
end

-- The probe or remedy that a node is: its word, and its title as a node.
local function made(node)
  local origin = facts.origin(node)
  local word = facts.word(origin)
  if word == "probe" or word == "remedy" then return word, origin.arguments[1] end
end

local function acts(statement)
  local found = statement.type == "if" or statement.type == "return"
  facts.each({ statement }, function(node, above)
    if node.type == "function" then return false end
    local word = facts.word(node)
    found = found or above.functions == 0 and node.type == "call" and (facts.effect(node) ~= nil or made(node.object) ~= nil
      or word == "together" or word == "confirm" or word == "choose" or word == "ask" or word == "handover")
  end)
  return found
end

-- Where the declarations end: the index of the first statement that does something, of all.
local function begins(body)
  for i, statement in ipairs(body) do
    local call = call_of(statement)
    local word = call and facts.word(call)
    if not declarations[word] and statement.type ~= "local_function" and statement.type ~= "function" and acts(statement) then
      return i
    end
  end
  return #body + 1
end

local steps

local function add(state, depth, text, ...)
  state[#state + 1] = INDENT:rep(depth) .. "- " .. text:format(...)
end

local function title_of(state, node)
  local _, title = made(node)
  return title and "**" .. state.words.told(state.it, title) .. "**" or state.words.code(facts.source(node))
end

-- "look: **Memory**"
local function call_text(state, call)
  local word = facts.word(call)
  if word == "together" then
    local titles = {}
    for i, argument in ipairs(call.arguments) do titles[i] = title_of(state, argument) end
    return "look side by side: " .. table.concat(titles, ", ")
  end
  if word == "resolved" or word == "unresolved" then
    return ("end *%s*: %s"):format(word, call.arguments[1] and state.words.told(state.it, call.arguments[1]) or "")
  end
  local kind = made(call.object)
  if kind then return (kind == "probe" and "look: " or "propose: ") .. title_of(state, call.object) end
  return state.words.code(facts.source(call))
end

local tellers = {}

-- A remedy that is proposed in a condition is told as such.
local function condition_text(state, node)
  local refused = node.type == "unary" and node.operator == "not"
  local call = refused and node.operand or node
  if call.type == "call" and not call.method and made(call.object) == "remedy" then
    return ("propose: %s; %s"):format(title_of(state, call.object), refused and "when it was not applied" or "when it was applied")
  end
  return "if " .. state.words.code(facts.source(node))
end

tellers["if"] = function(state, it, depth)
  for i, clause in ipairs(it.clauses) do
    add(state, depth, "%s%s", i == 1 and "" or "else ", condition_text(state, clause.condition))
    steps(state, clause.body, 1, depth + 1)
  end
  if not it.otherwise then return end
  add(state, depth, "else")
  steps(state, it.otherwise, 1, depth + 1)
end

tellers["do"] = function(state, it, depth) steps(state, it.body, 1, depth) end

tellers["return"] = function(state, it, depth)
  local value = it.values[1]
  if not value then return add(state, depth, "end") end
  add(state, depth, "%s", value.type == "call" and call_text(state, value) or state.words.code(facts.source(value)))
end

function steps(state, body, first, depth)
  for i = first, #body do
    local statement = body[i]
    local call = call_of(statement)
    if tellers[statement.type] then tellers[statement.type](state, statement, depth)
    elseif call and #(statement.values or { call }) == 1 then add(state, depth, "%s", call_text(state, call))
    elseif statement.type ~= "local_function" then
      add(state, depth, "%s", state.words.code(facts.source(statement)))
    end
  end
end

-- The steps as lines; `words`: how an expression is told and how code is shown (stdlib/doc.lua).
function decision.lines(it, words)
  local state = { it = it, words = words }
  steps(state, it.tree.body, begins(it.tree.body), 0)
  return table.move(state, 1, #state, 1, {})
end

return decision
