-- The names of a probe's findings, as its text says them (law 4): the faults of its checks, and the keys of the tables that it
-- returns.
local parts = require "parts"
local tokens = require "tokens"

local finding_names = {}
local is = tokens.is

------------------------------------------------------------------ Returns --

local opening = { ["("] = true, ["{"] = true, ["["] = true }
local closing = { [")"] = true, ["}"] = true, ["]"] = true }
local ends = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, [";"] = true, [","] = true }

local function is_end(token) return token == nil or token.kind ~= "text" and ends[token.text] == true end

local function step(token)
  if token.kind ~= "sign" then return 0 end
  return opening[token.text] and 1 or closing[token.text] and -1 or 0
end

-- The index after the bracket that closes the one at `k`.
local function after_bracket(list, k)
  local depth = 0
  repeat
    depth = depth + step(list[k])
    k = k + 1
  until depth == 0 or not list[k]
  return k
end

-- Notes the keys of the table at `k`; false when one is computed.
local function take_keys(list, k, names)
  local last, depth = after_bracket(list, k) - 1, 0
  for i = k, last - 1 do
    local sign = list[i].kind == "sign" and list[i].text
    depth = depth + step(list[i])
    local field = depth == 1 and (sign == "," or sign == ";" or i == k) and i + 1 < last and i + 1
    if field and list[field].kind == "name" and is(list[field + 1], "=") then
      names[list[field].text] = true
    elseif field and is(list[field], "[") and list[field + 1].kind == "text" and is(list[field + 3], "=") then
      names[list[field + 1].text] = true
    elseif field then
      return false
    end
  end
  return true
end

--------------------------------------------------------------------- Names --

-- Words that give back no table.
local words = { check = true, note = true, print = true }
local constants = { ["nil"] = true, ["true"] = true, ["false"] = true }

local take_returns

-- Notes what the value at `k`, behind a `return`, adds to the names; false when that is computed.
local function take_value(list, k, above, names, seen)
  local token = list[k]
  if is_end(token) then return true end
  if is(token, "{") then return take_keys(list, k, names) and is_end(list[after_bracket(list, k)]) end
  if token.kind ~= "name" then return false end
  if constants[token.text] then return is_end(list[k + 1]) end
  local value, call = parts.named_at(list, k, above)
  local behind = list[call] and list[call].kind == "text" and call + 1
    or (is(list[call], "(") or is(list[call], "{")) and after_bracket(list, call)
  if not behind or not is_end(list[behind]) then return false end
  if words[token.text] and value == nil then return true end
  return parts.is_of_script(value) and take_returns(value, names, seen)
end

local function is_in_inner_function(part, it, k)
  for _, block in ipairs(part.blocks) do
    if block.kind == "function" and parts.is_inside(block, it) and k > block.open and k < block.close then return true end
  end
  return false
end

-- Notes the keys of what `f` returns; false when they are computed.
function take_returns(f, names, seen)
  local part = parts.of(f)
  if not part or seen[f] then return part ~= nil end
  seen[f] = true
  local above, known = parts.upvalues(f), true
  for _, it in ipairs(part.functions) do
    for k = it.open, it.close do
      if is(part.list[k], "return") and not is_in_inner_function(part, it, k) then
        known = take_value(part.list, k + 1, above, names, seen) and known
      end
    end
  end
  return known
end

-- The names of a probe's findings, as a set; nil when it computes some.
function finding_names.of(fn)
  local names, all = {}, parts.reach(fn)
  if not all or not take_returns(fn, names, {}) then return nil end
  for name in pairs(all.faults) do names[name] = true end
  for _, check in ipairs(all.checks) do
    if not check.fault then return nil end
    names[check.fault] = true
  end
  return names
end

return finding_names
