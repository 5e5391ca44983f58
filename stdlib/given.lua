-- Files that the command line names: parameters, answers. A table in JSON or Lua, from names to values.
local files = require "raw.files"
local json = require "raw.json"
local tasks = require "tasks"
local values = require "values"

local given = {}

-- Such a file is this long at most, in bytes.
given.FILE_MAX = 1 << 20

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

local function read_table(path, what)
  local read, err = files.read { path = path, max = given.FILE_MAX, owned = true }
  if not read and err.kind == "owner" then error({ refused = what .. ": " .. err.message }, 0) end
  if not read then usage("%s %s: %s", what, path, err.message) end
  if path:find "%.json$" then
    local value, problem = json.decode(read.text)
    if not value then usage("%s %s: %s", what, path, problem.message) end
    return value
  end
  local chunk, problem = load(read.text, "@" .. path, "t", {})
  if not chunk then usage("%s", problem) end
  local ok, value = pcall(chunk)
  if not ok and tasks.is_interrupt(value) then error(value, 0) end
  if not ok or type(value) ~= "table" then usage("%s %s: it must return a table", what, path) end
  return value
end

-- A table from names to values of these types, all when none are given; raises { usage = } or { refused = }.
function given.names(path, what, types)
  local map = read_table(path, what)
  for name, value in pairs(map) do
    if type(name) ~= "string" then usage("%s %s: a table from names to values expected, it has the key %s", what, path,
      values.describe(name)) end
    if types and not types[type(value)] then usage("%s %s: %s: an answer expected, got %s", what, path, name,
      values.describe(value)) end
  end
  return map
end

-- "NAME=VALUE" of each -p, as a table.
function given.pairs(list)
  local map = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match "^([%w_]+)=(.*)$"
    if not name then usage("-p %s: NAME=VALUE expected", text) end
    map[name] = value
  end
  return map
end

-- What the options of a command line give, the first before the others: a list of { name = its source, values = }.
function given.params(options)
  local list = { { name = "-p", values = given.pairs(options.param) } }
  if options.params then list[2] = { name = "--params", values = given.names(options.params, "--params") } end
  return list
end

local answer_types = { string = true, number = true, boolean = true }

function given.answers(path) return given.names(path, "--answers", answer_types) end

return given
