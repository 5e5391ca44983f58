-- Patterns over lines: `*` matches anything, white space is collapsed, the most literal pattern wins, then the later one.
local patterns = {}

local function squeeze(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- A compiled pattern: { text =, lua =, weight = }.
function patterns.compile(text)
  local clean = squeeze(text)
  local lua = clean:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*")
  return { text = text, lua = "^" .. lua .. "$", weight = #clean:gsub("%*", "") }
end

-- Whether a pattern matches a line; the machine at its end (" @db1") may be left out of the pattern.
function patterns.matches(pattern, line)
  line = squeeze(line)
  if line:find(pattern.lua) then return true end
  local bare = line:gsub(" @%S+$", "")
  return bare ~= line and bare:find(pattern.lua) ~= nil
end

-- The value whose key matches best in a list of { pattern =, value = } in order of writing; nil when none does.
function patterns.best(list, line)
  local best
  for _, item in ipairs(list) do
    if patterns.matches(item.pattern, line) and (not best or item.pattern.weight >= best.pattern.weight) then best = item end
  end
  if best then best.used = true end
  return best and best.value, best
end

-- A table of pattern → value as such a list; `order` puts it after what is there already.
function patterns.list(map, list)
  list = list or {}
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do list[#list + 1] = { pattern = patterns.compile(key), value = map[key] } end
  return list
end

return patterns
