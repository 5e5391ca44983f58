-- What explore found, as text: what was found → what is asked for → how it ends; then what is wrong, each with its scenario.
local run = require "run"
local screen = require "screen"
local tty = require "raw.tty"

local view = {}

local ROWS_MAX = 60 -- without -v
local TEXT_MAX = 100

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end
local function inert(text, max) return screen.inert(text, max or TEXT_MAX) end

local function joined(list) return #list > 0 and table.concat(list, ", ") or "nothing" end

local function put_row(row)
  put("  found    %s", inert(joined(row.findings), 400))
  put("  asked    %s", inert(#row.asked > 0 and table.concat(row.asked, " → ") or "for nothing", 400))
  put("  ends     %s%s", row.outcome, row.text ~= "" and ": " .. inert(row.text) or "")
  put ""
end

local function put_problem(record, problem, state)
  local because = problem.assumed and " (no scenario shows a world in which a check of this way ends so: it is assumed)" or ""
  put("%s  %s%s%s", state, record.names[problem.kind], problem.text ~= "" and ": " .. inert(problem.text, 300) or "", because)
  if not problem.way then return end
  put "  the shortest way there, as a scenario:"
  put ""
  for _, line in ipairs(record.scenario_of(problem)) do put("%s", line) end
  put ""
end

local function put_reached(record)
  local asked, resolve, count = 0, 0, #(record.declared or {})
  for _, remedy in ipairs(record.declared or {}) do
    local it = record.remedies[remedy.title]
    asked, resolve = asked + (it and 1 or 0), resolve + (it and it.resolves and 1 or 0)
  end
  put("remedies: %d, asked for on some way %d, resolving on some way %d; levels of the escalation: %d", count, asked, resolve,
    #(record.levels or {}))
end

local function extent(record)
  local faults = record.faults == math.huge and "any number of faults" or ("at most %d fault%s"):format(record.faults,
    record.faults == 1 and "" or "s")
  return ("%d ways of the decision, %d of its probes; %s%s"):format(record.ways, record.probe_ways, faults,
    record.whole and "" or "; MORE WAYS WERE NOT WALKED")
end

function view.tell(record, options)
  put("%s: %s", inert(run.file), inert(record.title or "?"))
  put("%s", extent(record))
  put ""
  local shown = options.verbose and #record.rows or math.min(#record.rows, ROWS_MAX)
  for i = 1, shown do put_row(record.rows[i]) end
  if shown < #record.rows then put("… %d more rows: -v", #record.rows - shown) end
  put_reached(record)
  for _, problem in ipairs(record.wrong) do put_problem(record, problem, "WRONG") end
  for _, problem in ipairs(record.perhaps) do put_problem(record, problem, "PERHAPS") end
  put("%d wrong, %d perhaps%s", #record.wrong, #record.perhaps, #record.wrong == 0 and record.whole and ": nothing wrong" or "")
end

return view
