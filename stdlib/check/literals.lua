-- Rules about what is written out: durations, patterns, secrets.
local duration = require "duration"
local facts = require "check.facts"
local raw_secret = require "raw.secret"

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

rules["secret-literal"] = function(it, say)
  facts.each(it.tree.body, function(node)
    if node.type ~= "string" or raw_secret.redact(node.value) == node.value then return end
    say(node, "a secret stands in the file, for everybody who reads it: name it, secret \"NAME\", and let the config fetch it")
  end)
end

return rules
