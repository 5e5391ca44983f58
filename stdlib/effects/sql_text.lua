-- SQL as text: its tokens, whether it is one statement that reads, which functions it names, what class a write has.
-- Only as much of PostgreSQL's lexer (src/backend/parser/scan.l) as tells strings and comments from code, with
-- standard_conforming_strings on, which every read sets. What can't be told is refused, never guessed.
local json = require "raw.json"

local sql_text = {}

-- The statements that a read may be.
local reads = { select = true, with = true, values = true, table = true, show = true, explain = true }
local queries = { select = true, with = true, values = true, table = true }
local changes = { insert = true, update = true, delete = true, merge = true }

------------------------------------------------------------------- Tokens --

-- The position after the quoted text that begins at `at`; nil when it has no end. A doubled quote stands for one.
local function quoted_end(text, at, quote, escapes)
  local i = at + 1
  while true do
    local found = text:find(escapes and "[\\" .. quote .. "]" or quote, i)
    if not found then return nil end
    if text:sub(found, found) == "\\" then
      i = found + 2
    elseif text:sub(found + 1, found + 1) == quote then
      i = found + 2
    else
      return found + 1
    end
  end
end

-- Comments nest.
local function comment_end(text, at)
  local depth, i = 1, at + 2
  while depth > 0 do
    local found = text:find("[/*][*/]", i)
    if not found then return nil end
    local pair = text:sub(found, found + 1)
    if pair == "/*" then
      depth, i = depth + 1, found + 2
    elseif pair == "*/" then
      depth, i = depth - 1, found + 2
    else
      i = found + 1
    end
  end
  return i
end

-- The position after blanks and comments; nil when a comment has no end.
local function skip(text, at)
  while at do
    at = text:find("[^ \t\n\r\f\v]", at) or #text + 1
    local pair = text:sub(at, at + 1)
    if pair == "--" then
      at = text:find("[\n\r]", at) or #text + 1
    elseif pair == "/*" then
      at = comment_end(text, at)
    else
      return at
    end
  end
end

local word_start, word = "^[%a_\128-\255]", "^[%w_$\128-\255]+"

local function take_string(text, at, escapes)
  local after = quoted_end(text, at, "'", escapes)
  if not after then return nil, "a string has no end" end
  local follows = escapes and skip(text, after)
  if follows and text:sub(follows, follows) == "'" then
    return nil, "a string in several parts after E'…' is not read here: write it as one"
  end
  return { kind = "string" }, after
end

local function take_dollar(text, at)
  local tag = text:match("^%$%$", at) or text:match("^%$[%a_\128-\255][%w_\128-\255]*%$", at)
  if not tag then
    local number = text:match("^%$%d+", at)
    return { kind = number and "param" or "mark", text = number or "$" }, at + (number and #number or 1)
  end
  local _, last = text:find(tag, at + #tag, true)
  if not last then return nil, "a dollar-quoted string has no end" end
  return { kind = "string" }, last + 1
end

local function take_name(text, at)
  local after = quoted_end(text, at, '"')
  if not after then return nil, "a quoted name has no end" end
  return { kind = "name", text = (text:sub(at + 1, after - 2):gsub('""', '"')) }, after
end

local function take_word(text, at)
  local name = text:match(word, at)
  local after = at + #name
  local prefix, next_one = name:lower(), text:sub(after, after)
  if next_one == "'" and (prefix == "e" or prefix == "b" or prefix == "x" or prefix == "n") then
    return take_string(text, after, prefix == "e")
  end
  if prefix == "u" and text:match("^&['\"]", after) then return nil, 'U&"…" and U&\'…\' are not read here' end
  return { kind = "word", text = prefix }, after
end

-- One token: { kind = "word" | "name" | "string" | "param" | "number" | "mark", text = } and where the next begins; nil
-- and why. `at`, where it stands, is added to it.
local function take(text, at)
  local char = text:sub(at, at)
  if char == "'" then return take_string(text, at, false) end
  if char == '"' then return take_name(text, at) end
  if char == "$" then return take_dollar(text, at) end
  if text:find(word_start, at) then return take_word(text, at) end
  local number = text:match("^%d[%w_.]*", at)
  if number then return { kind = "number", text = number }, at + #number end
  return { kind = "mark", text = char }, at + 1
end

-- The tokens of a text, without blanks and comments; nil and why when it doesn't make sense as one.
function sql_text.tokens(text)
  local tokens, at = {}, skip(text, 1)
  while at and at <= #text do
    local token, after = take(text, at)
    if not token then return nil, after end
    token.at = at
    tokens[#tokens + 1] = token
    at = skip(text, after)
  end
  if not at then return nil, "a comment has no end" end
  return tokens
end

-- A value as PostgreSQL reads it, of a type that its place decides, as a parameter's is.
function sql_text.literal(value)
  if value == nil or value == json.null then return "NULL" end
  if math.type(value) == "float" then value = ("%.17g"):format(value) end
  local text, escaped = tostring(value):gsub("'", "''"), nil
  text, escaped = text:gsub("\\", "\\\\")
  return (escaped > 0 and "E'" or "'") .. text .. "'"
end

-- A statement with its parameters' values in their places; nil when it doesn't make sense.
function sql_text.filled(text, params)
  local pieces, from, at = {}, 1, skip(text, 1)
  while at and at <= #text do
    local token, after = take(text, at)
    if not token then return nil end
    local number = token.kind == "param" and tonumber(token.text:sub(2))
    if number and params and number >= 1 and number <= #params then
      pieces[#pieces + 1], from = text:sub(from, at - 1) .. sql_text.literal(params[number]), after
    end
    at = skip(text, after)
  end
  return at and table.concat(pieces) .. text:sub(from)
end

-- The tokens of one statement, without the semicolons after it.
function sql_text.statement(text)
  local tokens, why = sql_text.tokens(text)
  if not tokens then return nil, why end
  while tokens[1] and tokens[#tokens].text == ";" and tokens[#tokens].kind == "mark" do tokens[#tokens] = nil end
  if #tokens == 0 then return nil, "it is empty" end
  for _, token in ipairs(tokens) do
    if token.kind == "mark" and token.text == ";" then return nil, "it is more than one statement" end
  end
  return tokens
end

local function is_word(token, text) return token and token.kind == "word" and token.text == text end
local function is_mark(token, text) return token and token.kind == "mark" and token.text == text end
sql_text.is_word, sql_text.is_mark = is_word, is_mark

-- The position after the parenthesis that closes the one at `i`.
function sql_text.after_parens(tokens, i)
  local depth = 0
  for j = i, #tokens do
    if is_mark(tokens[j], "(") then depth = depth + 1 end
    if is_mark(tokens[j], ")") then depth = depth - 1 end
    if depth == 0 then return j + 1 end
  end
  return #tokens + 1
end

-------------------------------------------------------------------- Reads --

-- The word that begins the statement at `i`, past the parentheses of (SELECT …) UNION (SELECT …).
local function verb_at(tokens, i)
  while is_mark(tokens[i], "(") do i = i + 1 end
  return tokens[i] and tokens[i].kind == "word" and tokens[i].text or "", i
end

-- The first word of the statement: "select", "drop"; "" when it has none.
function sql_text.verb(tokens) return (verb_at(tokens, 1)) end

-- EXPLAIN's statement: where it begins and whether it is carried out.
local function explained(tokens)
  local i, analyze = 2, false
  if is_mark(tokens[2], "(") then
    i = sql_text.after_parens(tokens, 2)
    -- (SELECT …) after EXPLAIN is the statement itself, not its options.
    if queries[verb_at(tokens, 2)] then return 2, false end
    for j = 2, i - 1 do
      analyze = analyze or is_word(tokens[j], "analyze") or is_word(tokens[j], "analyse")
    end
  end
  while is_word(tokens[i], "analyze") or is_word(tokens[i], "analyse") or is_word(tokens[i], "verbose") do
    analyze = analyze or tokens[i].text ~= "verbose"
    i = i + 1
  end
  return i, analyze
end

-- Where the statement's word stands that says what it does: past EXPLAIN and parentheses. And whether it is carried out.
function sql_text.doing(tokens)
  local verb, first = verb_at(tokens, 1)
  if verb ~= "explain" then return first, true end
  local start, analyze = explained(tokens)
  return select(2, verb_at(tokens, start)), analyze
end

-- A changing statement inside WITH, or after it; nil when there is none to be seen.
local function changing_part(tokens, first)
  local depth = 0
  for i = first, #tokens do
    local before, token = tokens[i - 1], tokens[i]
    if is_mark(token, "(") then depth = depth + 1 end
    if is_mark(token, ")") then depth = depth - 1 end
    if token.kind == "word" and changes[token.text] then
      local follows = tokens[i + 1]
      local takes = is_word(follows, "from") or is_word(follows, "into")
        or token.text == "update" and not is_mark(follows, ")")
      local opens = is_mark(before, "(") and takes
      if opens or depth == 0 and is_mark(before, ")") then return token.text end
    end
  end
end

-- Why this statement can't be a read, as far as its text tells; nil when it can. The READ ONLY transaction is the
-- guard, this says it before a connection is made.
function sql_text.not_a_read(tokens)
  local verb, first = verb_at(tokens, 1)
  if not reads[verb] then
    return ("a read is one SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN, this is %s: sql.execute, in a remedy, runs it")
      :format(verb == "" and "none of them" or verb:upper())
  end
  if verb == "explain" then
    local start, analyze = explained(tokens)
    if not analyze then return nil end
    verb, first = verb_at(tokens, start)
    if not queries[verb] then
      return ("EXPLAIN ANALYZE carries its statement out, and %s is not a query"):format(verb:upper())
    end
  end
  local part = verb == "with" and changing_part(tokens, first)
  if part then return ("it holds %s, which changes rows"):format(part:upper()) end
end

-- Every word and name in it: what it may be about.
function sql_text.names(tokens)
  local names, seen = {}, {}
  for _, token in ipairs(tokens) do
    if (token.kind == "word" or token.kind == "name") and not seen[token.text] then
      names[#names + 1], seen[token.text] = token.text, true
    end
  end
  return names
end

-- What of a read's text the server carries out; nil when it carries out nothing that calls functions.
function sql_text.carried_out(tokens, text)
  local verb = sql_text.verb(tokens)
  if verb == "show" then return nil end
  if verb ~= "explain" then return text end
  local start, analyze = explained(tokens)
  return analyze and text:sub(tokens[start].at) or nil
end

-- Every name followed by "(": a function, perhaps. A list of { name =, schema = or nil }.
function sql_text.calls(tokens)
  local calls, seen = {}, {}
  for i = 2, #tokens do
    local token = tokens[i - 1]
    if is_mark(tokens[i], "(") and (token.kind == "word" or token.kind == "name") then
      local qualifier = is_mark(tokens[i - 2], ".") and tokens[i - 3] or nil
      local schema = qualifier and (qualifier.kind == "word" or qualifier.kind == "name") and qualifier.text or nil
      local key = (schema or "") .. "\0" .. token.text
      if not seen[key] then calls[#calls + 1] = { name = token.text, schema = schema } end
      seen[key] = true
    end
  end
  return calls
end

------------------------------------------------------------------- Writes --

-- Statements that make no sense when each has a connection of its own, or can't go over this protocol.
local pointless = { begin = true, start = true, commit = true, rollback = true, ["end"] = true, abort = true,
                    savepoint = true, release = true,
                    prepare = true, deallocate = true, execute = true, declare = true, fetch = true,
                    move = true, close = true, set = true, reset = true, listen = true, unlisten = true, lock = true,
                    discard = true, copy = true }

function sql_text.not_a_write(tokens)
  local verb = sql_text.verb(tokens)
  if verb == "copy" then return "COPY does not work here" end
  if pointless[verb] then
    return ("%s would end with this statement: each has a connection of its own, and commits"):format(verb:upper())
  end
end

-- Does the planner know how many rows it would touch?
function sql_text.is_planned(tokens)
  local verb = sql_text.verb(tokens)
  return changes[verb] or queries[verb]
end

-- "DROP TABLE", "TRUNCATE": the words at the beginning, for people.
local with_object = { DROP = true, CREATE = true, ALTER = true, REFRESH = true }

function sql_text.headline(tokens)
  local verb = sql_text.verb(tokens):upper()
  local object = with_object[verb] and tokens[2] and tokens[2].kind == "word" and tokens[2].text:upper()
  return object and verb .. " " .. object or verb ~= "" and verb or "a statement"
end

-- The tables that DROP TABLE, DROP MATERIALIZED VIEW or TRUNCATE name, as written; nil for other statements.
function sql_text.emptied(tokens)
  local i
  if is_word(tokens[1], "truncate") then
    i = is_word(tokens[2], "table") and 3 or 2
  elseif is_word(tokens[1], "drop") then
    i = is_word(tokens[2], "table") and 3 or is_word(tokens[2], "materialized") and 4 or nil
    if i and is_word(tokens[i], "if") then i = i + 2 end
  end
  if not i then return nil end
  local names, name = {}, ""
  for j = i, #tokens + 1 do
    local token = tokens[j]
    if token and (token.kind == "name" or is_mark(token, ".")
      or token.kind == "word" and (name == "" or name:sub(-1) == ".")) then
      if not is_word(token, "only") then
        name = name .. (token.kind == "name" and '"' .. token.text:gsub('"', '""') .. '"' or token.text)
      end
    else
      if name ~= "" then names[#names + 1] = name end
      name = ""
      if not is_mark(token, ",") and not is_mark(token, "*") then break end
    end
  end
  return names
end

-- The names after AS at the outermost level of a SELECT: what a scenario's row has unless the file says.
function sql_text.columns(text)
  local tokens, names, depth = sql_text.tokens(text), {}, 0
  for i, token in ipairs(tokens or {}) do
    if is_mark(token, "(") then depth = depth + 1 end
    if is_mark(token, ")") then depth = depth - 1 end
    if depth == 0 and is_word(token, "from") then break end
    local named = depth == 0 and is_word(token, "as") and tokens[i + 1]
    if named and (named.kind == "word" or named.kind == "name") then names[#names + 1] = named.text end
  end
  return names
end

return sql_text
