-- Durations and sizes as scripts write them: the core's formats (duration.h) behind names that read well here.
local text = require "raw.text"

local duration = {}

local function result(parse, what, value)
  if type(value) ~= "string" then return nil, what .. " expected" end
  local number, err = parse(value)
  return number, err and err.message
end

-- "15m", "1h30m", "250ms" → seconds; nil and a reason when it isn't one.
function duration.parse(value)
  return result(text.duration, "a duration like \"15m\", \"5s\" or \"250ms\"", value)
end

-- Seconds → "6m41s", "1.5s", "250ms": to the millisecond below a minute, to the second above.
function duration.text(seconds)
  local step = seconds < 60 and 1000 or 1
  return text.duration_text(math.floor(seconds * step + 0.5) / step)
end

-- Seconds → "06:41", or "1:06:41".
function duration.clock(seconds)
  local whole = math.max(0, math.floor(seconds))
  if whole >= 3600 then return ("%d:%02d:%02d"):format(whole // 3600, whole // 60 % 60, whole % 60) end
  return ("%02d:%02d"):format(whole // 60, whole % 60)
end

-- Seconds → "4:51", or "1:04:51": what is left of them.
function duration.countdown(seconds) return (duration.clock(seconds):gsub("^0(%d:)", "%1")) end

local coarse = { { 86400, "days" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

-- Seconds → "5 min", "3 days": how long ago, for people.
function duration.coarse(seconds)
  for _, unit in ipairs(coarse) do
    if seconds >= (unit[1] == 1 and 0 or 2 * unit[1]) then return ("%d %s"):format(seconds // unit[1], unit[2]) end
  end
  return "0 s"
end

-- "64MB", "2GiB", a number of bytes → bytes; powers of 1024.
function duration.size(value)
  if math.type(value) == "integer" and value >= 0 then return value end
  return result(text.size, "a size like \"64MB\"", value)
end

-- Bytes → "1.2 GB".
function duration.size_text(bytes) return text.size_text(bytes) end

return duration
