-- What stands at the lines of a script's function: its blocks, the checks in it that name faults, and the functions that it
-- names in turn. Of a function Lua knows the lines, not the place in them.
local script = require "script"
local tokens = require "tokens"
local values = require "values"

local parts = {}
local is = tokens.is

-- Tables are searched this deep for the functions of a module.
local DEPTH_MAX = 3

------------------------------------------------------------------- Blocks --

local opens = { ["function"] = "function", ["if"] = "block", ["do"] = "block", ["for"] = "loop", ["while"] = "loop",
                ["repeat"] = "loop" }

-- The blocks of the lines `from` to `to` that end there: { kind =, open =, close = indexes of tokens }.
local function blocks_of(list, from, to)
  local open, closed = {}, {}
  for k, token in ipairs(list) do
    local word = token.line >= from and token.line <= to and token.kind == "name" and token.text
    local top = open[#open]
    if word == "do" and top and top.header then
      top.header = false
    elseif opens[word] then
      open[#open + 1] = { kind = opens[word], open = k, header = word == "for" or word == "while" }
    elseif top and (word == "end" or word == "until") then
      top.close, open[#open] = k, nil
      closed[#closed + 1] = top
    end
  end
  return closed
end

function parts.is_inside(inner, outer) return inner.open > outer.open and inner.close < outer.close end

-- The functions that begin and end at these lines; of one in another the outer one: only lines tell which of them it is.
local function functions_at(list, blocks, from, to)
  local found = {}
  for _, it in ipairs(blocks) do
    if it.kind == "function" and list[it.open].line == from and list[it.close].line == to then found[#found + 1] = it end
  end
  for i = #found, 1, -1 do
    for _, other in ipairs(found) do
      if parts.is_inside(found[i], other) then
        table.remove(found, i)
        break
      end
    end
  end
  return found
end

-- The name that a function is given where it is written, or nil.
function parts.name_of(list, open)
  local after, before = list[open + 1], list[open - 1]
  if after.kind == "name" then return after.text end
  return is(before, "=") and list[open - 2].text or nil
end

------------------------------------------------------------------- Checks --

local joins = { ["and"] = true, ["or"] = true, [".."] = true, ["=="] = true, ["~="] = true, [":"] = true, ["."] = true,
                ["["] = true }

-- The text at `k` when it is the whole value; nil for one that is computed.
local function literal(list, k)
  local after = list[k + 1]
  return list[k].kind == "text" and not (after and after.kind ~= "text" and joins[after.text]) and list[k].text or nil
end

-- Where the value of `fault = …` or `["fault"] = …` begins, if that stands at `k`.
local function value_of_fault(list, k, bracket)
  if is(list[k], "fault") and is(list[k + 1], "=") and (is(bracket, "{") or is(list[k - 1], ".")) then return k + 2 end
  if list[k].kind == "text" and list[k].text == "fault" and is(list[k - 1], "[") and is(list[k + 2], "=") then return k + 3 end
end

-- The call that a check's options stand in: its line, its first argument when that is a text, whether it is returned.
local function call_around(list, brackets)
  for i = #brackets, 1, -1 do
    local k = brackets[i]
    if is(list[k], "(") then
      return { line = list[k].line, label = is(list[k + 2], ",") and literal(list, k + 1) or nil,
               returned = is(list[k - 2], "return") }
    end
  end
  return {}
end

local closing = { [")"] = true, ["}"] = true, ["]"] = true }

-- Appends what a function's text says of faults: { source =, fault = nil when it is computed, line =, label =, returned = }.
local function add_checks(part, it)
  local list, brackets = part.list, {}
  for k = it.open + 1, it.close - 1 do
    local sign = list[k].kind == "sign" and list[k].text
    if sign == "(" or sign == "{" or sign == "[" then
      brackets[#brackets + 1] = k
    elseif closing[sign] then
      brackets[#brackets] = nil
    end
    local value = value_of_fault(list, k, list[brackets[#brackets]])
    if value then
      local check = call_around(list, brackets)
      check.source, check.fault = part.source, literal(list, value)
      part.checks[#part.checks + 1] = check
    end
  end
end

--------------------------------------------------------------------- Parts --

local texts, kept = {}, {} -- source → its tokens; source and lines → part

-- What stands at the lines of a function of a script's: { source =, from =, to =, list = tokens, functions = blocks that it may
-- be, blocks =, checks = }; nil when its text isn't at hand.
function parts.of(f)
  local info = debug.getinfo(f, "S")
  local key = ("%s:%d:%d"):format(info.source, info.linedefined, info.lastlinedefined)
  if kept[key] ~= nil then return kept[key] or nil end
  local text = script.text(info.source:sub(2))
  texts[info.source] = texts[info.source] or text and tokens.of(text)
  local list = texts[info.source]
  kept[key] = false
  if not list then return nil end
  local part = { source = info.source, from = info.linedefined, to = info.lastlinedefined, list = list, checks = {} }
  part.blocks = blocks_of(list, part.from, part.to)
  part.functions = functions_at(list, part.blocks, part.from, part.to)
  if #part.functions == 0 then return nil end
  for _, it in ipairs(part.functions) do add_checks(part, it) end
  kept[key] = part
  return part
end

function parts.is_of_script(value)
  return type(value) == "function" and debug.getinfo(value, "S").source:sub(1, 1) == "@"
end

function parts.upvalues(f)
  local map = {}
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then return map end
    map[name] = value
  end
  return map
end

-- What the name at `k` stands for: helper, or lib.helper; and the index behind it.
function parts.named_at(list, k, above)
  local value = above[list[k].text]
  while is(list[k + 1], ".") and type(value) == "table" and not values.is_host(value) do
    value, k = rawget(value, list[k + 2].text), k + 2
  end
  return value, k + 1
end

-- The functions of a module or a list, and the faults that stand in a table of options.
local function search_table(t, depth, on_function, on_fault)
  if values.is_host(t) or depth > DEPTH_MAX then return end
  if on_fault and type(rawget(t, "fault")) == "string" then on_fault(t.fault) end
  for _, value in next, t do
    if parts.is_of_script(value) then
      on_function(value)
    elseif type(value) == "table" then
      search_table(value, depth + 1, on_function, on_fault)
    end
  end
end

-- Calls on_function(g) for every function of a script that these lines of `f` name.
function parts.find_named(f, part, from, to, on_function, on_fault)
  local above, list = parts.upvalues(f), part.list
  for k, token in ipairs(list) do
    if token.line >= from and token.line <= to and token.kind == "name" and above[token.text] ~= nil
        and not is(list[k - 1], ".") and not is(list[k - 1], ":") then
      local value = parts.named_at(list, k, above)
      if parts.is_of_script(value) then
        on_function(value)
      elseif type(value) == "table" then
        search_table(value, 1, on_function, on_fault)
      end
    end
  end
end

function parts.is_function(block) return block.kind == "function" end

-- Everything that a call of `fn` may come to: { functions = {…}, checks = {…}, faults = set of those that stand in tables of
-- options }; nil when a text isn't at hand.
function parts.reach(fn)
  local seen, all = { [fn] = true }, { functions = { fn }, checks = {}, faults = {} }
  local function on_function(f)
    if not seen[f] then table.insert(all.functions, f) end
    seen[f] = true
  end
  local function on_fault(name) all.faults[name] = true end
  for _, f in ipairs(all.functions) do
    local part = parts.of(f)
    if not part then return nil end
    table.move(part.checks, 1, #part.checks, #all.checks + 1, all.checks)
    parts.find_named(f, part, part.from, part.to, on_function, on_fault)
  end
  return all
end

return parts
