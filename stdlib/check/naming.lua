-- Rules about names: what is not declared, what is declared and not used, what hides something else.
local blame = require "blame"
local facts = require "check.facts"
local sandbox = require "sandbox"
local script = require "script"
local values = require "values"

local rules = {}

rules["undeclared-name"] = function(it, say)
  local names, known = facts.names(), {}
  for _, name in ipairs(names) do known[name] = true end
  for _, use in ipairs(it.names.globals) do
    if not known[use.name] then
      local hint = blame.hint(use.name, values.copy(names))
      say(use, "'%s' is not declared%s", use.name, hint:find "did you" and hint or ": write `local`, or check the spelling")
    end
  end
end

rules["global-variable"] = function(it, say)
  for _, target in ipairs(it.names.assigned) do
    say(target, "'%s' would be a global variable: write `local %s = …`", target.name, target.name)
  end
end

local function is_ignored(binding)
  return binding.name:sub(1, 1) == "_" or binding.node.implied or binding.attribute == "close" or binding.kind == "parameter"
    or binding.kind == "loop"
end

local called = { remedy = "the remedy is never called: nobody can approve it",
                 probe = "the probe is never called: it looks at nothing" }

rules["unused-local"] = function(it, say)
  for _, binding in ipairs(it.names.locals) do
    if #binding.uses == 0 and not is_ignored(binding) then
      local word = binding.value and facts.word(binding.value)
      local why = called[word] or "it is never read: remove it, or begin its name with _"
      say(binding.node, "'%s': %s", binding.name, why)
    end
  end
end

-- The remedies and probes in a table of a local: { key's node, word }.
local function kept_in(binding, set_later)
  local list = {}
  local function add(key, value)
    local word = value and facts.word(value)
    if key and key.type == "string" and called[word] then list[#list + 1] = { key, word } end
  end
  local held = binding.value and binding.value.type == "table" and binding.value.items or {}
  for _, item in ipairs(held) do add(item.key, item.value) end
  for _, target in ipairs(set_later or {}) do add(target.key, (binding.fields or {})[target.key.value]) end
  return list
end

-- Only where its fields, by their names, are all that a table is used for.
rules["unused-in-table"] = function(it, say)
  local read, plain, set, is_target = {}, {}, {}, {}
  facts.each(it.tree.body, function(node)
    for _, target in ipairs(node.type == "assign" and node.targets or { node.target }) do is_target[target] = true end
    local binding = node.type == "index" and node.key.type == "string" and node.object.type == "name" and node.object.binding
    if not binding then return end
    read[binding], set[binding], plain[binding] = read[binding] or {}, set[binding] or {}, (plain[binding] or 0) + 1
    if is_target[node] then table.insert(set[binding], node) else read[binding][node.key.value] = true end
  end)
  for _, binding in ipairs(it.names.locals) do
    local only_fields = plain[binding] == #binding.uses and binding.sets == 0
    for _, kept in ipairs(only_fields and kept_in(binding, set[binding]) or {}) do
      local name = kept[1].value
      if not (read[binding] or {})[name] then say(kept[1], "'%s.%s': %s", binding.name, name, called[kept[2]]) end
    end
  end
end

-- What Lua's libraries and the language's helpers hold, by name.
local function libraries()
  local env, found = sandbox.environment(".", script.words()), { re = require "raw.re" }
  local helpers = require "helpers"
  for _, name in ipairs { "json", "text", "time" } do found[name] = helpers[name] end
  for _, name in ipairs { "string", "table", "math", "utf8", "coroutine" } do
    found[name] = {}
    for key in pairs(env[name]) do found[name][key] = true end
  end
  return found
end

rules["unknown-member"] = function(it, say)
  local known = libraries()
  facts.each(it.tree.body, function(node)
    if node.type ~= "index" or node.key.type ~= "string" then return end
    local key = node.key.value
    local names = known[facts.global(node.object)] or facts.module_fields(node.object)
    if not names or names[key] ~= nil then return end
    say(node.key, "there is no %s.%s%s", node.object.name, key, blame.hint(key, values.keys(names)))
  end)
end

-- The names that a params{…} declares, where all are written out.
local function declared_names(made)
  local names = {}
  local list = facts.word(made) == "params" and facts.origin(made.arguments[1] or made)
  if not list or list.type ~= "table" then return nil end
  for _, item in ipairs(list.items) do
    if not item.key or item.key.type ~= "string" then return nil end
    names[item.key.value] = true
  end
  return names
end

rules["unknown-param"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local names = node.type == "index" and node.key.type == "string" and declared_names(facts.origin(node.object))
    if not names or names[node.key.value] then return end
    say(node.key, "there is no parameter '%s'%s", node.key.value, blame.hint(node.key.value, values.keys(names)))
  end)
end

rules["shadowed-local"] = function(it, say)
  for _, binding in ipairs(it.names.locals) do
    local over = binding.over
    if over and binding.name:sub(1, 1) ~= "_" and not binding.node.implied then
      say(binding.node, "'%s' hides the local of line %d: what is meant for that one reaches this one", binding.name,
        over.node.line)
    end
  end
end

return rules
