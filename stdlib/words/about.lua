-- runbook{…}: who this runbook is. The first statement; readable without running the rest.
local blame = require "blame"
local journal = require "journal"
local run = require "run"
local tasks = require "tasks"
local values = require "values"
local vocabulary = require "vocabulary"

local options = vocabulary.words.runbook.options
local fields, severities = vocabulary.types(options), vocabulary.set(options.severity.one_of)

local words = {}

function words.runbook(about)
  if type(about) ~= "table" then blame.raise("runbook: a table expected, got %s", values.describe(about)) end
  if run.about.title then blame.raise("runbook{…} stands twice; a runbook says who it is once") end
  for name, value in pairs(about) do
    if not fields[name] then blame.raise("runbook: unknown field '%s'%s", tostring(name),
      blame.hint(tostring(name), values.keys(fields))) end
    if type(value) ~= fields[name] then blame.raise("runbook: %s: a %s expected, got %s", name, fields[name],
      values.describe(value)) end
  end
  if not about.title or about.title == "" then blame.raise("runbook: title is required") end
  if about.severity and not severities[about.severity] then
    blame.raise("runbook: severity: critical, error, warning or info expected, got %s", values.describe(about.severity))
  end
  run.about = values.copy(about)
  run.first_about = run.first_about or run.about
  journal.news("runbook", run.about)
  if run.options.stop_after == "runbook" then tasks.raise_end { outcome = "declared" } end
end

return words
