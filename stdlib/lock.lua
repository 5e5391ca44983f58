-- One run of a runbook on one environment with the same required parameters at a time; a runbook that is handed over to takes
-- its own lock. A dry run and a scenario take none.
local journal = require "journal"
local json = require "raw.json"
local raw_run = require "raw.run"
local run = require "run"

local lock = {}

-- The same file wherever the program is called from, and wherever its run is resumed from.
local function place_of(file)
  local whole = file:sub(1, 1) ~= "/" and run.folder and run.folder .. "/" .. file or file
  return raw_run.real_path(whole) or file
end

-- What is locked: the runbook's file wherever it is called from, the environment, the required parameters by their values,
-- lists too. What is secret counts by its name.
local function name_of(file)
  local required = {}
  for name, spec in pairs(run.param_specs or {}) do if spec.required then required[name] = run.params[name] end end
  return raw_run.sha256(json.encode(journal.plain { place_of(file), run.environment or "", required }))
end

local function all_params()
  local all = {}
  for name in pairs(run.param_specs or {}) do all[name] = run.params[name] end
  return all
end

-- What a run is about: the runbook in its environment, and with all its parameters the incident.
function lock.about()
  local runbook = { place_of(run.file), run.environment or "" }
  local function digest(value) return raw_run.sha256(json.encode(journal.plain(value))) end
  return { runbook = digest(runbook), incident = digest { runbook, all_params() } }
end

-- Takes the lock of the runbook under way; raises { refused = } when another run holds it. A handle for lock.release, or nil
-- when there is nothing to hold: where no lock can be kept, an incident still must be handled.
function lock.take()
  local options = run.options
  if options.alongside or options.dry_run or options.scenario then return nil end
  local handle, err = raw_run.lock(name_of(run.part and run.part.file or run.file), run.id)
  if handle then return handle end
  if err.kind ~= "locked" or err.message == run.id then return nil end -- a part of this run holds it already
  error({ refused = ("run %s of this runbook is under way; end it, or run with --alongside"):format(err.message) }, 0)
end

function lock.release(handle)
  if handle then raw_run.unlock(handle) end
end

return lock
