-- Errors that name the script's own line, however deep inside the host they were noticed.
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

-- Raises `message` at the script's position.
function blame.raise(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  error(blame.position() .. message, 0)
end

-- What a script raised as text: it may be anything.
function blame.text(err)
  local meta = debug.getmetatable(err)
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
