-- What a statement of sql.execute may lose: "write", or "destructive" where nobody can bring back what was there. By its text
-- alone, as a plan must know it before the server is asked; what can't be told from it counts as lost.
local sql_text = require "effects.sql_text"

local is_word, is_mark = sql_text.is_word, sql_text.is_mark

local function set(words)
  local map = {}
  for word in words:gmatch "%S+" do map[word] = true end
  return map
end

-- By their first word. What a DO block does stands in a string; GRANT and REVOKE leave no trace of what was granted before;
-- CLUSTER, and VACUUM FULL and REINDEX below, keep everybody from the table for as long as they take.
local destructive = set "drop truncate delete alter merge reassign grant revoke do cluster"

local destructive_calls = set [[
  pg_terminate_backend pg_cancel_backend pg_drop_replication_slot pg_replication_slot_advance pg_replication_origin_drop
  pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_promote lo_unlink lo_truncate lo_truncate64 lowrite lo_put
  pg_file_unlink pg_file_write pg_file_rename pg_truncate_visibility_map heap_force_kill heap_force_freeze
  dblink dblink_exec dblink_send_query pg_stat_statements_reset]]

local function is_destructive_call(call)
  return destructive_calls[call.name] or call.name:find "^pg_stat_reset" ~= nil
end

------------------------------------------------------------------- Parts --

-- Words before `update` where it changes no table by itself: FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE.
local no_statement = set "for key do"
local followed_by = { delete = "from", insert = "into", merge = "into" }

-- Does a statement that changes rows begin at `i`?
local function begins(tokens, i)
  local token, before, follows = tokens[i], tokens[i - 1], tokens[i + 1]
  if token.kind ~= "word" then return false end
  if token.text ~= "update" then return followed_by[token.text] and is_word(follows, followed_by[token.text]) or false end
  return follows ~= nil and follows.kind ~= "mark" and not (before.kind == "word" and no_statement[before.text])
end

-- Where what is carried out begins: the statement itself, those in its WITH, and the one after its WITH.
local function parts(tokens)
  local first, is_carried_out = sql_text.doing(tokens)
  if not is_carried_out or not tokens[first] then return {} end
  local found, depth = { first }, 0
  for i = first + 1, #tokens do
    if is_mark(tokens[i], "(") then depth = depth + 1 end
    if is_mark(tokens[i], ")") then depth = depth - 1 end
    local may_begin = is_mark(tokens[i - 1], "(") or depth == 0 and is_word(tokens[first], "with")
    if may_begin and begins(tokens, i) then found[#found + 1] = i end
  end
  return found
end

-------------------------------------------------------------- Conditions --

-- Words that name no column: what is made of them alone holds for every row, or for none.
local constant = set [[
  true false null unknown not and or is in between symmetric like ilike similar to any some all distinct from exists select
  where values row array case when then else end cast as]]

local function names_something(tokens, from, to)
  for i = from, to do
    local token, is_type = tokens[i], is_mark(tokens[i - 1], ":")
    if token.kind == "name" or token.kind == "word" and not constant[token.text] and not is_type then return true end
  end
  return false
end

-- The positions of a word at the depth of `from`.
local function find_all(tokens, from, to, kind, text)
  local found, depth = {}, 0
  for i = from, to do
    if is_mark(tokens[i], "(") then depth = depth + 1 end
    if is_mark(tokens[i], ")") then depth = depth - 1 end
    if depth == 0 and tokens[i].kind == kind and tokens[i].text == text then found[#found + 1] = i end
  end
  return found
end

-- a = a
local function is_itself(tokens, from, to)
  local equals = find_all(tokens, from, to, "mark", "=")
  if #equals ~= 1 or equals[1] - from ~= to - equals[1] then return false end
  for i = from, equals[1] - 1 do
    if tokens[i].text ~= tokens[i + equals[1] + 1 - from].text then return false end
  end
  return true
end

-- Does a condition leave any row out? Of what OR joins each must, of what AND joins one.
local function limits(tokens, from, to)
  while is_mark(tokens[from], "(") and sql_text.after_parens(tokens, from) == to + 1 do from, to = from + 1, to - 1 end
  for _, joint in ipairs { "or", "and" } do
    local ends = find_all(tokens, from, to, "word", joint)
    if #ends > 0 then
      ends[#ends + 1] = to + 1
      for _, at in ipairs(ends) do
        if limits(tokens, from, at - 1) == (joint == "and") then return joint == "and" end
        from = at + 1
      end
      return joint == "or"
    end
  end
  return names_something(tokens, from, to) and not is_itself(tokens, from, to)
end

-- Where the part that begins at `first` ends.
local function end_of(tokens, first)
  local depth = 0
  for i = first, #tokens do
    if is_mark(tokens[i], "(") then depth = depth + 1 end
    if is_mark(tokens[i], ")") then depth = depth - 1 end
    if depth < 0 then return i - 1 end
  end
  return #tokens
end

-- Has the UPDATE at `first` a WHERE of its own that leaves rows out? One of a subselect or of another WITH limits nothing.
local function is_limited(tokens, first)
  local last = end_of(tokens, first)
  local where = find_all(tokens, first, last, "word", "where")[1]
  if not where then return false end
  local returning = find_all(tokens, where, last, "word", "returning")[1]
  return limits(tokens, where + 1, returning and returning - 1 or last)
end

------------------------------------------------------------------- Class --

local function holds(tokens, first, text)
  for i = first, #tokens do if is_word(tokens[i], text) then return true end end
  return false
end

local by_verb = {
  update = function(tokens, first) return not is_limited(tokens, first) end,
  vacuum = function(tokens, first) return holds(tokens, first, "full") end,
  reindex = function(tokens, first) return not holds(tokens, first, "concurrently") end,
}

local function loses(tokens, first)
  local verb = tokens[first].kind == "word" and tokens[first].text
  if destructive[verb] then return true end
  return by_verb[verb] ~= nil and by_verb[verb](tokens, first)
end

local function class(tokens)
  local found = parts(tokens)
  for _, first in ipairs(found) do if loses(tokens, first) then return "destructive" end end
  for _, call in ipairs(#found > 0 and sql_text.calls(tokens) or {}) do
    if is_destructive_call(call) then return "destructive" end
  end
  return "write"
end

return class
