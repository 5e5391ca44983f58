-- An earlier run of the same runbook that is not over. With the same environment and parameters it is the same incident: the new
-- run takes its clock over, from what it wrote down where its watchdog is gone. Of any other that is armed both clocks run on, and
-- it is named.
local files = require "raw.files"
local json = require "raw.json"
local raw_journal = require "raw.journal"
local raw_run = require "raw.run"
local run = require "run"
local taken = require "taken"
local tasks = require "tasks"

local predecessor = {}

local MANIFEST_MAX = 1 << 20
-- A run whose watchdog is gone is the same incident for so many seconds after it last wrote something: an alert of tomorrow is
-- another, and must not be taken for told.
predecessor.UNWATCHED_SECONDS = 4 * 3600

local function manifest_of(path)
  local text = files.read { path = path .. "/source/manifest.json", max = MANIFEST_MAX }
  return text and json.decode(text.text) or nil
end

-- A watchdog holds this file while it has something to do.
local function is_watched(path) return files.stat(path .. "/watchdog.lock").state == "file" end

-- Which levels went out by a watchdog that is at work, or nil when none will any more.
local function of_watched(path)
  local levels = taken.levels(path)
  return not levels.stopped and levels.fired or nil
end

-- How a run ended that is not over with that; one that was killed has no end.
local unfinished = { suspended = true, aborted = true }

local function is_finished(path)
  local ended
  for event in raw_journal.events(path .. "/journal.jsonl", { ["run.ended"] = true, ["run.resumed"] = true }) or function() end do
    ended = event.event == "run.ended" and event.outcome or nil
  end
  return ended ~= nil and not unfinished[ended]
end

-- Whether somebody said that it is over, or in hand: nobody may have been there to hear it.
local over = { ack = true, abort = true, resolved = true, continued = true }

local function is_settled(path)
  for _, it in ipairs(taken.words(path)) do if over[it.word] then return true end end
  return files.stat(path .. "/resolved").state == "file"
end

-- Whether it wrote something not long ago.
local function is_recent(path)
  for _, name in ipairs { "journal.jsonl", "escalation.jsonl" } do
    local at = files.stat(path .. "/" .. name).modified
    if at and at > tasks.wall() - predecessor.UNWATCHED_SECONDS then return true end
  end
  return false
end

-- The same of a run whose watchdog is gone: it was lost with its machine, or had nothing left to do. Only what it wrote down as
-- delivered counts as told.
local function of_unwatched(path)
  local levels, went_out = taken.levels(path), {}
  local lost = not levels.stopped or levels.stopped:find "^ended by signal"
  if not lost or is_settled(path) or is_finished(path) then return nil end
  for level in pairs(levels.delivered) do if level > 0 then went_out[#went_out + 1] = level end end
  table.sort(went_out)
  return went_out
end

-- One run of the list as find gives it, or nil.
local function candidate(it, about)
  local watched = is_watched(it.path)
  if it.id == run.id or it.id:find "^dry%-" or not (watched or is_recent(it.path)) then return nil end
  local manifest = manifest_of(it.path)
  if not (manifest and manifest.about and manifest.about.runbook == about.runbook) then return nil end
  local same = manifest.about.incident == about.incident
  local fired = watched and of_watched(it.path) or not watched and same and of_unwatched(it.path)
  if not fired then return nil end
  return { id = it.id, path = it.path, manifest = manifest, fired = fired, same = same, watched = watched }
end

-- The unfinished runs of the runbook `about` = { runbook =, incident = } (stdlib/lock.lua), the newest first: { id, path, manifest,
-- fired, same = whether it is the same incident, watched = whether its watchdog is at work }. Of other incidents those that are
-- watched.
function predecessor.find(about)
  local list, all = {}, raw_run.list()
  for i = #all, 1, -1 do list[#list + 1] = candidate(all[i], about) end
  return list
end

-- The other run's watchdog stops within a second. False when it can't be told.
function predecessor.tell(it)
  local name = ("%d-continued.json"):format(math.floor(tasks.wall() * 1000))
  return files.write { path = it.path .. "/inbox/" .. name, mode = 384,
    text = json.encode { action = "continued", by = run.id, at = tasks.wall() } } ~= nil
end

-- Its report says which run goes on with it.
function predecessor.tell_report(it) require("afterwards").add(it.path, "run " .. run.id .. " goes on with it") end

-- Who had the older run in hand for a while has this one: its word is laid into this run's inbox.
function predecessor.inherit_put_off(it)
  local word = taken.put_off(taken.words(it.path))
  if not word or word.ends <= tasks.wall() then return end
  files.write { path = run.path .. "/inbox/" .. word.name, mode = 384,
    text = json.encode { action = "later", by = word.by, at = word.at } }
end

-- Ends the watchdog that a run had before it was resumed. The levels that went out.
function predecessor.end_own()
  raw_run.end_holder(run.path .. "/watchdog.lock")
  return taken.levels(run.path).fired
end

return predecessor
