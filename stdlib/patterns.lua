-- Patterns over lines: `*` matches anything, white space is collapsed. They stand in layers: an upper one lies over those
-- below it, whatever they say; within one the most literal pattern wins, then the later one.
local patterns = {}

local function squeeze(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- A compiled pattern: { text =, pieces = what stands between its stars, weight = }.
function patterns.compile(text)
  local clean, pieces = squeeze(text), {}
  for piece in (clean .. "*"):gmatch "([^*]*)%*" do pieces[#pieces + 1] = piece end
  return { text = text, pieces = pieces, weight = #clean:gsub("%*", "") }
end

-- Piece after piece, each as early as it comes, the last at the end: linear, however many stars there are.
local function fits(pieces, line)
  local first, last = pieces[1], pieces[#pieces]
  if #pieces == 1 then return line == first end
  if line:sub(1, #first) ~= first then return false end
  local at = #first + 1
  for i = 2, #pieces - 1 do
    local _, stop = line:find(pieces[i], at, true)
    if not stop then return false end
    at = stop + 1
  end
  return #line - #last + 1 >= at and line:sub(#line - #last + 1) == last
end

-- Whether a pattern matches a line; the machine at its end (" @db1") may be left out of the pattern.
function patterns.matches(pattern, line)
  line = squeeze(line)
  if fits(pattern.pieces, line) then return true end
  local bare = line:gsub(" @%S+$", "")
  return bare ~= line and fits(pattern.pieces, bare)
end

-- Whether a text holds what a pattern, written as text, matches.
function patterns.holds(text, line) return patterns.matches(patterns.compile("*" .. text .. "*"), line) end

-- The entry whose pattern matches best, marked as used.
local function best_entry(list, line)
  local best
  for _, entry in ipairs(list) do
    if patterns.matches(entry.pattern, line) and (not best or entry.pattern.weight >= best.pattern.weight) then best = entry end
  end
  if best then best.used = true end
  return best
end

-- The value whose key matches best in a list of { pattern =, value = } in order of writing, and its entry; nil when none does.
function patterns.best(list, line)
  local entry = best_entry(list, line)
  return entry and entry.value, entry
end

-- The same over layers, the upper ones first.
function patterns.best_of(layers, line)
  for _, list in ipairs(layers) do
    local entry = best_entry(list, line)
    if entry then return entry.value, entry end
  end
end

-- A table of pattern → value as such a list, put after what is there already; `from` says where it was written.
function patterns.list(map, list, from)
  list = list or {}
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do list[#list + 1] = { pattern = patterns.compile(key), value = map[key], from = from } end
  return list
end

-- Whether lines are just those that the patterns name, in order; "…" stands for any others.
function patterns.are(wanted, lines)
  local i, j, any, tried = 1, 1, nil, nil -- any: where the last "…" stands, tried: what it was last thought to end before
  while j <= #lines do
    if wanted[i] == "…" then
      any, tried, i = i, j, i + 1
    elseif wanted[i] and patterns.matches(patterns.compile(wanted[i]), lines[j]) then
      i, j = i + 1, j + 1
    elseif any then
      i, tried = any + 1, tried + 1
      j = tried
    else
      return false
    end
  end
  while wanted[i] == "…" do i = i + 1 end
  return i > #wanted
end

local function any(list, f)
  for _, item in ipairs(list) do if f(item) then return true end end
  return false
end

-- Whether each pattern names one of the lines, and each line is named: in any order; "…" stands for any others.
function patterns.cover(wanted, lines)
  local open, compiled = false, {}
  for _, text in ipairs(wanted) do
    if text == "…" then open = true else compiled[#compiled + 1] = patterns.compile(text) end
  end
  local missing = any(compiled, function(pattern)
    return not any(lines, function(line) return patterns.matches(pattern, line) end)
  end)
  local unnamed = any(lines, function(line)
    return not any(compiled, function(pattern) return patterns.matches(pattern, line) end)
  end)
  return not missing and (open or not unnamed)
end

return patterns
