-- The lines at the bottom of a terminal that are drawn again and again: what is above them scrolls, they stay. A question's
-- prompt, which raw.tty draws, stands below them.
local text = require "raw.text"
local tty = require "raw.tty"

local block = { colour = false }

local drawn, columns, rows = {}, 0, 0 -- what is on the screen, and the size it was drawn for

-- Meaning is in the words; colour only repeats it.
local RED, YELLOW, CYAN = "31", "33", "36"
local colours = { { "^WRONG", RED }, { "^%S+%s+WRONG", RED }, { "^UNKNOWN", YELLOW }, { "^%S+%s+UNKNOWN", YELLOW },
                  { "^%S+%s+.*refused", YELLOW }, { "^%S+%s+would", CYAN }, { "^DRY RUN", CYAN } }
local function coloured(line)
  if not block.colour then return line end
  for _, rule in ipairs(colours) do
    if line:find(rule[1]) then return "\27[" .. rule[2] .. "m" .. line .. "\27[0m" end
  end
  return line
end

local function write(lines, first)
  local parts = { first }
  for _, line in ipairs(lines) do parts[#parts + 1] = coloured(line) .. "\27[K\n" end
  tty.write(1, table.concat(parts) .. "\27[J")
end

local function to_its_top() return #drawn > 0 and ("\27[%dA\r"):format(#drawn) or "\r" end

-- A terminal that was resized has moved everything: only a clean screen is sure to be right.
function block.was_resized()
  local size = tty.size()
  return columns ~= 0 and (size.columns ~= columns or size.rows ~= rows)
end

-- The room there is: one column is left free, for not every terminal waits with the next line.
function block.size()
  local size = tty.size()
  return size.columns - 1, size.rows
end

local function same(lines)
  if #lines ~= #drawn then return false end
  for i, line in ipairs(lines) do if line ~= drawn[i] then return false end end
  return true
end

-- Shows these lines in the place of those that are there. True when they were drawn anew, and a prompt below them is gone.
function block.draw(lines, again)
  local resized, size = block.was_resized(), tty.size()
  columns, rows = size.columns, size.rows
  for i, line in ipairs(lines) do lines[i] = text.truncate(line, columns - 1) end
  if not resized and not again and same(lines) then return false end
  write(lines, resized and "\27[H\27[2J" or to_its_top())
  drawn = lines
  return true
end

-- Lines that stay: they scroll away above the block, which is drawn again below them.
function block.print(lines)
  if block.was_resized() then block.draw(drawn) end
  write(table.move(drawn, 1, #drawn, #lines + 1, lines), to_its_top())
end

-- What is drawn stays where it is; what comes next stands below it.
function block.leave() drawn = {} end

-- Nothing of it is left.
function block.clear()
  if #drawn > 0 then write({}, to_its_top()) end
  drawn = {}
end

return block
