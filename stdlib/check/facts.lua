-- What the rules of runbook check ask of a file's tree: what is called, what a local holds, where something stands.
local catalogue = require "catalogue"
local sandbox = require "sandbox"
local script = require "script"
local walk = require "syntax.walk"

local facts = {}

local families = {}
for _, name in ipairs(catalogue.families) do families[name] = true end

-- All names that a script may use without declaring them.
function facts.names()
  sandbox.environment(".", script.words())
  return sandbox.names
end

-- The name of a global that a node is, or nil.
function facts.global(it) return it.type == "name" and not it.binding and it.name or nil end

-- "docker", "restart" of docker.restart; "exec", nil of exec; nil of anything else.
function facts.family(it)
  local name = facts.global(it)
  if name and families[name] then return name end
  if it.type ~= "index" or it.key.type ~= "string" then return nil end
  name = facts.global(it.object)
  if name and families[name] then return name, it.key.value end
end

-- The entry of the effect that a call calls, or nil.
function facts.effect(it)
  if it.type ~= "call" or it.method then return nil end
  local family, verb = facts.family(it.object)
  return family and catalogue.family(family)[verb or true]
end

-- The word of the language that a call calls, or nil.
function facts.word(it) return it.type == "call" and not it.method and facts.global(it.object) or nil end

-- What a node is made of: of a local that is given a value once, that value.
function facts.origin(it)
  while it.type == "paren" or it.type == "name" do
    if it.type == "paren" then
      it = it.value
    else
      local binding = it.binding
      if not binding or binding.sets > 0 or not binding.value or binding.kind == "parameter" then return it end
      it = binding.value
    end
  end
  return it
end

-- The value of a field of a table that is written out, as a node; and whether the table has other fields that can't be told.
function facts.field(it, name)
  local open = false
  for _, item in ipairs(it and it.type == "table" and it.items or {}) do
    if item.key and item.key.type == "string" and item.key.value == name then return item.value end
    open = open or item.key ~= nil and item.key.type ~= "string"
  end
  return nil, open
end

-- The class that a call of an effect has, told by its entry; nil when its arguments decide.
function facts.class(entry) return type(entry.class) == "string" and entry.class or nil end

facts.changes = { write = true, destructive = true }

-- The function that a word is given to carry out: probe("x", function() … end).
function facts.body(it)
  for i = #it.arguments, 1, -1 do
    local origin = facts.origin(it.arguments[i])
    if origin.type == "function" then return origin end
  end
end

-- The call of one of `words` in whose function a node stands, by its parents, and the word: what a function of the file does
-- that is called from there is not seen.
function facts.inside(above, words)
  for i = #above, 2, -1 do
    local parent = above[i - 1]
    if above[i].type == "function" then
      local word = parent.type == "call" and facts.word(parent)
      if word and words[word] then return parent, word end
      local in_table = parent.type == "table" and above[i - 2] and facts.word(above[i - 2])
      if in_table and words[in_table] then return above[i - 2], in_table end
      return nil
    end
  end
end

-- Whether a node stands in no function: it is done when the script runs.
function facts.is_at_top(above) return above.functions == 0 end

-- The text of a node in one line, without its comments.
function facts.source(tree, it) return (tree.text:sub(it.from, it.to):gsub("%s+", " ")) end

facts.each = walk.each

return facts
