-- runbook test in the Test Anything Protocol, version 13 (testanything.org): a line a scenario, and one a file for what is wrong
-- with the file itself.
local raw_text = require "raw.text"
local tty = require "raw.tty"

local view = {}

local number

local function inert(text) return raw_text.inert(tostring(text), { max = 1000 }) end

-- A `#` would begin a directive, such as one to skip it.
local function described(text) return (inert(text):gsub("[\\#]", "\\%0")) end

local function line(held, name, details)
  number = number + 1
  tty.write(1, ("%s %d - %s\n"):format(held and "ok" or "not ok", number, described(name)))
  for _, text in ipairs(details or {}) do tty.write(1, "# " .. inert(text) .. "\n") end
end

function view.open(suites)
  local count = #suites
  number = 0
  for _, suite in ipairs(suites) do count = count + #suite.jobs end
  tty.write(1, ("TAP version 13\n1..%d\n"):format(count))
end

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #all + 1, all) end
  return all
end

function view.trial(job)
  local it = job.record
  local details = not it.held and joined({ job.scenario.at }, it.differs, it.unused, it.story) or nil
  line(it.held, job.suite.path .. ": " .. job.name, details)
end

function view.close(suites)
  for _, suite in ipairs(suites) do
    line(not suite.why and #suite.unused == 0, suite.path .. ": the file", joined({ suite.why }, suite.unused))
  end
end

return view
