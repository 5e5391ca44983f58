-- Errors that name the script's own line, however deep inside the host they were noticed.
local raw_secret = require "raw.secret"

local blame = {}

-- The position of the innermost frame that belongs to a script: "api-down.lua:12: ", or "" outside any. Scripts' chunks
-- are named "@FILE"; the stdlib's own are "=stdlib/…".
function blame.position()
  for level = 2, 40 do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return "" end
    if frame.source:sub(1, 1) == "@" and frame.currentline > 0 then
      return ("%s:%d: "):format(frame.source:sub(2), frame.currentline)
    end
  end
  return ""
end

-- The same without its end: "api-down.lua:12".
function blame.place() return (blame.position():gsub(": $", "")) end

local function located(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  return blame.position() .. message
end

-- Errors that are no mistake of the script's author, by their text: "look" when we could not look, "act" when what was to be
-- done could not be, "raised" when the script raised it itself. Every other text that ends a probe is a mistake.
local excused = {}
-- Mistakes that a script has caught: raising one again makes none of them a word of its own.
local caught = {}
-- Names that are none: mistakes whatever the world is like.
local misnamed = {}

-- Raises a mistake of the script's author at its position.
function blame.raise(message, ...) error(located(message, ...), 0) end

-- Raises that a name is none: of an option, a field, a finding.
function blame.no_such(message, ...)
  local text = located(message, ...)
  misnamed[text] = true
  error(text, 0)
end

-- A callback of a C function (string.gsub, a metamethod) can't wait, so nothing may begin there.
function blame.check_can_wait(what)
  if coroutine.isyieldable() then return end
  blame.raise("%s: not inside a callback of string.gsub or a metamethod: nothing can wait there", what)
end

-- Raises that we could not look, so that something isn't known.
function blame.cannot_look(message, ...)
  local text = located(message, ...)
  excused[text] = "look"
  error(text, 0)
end

-- Raises that something could not be done.
function blame.cannot_act(message, ...)
  local text = located(message, ...)
  excused[text] = "act"
  error(text, 0)
end

-- A script raises `err` itself.
function blame.of_script(err)
  if type(err) == "string" and not caught[err] and not excused[err] then excused[err] = "raised" end
end

-- A script has caught `err`.
function blame.was_caught(err)
  if blame.is_mistake(err) then caught[err] = true end
end

function blame.is_look(err) return excused[err] == "look" end
function blame.is_misnamed(err) return misnamed[err] == true end

-- Whether an error is the script's author's own. One at a line of ours, or for want of memory, is not.
function blame.is_mistake(err)
  return type(err) == "string" and not excused[err] and not err:find "^stdlib/" and err ~= "not enough memory"
end

-- f(text), if set: hears where a defect of this program is, for those who mend it.
blame.on_defect = nil

-- An error at a line of ours is a defect of ours. Whoever reads it at night can do nothing with the line.
function blame.is_defect(err) return type(err) == "string" and err:find "^stdlib/" ~= nil end

local function defect_text(err)
  if blame.on_defect then blame.on_defect(err) end
  return ("a defect of this program, not of the runbook (%s)"):format((err:gsub("^stdlib/[^:]*:%d+: ", "")))
end

local function text_of(err)
  local meta = debug.getmetatable(err)
  if blame.is_defect(err) then return defect_text(err) end
  if type(err) ~= "table" then return err == nil and "an error without a message" or tostring(err) end
  if meta then
    local ok, text = pcall(tostring, err)
    return ok and meta.__tostring and text or "an error that is no text"
  end
  for _, name in ipairs { "message", "usage", "refused", "wrong" } do
    if type(err[name]) == "string" then return err[name] end
  end
  return "an error that is a table without a message"
end

-- What a script raised as text: it may be anything. Masked here: the piece of a secret that a script cut is known as one at the
-- ends of its text alone, and not inside the sentence that quotes it.
function blame.text(err) return raw_secret.redact(text_of(err)) end

-- The candidate nearest to `name` by edit distance, or nil when none is near: for "did you mean".
function blame.nearest(name, candidates)
  local best, best_distance
  for _, candidate in ipairs(candidates) do
    local distance = blame.distance(name, candidate)
    if not best or distance < best_distance then best, best_distance = candidate, distance end
  end
  if best and best_distance <= math.max(2, #name // 3) then return best end
end

-- Levenshtein's distance.
function blame.distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

-- " (did you mean 'x'?)", or the list of what there is.
function blame.hint(name, candidates)
  local nearest = type(name) == "string" and blame.nearest(name, candidates)
  if nearest then return (" (did you mean '%s'?)"):format(nearest) end
  table.sort(candidates)
  return #candidates > 0 and (" (there is: %s)"):format(table.concat(candidates, ", ")) or ""
end

return blame
