-- Lua 5.4's words: a text as a list of tokens. What is no Lua is `load`'s to say (stdlib/syntax/parser.lua asks it first), so
-- this one only meets texts that compile.
--
-- A token: { type =, value =, line =, column =, from =, to = }; `from` and `to` are its bytes in the text.
--   type "name", "number", "string" (their values), "eof", or the keyword or operator itself
-- Comments are a list of their own: { line =, text = without its dashes }.
local lexer = {}

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
               while]]):gmatch "%a+" do keywords[word] = true end

-- The longest first.
local operators = { "...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>", "+", "-", "*", "/", "%", "^", "#", "&", "~", "|",
                    "<", ">", "=", "(", ")", "{", "}", "[", "]", ";", ":", ",", "." }
local by_first = {}
for _, operator in ipairs(operators) do
  local first = operator:sub(1, 1)
  by_first[first] = by_first[first] or {}
  table.insert(by_first[first], operator)
end

-- The end of a long bracket that begins at `at`, or nil when none does; and where its text stands.
local function long_bracket(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at + #level + 2, true)
  return stop, at + #level + 2, stop - #level - 2
end

-- The value of a string as it was written: Lua's own reader knows all escapes.
local function string_value(written) return load("return " .. written, "=string", "t", {})() end

local function quoted_end(text, at)
  local quote, i = text:sub(at, at), at + 1
  while true do
    local char = text:sub(i, i)
    if char == quote then return i end
    if char == "\\" then
      local skipped = text:match("^z%s*", i + 1)
      i = i + 1 + (skipped and #skipped or 1)
    else
      i = i + 1
    end
  end
end

local function number_end(text, at)
  local pattern = text:match("^0[xX]", at) and "^0[xX][%x%.]*" or "^[%d%.]*"
  local _, stop = text:find(pattern, at)
  local exponent = pattern:find "xX" and "^[pP][+-]?%d*" or "^[eE][+-]?%d*"
  local _, more = text:find(exponent, stop + 1)
  return more or stop
end

local readers = {}

function readers.name(text, at)
  local _, stop = text:find("^[%a_][%w_]*", at)
  if not stop then return nil end
  local word = text:sub(at, stop)
  return stop, keywords[word] and word or "name", word
end

function readers.number(text, at)
  if not text:find("^%.?%d", at) then return nil end
  local stop = number_end(text, at)
  return stop, "number", tonumber(text:sub(at, stop))
end

function readers.string(text, at)
  local char = text:sub(at, at)
  local stop = (char == '"' or char == "'") and quoted_end(text, at) or char == "[" and long_bracket(text, at)
  if not stop then return nil end
  return stop, "string", string_value(text:sub(at, stop))
end

function readers.operator(text, at)
  for _, operator in ipairs(by_first[text:sub(at, at)] or {}) do
    if text:sub(at, at + #operator - 1) == operator then return at + #operator - 1, operator end
  end
end

local order = { readers.name, readers.number, readers.string, readers.operator }

-- The end of a comment at `at`, and its text; nil when there is none.
local function comment(text, at)
  if text:sub(at, at + 1) ~= "--" then return nil end
  local stop, from, to = long_bracket(text, at + 2)
  if stop then return stop, text:sub(from, to) end
  stop = (text:find("[\r\n]", at) or #text + 1) - 1
  return stop, text:sub(at + 2, stop)
end

-- Where the line that begins at `begins` ends, and where the next one begins: Lua takes \n, \r and both, in either order, for
-- one end. nil for the last line.
local function line_end(text, begins)
  local feed = text:find("[\r\n]", begins)
  if not feed then return nil end
  local pair = text:sub(feed, feed + 1)
  return feed, feed + ((pair == "\r\n" or pair == "\n\r") and 2 or 1)
end

-- Lines and columns of growing places in a text.
function lexer.counter(text)
  local line, begins, _, following = 1, 1, line_end(text, 1)
  return function(at)
    while following and following <= at do
      line, begins, _, following = line + 1, following, line_end(text, following)
    end
    return line, at - begins + 1
  end
end

-- The text of a line; "" beyond the last.
function lexer.line(text, number)
  local begins = 1
  for _ = 2, number do
    local _, following = line_end(text, begins)
    begins = following or #text + 1
  end
  return text:sub(begins, (line_end(text, begins) or #text + 1) - 1)
end

local function read_token(text, at)
  for _, read in ipairs(order) do
    local stop, kind, value = read(text, at)
    if stop then return { type = kind, value = value, from = at, to = stop } end
  end
  error(("byte %d begins no token of Lua"):format(at), 0)
end

-- The tokens of a text that compiles, the last one "eof"; and its comments.
function lexer.tokens(text)
  local tokens, comments, place = {}, {}, lexer.counter(text)
  local at = text:sub(1, 1) == "#" and (text:find "[\r\n]" or #text + 1) or 1
  while true do
    at = text:find("%S", at) or #text + 1
    local line, column = place(at)
    local stop, said = comment(text, at)
    if stop then
      comments[#comments + 1] = { line = line, text = said }
      at = stop + 1
    else
      local token = at > #text and { type = "eof", from = at, to = at } or read_token(text, at)
      token.line, token.column = line, column
      tokens[#tokens + 1] = token
      if token.type == "eof" then return tokens, comments end
      at = token.to + 1
    end
  end
end

return lexer
