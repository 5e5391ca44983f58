-- What was found, in as many lines as there is room for: what is wrong first, with the lines of a log that decided; what
-- changed; what is not known and why; what is well in one line. Of what doesn't fit there is a count.
local finding = require "finding"
local fit = require "views.fit"
local raw_text = require "raw.text"
local story = require "story"

local found = {}

found.LINES_MAX = 10
local LOG_LINES = 2     -- of each log, of those that decided
local FINDING_LINES, NARROW_LINES, NARROW = 2, 3, 60 -- lines of one finding; on a screen of fewer columns
local CHANGES = "^What changed"

local function indent(label) return ("%-8s "):format(label) end

-- Of two looks with the same words each says whose it is.
local function sayer(checks)
  local count = {}
  for _, check in ipairs(checks) do count[check.label] = (count[check.label] or 0) + 1 end
  return function(check)
    local says = check.says or finding.says(check)
    local whose = count[check.label] > 1 and (check.args or check.probe)
    return fit.inert(whose and ("%s: %s"):format(whose, says) or says)
  end
end

-- The lines of a note of a log that decided; where none tells of a failure, its last.
local function decisive_lines(note)
  if note.decisive then return table.move(note.decisive, math.max(1, #note.decisive - LOG_LINES + 1), #note.decisive, 1, {}) end
  return note.text:find "\n." and { raw_text.last_line(note.text) } or {}
end

-- Adds the logs that the look at what is wrong has noted, unless a check's words hold the line already.
local function add_logs(item, instance)
  for _, note in ipairs(story.noted()) do
    if note.instance == instance and note.line then
      for _, line in ipairs(decisive_lines(note)) do
        if not item.text:find(line, 1, true) then table.insert(item.log, line) end
      end
    end
  end
end

-- { text =, log = lines }: each failed check, in the order in which they matter; a log stands with the last of its look.
local function wrong_items()
  local checks, items, last = story.wrong(), {}, {}
  local says = sayer(checks)
  for i, check in ipairs(checks) do
    items[i] = { text = says(check), log = {} }
    if check.instance then last[check.instance] = items[i] end
  end
  for instance, item in pairs(last) do add_logs(item, instance) end
  return items
end

local function title_of(it) return it.args and ("%s (%s)"):format(it.title, it.args) or it.title end

-- Where in the script it broke off is for its author: it stands in the journal.
local function unknown_items()
  local items = {}
  for i, it in ipairs(story.unknown) do
    items[i] = fit.inert(("%s: %s"):format(title_of(it), it.why:gsub("^[^:%s]+%.lua:%d+: ", "")))
  end
  return items
end

-- Notes of probes: what changed, and the rest. Those outside of a probe were told when they came.
local function noted_items(wrong)
  local changed, others = {}, {}
  local function is_told(line)
    for _, item in ipairs(wrong) do if item.text:find(line, 1, true) then return true end end
    return false
  end
  for _, note in ipairs(story.noted()) do
    if note.probe and note.probe:find(CHANGES) then
      for change in note.text:gmatch "[^;]+" do changed[#changed + 1] = fit.inert(change:match "^%s*(.*)") end
    elseif note.probe and not note.decisive then
      local line = fit.inert(note.text:match "^[^\n]*")
      if not is_told(line) then others[#others + 1] = line end
    end
  end
  return changed, others
end

local function well_items()
  local items = {}
  for i, words in ipairs(story.well_words()) do items[i] = fit.inert(words) end
  return items
end

-- The first `max` of a list, each on up to so many lines, the first one perhaps on more; what is left is counted.
local function add_list(lines, label, items, max, columns, lines_each, rest, lines_first)
  for i, item in ipairs(items) do
    if i > max then
      lines[#lines + 1] = indent "" .. ("… %d more %s"):format(#items - max, rest)
      return
    end
    local text, log = item.text or item, item.log or {}
    fit.add(lines, indent(i == 1 and label or ""), text, columns, i == 1 and lines_first or lines_each)
    for j, line in ipairs(log) do
      if j <= LOG_LINES then fit.add(lines, indent "" .. "its log  ", fit.inert(line), columns, math.max(1, lines_each - 1)) end
    end
  end
end

local function build(it, columns, sizes)
  local lines, most = {}, columns < NARROW and NARROW_LINES or FINDING_LINES
  local each = math.min(sizes.each, most)
  add_list(lines, "WRONG", it.wrong, sizes.wrong, columns, each, "that are wrong", most)
  add_list(lines, "CHANGED", it.changed, sizes.changed, columns, each, "changes")
  add_list(lines, "UNKNOWN", it.unknown, sizes.unknown, columns, each, "that are not known")
  if sizes.noted > 0 and #it.noted > 0 then lines[#lines + 1] = indent "NOTED" .. fit.join(it.noted, columns - 9) end
  if #it.well > 0 then lines[#lines + 1] = indent "WELL" .. fit.join(it.well, columns - 9) end
  return lines
end

-- From all that is wanted down to the least, until it fits.
local steps = {}
for i, step in ipairs { { 6, 2, 3, 1, 3 }, { 6, 2, 3, 0, 3 }, { 6, 2, 2, 0, 1 }, { 4, 1, 2, 0, 1 },
                        { 3, 1, 1, 0, 1 }, { 2, 0, 1, 0, 1 }, { 1, 0, 0, 0, 1 } } do
  steps[i] = { wrong = step[1], changed = step[2], unknown = step[3], noted = step[4], each = step[5] }
end

-- All that was found up to now.
function found.collect()
  local it = { wrong = wrong_items(), unknown = unknown_items(), well = well_items() }
  it.changed, it.noted = noted_items(it.wrong)
  return it
end

-- At most `max` lines of so many columns, of what was collected.
function found.lines(it, columns, max)
  local lines
  for _, sizes in ipairs(steps) do
    lines = build(it, columns, sizes)
    if #lines <= max then return lines end
  end
  return table.move(lines, 1, max, 1, {})
end

return found
