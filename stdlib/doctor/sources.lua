-- What the text of the script and its modules names: effects that no rehearsal reached, and runbooks it hands over to. Only
-- names in plain sight are seen: one that is put together at run time is not.
local catalogue = require "catalogue"
local files = require "raw.files"
local look = require "doctor.look"
local run = require "run"
local script = require "script"
local tokens = require "tokens"

local sources = {}
local is = tokens.is

-- Effects named in one row.
local NAMED = 20

-- Whether the text calls an effect: docker.restart, exec { … }.
local function names(list, entry)
  for k, token in ipairs(list) do
    if token.kind == "name" and token.text == entry.family and not is(list[k - 1], ".") then
      local after = list[k + 1]
      if entry.verb and is(after, ".") and is(list[k + 2], entry.verb) then return true end
      if not entry.verb and (is(after, "(") or is(after, "{")) then return true end
    end
  end
  return false
end

-- A warning that lists what the text names and no rehearsal reached; nothing when all of it was.
function sources.unreached(asked)
  local texts, named, seen, list = {}, {}, {}, {}
  for i, source in ipairs(script.sources) do
    texts[i] = tokens.of(source.text)
    for _, token in ipairs(texts[i]) do if token.kind == "name" then named[token.text] = true end end
  end
  for _, it in ipairs(asked) do seen[it.act.entry.name] = true end
  for _, family in ipairs(catalogue.families) do
    for _, entry in pairs(named[family] and catalogue.family(family) or {}) do
      local unseen = not seen[entry.name]
      for _, text in ipairs(unseen and texts or {}) do
        if unseen and names(text, entry) then list[#list + 1], unseen = entry.name, false end
      end
    end
  end
  if #list == 0 then return {} end
  table.sort(list)
  return { { area = "script", what = "not reached", state = "warning",
             text = look.some(list, NAMED) .. ": named, and not tried by any rehearsal" } }
end

-- Calls f(name) for each runbook that a text hands over to by its name.
local function each_handover(list, f)
  for k, token in ipairs(list) do
    local given = is(token, "handover") and (is(list[k + 1], "(") and list[k + 2] or list[k + 1])
    if given and given.kind == "text" then f(given.text) end
  end
end

local function handover_row(name)
  local path = ("%s/%s.lua"):format(script.split(run.file), name)
  if files.stat(path).state == "file" then
    return { area = "handover", what = name, state = "ok", text = "is there; look at it with: runbook doctor " .. path }
  end
  return { area = "handover", what = name, state = "stops", text = path .. ": there is no such runbook",
           mend = "put it beside this one" }
end

-- A row for each runbook that is handed over to by its name.
function sources.handovers()
  local rows, seen = {}, {}
  for _, source in ipairs(script.sources) do
    each_handover(tokens.of(source.text), function(name)
      if not seen[name] then rows[#rows + 1] = handover_row(name) end
      seen[name] = true
    end)
  end
  return rows
end

return sources
