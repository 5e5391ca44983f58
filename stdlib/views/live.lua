-- A terminal: finished lines scroll as in the plain view; below them a few lines say what is under way, since when, and when
-- the page goes out. They are erased and drawn again; nothing else moves.
local duration = require "duration"
local plain = require "views.plain"
local run = require "run"
local tasks = require "tasks"
local text = require "raw.text"
local tty = require "raw.tty"

local live = {}

local REDRAW_SECONDS = 0.25
local ROWS_MAX = 8 -- of what is under way; more is counted

local running, order = {}, {} -- key → { what =, since = }
local drawn, paused = 0, false
local colour

local function erase()
  if drawn > 0 then tty.write(1, ("\27[%dA\r\27[J"):format(drawn)) end
  drawn = 0
end

-- Meaning is in the words; colour only repeats it.
local colours = { { "^%S+%s+WRONG", "31" }, { "unknown", "33" }, { "refused", "33" }, { "^%S+%s+would", "36" },
                  { "^DRY RUN", "36" } }
local function coloured(line)
  if not colour then return line end
  for _, rule in ipairs(colours) do
    if line:find(rule[1]) then return "\27[" .. rule[2] .. "m" .. line .. "\27[0m" end
  end
  return line
end

local function status_line()
  local parts = { duration.clock(run.elapsed()) }
  if run.options.dry_run then parts[#parts + 1] = "dry run" end
  if run.escalation_at and not run.options.dry_run then
    local left = run.escalation_at - run.elapsed()
    parts[#parts + 1] = left > 0 and "page in " .. duration.clock(left) or "the page is due"
  end
  return "-- " .. table.concat(parts, " · ") .. " --"
end

local function draw()
  if paused or not run.began then return end
  local columns = tty.size().columns - 1
  local lines = { status_line() }
  for i, key in ipairs(order) do
    if i > ROWS_MAX then
      lines[#lines + 1] = ("   … and %d more"):format(#order - ROWS_MAX)
      break
    end
    local it = running[key]
    lines[#lines + 1] = ("   %-6s %s"):format(duration.text(tasks.now() - it.since), text.inert(it.what, { max = 200 }))
  end
  for i, line in ipairs(lines) do lines[i] = text.truncate(line, columns) end
  erase()
  tty.write(1, table.concat(lines, "\n") .. "\n")
  drawn = #lines
end

local function begin(key, what)
  if running[key] then return end
  running[key] = { what = what, since = tasks.now() }
  order[#order + 1] = key
end

local function finish(key)
  if not running[key] then return end
  running[key] = nil
  for i, other in ipairs(order) do if other == key then table.remove(order, i) end end
end

local follow = {
  ["effect.begun"] = function(fields) begin(fields.key, fields.line) end,
  ["effect.intent"] = function(fields) begin(fields.key, "doing " .. fields.line) end,
  ["effect.outcome"] = function(fields) finish(fields.key) end,
  ["probe.started"] = function(fields) begin("probe " .. fields.probe, fields.probe) end,
  ["probe.ended"] = function(fields) finish("probe " .. fields.probe) end,
  ["prevention.started"] = function(fields) begin("prevention " .. fields.prevention, fields.prevention) end,
  ["prevention.ended"] = function(fields) finish("prevention " .. fields.prevention) end,
  ["goal.waiting"] = function(fields) begin("goal", "waiting until: " .. fields.label) end,
  ["goal.missed"] = function() finish "goal" end,
  recovered = function() finish "goal" end,
}

local function tick()
  while true do
    tasks.sleep(REDRAW_SECONDS)
    draw()
  end
end

function live.open(options)
  colour = not options.no_color
  plain.open(options)
  plain.out = function(lines)
    for i, line in ipairs(lines) do lines[i] = coloured(line) end
    erase()
    tty.write(1, table.concat(lines, "\n") .. "\n")
  end
  if not options.scenario then tasks.spawn(tick) end
end

function live.event(name, fields)
  if follow[name] then follow[name](fields) end
  plain.event(name, fields)
  if name == "run.ended" then
    erase()
    paused = true
  end
end

-- A question has the screen to itself.
function live.pause()
  erase()
  paused = true
end
function live.resume() paused = false end

function live.say(line)
  erase()
  tty.write(2, line .. "\n")
end

return live
