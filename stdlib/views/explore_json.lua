-- What explore found, as JSON: for other programs.
local json = require "raw.json"
local run = require "run"
local tty = require "raw.tty"

local view = {}

function view.tell(record)
  local rows, found = json.list {}, { wrong = json.list {}, perhaps = json.list {} }
  for i, row in ipairs(record.rows) do
    rows[i] = { findings = json.list(row.findings), asked = json.list(row.asked), outcome = row.outcome, text = row.text }
  end
  for name, list in pairs(found) do
    for _, it in ipairs(record[name]) do
      local scenario = it.way and table.concat(record.scenario_of(it), "\n") .. "\n" or nil
      list[#list + 1] = { kind = it.kind, text = it.text, scenario = scenario }
    end
  end
  local nodes, first = record.graph()
  for _, node in ipairs(nodes) do node.arms = node.arms and json.list(node.arms) end
  local all = { file = run.file, title = record.title, ways = record.ways, probe_ways = record.probe_ways, whole = record.whole,
                rows = rows, wrong = found.wrong, perhaps = found.perhaps, first = first, nodes = json.list(nodes) }
  tty.write(1, json.encode(all, { pretty = true }) .. "\n")
end

return view
