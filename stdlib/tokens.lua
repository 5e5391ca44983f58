-- A script's text as Lua reads it: names, texts, numbers and signs in order, without comments. Enough to ask what it names.
local tokens = {}

-- Longer signs first; any other character is one by itself.
local signs = { "...", "..", "==", "~=", "<=", ">=", "::", "//", "<<", ">>" }

-- Where the long bracket that begins at `at` ends, and where its content begins; nil when none begins there.
local function long_bracket(text, at)
  local level, first = text:match("^%[(=*)%[()", at)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", first, true)
  return last or #text, first, #level + 2
end

local function end_of_comment(text, at)
  return long_bracket(text, at + 2) or (text:find("\n", at, true) or #text + 1) - 1
end

local function end_of_quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text and text:sub(i, i) ~= quote do i = i + (text:sub(i, i) == "\\" and 2 or 1) end
  return math.min(i, #text)
end

-- What a quoted text says; Lua's own reader knows its escapes.
local function unquoted(raw)
  if not raw:find("\\", 1, true) then return raw:sub(2, -2) end
  local chunk = load("return " .. raw, "=text", "t", {})
  return chunk and chunk() or raw:sub(2, -2)
end

-- The token that begins at `at`: its kind, its text, and where it ends.
local function token_at(text, at)
  local char = text:sub(at, at)
  if char:find "[%a_]" then return "name", text:match("^[%w_]+", at) end
  if char:find "[\"']" then
    local last = end_of_quoted(text, at)
    return "text", unquoted(text:sub(at, last)), last
  end
  local last, first, closing = long_bracket(text, at)
  if last then return "text", text:sub(first, last - closing), last end
  for _, sign in ipairs(signs) do
    if text:sub(at, at + #sign - 1) == sign then return "sign", sign end
  end
  local number = text:match("^%.?%d[%w.]*", at)
  if number then return "number", number end
  return "sign", char
end

-- { { kind = "name" | "text" | "number" | "sign", text = of a text what it says, line = where it begins }, … }
function tokens.of(text)
  local list, at, line = {}, 1, 1
  local function pass(last)
    for _ in text:sub(at, last):gmatch "\n" do line = line + 1 end
    at = last + 1
  end
  while true do
    pass((text:find("%S", at) or #text + 1) - 1)
    if at > #text then return list end
    if text:find("^%-%-", at) then
      pass(end_of_comment(text, at))
    else
      local kind, said, last = token_at(text, at)
      list[#list + 1] = { kind = kind, text = said, line = line }
      pass(last or at + #said - 1)
    end
  end
end

-- Whether a token is this name or sign; a text that says so is none.
function tokens.is(token, text) return token ~= nil and token.text == text and token.kind ~= "text" end

return tokens
