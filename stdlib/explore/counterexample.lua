-- A way as a scenario: the world in which the runbook goes it, ready to be pasted into its test file.

local counterexample = {}

local function quoted(text) return ("%q"):format(text):gsub("\\\n", "\\n") end

-- Rows of a scenario's tables, by its keys: each { pattern, value as text }.
local function rows_of(way, taken)
  local rows = { given = {}, checks = {}, answers = {} }
  local seen = {}
  local function add(key, name, value)
    local known = seen[key .. "\0" .. name]
    if known then return table.insert(known, value) end
    known = { name, value }
    seen[key .. "\0" .. name], rows[key][#rows[key] + 1] = known, known
  end
  local function note(choice)
    local check = choice.label:match "^check: (.*)$"
    local question = choice.label:match "^question: (.*)$"
    local remedy = choice.label:match "^“(.*)”$"
    local goal = choice.label:match "^(.*), after “.*”$" or choice.label:match "^(.*), at the end$"
    if choice.arm:find "^{" then return add("given", choice.label, choice.arm) end
    if check and choice.cost > 0 then return add("checks", check, tostring(choice.arm == "passes")) end
    if check then return end
    if question and choice.arm ~= "silence" then return add("answers", question, quoted(choice.arm)) end
    if remedy then return add("answers", remedy, choice.arm == "applied" and quoted "yes" or quoted "no") end
    if choice.arm == "holds" or choice.arm:find "^not yet" or choice.arm == "time is over" then
      add("checks", goal or choice.label:match "^until (.*)$" or choice.label, tostring(choice.arm == "holds"))
    end
  end
  for _, it in ipairs(way.probes) do
    for _, choice in ipairs(it.left[1].taken) do note(choice) end
  end
  for _, choice in ipairs(taken) do note(choice) end
  for _, asked in ipairs(way.asked) do
    if asked.applied and not seen["answers\0" .. asked.title] then add("answers", asked.title, quoted "yes") end
  end
  return rows
end

local function value_of(row)
  if #row == 2 then return row[2] end
  return "{ " .. table.concat(row, ", ", 2) .. " }"
end

-- Lines of the file.
function counterexample.lines(name, way, taken, ended)
  local rows, lines = rows_of(way, taken), { ("scenario %s {"):format(quoted(name)) }
  for _, key in ipairs { "given", "checks", "answers" } do
    for i, row in ipairs(rows[key]) do
      lines[#lines + 1] = ("  %-12s[%s] = %s,%s"):format(i == 1 and key .. " = {" or "", quoted(row[1]), value_of(row),
        i == #rows[key] and " }," or "")
    end
  end
  lines[#lines + 1] = ("  expect = { outcome = %s%s },"):format(quoted(ended.outcome),
    ended.by and ", by = " .. quoted(ended.by) or "")
  lines[#lines + 1] = "}"
  return lines
end

return counterexample
