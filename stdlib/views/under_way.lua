-- What is under way, a line each: since when, and what the last answer was. Probes side by side stand below each other until
-- they end.
local duration = require "duration"
local fit = require "views.fit"
local prompt = require "views.prompt"
local run = require "run"
local tasks = require "tasks"

local under_way = {}

local ROWS_MAX = 8 -- more is counted

local running, order = {}, {} -- key → { what =, since =, last =, looks =, within = }

local function begin(key, what, more)
  if running[key] then return end
  running[key] = more or {}
  running[key].what, running[key].since = what, tasks.now()
  order[#order + 1] = key
end

local function finish(key)
  if not running[key] then return end
  running[key] = nil
  for i, other in ipairs(order) do if other == key then table.remove(order, i) end end
end

local function instance_of(fields) return ("probe %s\0%s"):format(fields.probe, fields.probe_args or fields.args or "") end

local function title_of(fields) return fields.args and ("%s (%s)"):format(fields.probe, fields.args) or fields.probe end

-- "/health HTTP 500": what an effect answered, in a few words.
local function answer_of(fields)
  local result = fields.result or {}
  local why = result.why or result.error and result.error.message or fields.status == "ok" and "ok" or fields.status
  return fit.inert(fields.line:gsub("^http%.%l+ https?://[^/]+", "")) .. " " .. fit.inert(why)
end

-- A poll, or an effect inside a probe, is told on that one's line; an effect by itself on one of its own.
local function place_of(fields)
  local waiting = fields.poll and running["poll " .. fields.poll]
  return waiting or fields.probe and running[instance_of(fields)]
end

local function begin_poll(fields)
  begin("poll " .. fields.label, "waiting until " .. fields.label, { within = fields.within, looks = 0 })
end
local function end_poll(fields) finish("poll " .. fields.label) end

local follow = {
  ["effect.begun"] = function(fields)
    local place = place_of(fields)
    if place then place.now = fields.line elseif not fields.poll then begin(fields.key, fields.line) end
  end,
  ["effect.intent"] = function(fields) begin(fields.key, "doing " .. fields.line) end,
  ["effect.outcome"] = function(fields)
    local place = place_of(fields)
    if place then place.last, place.now = answer_of(fields), nil end
    finish(fields.key)
  end,
  ["probe.started"] = function(fields) begin(instance_of(fields), title_of(fields)) end,
  ["probe.ended"] = function(fields) finish(instance_of(fields)) end,
  ["prevention.started"] = function(fields) begin("prevention " .. fields.prevention, fields.prevention) end,
  ["prevention.ended"] = function(fields) finish("prevention " .. fields.prevention) end,
  ["goal.waiting"] = begin_poll, ["goal.missed"] = end_poll, recovered = end_poll,
  ["poll.started"] = begin_poll, ["poll.ended"] = end_poll,
  ["poll.looked"] = function(fields)
    local it = running["poll " .. fields.label]
    if it then it.looks = it.looks + 1 end
  end,
}

function under_way.event(name, fields) if follow[name] then follow[name](fields) end end

-- "waiting until the API answers: /health HTTP 500, look 7, 0:35 of 2:00"
local function line_of(it)
  local seconds, parts = tasks.now() - it.since, {}
  local what, told = fit.inert(it.what), it.looks and it.last or it.now or it.last
  if told then what = what .. ": " .. fit.inert(told) end
  parts[1] = what
  if it.looks and it.looks > 0 then parts[#parts + 1] = ("look %d"):format(it.looks) end
  parts[#parts + 1] = it.within and ("%s of %s"):format(duration.countdown(seconds), duration.countdown(it.within))
    or ("%d s"):format(math.floor(seconds))
  return table.concat(parts, ", ")
end

-- "0:05 · dry run · page in 14:55": the incident's clock, at the right of the first line.
local function clock()
  local parts = { duration.countdown(run.elapsed()) }
  if run.options.dry_run then parts[#parts + 1] = "dry run" end
  parts[#parts + 1] = prompt.page_text()
  return table.concat(parts, " · ")
end

function under_way.lines(columns)
  local lines, time = {}, clock()
  for i, key in ipairs(order) do
    if i > ROWS_MAX then
      lines[#lines + 1] = ("   … %d more"):format(#order - ROWS_MAX)
      break
    end
    lines[#lines + 1] = "   " .. fit.cut(line_of(running[key]), columns - 3)
  end
  if #lines == 1 and fit.width(lines[1]) + fit.width(time) + 2 <= columns then return { fit.sides(lines[1], time, columns) } end
  table.insert(lines, 1, fit.sides("", "-- " .. time .. " --", columns))
  return lines
end

return under_way
