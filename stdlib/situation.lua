-- The situation in words, for whoever is told of it elsewhere: page, chat message, topic. The cause first, then since when; what
-- is wrong with its figures; what is not known; what was done and what was not; what waits; who runs it, where, and the command
-- to own it.
local duration = require "duration"
local raw_text = require "raw.text"
local run = require "run"
local story = require "story"

local situation = {}

-- Lines of one kind in a message; the others are counted.
local LINES_MAX = 10

local function about() return run.first_about or run.about end

function situation.headline() return story.headline(about().title or run.file) end

-- "2026-11-23T17:40:05Z": when the alert began.
local function began()
  return run.alert_wall and (raw_text.time_text(run.alert_wall):gsub("%.%d+Z$", "Z")) or nil
end

local function elapsed() return duration.clock(run.elapsed()) end

-- The exact command by which somebody takes the incident over.
function situation.ack() return "runbook ack " .. (run.id or "scenario") end

------------------------------------------------------------------ Lists --

-- "“Restart the API service”: docker.restart conduit-api"; what was begun and failed is told with what it had done.
local function remedy_text(it, words)
  local text = ("“%s”"):format(it.title) .. words
  return #it.did > 0 and ("%s: %s"):format(text, table.concat(it.did, "; ")) or text
end

local function done()
  local list = {}
  for i, it in ipairs(story.applied) do list[i] = remedy_text(it, "") end
  return list
end

local function not_done()
  local list = {}
  for i, it in ipairs(story.tried) do
    list[i] = remedy_text(it, (" %s%s"):format(it.state, it.why and " (" .. it.why .. ")" or ""))
  end
  return list
end

-- The newest ones: what was noted first is the least of news.
local function noted()
  local list, notes = {}, story.noted()
  for i = math.max(1, #notes - LINES_MAX + 1), #notes do
    list[#list + 1] = story.note_words(notes[i])
  end
  return list
end

local function evidence()
  local list = {}
  for i, piece in ipairs(story.evidence) do list[i] = ("%s: %s/%s"):format(piece.line, run.path, piece.file) end
  return list
end

------------------------------------------------------------------- Texts --

local function add_list(lines, heading, list)
  if #list == 0 then return end
  lines[#lines + 1] = heading
  for i = 1, math.min(#list, LINES_MAX) do lines[#lines + 1] = "- " .. list[i] end
  if #list > LINES_MAX then lines[#lines + 1] = ("- and %d more"):format(#list - LINES_MAX) end
end

-- A chat message: plain text.
function situation.report()
  local lines = { situation.headline(), ("%s since the alert%s"):format(elapsed(), began() and ", which began " .. began() or "") }
  if about().impact then lines[#lines + 1] = "Impact: " .. about().impact end
  add_list(lines, "Wrong:", story.wrong_lines())
  add_list(lines, "Not known:", story.unknown_lines())
  add_list(lines, "Noted:", noted())
  if #story.applied == 0 then lines[#lines + 1] = "No remedy was applied." end
  add_list(lines, "Done:", done())
  add_list(lines, "Not done:", not_done())
  if story.waits then lines[#lines + 1] = "Waits for an answer: " .. story.waits end
  add_list(lines, "Evidence:", evidence())
  lines[#lines + 1] = ("Run %s%s, on %s by %s"):format(run.id or "scenario",
    run.environment and " (" .. run.environment .. ")" or "", run.host, run.user)
  lines[#lines + 1] = ("To own it: %s, on %s"):format(situation.ack(), run.host)
  return table.concat(lines, "\n")
end

-- What a page says beside its findings and what holds as long as the run: plain data, for a machine that lays it out.
function situation.standing()
  return { began = began(), impact = about().impact, run = run.id, host = run.host, user = run.user,
           environment = run.environment, ack = ("%s, on %s"):format(situation.ack(), run.host) }
end

local function filled(list) return #list > 0 and list or nil end

-- A page's details: what the script gave (a table's own fields, anything else as the findings) and the situation around it.
function situation.details(given)
  local details = situation.standing()
  details.elapsed, details.waits = elapsed(), story.waits
  details.done, details.not_done = filled(done()), filled(not_done())
  if type(given) == "table" and #given == 0 then
    for name, value in pairs(given) do details[name] = value end
  else
    details.findings = given
  end
  return details
end

-- What a level's function is told about the run.
function situation.view()
  local it = about()
  return { id = run.id or "scenario", title = it.title, severity = it.severity or "critical", impact = it.impact,
           headline = situation.headline(), findings = story.findings(), report = situation.report(),
           began = began(), elapsed = elapsed(), host = run.host, user = run.user, ack = situation.ack(),
           waits = story.waits }
end

situation.not_done = not_done
return situation
