-- The state of this run: one table, filled as the script declares itself. Words and modes read and write it; scripts don't.
local blame = require "blame"
local journal = require "journal"
local tasks = require "tasks"

local run = {
  id = nil, path = nil, -- of the run directory; nil in scenarios
  in_memory = nil, homeless = nil, -- why the directory is kept in memory only; why there is none (doctor goes on)
  file = nil,           -- the runbook's path as given
  command = nil,        -- "run", "audit" or "doctor"
  options = {},         -- of the command line
  about = {},           -- what `runbook{…}` says
  first_about = nil,    -- of the run's first runbook, while a handover goes on with another
  part = nil,           -- in a handover: { name =, depth =, file =, lock = }
  params = {},          -- name → value
  goal = nil,           -- what `recovered` declares
  levels = {},          -- of the escalation: { after =, fn = }
  probes = {},          -- { title =, fn = }
  remedies = {},        -- { title =, fn =, risk =, warning =, undo =, within = }
  preventions = {},     -- { title =, fn = }
  applied = {},         -- titles of remedies applied, in order
  ignorance = {},       -- findings read though their probe didn't know: { "Database connectivity.down: permission denied" }
  unknown = {},         -- probes that ended unknown: { title =, why = }
  failed_checks = {},   -- { probe =, label =, detail =, fault = }
  evidence = {},        -- pieces saved before changes: { line =, file =, bytes = }
  owed = {},            -- undo still to be done
  began = nil, began_wall = nil,
}

function run.start()
  run.began, run.began_wall = tasks.now(), tasks.wall()
end

function run.elapsed() return tasks.now() - run.began end

-- A place in the run of its own for what begins now: the same on every replay.
local children = {}
function run.next_path()
  local path = tasks.context().path or "1"
  children[path] = (children[path] or 0) + 1
  return path .. "." .. children[path]
end

-- Called by everything that a script declares or does: it says who it is before.
function run.declared(word)
  if not run.about.title then blame.raise("%s: a runbook begins with runbook { title = … }", word) end
end

-- What is refused before the first act ends the run: no pcall of the script's goes on without an armed escalation.
local function begin()
  local ok, why = pcall(run.on_first_act)
  if ok then return end
  if tasks.is_interrupt(why) then error(why, 0) end
  local refused = type(why) == "table" and why.refused
  if not refused then error(why, 0) end
  tasks.raise_end { outcome = "refused", text = refused, part = run.part }
end

-- Called by everything that begins to act. A process that only wants the script's declarations ends the script here.
function run.acting()
  run.declared "the first effect"
  if run.declaring then tasks.raise_end { outcome = "declared" } end
  if run.acted then return end
  run.acted = true
  if run.on_first_act then begin() end
end

-- Remembers that a decision was taken without knowing `finding`.
function run.decided_without(finding)
  for _, known in ipairs(run.ignorance) do if known == finding then return end end
  run.ignorance[#run.ignorance + 1] = finding
end

-- Short words for what was found, for pages: "3 checks failed: /health answers (HTTP 503); …".
function run.findings()
  local list = {}
  for _, check in ipairs(run.failed_checks) do
    list[#list + 1] = ("%s: %s%s"):format(check.probe or "-", check.label, check.detail and " (" .. check.detail .. ")" or "")
  end
  for _, probe in ipairs(run.unknown) do list[#list + 1] = ("%s: unknown: %s"):format(probe.title, probe.why) end
  return list
end

function run.headline()
  local list = run.findings()
  local title = (run.first_about or run.about).title or run.file or "runbook"
  if #list == 0 then return title .. ": nothing found so far" end
  return ("%s: %s%s"):format(title, list[1], #list > 1 and (" and %d more"):format(#list - 1) or "")
end

-- The same probe of the same thing has looked again.
local function forget_unknown(probe)
  for i = #run.unknown, 1, -1 do
    local it = run.unknown[i]
    if it.title == probe.probe and it.args ~= false and it.args == probe.args then table.remove(run.unknown, i) end
  end
end

-- Notes what a probe or check said; called by the words and, when a level is carried out by another process, for every
-- event of the journal.
function run.learn(name, fields)
  if name == "check" and fields.passed == false and fields.probe ~= "recovered" and not fields.prevention then
    run.failed_checks[#run.failed_checks + 1] = fields
  elseif name == "evidence" then
    table.move(fields.saved, 1, #fields.saved, #run.evidence + 1, run.evidence)
  elseif name == "probe.ended" then
    forget_unknown(fields)
    if fields.state == "unknown" then
      run.unknown[#run.unknown + 1] = { title = fields.probe, args = fields.args, why = fields.why }
    end
  end
end
journal.listen(run.learn)

return run
