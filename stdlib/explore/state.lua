-- What can make a script go on differently, as one text: where it stands, and all that its live variables reach. Two ways that
-- meet in the same state go on the same way, so that only one of them is walked. Words behind a blank are taken to be told to
-- people, and not decided by: all such texts are alike.
local live = require "explore.live"
local raw_run = require "raw.run"
local values = require "values"

local state = {}

local format = string.format -- by name: as a method of strings it is the one that scripts have, which costs more

-- f(findings, fields) → the text that stands for them: what is still possible of them, or of those fields.
state.of_findings = function() return nil end

local function is_of_script(info) return info.source:sub(1, 1) == "@" end

local put

local function put_upvalues(out, f, wanted)
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then return end
    if name ~= "_ENV" and wanted(value) then
      local id = debug.upvalueid(f, i)
      if type(value) ~= "table" and type(value) ~= "function" and out.ids[id] then
        out[#out + 1] = "^"
      else
        out.ids[id] = true
        put(out, value)
      end
    end
  end
end

local function any() return true end

-- Of our own functions that scripts hold only what belongs to the script: titles, its functions, and what was declared.
local function belongs(value)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return true end
  if kind == "function" then return is_of_script(debug.getinfo(value, "S")) end
  return kind == "table" and debug.getmetatable(value) == nil and rawget(value, "title") ~= nil
end

local function put_function(out, f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then
    out[#out + 1] = "C"
    return
  end
  out[#out + 1] = format("f%s:%d", info.source, info.linedefined)
  put_upvalues(out, f, is_of_script(info) and any or belongs)
end

local function key_text(key)
  local kind = type(key)
  if kind == "string" then return "s" .. key end
  if kind == "number" then return format("n%.17g", key) end
  return kind == "boolean" and tostring(key) or nil
end

local function put_table(out, t)
  if values.is_host(t) then
    local told = state.of_findings(t)
    out[#out + 1] = told or values.is_secret(t) and "secret" or values.is_placeholder(t) and tostring(t) or "host"
    if not told and values.inner[t] then put(out, values.inner[t]) end
    return
  end
  local keys, by_text = {}, {}
  for key in next, t do
    local text = key_text(key)
    if text then keys[#keys + 1], by_text[text] = text, key end
  end
  table.sort(keys)
  out[#out + 1] = "{"
  for _, text in ipairs(keys) do
    out[#out + 1] = text
    put(out, rawget(t, by_text[text]))
  end
  out[#out + 1] = "}"
  local meta = debug.getmetatable(t)
  if meta then put(out, meta) end
end

function put(out, value)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = value:find "%s" and "a sentence" or value
  elseif kind == "number" then
    out[#out + 1] = format("%.17g", value)
  elseif kind == "table" or kind == "function" then
    local seen = out.seen[value]
    if seen then
      out[#out + 1] = "#" .. seen
      return
    end
    out.count = out.count + 1
    out.seen[value] = out.count
    if kind == "table" then put_table(out, value) else put_function(out, value) end
  else
    out[#out + 1] = tostring(value)
  end
end

-- The registers of a frame that have no name hold parts of an expression under way.
local function put_locals(out, level, info, plain)
  local path = info.source:sub(2)
  for i = 1, 250 do
    local name, value = debug.getlocal(level + 1, i)
    if not name then return end
    local is_named = name:sub(1, 1) ~= "("
    if is_named and live.is(path, name, info.currentline) or not is_named and not plain then
      out[#out + 1] = name
      local fields = is_named and debug.getmetatable(value) and live.fields(path, name, info.currentline)
      local told = fields and state.of_findings(value, fields)
      if told then out[#out + 1] = told else put(out, value) end
    end
  end
end

-- The state at which something is to be decided: the frames of the script below the caller, and `more`, texts.
function state.key(more)
  local out, level, innermost = { seen = {}, ids = {}, count = 0 }, 2, true
  for _, text in ipairs(more) do out[#out + 1] = text end
  while true do
    local info = debug.getinfo(level, "Slf")
    if not info then break end
    if is_of_script(info) then
      out[#out + 1] = format("@%s:%d:%d", info.source, info.linedefined, info.currentline)
      put_upvalues(out, info.func, any)
      put_locals(out, level, info, innermost and live.is_plain(info.source:sub(2), info.currentline))
      innermost = false
    end
    level = level + 1
  end
  return raw_run.sha256(table.concat(out, "\1"))
end

return state
