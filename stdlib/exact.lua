-- Plain Lua made exact where a replay of the run would differ: orders, addresses, weak tables, finalizers, randomness; and
-- where a script could stop what ends more than a pcall.
local blame = require "blame"
local order = require "raw.order"
local pattern = require "raw.pattern"
local placeholder = require "placeholder"
local raw_run = require "raw.run"
local run = require "run"
local snapshot = require "snapshot"
local tasks = require "tasks"
local values = require "values"

local exact = {}

local function expect(word, wanted, value)
  if type(value) ~= wanted then blame.raise("%s: a %s expected, got %s", word, wanted, values.describe(value)) end
end

----------------------------------------------------------------- Errors --

-- A table that a script raises stays its own: it never passes for the host's word on how the run ended.
local function mark(err)
  if type(err) == "table" then values.raised[err] = true end
end

function exact.error(err, level)
  mark(err)
  level = level or 1
  if type(err) == "string" and level > 0 then err = select(2, pcall(error, err, level + 2)) end -- with its position
  blame.of_script(err)
  error(err, 0)
end

function exact.assert(value, ...)
  if value then return value, ... end
  if select("#", ...) == 0 then exact.error("assertion failed!", 2) end
  exact.error((...), 2)
end

-- The end of a run, a cancellation, a deadline, a used-up budget pass through, also when an error that the script raised on
-- the way out (in a __close) has covered them.
local function pass_interrupts(ok, ...)
  if not ok then tasks.pass_on((...)) end
  if not ok then blame.was_caught((...)) end
  return ok, ...
end

function exact.pcall(f, ...) return pass_interrupts(pcall(f, ...)) end

-- The handler runs after unwinding: no budget counts inside Lua's own message handlers.
function exact.xpcall(f, handler, ...)
  local results = table.pack(exact.pcall(f, ...))
  if results[1] then return table.unpack(results, 1, results.n) end
  return false, handler(results[2])
end

----------------------------------------------------------------- Orders --

local function ordered_keys(word, t)
  local ok, keys = pcall(order.keys, t)
  if not ok then blame.raise("%s: %s", word, (tostring(keys):gsub("^.-pairs: ", ""))) end
  return keys
end

-- Numbers, strings, false, true; keys taken out on the way are left out.
function exact.pairs(t)
  local meta = debug.getmetatable(t)
  if meta and meta.__pairs then return meta.__pairs(t) end
  expect("pairs", "table", t)
  local keys, i = ordered_keys("pairs", t), 0
  return function()
    repeat i = i + 1 until keys[i] == nil or rawget(t, keys[i]) ~= nil
    return keys[i], rawget(t, keys[i])
  end, t, nil
end

function exact.next(t, key)
  if key ~= nil then blame.raise("next takes one argument here; use pairs to visit a table in order") end
  if values.is_host(t) then
    local visit, state, start = exact.pairs(t)
    return visit(state, start)
  end
  expect("next", "table", t)
  local first = ordered_keys("next", t)[1]
  if first ~= nil then return first, rawget(t, first) end
end

-- Merges runs of `width` from one list into another.
local function merge(from, to, width, n, less)
  for left = 1, n, 2 * width do
    local middle, stop = math.min(left + width, n + 1), math.min(left + 2 * width, n + 1)
    local i, j = left, middle
    for k = left, stop - 1 do
      if i < middle and (j >= stop or not less(from[j], from[i])) then
        to[k], i = from[i], i + 1
      else
        to[k], j = from[j], j + 1
      end
    end
  end
end

local function by_value(a, b)
  local kind = type(a)
  if kind ~= type(b) or (kind ~= "number" and kind ~= "string") and not (debug.getmetatable(a) or {}).__lt then
    blame.raise("table.sort: attempt to compare %s with %s", values.describe(a), values.describe(b))
  end
  return a < b
end

-- Stable, and a comparison may wait for an effect.
function exact.sort(list, less)
  expect("table.sort", "table", list)
  if less ~= nil then expect("table.sort", "function", less) end
  local from, to, width, n = list, {}, 1, #list
  while width < n do
    merge(from, to, width, n, less or by_value)
    from, to = to, from == list and {} or from
    width = 2 * width
  end
  if from ~= list then for i = 1, n do list[i] = from[i] end end
end

-- As table.move, whose loop hears neither signals nor deadlines however long it is.
function exact.move(from, first, last, at, to)
  expect("table.move", "table", from)
  to = to or from
  expect("table.move", "table", to)
  for _, it in ipairs { { "2", first or false }, { "3", last or false }, { "4", at or false } } do
    if math.tointeger(it[2]) == nil then
      blame.raise("table.move: argument %s: an integer expected, got %s", it[1], values.describe(it[2]))
    end
  end
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do to[at + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do to[at + i] = from[first + i] end
  end
  return to
end

-------------------------------------------------------------- Metatables --

function exact.setmetatable(t, meta)
  expect("setmetatable", "table", t)
  if meta ~= nil then expect("setmetatable", "table", meta) end
  local old = debug.getmetatable(t)
  if old and old.__metatable ~= nil then blame.raise("setmetatable: this table's metatable is protected") end
  for _, key in ipairs { "__gc", "__mode" } do
    if meta and rawget(meta, key) ~= nil then
      blame.raise("setmetatable: %s is refused: its moment differs on every run", key)
    end
  end
  if meta then values.of_script[meta] = true end
  return setmetatable(t, meta)
end

function exact.rawset(t, key, value)
  expect("rawset", "table", t)
  if values.is_host(t) then blame.raise("rawset: this table is the program's own") end
  return rawset(t, key, value)
end

------------------------------------------------------------------- Texts --

local addressed = { table = true, ["function"] = true, thread = true, userdata = true }

-- A placeholder stays one: what is made of it is to be matched by its field, not by how it prints.
function exact.text_of(value)
  if placeholder.is(value) then return value end
  return exact.tostring(value)
end

function exact.tonumber(value, ...)
  if placeholder.is(value) then return value end
  return tonumber(value, ...)
end

-- Its elements would never end.
function exact.ipairs(list)
  if placeholder.is(list) then placeholder.refuse(list) end
  return ipairs(list)
end

-- Without addresses: "table", "function", "null".
function exact.tostring(value)
  local kind, meta = type(value), debug.getmetatable(value)
  if not addressed[kind] or meta and meta.__tostring then return tostring(value) end
  return kind == "userdata" and "null" or kind
end

local POINTER = "%%[%-%+ #%d%.]*p"

-- Placeholders among the arguments, in place of which marks are given; none when it is the host that asks: it wants a text.
local function marks_for(arguments)
  local marks
  for i = 1, arguments.n do
    if placeholder.is(arguments[i]) then
      if debug.getinfo(3, "S").source:sub(1, 1) ~= "@" then return nil end
      marks = marks or { seed = raw_run.sha256(raw_run.random(16)) }
      marks[#marks + 1] = arguments[i]
      arguments[i] = ("%s:%d:"):format(marks.seed, #marks)
    end
  end
  return marks
end

-- The text with its placeholders again.
local function put_back(made, marks)
  local parts, from = {}, 1
  for at, number, after in made:gmatch("()" .. marks.seed .. ":(%d+):()") do
    parts[#parts + 1], parts[#parts + 2] = made:sub(from, at - 1), marks[tonumber(number)]
    from = after
  end
  parts[#parts + 1] = made:sub(from)
  return placeholder.join(parts)
end

function exact.format(text, ...)
  if type(text) == "string" and text:find(POINTER) and text:gsub("%%%%", ""):find(POINTER) then
    blame.raise("string.format: %s is refused: an address differs on every run", "%p")
  end
  local arguments = table.pack(...)
  local marks = marks_for(arguments)
  for i = 1, arguments.n do
    if addressed[type(arguments[i])] then arguments[i] = exact.tostring(arguments[i]) end
  end
  local ok, made = pcall(string.format, text, table.unpack(arguments, 1, arguments.n))
  if not ok and marks then placeholder.refuse(marks[1]) end
  if not ok then blame.raise("%s", made) end
  return marks and put_back(made, marks) or made
end

-- Texts of a list, joined; with placeholders in it one itself.
function exact.concat(list, separator, first, last)
  local ok, joined = pcall(table.concat, list, separator, first, last)
  if ok then return joined end
  local parts, found = {}, false
  for i = first or 1, type(list) == "table" and (last or #list) or 0 do
    parts[#parts + 1], found = list[i], found or placeholder.is(list[i])
    parts[#parts + 1] = i < (last or #list) and separator or nil
  end
  if not found then blame.raise("%s", joined) end
  return placeholder.join(parts)
end

-- Lua's own would never end, and hears nothing meanwhile.
local function rep(...)
  local text, _, separator = ...
  if type(text) == "string" and #text + #tostring(separator or "") == 0 then return "" end
  local ok, made = pcall(string.rep, ...)
  if not ok then blame.raise("%s", made) end
  return made
end

-- What scripts have of the string library instead of Lua's own.
exact.string = { format = exact.format, rep = rep, find = pattern.find, match = pattern.match, gmatch = pattern.gmatch,
                 gsub = pattern.gsub }

------------------------------------------------------------------ Random --

-- Drawn from the run's seed, which the journal holds; what a plan pass drew is drawn again when it is applied.
local seed
snapshot.also(function()
  local before = seed
  return function() seed = before end
end)

local function draw()
  seed = (seed or run.seed or 1) * 6364136223846793005 + 1442695040888963407
  return seed >> 11 -- 53 bits; the low ones of such a generator are weak
end

local function integer(value)
  local whole = math.tointeger(value)
  if not whole then blame.raise("math.random: an integer expected, got %s", values.describe(value)) end
  return whole
end

function exact.random(low, high)
  if low == nil then return draw() / (1 << 53) end
  low = integer(low)
  if high == nil then low, high = 1, low else high = integer(high) end
  if low > high then blame.raise("math.random: the interval is empty") end
  if high - low < 0 or high - low >= 1 << 53 then blame.raise("math.random: the interval is too large") end
  return low + math.tointeger(math.floor(draw() / (1 << 53) * (high - low + 1)))
end

return exact
