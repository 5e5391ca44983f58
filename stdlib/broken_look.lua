-- A look that broke off (law 4): which checks of its text it had made, and which it could still have come to. What it found
-- well holds only where nothing was left that could have said otherwise.
local parts = require "parts"
local tokens = require "tokens"

local broken_look = {}

------------------------------------------------------------------ The stack --

-- Frames looked at, at most.
local FRAMES_MAX = 200

-- Calls f(info) for each frame of a script up to the look's own, which xpcall called; whether that was found.
local function each_frame(f)
  for level = 3, FRAMES_MAX do
    local info = debug.getinfo(level, "Slf")
    if not info then return false end
    if info.func == xpcall then return true end
    if info.source:sub(1, 1) == "@" and info.currentline > 0 then f(info) end
  end
  return false
end

-- Notes that a check naming `fault` was made: `reached` is fault → line of each function under way → labels. A check that is
-- returned has left its line; its label stands under "".
function broken_look.note_check(reached, fault, label)
  local lines = reached[fault] or {}
  reached[fault] = lines
  local function at(line)
    lines[line] = lines[line] or {}
    lines[line][label] = true
  end
  at ""
  each_frame(function(info) at(info.source .. ":" .. info.currentline) end)
end

-- Where the look is, in each function under way: { f =, line = }; nil when that is too deep to see. For xpcall's handler.
function broken_look.frames()
  local list = {}
  local whole = each_frame(function(info) list[#list + 1] = { f = info.func, line = info.currentline } end)
  return whole and list or nil
end

----------------------------------------------------------------- What is ahead --

-- Ranges of lines, each once: { f =, part =, from =, to = }.
local ranges_type = {}
ranges_type.__index = ranges_type

function ranges_type:add(f, part, from, to)
  local key = ("%s:%d:%d"):format(part.source, from, to)
  if self.seen[key] or from > to then return end
  self.seen[key] = true
  self[#self + 1] = { f = f, part = part, from = from, to = to }
end

local function lines_of(part, block) return part.list[block.open].line, part.list[block.close].line end

-- What follows in a function under way, and the whole of each loop and inner function that it is in.
function ranges_type:add_frame(frame, part)
  self:add(frame.f, part, frame.line + 1, part.to)
  for _, block in ipairs(part.blocks) do
    local from, to = lines_of(part, block)
    local is_itself = block.kind == "function" and from == part.from and to == part.to
    if block.kind ~= "block" and not is_itself and frame.line >= from and frame.line <= to then
      self:add(frame.f, part, from, to)
    end
  end
end

local function names_in(range)
  local names = {}
  for _, token in ipairs(range.part.list) do
    if token.kind == "name" and token.line >= range.from and token.line <= range.to then names[token.text] = true end
  end
  return names
end

-- The functions that a range names: of its own text, and of others.
function ranges_type:add_named(range)
  local part, names = range.part, names_in(range)
  for _, block in ipairs(part.blocks) do
    local name = parts.is_function(block) and parts.name_of(part.list, block.open)
    if name and names[name] then self:add(range.f, part, lines_of(part, block)) end
  end
  parts.find_named(range.f, part, range.from, range.to, function(f)
    local named = parts.of(f)
    if named then self:add(f, named, named.from, named.to) end
  end)
end

function ranges_type:hold(check)
  for _, range in ipairs(self) do
    if range.part.source == check.source and check.line >= range.from and check.line <= range.to then return true end
  end
  return false
end

-- The lines that could still be come to; nil when a text isn't at hand.
local function still_ahead(frames)
  local ranges = setmetatable({ seen = {} }, ranges_type)
  for _, frame in ipairs(frames) do
    local part = parts.of(frame.f)
    if not part then return nil end
    ranges:add_frame(frame, part)
  end
  for _, range in ipairs(ranges) do ranges:add_named(range) end
  return ranges
end

--------------------------------------------------------------- What is settled --

local function count(set)
  local n = 0
  for _ in pairs(set or {}) do n = n + 1 end
  return n
end

-- Whether a check of the text was made, among all that name its fault. Those of one line are told apart by their labels.
local function was_made(check, checks, lines)
  if check.returned and check.label then return lines[""][check.label] ~= nil end
  if not check.line then return false end
  local beside = 0
  for _, other in ipairs(checks) do
    if other.line == check.line and other.source == check.source then beside = beside + 1 end
  end
  return count(lines[check.source .. ":" .. check.line]) >= beside
end

-- fault → its checks in the text; nil when a check computes its fault.
local function by_fault(checks)
  local map = {}
  for _, check in ipairs(checks) do
    if not check.fault then return nil end
    map[check.fault] = map[check.fault] or {}
    table.insert(map[check.fault], check)
  end
  return map
end

local function never() return false end

-- Where the same looks break off again and again, as when a runbook is explored, a table: what was learned of each place.
broken_look.known = nil

local function place_of(fn, frames)
  local texts = {}
  for i, frame in ipairs(frames) do
    local info = debug.getinfo(frame.f, "S")
    texts[i] = ("%s:%d:%d"):format(info.source, info.linedefined, frame.line)
  end
  local info = debug.getinfo(fn, "S")
  return ("%s:%d\0"):format(info.source, info.linedefined) .. table.concat(texts, "\0")
end

local function learn(fn, frames)
  local all = parts.reach(fn)
  return { all = all, map = all and by_fault(all.checks), ahead = still_ahead(frames) }
end

local function known_of(fn, frames)
  local key = broken_look.known and place_of(fn, frames)
  local it = key and broken_look.known[key] or learn(fn, frames)
  if key then broken_look.known[key] = it end
  return it.all, it.map, it.ahead
end

-- f(fault) → whether every check of the look's text that names it was made, and none of them was still ahead. `reached`: what
-- note_check noted; `frames`: where it broke off.
function broken_look.settled(fn, reached, frames)
  if not frames then return never end
  local all, map, ahead = known_of(fn, frames)
  if not map or not ahead then return never end
  return function(fault)
    local checks, lines = map[fault], reached[fault]
    if not checks or not lines or all.faults[fault] then return false end
    for _, check in ipairs(checks) do
      if not was_made(check, checks, lines) or check.line and ahead:hold(check) then return false end
    end
    return true
  end
end

return broken_look
