-- The tree says what the text says: written out again from its tree alone, every Lua file in reach compiles to the same code.
-- luahost tests/stdlib/syntax_test.lua [FOLDER…]
local files = require "raw.files"
local lexer = require "syntax.lexer"
local parser = require "syntax.parser"

local print_block, print_expression

local function quoted(value) return (("%q"):format(value):gsub("\\\n", "\\010")) end

local function list(items, print_item)
  local out = {}
  for i, item in ipairs(items) do out[i] = print_item(item) end
  return table.concat(out, ", ")
end

local function name_of(it) return it.name .. (it.attribute and " <" .. it.attribute .. ">" or "") end

local function number_text(value)
  if value ~= value or value == math.huge then return "1e999" end
  return math.type(value) == "integer" and ("%d"):format(value) or ("%a"):format(value)
end

local function wrapped(it)
  local text = print_expression(it)
  local plain = it.type == "binary" or it.type == "unary" or it.type == "function" or it.type == "number"
  return plain and "(" .. text .. ")" or text
end

local function function_text(it, self)
  local names = list(it.names, name_of)
  if self then names = list({ table.unpack(it.names, 2) }, name_of) end
  if it.vararg then names = names == "" and "..." or names .. ", ..." end
  return ("(%s) %s end"):format(names, print_block(it.body))
end

-- What a call or an index stands on needs brackets, unless it is a name or such a thing itself.
local function prefix(it)
  local open = it.type == "name" or it.type == "index" or it.type == "call" or it.type == "paren"
  return open and print_expression(it) or "(" .. print_expression(it) .. ")"
end

local expressions = {
  ["nil"] = function() return "nil" end, ["true"] = function() return "true" end, ["false"] = function() return "false" end,
  vararg = function() return "..." end,
  number = function(it) return number_text(it.value) end,
  string = function(it) return quoted(it.value) end,
  name = function(it) return it.name end,
  index = function(it) return ("%s[%s]"):format(prefix(it.object), print_expression(it.key)) end,
  call = function(it)
    local method = it.method and ":" .. it.method or ""
    return ("%s%s(%s)"):format(prefix(it.object), method, list(it.arguments, print_expression))
  end,
  ["function"] = function(it) return "function " .. function_text(it) end,
  table = function(it)
    return "{" .. list(it.items, function(item)
      return (item.key and "[" .. print_expression(item.key) .. "] = " or "") .. print_expression(item.value)
    end) .. "}"
  end,
  unary = function(it) return it.operator .. " " .. wrapped(it.operand) end,
  binary = function(it) return ("%s %s %s"):format(wrapped(it.left), it.operator, wrapped(it.right)) end,
  paren = function(it) return "(" .. print_expression(it.value) .. ")" end,
}

function print_expression(it) return expressions[it.type](it) end

local statements = {
  ["local"] = function(it)
    return "local " .. list(it.names, name_of) .. (#it.values > 0 and " = " .. list(it.values, print_expression) or "")
  end,
  assign = function(it) return list(it.targets, print_expression) .. " = " .. list(it.values, print_expression) end,
  call_alone = function(it) return print_expression(it.call) end,
  ["do"] = function(it) return "do " .. print_block(it.body) .. " end" end,
  ["while"] = function(it) return ("while %s do %s end"):format(print_expression(it.condition), print_block(it.body)) end,
  ["repeat"] = function(it) return ("repeat %s until %s"):format(print_block(it.body), print_expression(it.condition)) end,
  ["if"] = function(it)
    local out = {}
    for i, clause in ipairs(it.clauses) do
      out[i] = ("%s %s then %s"):format(i == 1 and "if" or "elseif", print_expression(clause.condition), print_block(clause.body))
    end
    return table.concat(out, " ") .. (it.otherwise and " else " .. print_block(it.otherwise) or "") .. " end"
  end,
  ["for"] = function(it)
    local bounds = { it.first, it.last, it.step }
    return ("for %s = %s do %s end"):format(it.name.name, list(bounds, print_expression), print_block(it.body))
  end,
  for_in = function(it)
    return ("for %s in %s do %s end"):format(list(it.names, name_of), list(it.values, print_expression), print_block(it.body))
  end,
  ["function"] = function(it)
    return ("%s = function%s"):format(print_expression(it.target), function_text(it.value))
  end,
  local_function = function(it) return ("local function %s%s"):format(it.name.name, function_text(it.value)) end,
  ["return"] = function(it) return "return " .. list(it.values, print_expression) end,
  ["goto"] = function(it) return "goto " .. it.label end,
  label = function(it) return "::" .. it.label .. "::" end,
  ["break"] = function() return "break" end,
}

function print_block(body)
  local out = {}
  for i, it in ipairs(body) do out[i] = statements[it.type](it) end
  return table.concat(out, "; ")
end

-- The text in one line: compiled code tells the lines of its functions.
local function flat(text)
  local words = {}
  for i, token in ipairs(lexer.tokens(text)) do
    local written = text:sub(token.from, token.to)
    words[i] = token.type == "string" and written:find "\n" and quoted(token.value) or written
  end
  return table.concat(words, " ")
end

local function code_of(text, file) return string.dump(assert(load(text, "@" .. file, "t", {})), true) end

local function check(text, file)
  local readable = text:sub(1, 1) == "#" and "--" .. text or text
  local tree, line, message = parser.parse(text)
  if not load(readable, "@" .. file, "t", {}) then return assert(not tree and line and message, file) end
  if not tree then error(("%s:%d: %s"):format(file, line, message), 0) end
  local again = print_block(tree.body)
  if code_of(again, file) == code_of(flat(text), file) then return end
  error(("%s: its tree says something else:\n%s"):format(file, again:sub(1, 2000)), 0)
end

local texts = {
  "", "#!/usr/bin/lua\nreturn 1", "return -2 ^ 2 ^ 3, not a == b, 1 .. 2 .. 3, 2 ^ -3, - - 1, ~5 ~ 3 | 4 & 5 << 1",
  "return 0xA, 0Xfp1, 0x.8p-2, 3., .5, 1e10, 3e-2, 0x7fffffffffffffff, 9223372036854775808, 1//2, 5 % 3",
  [==[return "\z
      a\x41\65\u{48}\
b\"", '\'', [[
long]], [=[ ]] ]=] -- [[ not long
--[[ long
comment ]] , --[==[ another ]] ]=] ]==] .. "]==]\n nil",
  "a.b.c = 1; a['x'], b[1] = f(), g; f{1}; f'x'; a:b'x'; a.b:c{...}; (f or g)(1); ('x'):rep(2)",
  "local a <const>, b <close>, c = 1, nil; local function f(...) local t = {...}; return ... end return f",
  "function a.b.c:d(x, ...) return self, x, ... end function e() end",
  "goto done; do goto continue ::continue:: end ::done:: while true do break end repeat local x = 1 until x",
  "for i = 1, 10, 2 do for k, v in pairs(t), nil do if k then elseif v then else end end end",
  "return {1, 2; x = 3, [f()] = 4, f(), (f())}, (...), function(a, b) return a end", "return a<b, a>b, a<=b, a>=b, a~=b, a<<b>>c",
  "return not not x and y or z, #t - 1, -x^2, 2^-x, a..b..c == d", "local goto_ = 1; return goto_;", "return", ";;;",
  "x = = 1", "local 1", "break", "goto nowhere", "for i do end", "local x <const> = 1; x = 2", "return ...; x", "x = '\\q'",
  "x = [[", "f(\n", "::a:: ::a::", "local x <what> = 1", "x = 1e", "function f() return ... end", "--[[",
}
for i, text in ipairs(texts) do check(text, "text " .. i) end

local count = 0
for _, folder in ipairs { ... } do
  for _, file in ipairs(assert(files.walk { under = folder, name = "*.lua", max = 20000, timeout = 60 }).files) do
    check(assert(files.read { path = file.path, max = 16 << 20 }).text, file.path)
    count = count + 1
  end
end
assert(count > 100, "no files were found")
