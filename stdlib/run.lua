-- The state of this run: one table, filled as the script declares itself. Words and modes read and write it; scripts don't.
local blame = require "blame"
local tasks = require "tasks"

local run = {
  id = nil, path = nil, -- of the run directory; nil in scenarios
  in_memory = nil, homeless = nil, -- why the directory is kept in memory only; why there is none (doctor goes on)
  file = nil,           -- the runbook's path as given
  folder = nil,         -- from which it was given
  on_source = nil,      -- hears of a file that is loaded after the first act
  command = nil,        -- "run", "audit" or "doctor"; of a run that is resumed "run"
  generation = 1,       -- one more with each resume
  telling = nil,        -- when the event that is told took place, seconds since 1970; nil: now
  options = {},         -- of the command line
  about = {},           -- what `runbook{…}` says
  first_about = nil,    -- of the run's first runbook, while a handover goes on with another
  first_given = nil,    -- parameters given to it: a list of { name = source, values =, shared = }
  part = nil,           -- in a handover: { name =, depth =, file =, lock = }
  params = {},          -- name → value
  goal = nil,           -- what `recovered` declares
  levels = {},          -- of the escalation: { after =, fn = }
  probes = {},          -- { title =, fn = }
  remedies = {},        -- { title =, fn =, risk =, warning =, undo =, within = }
  preventions = {},     -- { title =, fn = }
  ignorance = {},       -- findings read though their probe didn't know: { "Database connectivity.down: permission denied" }
  read_true = {},       -- findings read since the last remedy that are so: { probe =, args =, name = }
  left = {},            -- changes whose way back nobody went, at the end (stdlib/left.lua)
  owed = {},            -- what is still to be taken back (stdlib/owed.lua)
  began = nil, began_wall = nil, -- of the alert, on the clock that only goes on; of the run, on the wall's
  alert_wall = nil,     -- when the alert began, on the wall's clock
  host = "here", user = "somebody", -- where it runs, who runs it: whoever is woken looks there
  uid = nil, starter = nil, -- whose process this is, and whose the run's first one was
}

function run.start()
  run.began, run.began_wall = tasks.now(), tasks.wall()
  run.alert_wall = run.began_wall
end

-- The incident's clock counts from `at`, seconds since 1970: every figure and every level does.
function run.count_from(at)
  run.alert_wall = at
  run.began = tasks.now() - math.max(0, tasks.wall() - at)
end

function run.elapsed()
  return run.telling and math.max(0, run.telling - run.alert_wall) or tasks.now() - run.began
end

-- When what is told took place, seconds since 1970.
function run.wall() return run.telling or tasks.wall() end

-- What belongs to one load of a runbook: who it is, what it declared, what it was given.
local of_a_load = { "about", "first_about", "params", "param_specs", "probes", "remedies", "preventions", "levels", "goal",
                    "given_params", "part", "acted", "declaring", "on_first_act" }

-- Puts other values into what belongs to a load; of the fields named in `keep` the present ones stay. Returns what puts them
-- back.
function run.put_aside(fresh, keep)
  local saved = {}
  for _, field in ipairs(of_a_load) do
    if not keep[field] then saved[field], run[field] = { run[field] }, fresh[field] end
  end
  return function() for field, value in pairs(saved) do run[field] = value[1] end end
end

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

-- Remembers that the script read a finding that is so: what it does next, it does for that.
function run.decided_by(probe, args, name)
  run.read_true[#run.read_true + 1] = { probe = probe, args = args, name = name }
end

-- Remembers that a decision was taken without knowing `finding`.
function run.decided_without(finding)
  for _, known in ipairs(run.ignorance) do if known == finding then return end end
  run.ignorance[#run.ignorance + 1] = finding
end

return run
