-- Lua 5.4 as a tree. Whether a text is Lua is `load`'s word alone, so that this reader accepts and refuses what the program that
-- runs it does; what it builds is for who looks at a runbook without running it.
--
-- Every node: { type =, line =, column =, from =, to =, tree = the one it is of }, bytes of the text. Blocks are lists of
-- statements.
--   statements   local{names = {name…}, values}   assign{targets, values}   call_alone{call}   do{body}   while{condition, body}
--                repeat{body, condition}   if{clauses = {{condition, body}…}, otherwise}   for{name, first, last, step, body}
--                for_in{names, values, body}   function{target, value}   local_function{name, value}   return{values}
--                goto{label}   label{label}   break
--   expressions  nil true false vararg   number{value}   string{value}   name{name}   index{object, key}
--                call{object, arguments, method = its name}   function{names, vararg, body}
--                table{items = {{value, key = expression or nil}…}}   unary{operator, operand}   binary{operator, left, right}
--                paren{value}
--   names        { type = "name", name, attribute = "const" or "close" }
local lexer = require "syntax.lexer"

local parser = {}
local tokens, at, tree -- of the text that is read; nothing here waits

local function peek() return tokens[at].type end

local function advance()
  at = at + 1
  return tokens[at - 1]
end

local function accept(kind) return tokens[at].type == kind and advance() or nil end

local function expect(kind)
  local token = advance()
  if token.type ~= kind then
    error(("line %d: %s expected by the reader, got %s"):format(token.line, kind, token.type), 0)
  end
  return token
end

-- A node that begins with a token or node.
local function node(kind, first, fields)
  fields = fields or {}
  fields.type, fields.line, fields.column, fields.from, fields.tree = kind, first.line, first.column, first.from, tree
  return fields
end

-- It ends with what was read last.
local function finish(it)
  it.to = tokens[at - 1].to
  return it
end

local block, expression

local function list_of(read)
  local list = { read() }
  while accept "," do list[#list + 1] = read() end
  return list
end

local function name()
  local token = expect "name"
  return finish(node("name", token, { name = token.value }))
end

---------------------------------------------------------------- Expressions --

local function parameters(it)
  expect "("
  it.names = {}
  while peek() ~= ")" do
    if accept "..." then it.vararg = true else it.names[#it.names + 1] = name() end
    accept ","
  end
  expect ")"
end

local function function_body(first, self)
  local it = node("function", first)
  parameters(it)
  if self then table.insert(it.names, 1, { type = "name", name = "self", line = it.line, column = it.column, implied = true }) end
  it.body = block()
  expect "end"
  return finish(it)
end

local function item()
  if accept "[" then
    local key = expression()
    expect "]"
    expect "="
    return { key = key, value = expression() }
  end
  if peek() == "name" and tokens[at + 1].type == "=" then
    local token = advance()
    advance()
    return { key = node("string", token, { value = token.value, to = token.to }), value = expression() }
  end
  return { value = expression() }
end

local function constructor()
  local it = node("table", expect "{", { items = {} })
  while peek() ~= "}" do
    it.items[#it.items + 1] = item()
    if not accept "," then accept ";" end
  end
  expect "}"
  return finish(it)
end

local function string_literal()
  local token = expect "string"
  return finish(node("string", token, { value = token.value }))
end

local function arguments()
  if peek() == "string" then return { string_literal() } end
  if peek() == "{" then return { constructor() } end
  expect "("
  local list = peek() ~= ")" and list_of(expression) or {}
  expect ")"
  return list
end

local calls = { ["("] = true, ["{"] = true, string = true }

local function suffix(object)
  if accept "." then
    local token = expect "name"
    local key = node("string", token, { value = token.value, to = token.to })
    return finish(node("index", object, { object = object, key = key }))
  elseif accept "[" then
    local key = expression()
    expect "]"
    return finish(node("index", object, { object = object, key = key }))
  elseif accept ":" then
    local method = expect("name").value
    return finish(node("call", object, { object = object, method = method, arguments = arguments() }))
  elseif calls[peek()] then
    return finish(node("call", object, { object = object, arguments = arguments() }))
  end
end

local function suffixed()
  local it
  if peek() == "(" then
    local first = advance()
    it = node("paren", first, { value = expression() })
    expect ")"
    finish(it)
  else
    it = name()
  end
  while true do
    local more = suffix(it)
    if not more then return it end
    it = more
  end
end

local constants = { ["nil"] = "nil", ["true"] = "true", ["false"] = "false", ["..."] = "vararg" }

local function simple()
  local kind = peek()
  if constants[kind] then return finish(node(constants[kind], advance())) end
  if kind == "number" then
    local token = advance()
    return finish(node("number", token, { value = token.value }))
  end
  if kind == "string" then return string_literal() end
  if kind == "{" then return constructor() end
  if kind == "function" then return function_body(advance()) end
  return suffixed()
end

-- Left and right priority, as in the manual (3.4.8).
local binary = { ["or"] = { 1, 1 }, ["and"] = { 2, 2 }, ["<"] = { 3, 3 }, [">"] = { 3, 3 }, ["<="] = { 3, 3 }, [">="] = { 3, 3 },
                 ["~="] = { 3, 3 }, ["=="] = { 3, 3 }, ["|"] = { 4, 4 }, ["~"] = { 5, 5 }, ["&"] = { 6, 6 }, ["<<"] = { 7, 7 },
                 [">>"] = { 7, 7 }, [".."] = { 9, 8 }, ["+"] = { 10, 10 }, ["-"] = { 10, 10 }, ["*"] = { 11, 11 },
                 ["/"] = { 11, 11 }, ["//"] = { 11, 11 }, ["%"] = { 11, 11 }, ["^"] = { 14, 13 } }
local unary = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local UNARY = 12

local function operand()
  if not unary[peek()] then return simple() end
  local token = advance()
  return finish(node("unary", token, { operator = token.type, operand = expression(UNARY) }))
end

function expression(limit)
  local left = operand()
  while true do
    local operator = peek()
    local priority = binary[operator]
    if not priority or priority[1] <= (limit or 0) then return left end
    advance()
    left = finish(node("binary", left, { operator = operator, left = left, right = expression(priority[2]) }))
  end
end

----------------------------------------------------------------- Statements --

local statements = {}

statements["if"] = function(first)
  local it = node("if", first, { clauses = {} })
  repeat
    local condition = expression()
    expect "then"
    it.clauses[#it.clauses + 1] = { condition = condition, body = block() }
  until not accept "elseif"
  if accept "else" then it.otherwise = block() end
  expect "end"
  return it
end

statements["while"] = function(first)
  local it = node("while", first, { condition = expression() })
  expect "do"
  it.body = block()
  expect "end"
  return it
end

statements["do"] = function(first)
  local it = node("do", first, { body = block() })
  expect "end"
  return it
end

statements["repeat"] = function(first)
  local it = node("repeat", first, { body = block() })
  expect "until"
  it.condition = expression()
  return it
end

local function loop_body(it)
  expect "do"
  it.body = block()
  expect "end"
  return it
end

statements["for"] = function(first)
  local names = list_of(name)
  if accept "in" then return loop_body(node("for_in", first, { names = names, values = list_of(expression) })) end
  expect "="
  local bounds = list_of(expression)
  return loop_body(node("for", first, { name = names[1], first = bounds[1], last = bounds[2], step = bounds[3] }))
end

statements["function"] = function(first)
  local target, self = name(), false
  while peek() == "." or peek() == ":" do
    self = advance().type == ":"
    local token = expect "name"
    local key = node("string", token, { value = token.value, to = token.to })
    target = finish(node("index", target, { object = target, key = key }))
  end
  return node("function", first, { target = target, value = function_body(first, self) })
end

local function attributed_name()
  local it = name()
  if accept "<" then
    it.attribute = expect("name").value
    expect ">"
  end
  return it
end

statements["local"] = function(first)
  if accept "function" then return node("local_function", first, { name = name(), value = function_body(first) }) end
  local names = list_of(attributed_name)
  return node("local", first, { names = names, values = accept "=" and list_of(expression) or {} })
end

local ends = { eof = true, ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

statements["return"] = function(first)
  local values = not ends[peek()] and peek() ~= ";" and list_of(expression) or {}
  return node("return", first, { values = values })
end

statements["goto"] = function(first) return node("goto", first, { label = expect("name").value }) end
statements["break"] = function(first) return node("break", first) end

statements["::"] = function(first)
  local it = node("label", first, { label = expect("name").value })
  expect "::"
  return it
end

local function expression_statement()
  local first = suffixed()
  if peek() ~= "=" and peek() ~= "," then return node("call_alone", first, { call = first }) end
  local targets = { first }
  while accept "," do targets[#targets + 1] = suffixed() end
  expect "="
  return node("assign", first, { targets = targets, values = list_of(expression) })
end

local function statement()
  local read = statements[peek()]
  return finish(read and read(advance()) or expression_statement())
end

function block()
  local list = {}
  while not ends[peek()] do
    if not accept ";" then list[#list + 1] = statement() end
  end
  return list
end

-- How many bytes Lua's own reader takes before it refuses a text: it is given one at a time.
local function taken_before_refused(text)
  local given = 0
  load(function()
    given = given + 1
    return given <= #text and text:sub(given, given) or nil
  end, "=text", "t", {})
  return math.min(given, #text + 1)
end

-- The column of what Lua is stopped at: the words behind "near" end before the last byte that it took.
local function column_of(text, line, message)
  local last, near = taken_before_refused(text), message:match " near '(.*)'$"
  local at = message:find " near <eof>$" and #text + 1
  for stop = last - 1, near and last or 0 do
    if text:sub(stop - #near + 1, stop) == near then at = stop - #near + 1 end
  end
  local found, column = lexer.counter(text)(at or last)
  if at and found == line then return column end
  return (lexer.line(text, line):find "%S") or 1
end

-- The tree of a text: { body = block, comments =, text = }; nil, line, message and column when it is no Lua.
function parser.parse(text)
  local mark = text:sub(1, 1) == "#" and 2 or 0 -- its first line counts as a comment
  local readable = (mark > 0 and "--" or "") .. text
  local chunk, problem = load(readable, "=text", "t", {})
  if not chunk then
    local line, message = problem:match "^text:(%d+): (.*)$"
    line, message = tonumber(line) or 1, message or problem
    return nil, line, message, math.max(1, column_of(readable, line, message) - (line == 1 and mark or 0))
  end
  local comments
  tokens, comments = lexer.tokens(text)
  at, tree = 1, { comments = comments, text = text }
  local made = tree
  made.body = block()
  expect "eof"
  tokens, tree = nil, nil
  return made
end

return parser
