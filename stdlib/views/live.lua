-- A terminal. What was found so far and what is under way stand at the bottom, drawn again as they change; what is done scrolls
-- above them. At a question the bottom is all that decides it (views/decision.lua), and its clock ticks. With -v each probe is
-- told in lines as well, as in the plain view.
local block = require "views.block"
local details = require "views.details"
local duration = require "duration"
local fit = require "views.fit"
local plain = require "views.plain"
local prompt = require "views.prompt"
local run = require "run"
local tasks = require "tasks"
local tty = require "raw.tty"
local under_way = require "views.under_way"

local live = {}

local REDRAW_SECONDS = 0.25
local verbose, over
local changed = true  -- something happened since the block was drawn
local fresh = false   -- something was found since it was last left on the screen
local asked_here = false -- the answer that comes was typed below its question
local asking          -- the open question: { question =, texts =, left =, limit =, news = }

------------------------------------------------------------------- Block --

local function findings(columns, rows)
  if not fresh then return {} end
  local found = require "views.found"
  return found.lines(found.collect(), columns, math.max(3, math.min(found.LINES_MAX, rows)))
end

local function lines_now()
  local columns, rows = block.size()
  if asking then
    local question = asking.question
    question.above = asking.texts
    return require("views.decision").lines(question, columns, rows, asking.news)
  end
  local below = under_way.lines(columns)
  local lines = findings(columns, rows - #below - 2)
  return table.move(below, 1, #below, #lines + 1, lines)
end

-- The clock beside the prompt; so many columns are left free for what is typed.
local TYPED_COLUMNS = 5
local function clock()
  return prompt.clock(asking.question, asking.limit, (block.size()) - fit.width(asking.left) - TYPED_COLUMNS)
end

-- "lost": the shell had the terminal meanwhile, and what stands there is its own.
local function show_prompt(again)
  if not asking then return end
  local right = clock()
  if right == asking.right and not again then return end
  asking.right = right
  return tty.prompt { prompt = asking.left, right = right }
end

-- Between two seconds nothing changes by itself.
local drawn_at
function live.draw()
  if over or not run.began then return end
  local now = math.floor(tasks.now())
  local lines = (changed or now ~= drawn_at or block.was_resized()) and lines_now()
  changed, drawn_at = false, now
  if not lines then return end
  if show_prompt() == "lost" then block.leave() end
  show_prompt(block.draw(lines))
end

-- Lines that are wider than the terminal go on below their own words, never in the middle of one.
local function hung(lines, columns)
  local list = {}
  for _, line in ipairs(lines) do
    if fit.width(line) <= columns or line:find "by hand:" or line:find "\n" then
      list[#list + 1] = line
    else
      fit.flow(list, line, columns)
    end
  end
  return list
end

local function print_lines(lines)
  if show_prompt(true) == "lost" then block.leave() end
  block.print(hung(lines, (block.size())))
  show_prompt(true)
end

-- What was found stays on the screen as it is now.
local function leave_findings()
  if not fresh or verbose then return end
  local lines = findings(block.size())
  fresh = false
  if #lines > 0 then
    block.clear()
    block.print(lines)
  end
end

------------------------------------------------------------------ Events --

-- Told by the block, or by a question; with -v in lines, too.
local of_the_block = { ["probe.started"] = true, ["probe.ended"] = true, check = true, note = true }
-- What is found up to here stays on the screen: what comes next needs it as it was then. A question has left it already.
local leaves_findings = { approval = true, answer = true, ["remedy.ended"] = true, ["run.ended"] = true, recovered = true }
local of_under_way = { ["effect.intent"] = true, ["goal.waiting"] = true, ["poll.started"] = true }

-- Whether an event needs no line of its own.
local function is_shown_otherwise(name, fields)
  if name == "answer" and asked_here then
    asked_here = false
    return fields.answer ~= nil and not fields.words -- what others said nobody typed here
  end
  if name == "escalation.delivered" and asking then
    asking.news = { ("%s  %s"):format(plain.wall_clock(), plain.paged(fields)) }
    return true
  end
  if verbose then return false end
  if name == "effect.outcome" and fields.probe then return fields.status ~= "refused" end
  return of_under_way[name] or of_the_block[name] and run.command == "run" and (name:find "^probe" or fields.probe) ~= nil
    or name:find "^prevention" and run.command == "run"
end

function live.event(name, fields)
  changed = true
  under_way.event(name, fields)
  prompt.learn(name)
  if name == "effect.outcome" then details.learn(fields) end
  if of_the_block[name] and fields.probe and fields.probe ~= "recovered" then fresh = true end
  if leaves_findings[name] or name == "escalation.fired" and fields.why then leave_findings() end
  if not is_shown_otherwise(name, fields) then plain.event(name, fields) end
  if name == "run.ended" then
    block.clear()
    over = true
  end
end

---------------------------------------------------------------- Questions --

local function begin(question, limit)
  local columns, rows = block.size()
  plain.forget_plan()
  block.clear()
  block.print { "" }
  question.told_above = require("views.decision").overflows(question, rows)
  if question.told_above then print_lines(details.plan_lines(question.plan)) end
  local texts, left = prompt.of(question, columns)
  asked_here = true
  asking = { question = question, texts = texts, left = left, limit = limit }
end

-- A line that somebody typed, or nil and why there is none. Until then all that decides stands above, and the clock ticks.
function live.ask(question, limit)
  if not asking then begin(question, limit) end
  block.draw(lines_now(), true)
  asking.right = clock()
  local results = table.pack(pcall(tty.ask, { prompt = asking.left, right = asking.right, keys = true,
                                              timeout = limit - tasks.now() }))
  block.leave()
  if not results[1] then error(results[2], 0) end -- somebody answered elsewhere
  return results[2], results[3]
end

-- It is answered, or was not: what stands there stays.
function live.asked()
  asking, fresh = nil, false
end

function live.again(text) asking.news = { fit.inert(text) } end

function live.details(question) print_lines(details.lines(question)) end

-- A line that can't be drawn must not stop the clock.
local told_defect = false
local function tick()
  local ok, err = pcall(live.draw)
  if ok or tasks.is_interrupt(err) or told_defect then return end
  told_defect = true
  live.say("a defect of this program: the screen can't be drawn: " .. tostring(err))
end

function live.open(options)
  verbose = options.verbose
  block.colour = not options.no_color
  plain.open(options)
  plain.out = print_lines
  if options.scenario then return end
  tasks.spawn(function()
    while true do
      tasks.sleep(REDRAW_SECONDS)
      tick()
    end
  end)
end

function live.say(line)
  block.clear()
  tty.write(2, line .. "\n")
end

return live
