-- Of a log's text the lines that decide: those that tell of a failure, and the newest ones. The oldest are what is cut.
local raw_text = require "raw.text"

local logtext = {}

-- Words of a program that fails, and the same words where they say that nothing did.
local DECISIVE = [[(?i)\b(?:fatal|panic|\w*exception|\w*error|segfault|segmentation fault]]
  .. [[|out of memory|oom-?kill\w*|no space left)\b]]
local HARMLESS = [[(?i)\b(?:no|0|zero|without)\s+(?:\w+\s+)?errors?\b|\berrors?["']?\s*[=:]\s*["']?(?:0|none|null|false|nil)\b]]
-- So many lines, from the end, are looked at.
local LOOKED_AT_MAX = 5000

-- The last `count` lines that tell of a failure, in their order.
function logtext.decisive(text, count)
  local re, lines, found = require "raw.re", raw_text.lines(text), {}
  for i = #lines, math.max(1, #lines - LOOKED_AT_MAX), -1 do
    if #found >= count then break end
    if re.find(lines[i], DECISIVE) and not re.find(lines[i], HARMLESS) then table.insert(found, 1, lines[i]) end
  end
  return found
end

-- What is shown of a note of `text` in `count` lines: its decisive lines, then its newest; and how many lines are left out.
function logtext.shown(text, decisive, count)
  local lines, shown = raw_text.lines(text), {}
  local first = math.max(1, #lines - (count - #decisive) + 1)
  local newest = {}
  for i = first, #lines do newest[lines[i]] = true end
  for _, line in ipairs(decisive) do if not newest[line] then shown[#shown + 1] = line end end
  table.move(lines, first, #lines, #shown + 1, shown)
  return shown, #lines - #shown
end

return logtext
