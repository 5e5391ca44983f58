-- Who has an incident in hand: the words that other processes left in a run's inbox, and what its watchdog has still to do.
local files = require "raw.files"
local json = require "raw.json"
local raw_journal = require "raw.journal"
local raw_text = require "raw.text"

local taken = {}

-- A word of the inbox is this long at most, in bytes.
local WORD_MAX = 1 << 16

-- "19:04:11 UTC" of a moment.
function taken.clock(wall) return raw_text.time_text(wall):sub(12, 19) .. " UTC" end

-- What was said to the run in `path`, in order: { word = "ack" | "later" | "abort" | …, name = of its file, at =, by =,
-- seconds = of "later" }.
function taken.words(path)
  local list = {}
  local walked = files.walk { under = path .. "/inbox", name = "*.json", flat = true }
  for _, file in ipairs(walked and walked.files or {}) do
    local name = file.path:match "[^/]+$"
    local text = files.read { path = path .. "/inbox/" .. name, max = WORD_MAX }
    local it = text and json.decode(text.text)
    if type(it) == "table" and type(it.at) == "number" then
      list[#list + 1] = { word = name:match "%-(%l+)%.json$", name = name, at = it.at, by = tostring(it.by or "somebody"),
                          seconds = tonumber(name:match "^%d+%-(%d+)%-later%.json$") }
    end
  end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

-- Of those the one that puts the levels off the longest, with `ends`; nil without any.
function taken.put_off(words)
  local latest
  for _, it in ipairs(words) do
    if it.seconds then
      it.ends = it.at + it.seconds
      if not latest or it.ends > latest.ends then latest = it end
    end
  end
  return latest
end

local heard = { ["escalation.armed"] = true, ["escalation.fired"] = true, ["escalation.held"] = true,
                ["escalation.stopped"] = true, ["escalation.delivered"] = true }

-- What the watchdog of the run in `path` wrote down: { fired = { numbers }, delivered = { number = true }, left = { numbers of the
-- levels to come }, stopped = why none is }.
function taken.levels(path)
  local fired, armed, delivered, stopped = {}, {}, {}, nil
  for event in raw_journal.events(path .. "/escalation.jsonl", heard) or function() end do
    if event.event == "escalation.armed" then
      armed = event.levels
    elseif event.event == "escalation.stopped" then
      stopped = event.why
    elseif event.event == "escalation.delivered" then
      delivered[event.level or 0] = true
    else
      fired[event.level] = event.event == "escalation.fired" or nil
    end
  end
  local state = { fired = {}, left = {}, delivered = delivered, stopped = stopped }
  for number in pairs(fired) do state.fired[#state.fired + 1] = number end
  for _, level in ipairs(armed) do if not fired[level.level] then state.left[#state.left + 1] = level.level end end
  table.sort(state.fired)
  return state
end

return taken
