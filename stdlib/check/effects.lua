-- Rules about effects: what the catalogue doesn't know, and what stands where it may not or need not.
local blame = require "blame"
local catalogue = require "catalogue"
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

local function changes(call, entry) return facts.changes[facts.class(entry, call)] end

rules["write-in-probe"] = function(it, say)
  facts.each(it.tree.body, function(looks)
    local body = looking[facts.word(looks)] and facts.body(looks)
    local said = {}
    facts.each_carried_out(body or { body = {} }, function(node, call)
      local entry = facts.effect(node)
      if not entry or not changes(node, entry) then return end
      local at = call or node
      if at.tree ~= it.tree then at = looks end
      if said[at] then return end
      said[at] = true
      say(at, "%s changes something%s, and %s changes nothing: put it in a remedy", entry.name,
        at ~= node and facts.place_beside(at, node) or "", looking[facts.word(looks)])
    end)
  end)
end

rules["write-outside-remedy"] = function(it, say)
  each_effect(it, function(call, entry, above)
    if not facts.is_at_top(above) or not changes(call, entry) then return end
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

-- A remedy's question says what can't be had back; without that people say yes to the title.
rules["no-warning"] = function(it, say)
  facts.each(it.tree.body, function(node)
    local body = facts.word(node) == "remedy" and facts.body(node)
    local warning, open = facts.field(node.arguments and facts.origin(node.arguments[2] or node), "warning")
    if not body or warning or open then return end
    local said = false
    facts.each_carried_out(body, function(inner)
      local entry = facts.effect(inner)
      if said or not entry or facts.class(entry, inner) ~= "destructive" then return end
      said = true
      say(node, "%s%s can't be undone: say in `warning` what is lost", entry.name, facts.place_beside(node, inner))
    end)
  end)
end

-- The plan is approved by its words: what is another at every look is never what was approved.
rules["clock-in-write"] = function(it, say)
  each_effect(it, function(call, entry)
    if not changes(call, entry) then return end
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
