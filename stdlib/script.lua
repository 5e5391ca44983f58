-- The runbook's own files: read, kept in the run directory as they were, loaded into the sandbox.
local blame = require "blame"
local files = require "raw.files"
local journal = require "journal"
local raw_run = require "raw.run"
local run = require "run"
local secrets = require "secrets"
local tasks = require "tasks"
local values = require "values"

-- `instead`: path → a text that stands for its file, as mutate has it.
local script = { sources = {}, saved = 0, instead = {} }

-- A script or module is this long at most, in bytes.
local SIZE_MAX = 4 << 20

-- "/a/b/c.lua" → "/a/b", "c.lua"; "c.lua" → ".", "c.lua".
function script.split(path)
  local folder, name = path:match "^(.*)/([^/]*)$"
  if not folder then return ".", path end
  return folder == "" and "/" or folder, name
end

-- What a level will run from is on disk, or the run is refused before its first probe; `wrote`: whether it was written.
function script.kept(wrote, err)
  if not wrote then error({ refused = "the run's copies of its files can't be written: " .. err.message }, 0) end
end

-- Keeps what was read in source/, numbered, with a list of what was which.
local function keep(path, text)
  for _, source in ipairs(script.sources) do if source.path == path and source.text == text then return end end
  secrets.learn("source." .. #script.sources + 1, text, "script")
  script.sources[#script.sources + 1] = { path = path, text = text, sha256 = raw_run.sha256(text) }
  if not run.path or run.kept_sources and run.generation == 1 then return end
  local wrote, err = raw_run.keep(("source/%03d.lua"):format(#script.sources), text)
  if not run.options.dry_run then script.kept(wrote, err) end
  if run.on_source then run.on_source() end
end

-- The text of a script or module: from the disk, or in a process of a run that goes on, from what was kept.
function run.read_source(path)
  local text = run.kept_sources and run.kept_sources[path]
  if text then return text end
  if run.kept_sources and run.generation == 1 then return nil, "it was not part of the run when it began" end
  if run.declaring == "anew" and script.text(path) then return script.text(path) end
  local place = run.generation > 1 and path:sub(1, 1) ~= "/" and run.folder .. "/" .. path or path
  local instead = script.instead[path]
  local read, err = instead and { text = instead }
  if not read then read, err = files.read { path = place, max = SIZE_MAX, owned = run.options.scenario == nil } end
  if not read and err.kind == "owner" then error({ refused = err.message }, 0) end
  if not read then return nil, err.message end
  if read.cut then return nil, ("it is longer than %d bytes"):format(SIZE_MAX) end
  keep(path, read.text)
  return read.text
end

-- The text of a script or module that was loaded; nil when it is none.
function script.text(path)
  if run.kept_sources and run.kept_sources[path] then return run.kept_sources[path] end
  for i = #script.sources, 1, -1 do
    if script.sources[i].path == path then return script.sources[i].text end
  end
end

local NEIGHBOURS = 1000 -- files beside it that are looked at for the nearest name

-- " (did you mean api-down.lua?)"
local function neighbour(path)
  local folder, name = script.split(path)
  local walked, names = files.walk { under = folder, name = "*.lua", flat = true, max = NEIGHBOURS }, {}
  for i, file in ipairs(walked and walked.files or {}) do names[i] = file.path:match "[^/]+$" end
  local near = blame.nearest(name, names)
  return near and (" (did you mean %s?)"):format(folder == "." and near or folder .. "/" .. near) or ""
end

-- What is no file is a slip of the command line, told before anything is begun: nobody is woken for it.
function script.expect_file(path)
  local read, err = files.read { path = path, max = 1 }
  if read then return end
  error({ usage = err.message .. (err.kind == "missing" and neighbour(path) or "") }, 0)
end

-- What a later process needs to carry on with exactly this run's files.
function script.manifest(extra)
  local manifest = { sources = {} }
  for i, source in ipairs(script.sources) do
    manifest.sources[i] = { path = source.path, file = ("source/%03d.lua"):format(i), sha256 = source.sha256 }
  end
  for key, value in pairs(extra) do manifest[key] = value end
  return manifest
end

local compiled = {} -- name → { text =, code = }: of what is loaded again and again, as explored runbooks are

-- A text as a function in `env`; nil and why it is no Lua. The second time it is not read again.
function script.compile(text, name, env)
  local known = compiled[name]
  if known and known.text == text then return load(known.code, name, "b", env) end
  local chunk, problem = load(text, name, "t", env)
  if chunk then compiled[name] = { text = text, code = string.dump(chunk) } end
  return chunk, problem
end

-- Runs a script's chunk; what it raised itself is text from here on.
local function carry_out(chunk)
  local ok, value = pcall(chunk)
  if ok then return value end
  error(values.raised[value] and blame.text(value) or value, 0)
end

-- The runbook as a function; raises { wrong = message } when it can't be loaded. `modules`: those it has loaded, if not the run's.
function script.load(path, words, modules)
  local folder = script.split(path)
  local text, why = run.read_source(path)
  if not text then error({ wrong = ("%s can't be read: %s"):format(path, why), unloaded = true }, 0) end
  if text:sub(1, 1) == "#" then text = "--" .. text end
  local env = require("sandbox").environment(folder, words, modules)
  local chunk, problem = script.compile(text, "@" .. path, env)
  if not chunk then error({ wrong = problem, unloaded = true }, 0) end
  return function() return carry_out(chunk) end
end

-- The words of the language, by the modules in stdlib/words/ that hold them.
local holders = {
  about = { "runbook" }, params = { "params", "secret" }, goal = { "recovered", "wait_until" },
  escalation = { "escalation" }, probe = { "probe", "check" }, remedy = { "remedy" }, prevention = { "prevention" },
  together = { "together" }, operator = { "confirm", "choose", "ask" }, handover = { "handover" },
  ending = { "note", "resolved", "unresolved" },
}

-- A module is loaded when the script first says one of its words.
local function word(holder, name)
  return function(...)
    local module = require("words." .. holder)
    return (module.words or module)[name](...)
  end
end

function script.words()
  local words = {}
  for holder, names in pairs(holders) do
    for _, name in ipairs(names) do words[name] = word(holder, name) end
  end
  return words
end

-- Runs the script as far as its first act: by then it has declared its goal, levels, probes, remedies and preventions.
-- `modules` and `how`: see levels_anew.
function script.declare(modules, how)
  run.declaring = how or true
  local ok, err = pcall(function() script.load(run.file, script.words(), modules)() end)
  run.declaring = false
  if not ok and not (tasks.is_interrupt(err) == "end" and tasks.ended.outcome == "declared") then error(err, 0) end
  tasks.handled()
  run.acted = true
end

-- The same for a level that is carried out: an error after the levels were declared keeps nobody from being told.
function script.declare_levels(modules, how)
  local ok, err = pcall(script.declare, modules, how)
  if not ok and (tasks.is_interrupt(err) == "cancel" or #run.levels == 0) then error(err, 0) end
  tasks.handled()
  run.acted = true
  require("words.escalation").add_default(run.config.escalate_after)
end

-- The levels as another process of this run would declare them: by a load of their own, which has nothing of what the script
-- did since. Nobody hears its events: they are not the run's.
function script.levels_anew()
  local fresh = { about = {}, params = {}, probes = {}, remedies = {}, preventions = {}, levels = {},
                  given_params = run.first_given }
  local ended, restore = tasks.ended, run.put_aside(fresh, {})
  tasks.ended = nil
  local ok, err = pcall(journal.quietly, script.declare_levels, {}, "anew")
  local levels = run.levels
  restore()
  tasks.ended = ended
  if not ok then error(err, 0) end
  return levels
end

return script
