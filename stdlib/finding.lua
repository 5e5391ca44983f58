-- A finding in words: what one check saw, said the same on the screen, in the page, in the chat and in the report. A failed
-- check's label is what should be so: whoever reads it alone must not take it for what is so.
local duration = require "duration"

local finding = {}

-- What each comparison of check(what, value, COMPARISON, limit) asks.
finding.comparisons = {
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
  ["=="] = function(a, b) return a == b end, ["~="] = function(a, b) return a ~= b end,
}

local DECIMALS_MAX = 6

-- A number as people write it: as few decimals as keep it apart from the limit it was compared with.
local function digits(value, limit)
  if math.type(value) == "integer" or value ~= value or math.abs(value) == math.huge then return tostring(value) end
  local text
  for decimals = math.abs(value) < 10 and 1 or 0, DECIMALS_MAX do
    text = ("%." .. decimals .. "f"):format(value)
    if value == limit or tonumber(text) ~= limit then break end
  end
  return (text:gsub("(%.%d-)0+$", "%1"):gsub("%.$", ""))
end

-- 105, "%" → "105 %"; bytes as sizes, seconds as durations.
local function amount(value, limit, unit)
  if type(value) ~= "number" then return tostring(value) end
  if unit == "B" then return duration.size_text(math.floor(value)) end
  if unit == "s" then return duration.text(value) end
  return digits(value, limit) .. (unit and " " .. unit or "")
end

local wishes = { ["<"] = "be <", ["<="] = "be <=", [">"] = "be >", [">="] = "be >=", ["=="] = "be", ["~="] = "not be" }

-- "105 %, should be < 90 %"; of words compared for equality the detail says more than they do.
local function figure_text(figure, passed, detail)
  local value = amount(figure.value, figure.limit, figure.unit)
  if type(figure.value) ~= "number" and detail then return detail end
  local text = passed and value
    or ("%s, should %s %s"):format(value, wishes[figure.comparison], amount(figure.limit, figure.value, figure.unit))
  return detail and ("%s (%s)"):format(text, detail) or text
end

-- What a check saw, beside a word that says whether it is well: "Redis memory 105 %, should be < 90 %", "PostgreSQL accepts
-- connections: connection refused". `check`: { label =, passed =, detail =, figure = { value =, comparison =, limit =, unit = } }.
function finding.says(check)
  if check.figure then return check.label .. " " .. figure_text(check.figure, check.passed, check.detail) end
  return check.detail and check.detail ~= "" and ("%s: %s"):format(check.label, check.detail) or check.label
end

-- The same where no such word stands beside it: a wish that isn't so is marked in its own sentence.
function finding.sentence(check)
  local says = check.says or finding.says(check)
  if check.passed or check.figure then return says end
  return "not so: " .. says
end

return finding
