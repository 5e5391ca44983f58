-- together(…): probes or functions side by side; their results in order.
local blame = require "blame"
local tasks = require "tasks"
local values = require "values"
local run = require "run"

local words = {}

-- More than this many at once is refused; effects beyond gate.IN_FLIGHT wait their turn.
local TASKS_MAX = 10000

-- A list of functions; what stands beside its numbers would be left out silently.
local function read_list(given)
  local list = { n = #given, table.unpack(given) }
  for key in pairs(given) do
    if math.type(key) ~= "integer" or key < 1 or key > list.n then
      blame.raise("together: a list of functions expected; it has the key %s", values.describe(key))
    end
  end
  return list
end

function words.together(...)
  local list = table.pack(...)
  if list.n == 1 and type(list[1]) == "table" and not values.is_host(list[1]) then list = read_list(list[1]) end
  if list.n > TASKS_MAX then blame.raise("together: at most %d functions, got %d", TASKS_MAX, list.n) end
  local base, functions = run.next_path(), {}
  for i = 1, list.n do
    local f = list[i]
    if type(f) ~= "function" then
      blame.raise("together: argument %d: a probe or function expected, got %s", i, values.describe(f))
    end
    functions[i] = function()
      return tasks.within({ together = true, path = base .. "." .. i }, f)
    end
  end
  local results, firsts = tasks.all(functions), {}
  for i, packed in ipairs(results) do firsts[i] = packed[1] end
  return table.unpack(firsts, 1, list.n)
end

return words
