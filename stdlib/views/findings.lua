-- Findings of runbook check in the formats of those who read them.
local json = require "raw.json"
local tty = require "raw.tty"

local view = {}

local function put(text) tty.write(1, text .. "\n") end

-- FILE:LINE:COLUMN: TEXT [RULE]: what editors and people read.
function view.text(findings)
  for _, it in ipairs(findings) do put(("%s:%d:%d: %s [%s]"):format(it.file, it.line, it.column, it.text, it.rule)) end
end

-- A list of objects.
function view.json(findings)
  local list = {}
  for i, it in ipairs(findings) do
    list[i] = { rule = it.rule, file = it.file, line = it.line, column = it.column, text = it.text, fingerprint = it.fingerprint }
  end
  put(json.encode(json.list(list)))
end

-- Workflow commands: docs.github.com, "Workflow commands for GitHub Actions". A property ends at a comma or colon.
local function escaped(text, property)
  text = text:gsub("%%", "%%25"):gsub("\r", "%%0D"):gsub("\n", "%%0A")
  return property and text:gsub(":", "%%3A"):gsub(",", "%%2C") or text
end

function view.github(findings)
  for _, it in ipairs(findings) do
    put(("::error file=%s,line=%d,col=%d,title=%s::%s"):format(escaped(it.file, true), it.line, it.column,
      escaped(it.rule, true), escaped(it.text)))
  end
end

-- GitLab's code quality report: docs.gitlab.com, "Code Quality report format".
function view.gitlab(findings)
  local list = {}
  for i, it in ipairs(findings) do
    list[i] = { description = it.text, check_name = it.rule, fingerprint = it.fingerprint, severity = "major",
                location = { path = it.file, lines = { begin = it.line } } }
  end
  put(json.encode(json.list(list)))
end

-- SARIF 2.1.0 (docs.oasis-open.org): one run, a rule for each that found something.
function view.sarif(findings)
  local rules, seen, results = {}, {}, {}
  for i, it in ipairs(findings) do
    if not seen[it.rule] then rules[#rules + 1] = { id = it.rule } end
    seen[it.rule] = true
    results[i] = { ruleId = it.rule, level = "error", message = { text = it.text },
      partialFingerprints = { ["runbook/v1"] = it.fingerprint },
      locations = json.list { { physicalLocation = { artifactLocation = { uri = it.file },
        region = { startLine = it.line, startColumn = it.column } } } } }
  end
  local driver = { name = "runbook", rules = json.list(rules) }
  put(json.encode { version = "2.1.0", ["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json",
    runs = json.list { { tool = { driver = driver }, columnKind = "unicodeCodePoints", results = json.list(results) } } })
end

return view
