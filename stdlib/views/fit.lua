-- Text made to fit the screen: wrapped between words, cut in the middle, so that the end, which says why, stays in view.
local raw = require "raw.text"

local fit = {}

local INERT_MAX = 2000 -- characters that are looked at; more never fits

-- Foreign text on one line.
function fit.inert(value, max)
  return (raw.inert((tostring(value):gsub("%s*\n%s*", " ")), { max = max or INERT_MAX }))
end

fit.width = raw.width

-- The last so many columns of a text.
local function ending(text, columns)
  local width = 0
  for at = utf8.len(text), 1, -1 do
    local from = utf8.offset(text, at)
    width = width + raw.width(text:sub(from, utf8.offset(text, 2, from) - 1))
    if width > columns then return text:sub(utf8.offset(text, 2, from)) end
  end
  return text
end

-- Both ends of one long word.
local function cut_word(word, columns)
  if raw.width(word) <= columns then return word end
  if columns < 8 then return raw.truncate(word, columns) end
  return raw.truncate(word, columns // 2) .. ending(word, columns - columns // 2)
end

local function words_of(text, columns)
  local words = {}
  for word in text:gmatch "%S+" do words[#words + 1] = cut_word(word, columns) end
  return words
end

-- As many of `words` from `first` on, by `step`, as fit into so many columns with a blank each; the next place.
local function take(words, first, last, step, columns)
  local used, at = 0, first
  while (last - at) * step >= 0 and used + raw.width(words[at]) + 1 <= columns do
    used, at = used + raw.width(words[at]) + 1, at + step
  end
  return at, used
end

-- "the container runs: exited (137)": where what stands behind a colon fits, what stands before it makes room.
local function cut_before_reason(text, columns)
  local at = 1
  while true do
    local first, last = text:find(": +", at)
    if not first then return nil end
    local reason, room = text:sub(last + 1), columns - raw.width(text:sub(last + 1)) - 2
    if room >= 0 then return room < 6 and "… " .. reason or fit.cut(text:sub(1, first - 1), room) .. ": " .. reason end
    at = last + 1
  end
end

-- At most so many columns, and the reason in them: else the first words, …, the last ones.
function fit.cut(text, columns)
  if raw.width(text) <= columns then return text end
  local shorter = cut_before_reason(text, columns)
  if shorter then return shorter end
  local words = words_of(text, math.max(1, columns * 3 // 5))
  local head, used = take(words, 1, #words, 1, columns * 2 // 5)
  local tail = take(words, #words, head, -1, columns - used - 1)
  local first, last = table.concat(words, " ", 1, head - 1), table.concat(words, " ", tail + 1)
  return cut_word(first .. (first ~= "" and " … " or "… ") .. last, columns)
end

local function wrapped(text, columns)
  local lines, line = {}, ""
  for _, word in ipairs(words_of(text, columns)) do
    if line ~= "" and raw.width(line) + 1 + raw.width(word) > columns then
      lines[#lines + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return lines
end

-- Adds a line that may go on below its own words; nothing of it is cut, for what is longer than a line may be a path.
function fit.flow(lines, line, columns)
  local head = line:match "^%u+%s%s+" or line:match "^[%d:]*%s+%u*%s+" or line:match "^[%d:]*%s*"
  local blanks, current = (" "):rep(raw.width(head)), head
  for word in line:sub(#head + 1):gmatch "%S+%s*" do
    if current ~= head and current ~= blanks and raw.width(current) + raw.width(raw.trimmed(word)) > columns then
      lines[#lines + 1], current = raw.trimmed(current), blanks
    end
    current = current .. word
  end
  lines[#lines + 1] = raw.trimmed(current)
end

-- At most so many lines of so many columns.
function fit.wrap(text, columns, lines_max)
  if raw.width(text) <= columns then return { text } end
  local lines, room = wrapped(text, columns), columns * lines_max
  while #lines > lines_max do
    lines, room = wrapped(fit.cut(text, room), columns), room - 4
  end
  return lines
end

-- Adds `text` to `lines`, behind `head` and, on further lines, blanks.
function fit.add(lines, head, text, columns, lines_max)
  local blanks = (" "):rep(raw.width(head))
  for i, line in ipairs(fit.wrap(text, math.max(8, columns - #blanks), lines_max or 1)) do
    lines[#lines + 1] = (i == 1 and head or blanks) .. line
  end
end

-- Items on one line, joined by `·`; those that don't fit are counted.
function fit.join(items, columns)
  local line, shown = "", 0
  for i, item in ipairs(items) do
    item = fit.cut(item, #items == 1 and columns or math.max(16, columns // 2))
    local more = i < #items and (" · %d more"):format(#items - i) or ""
    local longer = i == 1 and item or line .. " · " .. item
    if i > 1 and raw.width(longer .. more) > columns then break end
    line, shown = longer, i
  end
  if shown < #items then line = line .. (" · %d more"):format(#items - shown) end
  return fit.cut(line, columns)
end

-- Both sides of one line, the right one at the margin.
function fit.sides(left, right, columns)
  local room = columns - raw.width(right) - 2
  if right == "" or room < 8 then return fit.cut(left, columns) end
  left = fit.cut(left, room)
  return left .. (" "):rep(columns - raw.width(left) - raw.width(right)) .. right
end

return fit
