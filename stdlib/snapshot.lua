-- What a plan pass changed in the script's own variables is undone: the pass only asked "what would you do?".
local values = require "values"

local snapshot = {}

-- What a script can reach without any variable of its own: take() → the function that puts it back.
local also = {}
function snapshot.also(take) also[#also + 1] = take end

-- Tables that every function of a script can reach: its modules.
snapshot.roots = {}

-- Functions of scripts; the host's own are left alone.
local function of_script(f)
  local info = debug.getinfo(f, "S")
  return info.what ~= "C" and info.source:sub(1, 1) == "@"
end

-- A list of work and not a recursion: a script's list may be long and linked.
local function reach(seen, value)
  local kind = type(value)
  if (kind ~= "function" and kind ~= "table") or seen[value] then return end
  seen[value] = true
  seen.queue[#seen.queue + 1] = value
end

local function take_function(f, seen)
  if not of_script(f) then return end
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then return end
    local id = debug.upvalueid(f, i)
    if not seen.upvalues[id] then
      seen.upvalues[id] = true
      seen.variables[#seen.variables + 1] = { f = f, i = i, value = value }
      reach(seen, value)
    end
  end
end

-- Of the host's tables (results, findings) only what they hold is the script's to change.
local function take_table(t, seen)
  if values.is_host(t) then return reach(seen, values.inner[t]) end
  local copy, meta = {}, debug.getmetatable(t)
  for key, value in next, t do
    copy[key] = value
    reach(seen, key)
    reach(seen, value)
  end
  seen.tables[#seen.tables + 1] = { table = t, copy = copy, meta = meta }
  reach(seen, meta)
end

-- Lua marks a table for its finalizer when the metatable is set: one that a script added later stays without effect, because
-- it would run where nothing can interrupt it.
local function put_back_metatable(t, meta)
  local finalizer = meta and rawget(meta, "__gc")
  if finalizer ~= nil then rawset(meta, "__gc", nil) end
  debug.setmetatable(t, meta)
  if finalizer ~= nil then rawset(meta, "__gc", finalizer) end
end

local function restore_table(saved)
  for key in next, saved.table do if saved.copy[key] == nil then saved.table[key] = nil end end
  for key, value in next, saved.copy do rawset(saved.table, key, value) end
  put_back_metatable(saved.table, saved.meta)
end

local function walk(seen)
  local i = 1
  while seen.queue[i] do
    local value = seen.queue[i]
    if type(value) == "function" then take_function(value, seen) else take_table(value, seen) end
    i = i + 1
  end
end

-- Of a value so many levels of tables are told.
local TEXT_DEPTH = 4

local function text_of(value, depth)
  if type(value) ~= "table" or values.is_host(value) or depth > TEXT_DEPTH then return require("exact").tostring(value) end
  local parts = {}
  for i, key in ipairs(values.keys(value)) do
    local item = value[key]
    parts[i] = key .. "=" .. text_of(item == nil and value[tonumber(key)] or item, depth + 1)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- What differs from what was remembered, as text; "" when nothing does.
local function changes_of(seen)
  local parts = {}
  for _, saved in ipairs(seen.variables) do
    local name, value = debug.getupvalue(saved.f, saved.i)
    if value ~= saved.value then parts[#parts + 1] = name .. "=" .. text_of(value, 1) end
  end
  for _, saved in ipairs(seen.tables) do
    for _, key in ipairs(values.keys(saved.table)) do
      local value = rawget(saved.table, key)
      if value ~= saved.copy[key] then parts[#parts + 1] = key .. "=" .. text_of(value, 1) end
    end
  end
  return table.concat(parts, "\1")
end

-- Remembers every variable and table that `f` and its arguments can reach; returns the function that puts them back, and one
-- that tells as text what differs by now.
function snapshot.take(f, ...)
  local seen = { upvalues = {}, variables = {}, tables = {}, queue = {} }
  reach(seen, f)
  for i = 1, select("#", ...) do reach(seen, (select(i, ...))) end
  for _, root in ipairs(snapshot.roots) do reach(seen, root) end
  walk(seen)
  local put_back = {}
  for i, take in ipairs(also) do put_back[i] = take() end
  return function()
    for _, saved in ipairs(seen.variables) do debug.setupvalue(saved.f, saved.i, saved.value) end
    for _, saved in ipairs(seen.tables) do restore_table(saved) end
    for _, put in ipairs(put_back) do put() end
  end, function() return changes_of(seen) end
end

return snapshot
