-- What the rules of runbook check ask of a file's tree: what is called, what a local holds, where something stands.
local catalogue = require "catalogue"
local files = require "raw.files"
local lexer = require "syntax.lexer"
local parser = require "syntax.parser"
local sandbox = require "sandbox"
local script = require "script"
local walk = require "syntax.walk"

-- A file is this long at most, in bytes: its tree takes some eighty times as much.
local facts = { SIZE_MAX = 1 << 20 }

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

local origins = {}

function origins.paren(it) return it.value end

function origins.name(it)
  local binding = it.binding
  if not binding or binding.sets > 0 or binding.kind == "parameter" then return nil end
  return binding.value
end

-- Finds the tree of a module by its name, with its names bound; nil when there is none. Set for each file that is looked at.
function facts.module() return nil end

-- What a module gives back at its end, of a call of `require` with its name written out: a node, or nil.
local function returned_by(call)
  local name = call and call.type == "call" and facts.word(call) == "require" and call.arguments[1]
  local tree = name and name.type == "string" and facts.module(name.value)
  local last = tree and tree.body[#tree.body]
  return last and last.type == "return" and last.values[1] or nil
end

-- The names of all that a module holds, of a local that `require` gave it; nil where they can't all be told.
function facts.module_fields(object)
  local own = object.type == "name" and object.binding
  local given = own and not own.fields and not own.changed and origins.name(object)
  local returned = given and returned_by(given)
  local binding = returned and returned.type == "name" and returned.binding
  local held = binding and not binding.changed and origins.name(returned)
  if not held or held.type ~= "table" or #binding.uses ~= binding.named + 1 then return nil end
  local names = {}
  for _, item in ipairs(held.items) do
    if not item.key or item.key.type ~= "string" then return nil end
    names[item.key.value] = true
  end
  for name in pairs(binding.fields or {}) do names[name] = true end
  return names
end

-- A field of a table that is written out, if it is given a value once: there, or by its name later. So is a module's.
function origins.index(it)
  local object = it.object
  local given = object.type == "name" and object.binding and origins.name(object)
  object = given and returned_by(given) or object
  local binding = it.key.type == "string" and object.type == "name" and object.binding
  local held = binding and not binding.changed and origins.name(object)
  if not held or held.type ~= "table" then return nil end
  local first, later = facts.field(held, it.key.value), (binding.fields or {})[it.key.value]
  if first then return later == nil and first or nil end
  return later or nil
end

-- So many locals and fields are looked through, one after the other, at most: they may lead in a circle.
local STEPS_MAX = 50

-- What a node is made of: of a local that is given a value once, that value.
function facts.origin(it)
  local at = it
  for _ = 1, STEPS_MAX do
    local from = origins[at.type] and origins[at.type](at)
    if not from then return at end
    at = from
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

local literal = { string = true, number = true, ["true"] = true, ["false"] = true }

-- Tables in tables that are looked into at most.
local DEPTH_MAX = 20

-- The value of a node that is written out in full; nil and false when it isn't.
local function value_of(it, depth)
  it, depth = facts.origin(it), (depth or 0) + 1
  if it.type == "true" or it.type == "false" then return it.type == "true", true end
  if literal[it.type] then return it.value, true end
  if it.type ~= "table" or depth > DEPTH_MAX then return nil, false end
  local list, whole = {}, true
  for _, item in ipairs(it.items) do
    local value, known = value_of(item.value, depth)
    local key = not item.key and #list + 1 or item.key.type == "string" and item.key.value or nil
    if known and key then list[key] = value else whole = false end
    if not known and not item.key then break end -- the words before it stand
  end
  return list, whole
end

-- The arguments of an effect's call as far as they are written out, as its `class` wants them; and whether all are.
local function written(entry, call)
  local given, whole, at = {}, true, 1
  for _, param in ipairs(entry.params) do
    local node = call.arguments[at]
    local left = param.optional and param[2] == "string" and node and node.type == "table"
    if node and not left then
      local value, known = value_of(node)
      given[param[1]], whole, at = value, whole and known, at + 1
    end
  end
  local words = entry.rest and {} or nil
  while words and call.arguments[at] and call.arguments[at].type ~= "table" do
    local value, known = value_of(call.arguments[at])
    if not known then whole = false break end
    words[#words + 1], at = tostring(value), at + 1
  end
  if entry.rest then given[entry.rest[1]] = words end
  local options, known = {}, true
  if call.arguments[at] then options, known = value_of(call.arguments[at]) end
  for name, value in pairs(options or {}) do given[name] = value end
  return given, whole and known
end

-- The class that a call of an effect has; nil when its arguments decide and too little of them is written out. What the config
-- may call a read (entry.reader) is never told a write.
function facts.class(entry, call)
  if type(entry.class) == "string" then return entry.class end
  local given, whole = written(entry, call)
  local ok, class = pcall(entry.class, given)
  if not ok then return nil end
  if class == "destructive" then return class end
  return whole and not (entry.reader and class == "write") and class or nil
end

facts.changes = { write = true, destructive = true }

-- The function that a word is given to carry out: probe("x", function() … end).
function facts.body(it)
  for i = #it.arguments, 1, -1 do
    local origin = facts.origin(it.arguments[i])
    if origin.type == "function" then return origin end
  end
end

-- Whether a node stands in no function: it is done when the script runs.
function facts.is_at_top(above) return above.functions == 0 end

-- " (line 4)" of a node, for who is told of another one; of one of another file that it is a module's.
function facts.place_beside(at, node)
  return (at.tree == node.tree and " (line %d)" or " (line %d of its module)"):format(node.line)
end

-- A loader of modules from a folder for facts.module.
function facts.modules_of(folder)
  local loaded = {}
  return function(name)
    if loaded[name] == nil then
      local read = files.read { path = folder .. name:gsub("%.", "/") .. ".lua", max = facts.SIZE_MAX }
      local tree = read and not read.cut and parser.parse(read.text) or nil
      if tree then walk.names(tree) end
      loaded[name] = tree or false
    end
    return loaded[name] or nil
  end
end

-- The text of a node in one line, without its comments; strings stay as they are written. `between`: what stands between two
-- words, if not what their author put there.
function facts.source(it, between)
  local text, parts, last = " " .. it.tree.text:sub(it.from, it.to), {}, 0 -- a # in front would be a script's first line
  for _, token in ipairs((lexer.tokens(text))) do
    if token.type == "eof" then break end
    parts[#parts + 1] = last > 0 and (between or token.from > last + 1 and " " or "") or ""
    parts[#parts + 1] = text:sub(token.from, token.to)
    last = token.to
  end
  return table.concat(parts)
end

-- Calls f(node, call) for every node below a function, and below the functions of the file that it calls, however deep, each
-- once; `call`: the call in `fn` that leads there, nil for what stands in `fn` itself.
function facts.each_carried_out(fn, f)
  local seen = {}
  local function visit(body, call)
    if seen[body] then return end
    seen[body] = true
    walk.each(body.body, function(node)
      f(node, call)
      if node.type ~= "call" or node.method then return end
      local called = facts.origin(node.object)
      if called.type == "function" then visit(called, call or node) end
    end)
  end
  visit(fn)
end

-- Programs that start the one behind them: the options of theirs that take a word, and how many words stand before it.
local wrappers = {
  sudo = { takes = "-u -g -h -p -C -T -D -R -U --user --group --host --prompt --chdir" },
  env = { takes = "-u -C -S --unset --chdir" }, nice = { takes = "-n --adjustment" }, ionice = { takes = "-c -n -p" },
  timeout = { takes = "-s -k --signal --kill-after", words = 1 }, nohup = { takes = "" }, setsid = { takes = "" },
  time = { takes = "-o -f" }, stdbuf = { takes = "-i -o -e" }, doas = { takes = "-u -C" }, chronic = { takes = "" },
}

-- The index of the word behind what belongs to a wrapper at `at`: its options, variables, its own words.
local function after_wrapper(items, at, wrapper)
  local own = wrapper.words or 0
  at = at + 1
  while items[at] do
    local word = items[at].value.type == "string" and items[at].value.value or ""
    if word:sub(1, 1) == "-" and (" " .. wrapper.takes .. " "):find(" " .. word .. " ", 1, true) then
      at = at + 2
    elseif word:sub(1, 1) == "-" or word:find "^[%a_][%w_]*=" then
      at = at + 1
    elseif own > 0 then
      own, at = own - 1, at + 1
    else
      return at
    end
  end
  return at
end

-- The word of an argument vector that is written out which names the program, and that name without its folder: behind `sudo`,
-- `env NAME=VALUE`, `timeout 5` and their like.
function facts.program(it)
  local items, at = it and it.type == "table" and it.items or {}, 1
  while items[at] do
    local word = items[at].value
    local name = word.type == "string" and word.value:match "[^/]+$"
    if not name or not wrappers[name] then return word, name end
    at = after_wrapper(items, at, wrappers[name])
  end
end

facts.each = walk.each

return facts
