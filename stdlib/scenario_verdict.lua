-- What a run differs in from what its scenario expects, and what of the scenario nobody used: a pattern that nothing asks
-- for describes a world in which the runbook was not tried.
local blame = require "blame"
local duration = require "duration"
local patterns = require "patterns"
local run = require "run"
local screen = require "screen"
local story = require "story"

local verdict = {}

-- Lines are compared by this many characters at most when the nearest is looked for, and this many of them.
local NEAREST_CHARACTERS, NEAREST_LINES = 200, 500

------------------------------------------------------------------ Differences --

local function shown(list) return #list > 0 and table.concat(list, "; ") or "none" end

local function titles(list, name)
  local found = {}
  for i, it in ipairs(list or {}) do found[i] = type(it) == "table" and (it[name] or it.title) or it end
  return found
end

-- Expected as a number of them, or as patterns over all of them in any order.
local function count_differs(what, wanted, found)
  if wanted == nil then return nil end
  if type(wanted) == "number" then
    if wanted == #found then return nil end
    return ("%s: expected %d, got %d (%s)"):format(what, wanted, #found, shown(found))
  end
  if patterns.cover(wanted, found) then return nil end
  return ("%s: expected %s, got %s"):format(what, shown(wanted), shown(found))
end

local function same(what, wanted, found)
  if wanted == nil or wanted == found then return nil end
  return ("%s: expected %s, got %s"):format(what, tostring(wanted), tostring(found))
end

local function never_differs(list, wanted, done)
  for _, pattern in ipairs(wanted or {}) do
    for _, line in ipairs(done) do
      if patterns.matches(patterns.compile(pattern), line) then
        list[#list + 1] = ("never: %s, but it did %s"):format(pattern, line)
      end
    end
  end
end

local function told_differs(list, wanted, told)
  for _, pattern in ipairs(wanted or {}) do
    local held = false
    for _, text in ipairs(told) do held = held or patterns.holds(pattern, text) end
    if not held then
      list[#list + 1] = ("told: nobody was told %s; sent: %s"):format(pattern, shown(told))
    end
  end
end

-- A list of sentences. `ending`: the run's; `mode`: what was done, told and paged; `seconds`: on its clock.
local function differences(expect, ending, mode, seconds)
  local list = {}
  local function add(text) list[#list + 1] = text end
  if expect.outcome and expect.outcome ~= ending.outcome then
    add(("outcome: expected %s, got %s (%s)"):format(expect.outcome, ending.outcome, ending.text or ""))
  end
  add(same("by", expect.by, ending.by))
  add(same("exit", expect.exit, ending.exit))
  if expect.says and not patterns.matches(patterns.compile(expect.says), ending.text or "") then
    add(("says: expected %s, got %s"):format(expect.says, ending.text or "nothing"))
  end
  add(same("pages", expect.pages, mode.pages))
  if expect.does and not patterns.are(expect.does, mode.done) then
    add(("does: expected %s, got %s"):format(shown(expect.does), #mode.done > 0 and shown(mode.done) or "nothing"))
  end
  never_differs(list, expect.never, mode.done)
  told_differs(list, expect.told, mode.told)
  add(count_differs("unknown", expect.unknown, titles(story.unknown, "title")))
  add(count_differs("owed", expect.owed, titles(run.owed, "title")))
  add(count_differs("left", expect.left, titles(run.left, "line")))
  local limit = expect.within and duration.parse(expect.within)
  if limit and seconds > limit then add(("within: %s, but it took %s"):format(expect.within, duration.text(seconds))) end
  return list
end

-- Mistakes of the script's that the scenario does not expect: sentences.
local function mistakes(mode)
  local list = {}
  for _, it in ipairs(story.mistakes) do
    if not mode.excuses(it) then
      list[#list + 1] = ("a mistake of the runbook, in %s “%s”: %s"):format(it.what, it.title, it.text)
    end
  end
  return list
end

----------------------------------------------------------------------- Unused --

local function first_word(text) return text:match "^%S*" end

-- The candidate that looks most like a pattern: a line of the same effect if there is one, else one that is near.
local function nearest(text, candidates)
  local best, least
  for i = 1, math.min(#candidates, NEAREST_LINES) do
    local line = candidates[i]
    local distance = blame.distance(text:sub(1, NEAREST_CHARACTERS), line:sub(1, NEAREST_CHARACTERS))
    local related = first_word(line) == first_word(text) or distance <= #text // 3
    if related and (not least or distance < least) then best, least = line, distance end
  end
  return best
end

-- A pattern of stars alone is for whatever else comes, and claims nothing.
local function claims(entry) return entry.pattern.weight > 0 end

-- Why an entry was not used: nothing it names came, or what it names always had another answer.
local function why_unused(entry, what, candidates)
  for _, line in ipairs(candidates) do
    if patterns.matches(entry.pattern, line) then
      return ("another pattern, more literal, later or laid over it, always answers %s"):format(line)
    end
  end
  local near = nearest(entry.pattern.text, candidates)
  return what .. (near and "; the nearest: " .. near or "")
end

local function unused(list, entries, what, candidates)
  for _, entry in ipairs(entries) do
    if not entry.used and claims(entry) then
      list[#list + 1] = ("%s %q: %s"):format(entry.from, entry.pattern.text, why_unused(entry, what, candidates))
    end
  end
end

-- What of the scenario nobody used, with what comes nearest: sentences.
local function unused_of_its_own(mode)
  local list = {}
  unused(list, mode.layers.given, "nothing asked for it", mode.asked)
  unused(list, mode.layers.answers, "nothing was asked by that name", mode.questions)
  unused(list, mode.layers.checks, "nothing was checked by that name", mode.labels)
  unused(list, mode.layers.changes, "no such write was made", mode.done)
  unused(list, mode.layers.after, "nothing asked for it any more", mode.asked)
  return list
end

-- The file's world belongs to all of its scenarios: of one of several, what it did not use is named, and no mistake.
local function unused_of_world(mode)
  local patterns_of_it = {}
  for _, entry in ipairs(mode.layers.world) do
    if not entry.used and claims(entry) then patterns_of_it[#patterns_of_it + 1] = entry.pattern.text end
  end
  return patterns_of_it
end

local cut_short = { failed = true, refused = true, usage = true }

-- 3 of a script's mistake, 1 when something differs, 2 of a pattern that nobody used, else the run's own.
local function exit_of(it, code)
  return #it.mistakes > 0 and 3 or #it.differs > 0 and 1 or #it.unused > 0 and 2 or code
end

-- { exit =, mistakes =, differs =, unused = lists of sentences, idle = patterns of the file's world that it did not use,
-- broke_off = whether it ended before its end unexpectedly: what it did not ask for then says nothing of the file }.
function verdict.of(scenario, ending, mode, code)
  local expect = scenario.expect or {}
  local it = { mistakes = mistakes(mode), differs = differences(expect, ending, mode, run.elapsed()), unused = {}, idle = {} }
  it.broke_off = cut_short[ending.outcome] ~= nil and expect.outcome ~= ending.outcome
  if not it.broke_off then
    it.unused = unused_of_its_own(mode)
    if scenario.alone then unused(it.unused, mode.layers.world, "nothing asked for it", mode.asked) end
    if not scenario.alone then it.idle = unused_of_world(mode) end
  end
  it.exit = exit_of(it, code)
  return it
end

-- What of the file's world no scenario used: a sentence. `asked`: the lines of all effects of all scenarios.
function verdict.idle_text(pattern, asked)
  local near = nearest(pattern, asked)
  return ("world %q: no scenario asks for it%s"):format(pattern, near and "; the nearest: " .. near or "")
end

local function say(what, list)
  for _, line in ipairs(list) do screen.say(what .. line) end
end

-- Tells what is wrong, a line each, and gives the exit code.
function verdict.tell(scenario, ending, mode, code)
  local it = verdict.of(scenario, ending, mode, code)
  local where = ("%s: scenario %q: "):format(scenario.at, scenario.name)
  say("differs: ", it.mistakes)
  say("differs: ", it.differs)
  say(where .. "unused: ", it.unused)
  for i, text in ipairs(it.idle) do it.idle[i] = ("%q"):format(text) end
  if #it.idle > 0 then screen.say(where .. "of the world it did not use " .. table.concat(it.idle, ", ")) end
  return it.exit
end

return verdict
