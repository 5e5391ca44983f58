-- Whether the server's answer to a question of our own is one: what speaks PostgreSQL's protocol need not be PostgreSQL.
local foreign = require "foreign"
local values = require "values"

local sql_answer = {}

function sql_answer.error(expected, came)
  return { kind = "answer", message = ("the server's answer is not understood: %s expected, %s came"):format(expected, came) }
end

local function column(name, kind) return ("a column %s (%s)"):format(name, (kind:gsub("%?", " or NULL"))) end

-- The first column of a row that is not as expected: what it should be, and what it is.
local function odd_column(answer, row, columns)
  for _, name in ipairs(values.keys(columns)) do
    local value, kind = row[name], columns[name]
    if value == nil and kind:sub(-1) ~= "?" then
      return column(name, kind), answer.columns[1] and "columns " .. foreign.line(table.concat(answer.columns, ", ")) or "no column"
    end
    if value ~= nil and type(value) ~= kind:gsub("%?", "") then
      return column(name, kind), ("%s as %s"):format(name, type(value) == "string" and "text" or values.describe(value))
    end
  end
end

-- nil, or the error that says so. `columns`: name → "number", "string" or "boolean", with "?" where it may be NULL; `least`:
-- the fewest rows there must be.
function sql_answer.problem(answer, columns, least)
  if #answer.rows < (least or 0) then return sql_answer.error("a row", "none") end
  for _, row in ipairs(answer.rows) do
    local expected, came = odd_column(answer, row, columns)
    if expected then return sql_answer.error(expected, came) end
  end
end

return sql_answer
