-- An earlier run of the same runbook whose escalation is still armed. With the same environment and parameters it is the same
-- incident: the new run takes its clock over. Of any other both clocks run on, and it is named.
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local run = require "run"
local taken = require "taken"
local tasks = require "tasks"

local predecessor = {}

local MANIFEST_MAX = 1 << 20

local function manifest_of(path)
  local text = files.read { path = path .. "/source/manifest.json", max = MANIFEST_MAX }
  return text and json.decode(text.text) or nil
end

-- Which levels have fired, or nil when none will any more.
local function fired_levels(path)
  local levels = taken.levels(path)
  return not levels.stopped and levels.fired or nil
end

-- A watchdog holds this file while it has something to do.
local function is_watched(path) return files.stat(path .. "/watchdog.lock").state == "file" end

-- The armed runs of the runbook `about` = { runbook =, incident = } (stdlib/lock.lua), the newest first: { id, path, manifest,
-- fired, same = whether it is the same incident }.
function predecessor.find(about)
  local list, all = {}, raw_run.list()
  for i = #all, 1, -1 do
    local it = all[i]
    local manifest = it.id ~= run.id and is_watched(it.path) and manifest_of(it.path)
    local of_this = manifest and manifest.about and manifest.about.runbook == about.runbook
    local fired = of_this and fired_levels(it.path)
    if fired then
      list[#list + 1] = { id = it.id, path = it.path, manifest = manifest, fired = fired,
                          same = manifest.about.incident == about.incident }
    end
  end
  return list
end

-- The other run's watchdog stops within a second. False when it can't be told.
function predecessor.tell(it)
  local name = ("%d-continued.json"):format(math.floor(tasks.wall() * 1000))
  return files.write { path = it.path .. "/inbox/" .. name, mode = 384,
    text = json.encode { action = "continued", by = run.id, at = tasks.wall() } } ~= nil
end

-- Who had the older run in hand for a while has this one: its word is laid into this run's inbox.
function predecessor.inherit_put_off(it)
  local word = taken.put_off(taken.words(it.path))
  if not word or word.ends <= tasks.wall() then return end
  files.write { path = run.path .. "/inbox/" .. word.name, mode = 384,
    text = json.encode { action = "later", by = word.by, at = word.at } }
end

return predecessor
