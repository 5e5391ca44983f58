-- Scenario files: `scenario "name" { given =, answers =, after =, params =, expect = }` and one `world { … }` under all.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local sandbox = require "sandbox"
local shape = require "scenario_shape"
local tasks = require "tasks"
local values = require "values"

local scenario_file = {}

-- Scenario files are this long at most, in bytes.
local SIZE_MAX = 4 << 20
-- The longest that one may compute, in seconds: it describes, and an editor waits for it.
scenario_file.SECONDS_MAX = 2

local words = {}

-- ago "5m": seconds since 1970, five minutes before the run began.
function words.ago(_, text)
  local seconds, wrong = duration.parse(text)
  if not seconds then blame.raise("ago: %s, got %s", wrong, values.describe(text)) end
  return tasks.wall() - seconds
end

function words.world(loaded, given)
  if loaded.world_at then blame.raise("world stands twice (first in %s)", loaded.world_at) end
  shape.check_world(given)
  loaded.world, loaded.world_at = given, blame.place()
end

-- scenario "name" { … }: two calls, so the second may be missing.
function words.scenario(loaded, name)
  if type(name) ~= "string" then
    blame.raise("scenario: a name expected, like scenario \"Redis is full\" { … }, got %s", values.describe(name))
  end
  if loaded.scenarios[name] then blame.raise("scenario %q stands twice (first in %s)", name, loaded.scenarios[name].at) end
  local description = { at = blame.place(), name = name }
  loaded.scenarios[name] = description
  loaded.names[#loaded.names + 1] = name
  return function(given)
    shape.check(name, given)
    for key, value in pairs(given) do description[key] = value end
    description.given = description.given or {}
  end
end

local function environment(loaded)
  local env = sandbox.plain()
  for name, word in pairs(words) do env[name] = function(...) return word(loaded, ...) end end
  return setmetatable(env, { __index = function(_, name)
    blame.raise("'%s' is not known in a scenario file%s", tostring(name), blame.hint(tostring(name), values.keys(env)))
  end })
end

-- What went wrong in the file, as text; what ends more than the file goes on.
local function problem_of(path, problem)
  local interrupt = tasks.is_interrupt(problem)
  if interrupt == "budget" then
    tasks.handled()
    return path .. ": it computed for too long"
  end
  if interrupt then error(problem, 0) end
  return blame.text(problem)
end

-- Loads a file: { scenarios = { name → description }, names = in order, world = }; nil and why.
function scenario_file.load(path)
  local read, err = files.read { path = path, max = SIZE_MAX }
  if not read then return nil, ("%s: %s"):format(path, err.message) end
  if read.cut then return nil, ("%s: it is longer than %d bytes"):format(path, SIZE_MAX) end
  local loaded = { scenarios = {}, names = {}, world = {} }
  local chunk, why = load(read.text, "@" .. path, "t", environment(loaded))
  if not chunk then return nil, why end
  local ok, in_time = pcall(tasks.deadline, scenario_file.SECONDS_MAX, chunk)
  if not ok then return nil, problem_of(path, in_time) end
  if not in_time then return nil, ("%s: it computed for more than %d s"):format(path, scenario_file.SECONDS_MAX) end
  for _, name in ipairs(loaded.names) do
    local it = loaded.scenarios[name]
    if not it.given then return nil, ("%s: scenario %q says nothing: scenario %q { … } expected"):format(it.at, name, name) end
  end
  return loaded
end

-- All descriptions of a loaded file, in order, with the file's world under each.
function scenario_file.all(loaded)
  local list = {}
  for i, name in ipairs(loaded.names) do
    list[i] = loaded.scenarios[name]
    list[i].world, list[i].world_at, list[i].alone = loaded.world, loaded.world_at, #loaded.names == 1
  end
  return list
end

-- "FILE" or "FILE:NAME": the description with the file's world under it.
function scenario_file.pick(text)
  local path, name = text:match "^(.-%.lua):(.+)$"
  path = path or text
  local loaded, why = scenario_file.load(path)
  if not loaded then return nil, why end
  if #loaded.names == 0 then return nil, path .. ": there is no scenario in it" end
  name = name or loaded.names[1]
  local description = loaded.scenarios[name]
  if not description then
    return nil, ("%s: there is no scenario %q%s"):format(path, name, blame.hint(name, values.copy(loaded.names)))
  end
  scenario_file.all(loaded)
  return description
end

return scenario_file
