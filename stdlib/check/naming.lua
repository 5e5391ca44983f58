-- Rules about names: what is not declared, what is declared and not used, what hides something else.
local blame = require "blame"
local facts = require "check.facts"
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
