-- Durations, sizes and times as scripts write them.
local duration = {}

local seconds_per = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local bytes_per = { B = 1, KB = 1 << 10, MB = 1 << 20, GB = 1 << 30, TB = 1 << 40,
                    KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = 1 << 40 }

-- "15m", "1h30m", "250ms" → seconds; nil and a reason when it isn't one.
function duration.parse(text)
  local total, rest = 0, text
  if type(text) ~= "string" or text == "" then return nil, "a duration like \"15m\", \"5s\" or \"250ms\" expected" end
  while rest ~= "" do
    local number, unit, tail = rest:match "^(%d+%.?%d*)(%a+)(.*)$"
    if not number or not seconds_per[unit] then
      return nil, ("%q is no duration: write it like \"15m\", \"5s\" or \"250ms\""):format(text)
    end
    total, rest = total + tonumber(number) * seconds_per[unit], tail
  end
  return total
end

-- Seconds → "6m41s", "1.5s", "250ms".
function duration.text(seconds)
  if seconds < 1 then return ("%dms"):format(math.floor(seconds * 1000 + 0.5)) end
  if seconds < 60 then return ("%.3g"):format(seconds) .. "s" end
  local whole = math.floor(seconds + 0.5)
  local parts = {}
  for _, unit in ipairs { "d", "h", "m", "s" } do
    local count = whole // seconds_per[unit]
    if count > 0 then parts[#parts + 1] = ("%d%s"):format(count, unit) end
    whole = whole % seconds_per[unit]
  end
  return table.concat(parts)
end

-- Seconds → "06:41", or "1:06:41".
function duration.clock(seconds)
  local whole = math.max(0, math.floor(seconds))
  if whole >= 3600 then return ("%d:%02d:%02d"):format(whole // 3600, whole // 60 % 60, whole % 60) end
  return ("%02d:%02d"):format(whole // 60, whole % 60)
end

-- "64MB", "2 GiB", "512" → bytes; powers of 1024.
function duration.size(text)
  if math.type(text) == "integer" and text >= 0 then return text end
  local number, unit = tostring(text):match "^(%d+%.?%d*)%s*(%a*)$"
  if not number or not (unit == "" or bytes_per[unit]) then
    return nil, ("%q is no size: write it like \"64MB\""):format(tostring(text))
  end
  return math.floor(tonumber(number) * (bytes_per[unit] or 1))
end

-- Bytes → "1.2 GB".
function duration.size_text(bytes)
  for _, unit in ipairs { "TB", "GB", "MB", "KB" } do
    if bytes >= bytes_per[unit] then return ("%.3g %s"):format(bytes / bytes_per[unit], unit) end
  end
  return ("%d bytes"):format(bytes)
end

return duration
