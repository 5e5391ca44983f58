-- Rules about effects: what the catalogue doesn't know, and what stands where it may not or need not.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local facts = require "check.facts"
local values = require "values"

local rules = {}

-- Calls f(call, entry, parents) for every effect that the file calls by its name.
local function each_effect(it, f)
  facts.each(it.tree.body, function(node, above)
    local entry = facts.effect(node)
    if entry then f(node, entry, above) end
  end)
end

rules["unknown-effect"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local family, verb = facts.family(node)
    if not verb or catalogue.family(family)[verb] then return end
    local names = values.keys(catalogue.family(family))
    for i = #names, 1, -1 do if names[i] == "true" or names[i] == true then table.remove(names, i) end end
    say(node, "there is no effect %s.%s%s", family, verb, blame.hint(verb, names))
  end)
end

-- Which argument holds the options, as a node; nil when that can't be told or there are none.
local function options_of(call, entry)
  local arguments, at = call.arguments, #entry.params + 1
  for i, param in ipairs(entry.params) do
    local given = arguments[i]
    if param.optional and param[2] == "string" and given and given.type == "table" then
      at = i
      break
    end
  end
  if entry.rest then while arguments[at] and arguments[at].type ~= "table" do at = at + 1 end end
  return arguments[at] and facts.origin(arguments[at])
end

local function each_option(it, f)
  each_effect(it, function(call, entry)
    local options = options_of(call, entry)
    for _, item in ipairs(options and options.type == "table" and options.items or {}) do
      if item.key and item.key.type == "string" then f(entry, item.key, item.value) end
    end
  end)
end

rules["unknown-option"] = function(it, say)
  each_option(it, function(entry, key)
    if entry.options[key.value] then return end
    say(key, "%s: unknown option '%s'%s", entry.name, key.value, blame.hint(key.value, values.keys(entry.options)))
  end)
end

rules["missing-argument"] = function(it, say)
  each_effect(it, function(call, entry)
    local last = call.arguments[#call.arguments]
    if last and (last.type == "call" or last.type == "vararg") then return end
    for i, param in ipairs(entry.params) do
      if not param.optional and not call.arguments[i] then
        return say(call, "%s: argument %d (%s) is missing", entry.name, i, param[1])
      end
    end
  end)
end

local literals = { string = "string", number = "number", ["true"] = "boolean", ["false"] = "boolean" }
local wanted = { duration = "string", string = "string", number = "number", integer = "number", boolean = "boolean" }

local function why_not(option, value)
  local kind, found = option[1], literals[value.type]
  if not found then return nil end
  if wanted[kind] and wanted[kind] ~= found then return ("a %s expected, got a %s"):format(kind, found) end
  local parse = kind == "duration" and duration.parse or kind == "size" and duration.size
  local read, why
  if parse then read, why = parse(value.value) end
  if parse and read == nil then return why end
  for i, allowed in ipairs(option.one_of or {}) do
    if allowed == value.value then return nil end
    if i == #option.one_of then return ("one of %s expected"):format(table.concat(option.one_of, ", ")) end
  end
end

rules["wrong-option"] = function(it, say)
  each_option(it, function(entry, key, value)
    local option = entry.options[key.value]
    local why = option and why_not(option, value)
    if why then say(value, "%s: option '%s': %s", entry.name, key.value, why) end
  end)
end

-- Known of every result (stdlib/result.lua).
local always = { ok = true, why = true, error = true, dry = true, cut = true }

rules["unknown-field"] = function(it, say)
  facts.each(it.tree.body, function(node)
    if node.type ~= "index" or node.key.type ~= "string" then return end
    local entry = facts.effect(facts.origin(node.object))
    local name = node.key.value
    if not entry or entry.open_fields or entry.result[name] or always[name] then return end
    say(node.key, "a result of %s has no field '%s'%s", entry.name, name, blame.hint(name, values.keys(entry.result)))
  end)
end

local looking = { probe = "a probe", recovered = "the goal", prevention = "a prevention", wait_until = "wait_until" }

local function changes(entry) return facts.changes[facts.class(entry)] and not entry.options.reads end

rules["write-in-probe"] = function(it, say)
  facts.each(it.tree.body, function(looks)
    local body = looking[facts.word(looks)] and facts.body(looks)
    local said = {}
    facts.each_carried_out(body or { body = {} }, function(node, call)
      local entry = facts.effect(node)
      if not entry or not changes(entry) or said[call] then return end
      said[call or node] = true
      say(call or node, "%s changes something%s, and %s changes nothing: put it in a remedy", entry.name,
        call and (" (line %d)"):format(node.line) or "", looking[facts.word(looks)])
    end)
  end)
end

rules["write-outside-remedy"] = function(it, say)
  each_effect(it, function(call, entry, above)
    if not facts.is_at_top(above) or not changes(entry) then return end
    say(call, "%s changes something: put it in a remedy, so that somebody is asked", entry.name)
  end)
end

-- Programs whose work an effect does, with plan, journal and deadline.
local programs = { kubectl = "kubectl.…", docker = "docker.…", systemctl = "service.…", psql = "sql.…", curl = "http.…",
                   ["redis-cli"] = "redis.…", ssh = "the option `on` of an effect" }

rules["program-has-effect"] = function(it, say)
  each_effect(it, function(call, entry)
    local word, name = facts.program(entry.family == "exec" and facts.origin(call.arguments[1] or {}))
    if not programs[name] then return end
    say(word, "%s: %s does that with a plan, a deadline and a result that is understood", name, programs[name])
  end)
end

-- The plan is approved by its words: what is another at every look is never what was approved.
rules["clock-in-write"] = function(it, say)
  each_effect(it, function(call, entry)
    if not facts.changes[facts.class(entry)] then return end
    for _, argument in ipairs(call.arguments) do
      facts.each(argument, function(node)
        if node.type ~= "call" or node.object.type ~= "index" or facts.global(node.object.object) ~= "time" then return end
        if node.object.key.value ~= "now" then return end
        say(node, "%s: its words have the time in them: the plan that is approved would be another than what is done", entry.name)
      end)
    end
  end)
end

return rules
