-- runbook test as JUnit XML, as CI systems read it: a testsuite a file, a testcase a scenario, one more for the file itself.
local raw_text = require "raw.text"
local tty = require "raw.tty"

local view = {}

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

-- Characters that XML 1.0 doesn't know, escaped or not, would make the whole report unreadable.
local function xml(text) return (raw_text.inert(tostring(text), { max = 4000, lines = true }):gsub('[&<>"\n]', escapes)) end

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

local function failure(lines, story)
  local all = table.move(story, 1, #story, #lines + 1, table.move(lines, 1, #lines, 1, {}))
  put('      <failure message="%s">%s</failure>', xml(lines[1] or ""), xml(table.concat(all, "\n")))
end

local function testcase(suite, name, seconds, lines, story)
  put('    <testcase classname="%s" name="%s" time="%.3f"%s>', xml(suite.path), xml(name), seconds, lines and "" or "/")
  if not lines then return end
  failure(lines, story)
  put "    </testcase>"
end

local function wrong_of(record)
  if record.held then return nil end
  local lines = {}
  table.move(record.differs, 1, #record.differs, 1, lines)
  for _, text in ipairs(record.unused) do lines[#lines + 1] = "unused: " .. text end
  return lines
end

local function wrong_with(suite)
  if suite.why then return { suite.why } end
  return #suite.unused > 0 and suite.unused or nil
end

local function testsuite(suite)
  local wrong = wrong_with(suite)
  put('  <testsuite name="%s" tests="%d" failures="%d">', xml(suite.path), #suite.jobs + 1, suite.failed + (wrong and 1 or 0))
  for _, job in ipairs(suite.jobs) do
    testcase(suite, job.name, job.record.seconds or 0, wrong_of(job.record), job.record.story)
  end
  testcase(suite, "the file", 0, wrong, {})
  put "  </testsuite>"
end

function view.close(suites, sum)
  put '<?xml version="1.0" encoding="UTF-8"?>'
  put('<testsuites tests="%d" failures="%d" time="%.3f">', sum.scenarios + sum.files, sum.failed + sum.broken, sum.seconds)
  for _, suite in ipairs(suites) do testsuite(suite) end
  put "</testsuites>"
end

return view
