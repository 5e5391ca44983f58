-- Rules about what is written out: durations, patterns, secrets.
local duration = require "duration"
local facts = require "check.facts"
local raw_secret = require "raw.secret"
local sql_text = require "effects.sql_text"

local rules = {}

local timed = { within = true, every = true, holds = true, takes = true }
local words = { recovered = true, wait_until = true, remedy = true, confirm = true, choose = true, ask = true }

rules["wrong-duration"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local word = facts.word(node)
    local first = node.arguments and node.arguments[1]
    local list = word == "escalation" and first and first.type == "string" and { first } or {}
    for _, argument in ipairs(words[word] and node.arguments or {}) do
      for _, item in ipairs(argument.type == "table" and argument.items or {}) do
        if item.key and timed[item.key.value] and item.value.type == "string" then list[#list + 1] = item.value end
      end
    end
    for _, value in ipairs(list) do
      local seconds, why = duration.parse(value.value)
      if not seconds then say(value, "%s: %s", word, why) end
    end
  end)
end

-- Where a pattern stands among the arguments of re.….
rules["wrong-pattern"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local object = node.type == "call" and node.object
    if not object or object.type ~= "index" or facts.global(object.object) ~= "re" then return end
    local pattern = node.arguments[2]
    if not pattern or pattern.type ~= "string" then return end
    local ok, why = pcall(require("raw.re").find, "", pattern.value)
    if not ok then say(pattern, "%s", (tostring(why):gsub("^.-: ", ""))) end
  end)
end

-- The text that an argument is, written out or in a local; and its node.
local function text_of(it)
  local origin = it and facts.origin(it)
  return origin and origin.type == "string" and origin.value or nil
end

rules["wrong-json"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local object = node.type == "call" and not node.method and node.object
    if not object or object.type ~= "index" or facts.global(object.object) ~= "json" or object.key.value ~= "decode" then return end
    local text = text_of(node.arguments[1])
    if not text then return end
    local value, problem = require("raw.json").decode(text)
    if value == nil and problem then say(node.arguments[1], "it is no JSON: %s", problem.message) end
  end)
end

-- Why a text is not one statement of SQL whose quotes and parentheses close; nil when it is.
local function why_no_statement(text)
  local tokens, why = sql_text.statement(text)
  if not tokens then return why end
  local depth = 0
  for _, token in ipairs(tokens) do
    depth = depth + (sql_text.is_mark(token, "(") and 1 or sql_text.is_mark(token, ")") and -1 or 0)
    if depth < 0 then return "a ) closes nothing" end
  end
  return depth > 0 and "a ( is not closed" or nil
end

rules["wrong-sql"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local entry = facts.effect(node)
    for i, param in ipairs(entry and entry.params or {}) do
      local text = param[1] == "sql" and text_of(node.arguments[i])
      local why = text and why_no_statement(text)
      if why then say(node.arguments[i], "%s: %s", entry.name, why) end
    end
  end)
end

rules["secret-literal"] = function(it, say)
  facts.each(it.tree.body, function(node)
    if node.type ~= "string" or raw_secret.redact(node.value) == node.value then return end
    say(node, "a secret stands in the file, for everybody who reads it: name it, secret \"NAME\", and let the config fetch it")
  end)
end

return rules
