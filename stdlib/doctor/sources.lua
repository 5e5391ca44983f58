-- What the text of the script and its modules names: effects that no rehearsal reached, and runbooks it hands over to. Only
-- names in plain sight are seen: one that is put together at run time is not.
local catalogue = require "catalogue"
local files = require "raw.files"
local look = require "doctor.look"
local run = require "run"
local script = require "script"

local sources = {}

-- Effects named in one row.
local NAMED = 20

-- The end of what begins at `at` and is no code: a comment or, with strings, a string; nil for code.
local function end_of_dead_text(text, at)
  local comment, level = text:match("^(%-%-)%[(=*)%[", at)
  if not comment then level = text:match("^%[(=*)%[", at) end
  if level then
    local _, last = text:find("]" .. level .. "]", at, true)
    return last or #text, comment ~= nil
  end
  if text:find("^%-%-", at) then return (text:find("\n", at, true) or #text + 1) - 1, true end
  local quote = text:match("^[\"']", at)
  if not quote then return nil end
  local last = at + 1
  while last < #text and text:sub(last, last) ~= quote do last = last + (text:sub(last, last) == "\\" and 2 or 1) end
  return last, false
end

-- The text without comments; strings are kept or made empty.
local function code_of(text, with_strings)
  local parts, at = {}, 1
  while at <= #text do
    local next_at = text:find("[-%[\"']", at) or #text + 1
    parts[#parts + 1] = text:sub(at, next_at - 1)
    local last, is_comment = end_of_dead_text(text, next_at)
    if not last then
      parts[#parts + 1] = text:sub(next_at, next_at)
    else
      parts[#parts + 1] = not is_comment and with_strings and text:sub(next_at, last) or " \"\" "
    end
    at = (last or next_at) + 1
  end
  return table.concat(parts)
end

-- Whether code calls an effect: docker.restart, exec { … }.
local function names(code, entry)
  if entry.verb then return code:find(("%%f[%%w_.]%s%%.%s%%f[^%%w_]"):format(entry.family, entry.verb)) ~= nil end
  return code:find(("%%f[%%w_.]%s%%s*[({]"):format(entry.family)) ~= nil
end

-- A warning that lists what the text names and no rehearsal reached; nothing when all of it was.
function sources.unreached(asked)
  local code, seen, list = {}, {}, {}
  for i, source in ipairs(script.sources) do code[i] = code_of(source.text, false) end
  local all = table.concat(code, "\n")
  for _, it in ipairs(asked) do seen[it.act.entry.name] = true end
  for _, family in ipairs(catalogue.families) do
    if all:find("%f[%w_]" .. family .. "%f[^%w_]") then
      for _, entry in pairs(catalogue.family(family)) do
        if not seen[entry.name] and names(all, entry) then list[#list + 1] = entry.name end
      end
    end
  end
  if #list == 0 then return {} end
  table.sort(list)
  return { { area = "script", what = "not reached", state = "warning",
             text = look.some(list, NAMED) .. ": named, and not tried by any rehearsal" } }
end

-- A row for each runbook that is handed over to by its name.
function sources.handovers()
  local rows, seen = {}, {}
  for _, source in ipairs(script.sources) do
    for name in code_of(source.text, true):gmatch "%f[%w_]handover%s*%(?%s*[\"']([%w_%-]+)[\"']" do
      local path = ("%s/%s.lua"):format(script.split(run.file), name)
      local row = { area = "handover", what = name, state = "ok", text = "is there; look at it with: runbook doctor " .. path }
      if files.stat(path).state ~= "file" then
        row.state, row.text, row.mend = "stops", path .. ": there is no such runbook", "put it beside this one"
      end
      if not seen[name] then rows[#rows + 1] = row end
      seen[name] = true
    end
  end
  return rows
end

return sources
