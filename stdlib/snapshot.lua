-- What a plan pass changed in the script's own variables is undone: the pass only asked "what would you do?".
local snapshot = {}

-- Functions of scripts; the host's own are left alone.
local function of_script(f)
  local info = debug.getinfo(f, "S")
  return info.what ~= "C" and info.source:sub(1, 1) == "@"
end

local walk

local function walk_function(f, seen)
  if seen[f] or not of_script(f) then return end
  seen[f] = true
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then return end
    if name ~= "_ENV" then
      local id = debug.upvalueid(f, i)
      if not seen.upvalues[id] then
        seen.upvalues[id] = true
        seen.list[#seen.list + 1] = { f = f, i = i, value = value }
        walk(value, seen)
      end
    end
  end
end

-- Tables with a protected metatable are the host's: results, findings, secrets.
local function walk_table(t, seen)
  if seen[t] then return end
  seen[t] = true
  local meta = debug.getmetatable(t)
  if meta and rawget(meta, "__metatable") ~= nil then return end
  local copy = {}
  for key, value in next, t do
    copy[key] = value
    walk(key, seen)
    walk(value, seen)
  end
  seen.tables[#seen.tables + 1] = { table = t, copy = copy, meta = meta }
  if meta then walk(meta, seen) end
end

function walk(value, seen)
  if type(value) == "function" then walk_function(value, seen) end
  if type(value) == "table" then walk_table(value, seen) end
end

local function restore_table(saved)
  for key in next, saved.table do if saved.copy[key] == nil then saved.table[key] = nil end end
  for key, value in next, saved.copy do rawset(saved.table, key, value) end
  debug.setmetatable(saved.table, saved.meta)
end

-- Remembers every variable and table that `f` and its arguments can reach; returns the function that puts them back.
function snapshot.take(f, ...)
  local seen = { upvalues = {}, list = {}, tables = {} }
  walk(f, seen)
  for i = 1, select("#", ...) do walk((select(i, ...)), seen) end
  return function()
    for _, saved in ipairs(seen.list) do debug.setupvalue(saved.f, saved.i, saved.value) end
    for _, saved in ipairs(seen.tables) do restore_table(saved) end
  end
end

return snapshot
