-- Rules about what effects and words are given: arguments and options, by the catalogue and the vocabulary.
local blame = require "blame"
local duration = require "duration"
local facts = require "check.facts"
local values = require "values"
local vocabulary = require "vocabulary"

local rules = {}

---------------------------------------------------------------------- Shapes --

-- A shape says what a call takes: { name =, params = { { name, type, optional = } … }, rest = any number of further ones,
-- options =, trailing = the options stand behind the parameters }.
local of_word = {}
for name, word in pairs(vocabulary.words) do
  local shape = { name = name, params = {}, options = word.options }
  for _, it in ipairs(word.takes) do
    if it[1] == "..." then shape.rest = true
    else table.insert(shape.params, { (it[1]:gsub("%?$", "")), it[2], optional = it[1]:find "%?$" ~= nil }) end
  end
  of_word[name] = shape
end

local function shape_of(node)
  local entry = facts.effect(node)
  if not entry then return of_word[facts.word(node) or ""] end
  return { name = entry.name, params = entry.params, rest = entry.rest, options = entry.options, trailing = true }
end

local function each_call(it, f)
  facts.each(it.tree.body, function(node)
    local shape = shape_of(node)
    if shape then f(node, shape) end
  end)
end

-- What an optional parameter is not given when something of the next one's type stands in its place.
local function left_out(param, given)
  if not param.optional or not given then return false end
  return param[2] == "string" and given.type == "table" or param[2] == "table" and given.type == "function"
end

-- The arguments with what each is for, { param =, given = }; and the place behind the last one.
local function matched(call, shape)
  local list, at = {}, 1
  for _, param in ipairs(shape.params) do
    local given = call.arguments[at]
    if not left_out(param, given) then
      list[#list + 1], at = { param = param, given = given, at = at }, at + 1
    elseif shape.trailing then
      break
    end
  end
  return list, at
end

-- What a call ends with may be several values, or none.
local function is_open(call)
  local last = call.arguments[#call.arguments]
  return last ~= nil and (last.type == "call" or last.type == "vararg")
end

local named = { options = true, about = true }

-- The table that holds the options, as a node; nil when there is none, or when that can't be told.
local function options_of(call, shape)
  local list, at = matched(call, shape)
  if shape.rest then while call.arguments[at] and call.arguments[at].type ~= "table" do at = at + 1 end end
  local found = (shape.trailing or shape.rest) and call.arguments[at] or nil
  for _, it in ipairs(shape.trailing and {} or list) do
    if named[it.param[1]] then found = it.given end
  end
  found = found and facts.origin(found)
  return found and found.type == "table" and found or nil
end

-------------------------------------------------------------------- Arguments --

rules["missing-argument"] = function(it, say)
  each_call(it, function(call, shape)
    if is_open(call) then return end
    for _, found in ipairs((matched(call, shape))) do
      if not found.param.optional and not found.given then
        return say(call, "%s: argument %d (%s) is missing", shape.name, found.at, found.param[1])
      end
    end
  end)
end

rules["too-many-arguments"] = function(it, say)
  each_call(it, function(call, shape)
    local _, at = matched(call, shape)
    local most = shape.trailing and at or at - 1
    local given = #call.arguments - (is_open(call) and 1 or 0)
    if shape.rest or given <= most then return end
    say(call.arguments[most + 1], "%s takes at most %d argument%s", shape.name, most, most == 1 and "" or "s")
  end)
end

local kinds = { string = "string", number = "number", ["true"] = "boolean", ["false"] = "boolean", table = "table",
                ["function"] = "function" }
local wanted = { duration = { string = true }, string = { string = true }, number = { number = true }, integer = { number = true },
                 boolean = { boolean = true }, map = { table = true }, strings = { table = true }, table = { table = true },
                 ["function"] = { ["function"] = true }, size = { string = true, number = true } }
local called = { integer = "an integer", map = "a table", strings = "a list of strings", boolean = "true or false" }

-- Why what is written out can't be a value of that type; nil when it can, or isn't written out.
local function why_not_type(kind, node)
  local found = kinds[node.type]
  if not found or not wanted[kind] then return nil end
  if not wanted[kind][found] then return ("%s expected, got a %s"):format(called[kind] or "a " .. kind, found) end
  if kind == "integer" and math.type(node.value) ~= "integer" then return ("an integer expected, got %s"):format(node.value) end
end

local function why_not_read(kind, value)
  local parse = kind == "duration" and duration.parse or kind == "size" and duration.size
  if not parse then return nil end
  local read, why = parse(value)
  return read == nil and why or nil
end

local function why_not_one_of(list, value)
  for _, allowed in ipairs(list or {}) do if allowed == value then return nil end end
  return list and ("one of %s expected, got %q"):format(table.concat(list, ", "), tostring(value)) or nil
end

local function why_not(spec, kind, node)
  local why = why_not_type(kind, node)
  if why or node.value == nil or not kinds[node.type] then return why end
  return why_not_read(kind, node.value) or why_not_one_of(spec.one_of, node.value)
end

rules["wrong-argument"] = function(it, say)
  each_call(it, function(call, shape)
    for _, found in ipairs((matched(call, shape))) do
      local kind = found.param[2]
      local why = found.given and (not shape.trailing and why_not_type(kind, found.given)
        or shape.trailing and why_not(found.param, kind, found.given))
      if why then say(found.given, "%s: argument %d (%s): %s", shape.name, found.at, found.param[1], why) end
    end
    for _, item in ipairs(shape.name == "params" and call.arguments[1] and call.arguments[1].items or {}) do
      local found = kinds[item.value.type]
      if found and found ~= "table" then say(item.value, "params: { default, \"help\", … } expected, got a %s", found) end
    end
  end)
end

---------------------------------------------------------------------- Options --

-- Calls f(name, options, key, value, is_word) for each option that is written out, of effects, words, and parameters.
local function each_option(it, f)
  local function visit(name, options, given, is_word)
    for _, item in ipairs(given.items) do
      if item.key and item.key.type == "string" then f(name, options, item.key, item.value, is_word) end
    end
  end
  each_call(it, function(call, shape)
    local given = shape.options and options_of(call, shape)
    if given then visit(shape.name, shape.options, given, not shape.trailing) end
    local declared = shape.name == "params" and call.arguments[1]
    for _, item in ipairs(declared and declared.type == "table" and declared.items or {}) do
      if item.value.type == "table" and item.key then
        visit(("params: %s"):format(item.key.value or "?"), vocabulary.param, item.value, true)
      end
    end
  end)
end

rules["unknown-option"] = function(it, say)
  each_option(it, function(name, options, key)
    if options[key.value] then return end
    say(key, "%s: unknown option '%s'%s", name, key.value, blame.hint(key.value, values.keys(options)))
  end)
end

-- Durations of words have a rule of their own.
rules["wrong-option"] = function(it, say)
  each_option(it, function(name, options, key, value, is_word)
    local option = options[key.value]
    local told_elsewhere = is_word and option and option[1] == "duration"
    local why
    if told_elsewhere then why = why_not_type(option[1], value) elseif option then why = why_not(option, option[1], value) end
    if why then say(value, "%s: option '%s': %s", name, key.value, why) end
  end)
end

return rules
