-- Who is who in a tree (stdlib/syntax/parser.lua): every name is bound to the local it means, or is a global.
--
-- A local: { name =, node = where it stands, kind = "local" | "parameter" | "loop" | "function", attribute =, value = the
-- expression it is given, sets = how often it is assigned later, fields = those of it that are set by their names: what to, false
-- when twice; changed = others are set, uses = names that read it, named = how many of these for a field by its name }. A name's
-- node gets `binding`.
local walk = {}

-- The fields of a node that hold nodes or lists of them, in the order of the text.
local children = {
  ["local"] = { "values" }, assign = { "values", "targets" }, call_alone = { "call" },
  call = { "object", "arguments" }, ["do"] = { "body" },
  ["while"] = { "condition", "body" }, ["repeat"] = { "body", "condition" }, ["if"] = { "clauses", "otherwise" },
  ["for"] = { "first", "last", "step", "body" }, for_in = { "values", "body" }, ["function"] = { "target", "value", "body" },
  local_function = { "value" }, ["return"] = { "values" }, index = { "object", "key" }, table = { "items" },
  unary = { "operand" }, binary = { "left", "right" }, paren = { "value" },
}

-- Calls f with each child of a node: nodes, and what stands in clauses and items.
local function each_child(it, f)
  for _, field in ipairs(children[it.type] or {}) do
    local value = it[field]
    if value and value.type then
      f(value)
    elseif value then
      for _, part in ipairs(value) do
        if part.type then f(part) end
        if not part.type then
          if part.key then f(part.key) end
          if part.condition then f(part.condition) end
          for _, inner in ipairs(part.body or {}) do f(inner) end
          if part.value then f(part.value) end
        end
      end
    end
  end
end

-- Calls f(node, above) for every node below a list of statements or a node, parents first; `above`: its parents, the nearest
-- last, and how many of them are `functions`. What f returns false for is not gone into.
function walk.each(it, f)
  local above = { functions = 0 }
  local function visit(child)
    if f(child, above) == false then return end
    local is_function = child.type == "function" and 1 or 0
    above[#above + 1], above.functions = child, above.functions + is_function
    each_child(child, visit)
    above[#above], above.functions = nil, above.functions - is_function
  end
  if it.type then return visit(it) end
  for _, statement in ipairs(it) do visit(statement) end
end

---------------------------------------------------------------------- Names --

local bind_block, bind

local function declare(state, name, kind, value)
  local it = { name = name.name, node = name, kind = kind, attribute = name.attribute, value = value, sets = 0, uses = {},
               named = 0, over = state.scope[name.name] }
  name.binding = it
  state.scope[name.name] = it
  state.locals[#state.locals + 1] = it
end

local function inside(state, f)
  local outer = state.scope
  state.scope = setmetatable({}, { __index = outer })
  f()
  state.scope = outer
end

local binders = {}

function binders.name(state, it)
  it.binding = state.scope[it.name]
  local uses = it.binding and it.binding.uses or state.globals
  uses[#uses + 1] = it
end

function binders.index(state, it)
  bind(state, it.object)
  bind(state, it.key)
  local binding = it.key.type == "string" and it.object.binding
  if binding then binding.named = binding.named + 1 end
end

binders["local"] = function(state, it)
  for _, value in ipairs(it.values) do bind(state, value) end
  for i, name in ipairs(it.names) do declare(state, name, "local", it.values[i]) end
end

function binders.local_function(state, it)
  declare(state, it.name, "function", it.value)
  bind(state, it.value)
end

-- A field of what a local holds is set. One that is named, and once, has that value; else what the local was given no longer
-- says what is in it.
local function note_change(target, value)
  local binding = target.type == "index" and target.object.type == "name" and target.key.type == "string" and target.object.binding
  if binding then
    binding.fields = binding.fields or {}
    binding.fields[target.key.value] = binding.fields[target.key.value] == nil and value or false
    return
  end
  while target.type == "index" or target.type == "paren" do target = target.object or target.value end
  if target.binding then target.binding.changed = true end
end

function binders.assign(state, it)
  for _, value in ipairs(it.values) do bind(state, value) end
  for i, target in ipairs(it.targets) do
    local binding = target.type == "name" and state.scope[target.name]
    if binding then
      target.binding, binding.sets = binding, binding.sets + 1
    elseif target.type == "name" then
      state.assigned[#state.assigned + 1] = target
    else
      bind(state, target)
      note_change(target, it.values[i])
    end
  end
end

binders["function"] = function(state, it)
  if it.target then
    return binders.assign(state, { values = { it.value }, targets = { it.target } })
  end
  inside(state, function()
    for _, name in ipairs(it.names) do declare(state, name, "parameter") end
    bind_block(state, it.body)
  end)
end

binders["for"] = function(state, it)
  for _, field in ipairs { "first", "last", "step" } do if it[field] then bind(state, it[field]) end end
  inside(state, function()
    declare(state, it.name, "loop")
    bind_block(state, it.body)
  end)
end

function binders.for_in(state, it)
  for _, value in ipairs(it.values) do bind(state, value) end
  inside(state, function()
    for _, name in ipairs(it.names) do declare(state, name, "loop") end
    bind_block(state, it.body)
  end)
end

binders["repeat"] = function(state, it)
  inside(state, function()
    bind_block(state, it.body)
    bind(state, it.condition)
  end)
end

binders["if"] = function(state, it)
  for _, clause in ipairs(it.clauses) do
    bind(state, clause.condition)
    inside(state, function() bind_block(state, clause.body) end)
  end
  if it.otherwise then inside(state, function() bind_block(state, it.otherwise) end) end
end

binders["while"] = function(state, it)
  bind(state, it.condition)
  inside(state, function() bind_block(state, it.body) end)
end

binders["do"] = function(state, it) inside(state, function() bind_block(state, it.body) end) end

function bind(state, it)
  if binders[it.type] then return binders[it.type](state, it) end
  each_child(it, function(child) bind(state, child) end)
end

function bind_block(state, list)
  for _, it in ipairs(list) do bind(state, it) end
end

-- Binds a tree's names: { locals = all of them, globals = names that are none, assigned = those that are given a value }.
function walk.names(tree)
  local state = { scope = {}, locals = {}, globals = {}, assigned = {} }
  bind_block(state, tree.body)
  return state
end

return walk
