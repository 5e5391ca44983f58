-- A write as every view tells it: what it hits, whose, what it sends, where; and the command by hand.
local byhand = require "byhand"
local text = require "raw.text"

local deed = {}

local TEXT_MAX = 300 -- characters of a line

local function inert(value) return text.inert(tostring(value), { max = TEXT_MAX }) end

-- Of a plan's row, or of the result of a write that was only told.
function deed.lines(it)
  local lines = {}
  if it.radius then lines[#lines + 1] = inert(it.radius) end
  for _, line in ipairs(it.detail or {}) do lines[#lines + 1] = inert(line) end
  for _, line in ipairs(it.sends or {}) do lines[#lines + 1] = "| " .. inert(line) end
  if it.needs then lines[#lines + 1] = inert(it.needs) end
  if it.where then lines[#lines + 1] = "at: " .. inert(it.where) end
  return lines
end

-- Several lines when the command has several: they begin at the first column. Nil where there is nothing to say.
function deed.by_hand(it)
  if it.command or it.no_command then return byhand.shown(it.command, it.no_command) end
end

return deed
