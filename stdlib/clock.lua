-- The script's time: the moment at which something last came to it from outside (an answer of the world, of a person, the end of
-- a wait). A resumed run brings it the same things, and so the same time; a clock that is read would differ.
local raw_text = require "raw.text"
local tasks = require "tasks"

local clock = {}

local now         -- seconds since the run began, on a clock that nobody sets
local wall, line  -- seconds since 1970, or the journal's line that says it: few scripts ask

local MICRO = 1e6 -- a second's parts that the journal keeps

-- Seconds on that clock, as the journal keeps them.
function clock.reading(began) return math.floor((tasks.now() - began) * MICRO + 0.5) / MICRO end

-- Something came at `t`; `text`: the journal's line of it, nil where none is written.
function clock.delivered(t, text)
  now, line, wall = t, text, not text and tasks.wall() or nil
end

-- Seconds since the run began; between two of them is what a script waited.
function clock.now() return now or 0 end

-- Seconds since 1970.
function clock.wall()
  if line then
    wall, line = raw_text.time(line:match '"at":"([^"]+)"'), nil
  end
  return wall or tasks.wall()
end

return clock
