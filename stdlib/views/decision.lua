-- What stands above a question: what was found, then what would be done about it, why, and to what. It fits the screen, so
-- that whoever decides sees all that decides; what is left out is counted, and shown by `d`.
local deed = require "views.deed"
local duration = require "duration"
local fit = require "views.fit"
local found = require "views.found"
local raw_text = require "raw.text"
local run = require "run"
local tasks = require "tasks"

local decision = {}

local PLAN_LINES = 8 -- of what a remedy does
local HEAD = 12      -- columns of the words at its left

local mode_names = { live = "live", dry = "dry run", scenario = "scenario" }

-- "API Down · critical · began 03:02:11, 5 min ago                      live"
local function header(columns)
  local about, elapsed = run.first_about or run.about, run.elapsed()
  local left = { fit.inert(about.title or run.file, 200) }
  if about.severity then left[2] = fit.inert(about.severity, 40) end
  left[#left + 1] = ("began %s, %s ago"):format(raw_text.clock_text(tasks.wall() - elapsed), duration.coarse(elapsed))
  return fit.sides(table.concat(left, " · "), mode_names[require("gate").mode().name] or "", columns)
end

local function head(label) return ("  %-" .. HEAD - 2 .. "s"):format(label) end

local function add(lines, label, text, columns, lines_max)
  fit.add(lines, head(label), fit.inert(text), columns, lines_max or 2)
end

-------------------------------------------------------------------- Plan --

-- Every destructive write is shown, of the others as many as there is room for; all alike where they were told above.
local function shown_of(effects, room, told_above)
  local shown, left_out = {}, {}
  local function must_be_shown(effect) return effect.class == "destructive" and not told_above end
  for _, effect in ipairs(effects) do if must_be_shown(effect) then room = room - 1 end end
  for _, effect in ipairs(effects) do
    local destructive = must_be_shown(effect)
    if not destructive then room = room - 1 end
    table.insert((destructive or room >= 0) and shown or left_out, effect)
  end
  return shown, left_out
end

-- "12 more docker.restart, 1 more http.post"
local function count(left_out)
  local names, counts, parts = {}, {}, {}
  for _, effect in ipairs(left_out) do
    local name = effect.line:match "^[%w_.]+"
    if not counts[name] then names[#names + 1] = name end
    counts[name] = (counts[name] or 0) + 1
  end
  for i, name in ipairs(names) do parts[i] = ("%d more %s"):format(counts[name], name) end
  return table.concat(parts, ", ")
end

-- What an effect hits, whose, and what it sends, as far as there is room.
local function add_particulars(lines, effect, columns, room)
  local before = #lines
  local function more(label, text)
    if #lines - before < room then add(lines, label, text, columns, math.min(2, room - (#lines - before))) end
  end
  if effect.radius then more("", effect.radius) end
  for _, line in ipairs(effect.detail or {}) do more("", line) end
  for i, line in ipairs(effect.sends or {}) do more(i == 1 and "sends" or "", line) end
end

-- Where they all go, if that is one place.
local function place_of(effects)
  local place = effects[1] and effects[1].where
  for _, effect in ipairs(effects) do if effect.where ~= place then return nil end end
  return place
end

local function add_plan(lines, plan, columns, room, told_above)
  local shown, left_out = shown_of(plan.effects, math.max(1, room - 1), told_above)
  local spare = room - #shown - (#left_out > 0 and 1 or 0)
  for i, effect in ipairs(shown) do
    local mark = effect.class == "destructive" and "  (can't be undone)" or ""
    add(lines, i == 1 and "does" or "", effect.line .. mark, columns, #shown <= 2 and 2 or 1)
    local before = #lines
    add_particulars(lines, effect, columns, spare // (#shown - i + 1))
    spare = spare - (#lines - before)
  end
  if #left_out > 0 then
    lines[#lines + 1] = head "" .. ("… %s, %s"):format(count(left_out), told_above and "told above" or "d shows them")
  end
  for _, label in ipairs(plan.assumes or {}) do add(lines, "assumes", label, columns, 1) end
end

-- "what docker.inspect and docker.logs say now"
local function add_saved(lines, plan, columns)
  local names, seen = {}, {}
  for _, effect in ipairs(plan.effects) do
    for _, name in ipairs(effect.saves or {}) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  if #names == 0 then return end
  local all = #names == 1 and names[1] .. " says"
    or ("%s and %s say"):format(table.concat(names, ", ", 1, #names - 1), names[#names])
  add(lines, "saved", ("what %s now"):format(all), columns, 1)
end

-- Of one write the command that does it. What is cut would do something else when it is pasted: `d` shows the whole.
local function add_by_hand(lines, plan, columns)
  local shown = #plan.effects == 1 and deed.by_hand(plan.effects[1])
  if not shown then return end
  local line = shown:match "^by hand: ([^\n]+)$"
  local fits = line and fit.width(line) <= columns - HEAD
  lines[#lines + 1] = head "by hand" .. (fits and line or "too long for this line, d shows it")
end

-- With why it is not the risk that the script declares.
local function risk_of(question)
  return "risk " .. question.level .. (question.level_why and ": " .. fit.inert(question.level_why, 60) or "")
end

local function remedy_lines(question, columns, sizes)
  local plan, lines = question.plan, {}
  if not plan then -- what each answer means
    for _, why in ipairs(question.why or {}) do add(lines, "", why, columns, 1) end
    return lines
  end
  lines[1] = fit.sides(fit.inert(plan.remedy or question.label), risk_of(question), columns)
  if question.beyond then add(lines, "beyond", "this write is not in the plan that was approved", columns) end
  for i, why in ipairs(question.why or {}) do add(lines, i == 1 and "because" or "", why, columns) end
  for i, it in ipairs(question.before or {}) do
    add(lines, i == 1 and "before" or "", ("“%s” %s%s"):format(it.remedy, it.state, it.why and ": " .. it.why or ""), columns)
  end
  for i, finding in ipairs(question.ignorance or {}) do
    add(lines, i == 1 and "unknown" or "", "decided without knowing " .. finding, columns)
  end
  if question.warning then add(lines, "warning", question.warning, columns) end
  add_plan(lines, plan, columns, sizes.plan, question.told_above)
  if sizes.place then add_saved(lines, plan, columns) end
  local place = sizes.place and place_of(plan.effects)
  if place then add(lines, "at", place, columns, 1) end
  if sizes.by_hand then add_by_hand(lines, plan, columns) end
  return lines
end

------------------------------------------------------------------- Whole --

-- From all that is wanted down to the least, until it fits: findings, lines of the plan.
local steps = {}
for _, step in ipairs { { 10, 8, true, true }, { 8, 8, true, true }, { 7, 8, true, true }, { 7, 6, true, true },
                        { 6, 5, true, true }, { 6, 4, true, false }, { 5, 4, true, false }, { 4, 3, false, false },
                        { 3, 2, false, false }, { 2, 1, false, false }, { 1, 1, false, false } } do
  steps[#steps + 1] = { found = step[1], plan = step[2], place = step[3], by_hand = step[4] }
end

local function build(question, it, columns, sizes, news)
  local lines = { header(columns) }
  local findings = found.lines(it, columns, sizes.found)
  table.move(findings, 1, #findings, 2, lines)
  local remedy = remedy_lines(question, columns, sizes)
  if #remedy > 0 or #(question.above or {}) > 0 then lines[#lines + 1] = "" end
  table.move(remedy, 1, #remedy, #lines + 1, lines)
  for _, text in ipairs(question.above or {}) do fit.add(lines, "", fit.inert(text), columns, 6) end
  for _, text in ipairs(news or {}) do fit.add(lines, "", fit.inert(text), columns, 1) end
  return lines
end

-- Lines for a screen of so many columns and rows, one row of which is the prompt's. `question.above`: texts that stand right
-- above it; `news`: what happened while it was open.
function decision.lines(question, columns, rows, news)
  local it, lines = found.collect(), nil
  for _, sizes in ipairs(steps) do
    lines = build(question, it, columns, sizes, news)
    if #lines < rows then return lines end
  end
  return table.move(lines, #lines - rows + 2, #lines, 1, {})
end

-- Whether its destructive writes alone are more than the screen shows: then they are told above it (`question.told_above`).
function decision.overflows(question, rows)
  local count_of = 0
  for _, effect in ipairs(question.plan and question.plan.effects or {}) do
    if effect.class == "destructive" then count_of = count_of + 1 end
  end
  return count_of > math.min(PLAN_LINES, rows // 3)
end

return decision
