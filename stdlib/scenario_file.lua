-- Scenario files: `scenario "name" { given =, answers =, after =, params =, expect = }` and one `world { … }` under all.
local duration = require "duration"
local files = require "raw.files"
local patterns = require "patterns"
local sandbox = require "sandbox"
local tasks = require "tasks"
local values = require "values"

local scenario_file = {}

-- Scenario files are this long at most, in bytes.
local SIZE_MAX = 4 << 20

local known = { given = "table", answers = "table", after = "table", params = "table", expect = "table", secrets = "table" }
local expectations = { outcome = "string", by = "string", does = "table", never = "table", pages = "number",
                       within = "string", exit = "number" }

local function check(name, description)
  if type(description) ~= "table" then error(("scenario %q: a table expected"):format(name), 3) end
  for key, value in pairs(description) do
    if type(value) ~= known[key] then
      error(known[key] and ("scenario %q: %s: a %s expected, got %s"):format(name, key, known[key], values.describe(value))
        or ("scenario %q: unknown key '%s'%s"):format(name, tostring(key),
          require("blame").hint(tostring(key), values.keys(known))), 3)
    end
  end
  for key, value in pairs(description.expect or {}) do
    if type(value) ~= expectations[key] then
      error(("scenario %q: expect: unknown or mistyped '%s'%s"):format(name, tostring(key),
        require("blame").hint(tostring(key), values.keys(expectations))), 3)
    end
  end
end

-- Loads a file: { scenarios = { name → description }, names = in order, world = }; nil and why.
function scenario_file.load(path)
  local read, err = files.read { path = path, max = SIZE_MAX }
  if not read then return nil, ("%s: %s"):format(path, err.message) end
  local loaded = { scenarios = {}, names = {}, world = {} }
  local env, began = sandbox.plain(), tasks.wall()
  function env.ago(text)
    local seconds, wrong = duration.parse(text)
    if not seconds then error("ago: " .. wrong, 2) end
    return began - seconds
  end
  function env.world(given) loaded.world = given end
  function env.scenario(name)
    return function(description)
      check(name, description)
      if loaded.scenarios[name] then error(("scenario %q stands twice"):format(name), 2) end
      loaded.scenarios[name] = description
      loaded.names[#loaded.names + 1] = name
    end
  end
  local chunk, why = load(read.text, "@" .. path, "t", setmetatable(env, { __index = function(_, name)
    error(("'%s' is not known in a scenario file"):format(tostring(name)), 2)
  end }))
  if not chunk then return nil, why end
  local ok, problem = pcall(chunk)
  if not ok then return nil, tostring(problem) end
  return loaded
end

-- "FILE" or "FILE:NAME": the description with the file's world under it.
function scenario_file.pick(text)
  local path, name = text:match "^(.-%.lua):(.+)$"
  local loaded, why = scenario_file.load(path or text)
  if not loaded then return nil, why end
  name = name or loaded.names[1]
  local description = loaded.scenarios[name or ""]
  if not description then
    return nil, ("%s: there is no scenario %q%s"):format(path or text, tostring(name),
      require("blame").hint(tostring(name), loaded.names))
  end
  description.name, description.world = name, loaded.world
  return description
end

-------------------------------------------------------------- Expectations --

-- Compares the writes made with `does`: exactly these in order; "…" stands for any others.
local function does_differ(wanted, done)
  local function fits(i, j)
    if i > #wanted then return j > #done end
    if wanted[i] == "…" then
      for k = j, #done + 1 do if fits(i + 1, k) then return true end end
      return false
    end
    return j <= #done and patterns.matches(patterns.compile(wanted[i]), done[j]) and fits(i + 1, j + 1)
  end
  if fits(1, 1) then return nil end
  return ("does: expected %s, got %s"):format(table.concat(wanted, "; "), #done > 0 and table.concat(done, "; ") or "nothing")
end

-- What a run differs in from what was expected of it: a list of sentences.
function scenario_file.differences(expect, ending, mode, seconds)
  local list = {}
  local function differ(text, ...) list[#list + 1] = text:format(...) end
  if expect.outcome and expect.outcome ~= ending.outcome then
    differ("outcome: expected %s, got %s (%s)", expect.outcome, ending.outcome, ending.text or "")
  end
  if expect.by and expect.by ~= ending.by then differ("by: expected %q, got %s", expect.by, tostring(ending.by)) end
  if expect.exit and expect.exit ~= ending.exit then differ("exit: expected %d, got %d", expect.exit, ending.exit) end
  if expect.pages and expect.pages ~= mode.pages then differ("pages: expected %d, got %d", expect.pages, mode.pages) end
  if expect.does then list[#list + 1] = does_differ(expect.does, mode.done) end
  for _, pattern in ipairs(expect.never or {}) do
    for _, line in ipairs(mode.done) do
      if patterns.matches(patterns.compile(pattern), line) then differ("never %s, but it did %s", pattern, line) end
    end
  end
  local limit = expect.within and duration.parse(expect.within)
  if limit and seconds > limit then differ("within %s: it took %s", expect.within, duration.text(seconds)) end
  return list
end

return scenario_file
