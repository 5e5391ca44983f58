-- runbook test as lines for people: one a scenario, with the ending's own words; of one that fails what differs and its story.
local duration = require "duration"
local raw_text = require "raw.text"
local tty = require "raw.tty"

local view = {}

local NAME_COLUMNS, ENDING_COLUMNS = 44, 96
-- So many things that no scenario tried are named; the others are counted.
local MISSING_MAX = 12
local path -- of the file whose scenarios are being told
local verbose

local function inert(text, max) return raw_text.inert(tostring(text), { max = max }) end

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

function view.open(_, options) verbose, path = options.verbose, nil end

local function indent(mark, list)
  for _, line in ipairs(list) do put("        %s%s", mark, inert(line, 1000)) end
end

function view.trial(job)
  local record = job.record
  if job.suite.path ~= path then
    path = job.suite.path
    put("%s", path)
  end
  put("  %-4s  %-" .. NAME_COLUMNS .. "s  %s", record.held and "ok" or "FAIL", inert(job.name, NAME_COLUMNS),
    inert(record.ending or record.differs[1] or "", ENDING_COLUMNS))
  if record.held and not verbose then return end
  if not record.held then
    put("        %s", job.scenario.at)
    indent("differs: ", record.differs)
    indent("unused: ", record.unused)
  end
  indent("  ", record.story)
end

local function missing_lines(sum)
  local lines = {}
  for _, text in ipairs(sum.cases) do lines[#lines + 1] = "no scenario for this case: " .. text end
  local most = verbose and #sum.missing or MISSING_MAX
  for i = 1, math.min(#sum.missing, most) do lines[#lines + 1] = "not tried: " .. sum.missing[i] end
  if #sum.missing > most then lines[#lines + 1] = ("not tried: %d more, with --verbose"):format(#sum.missing - most) end
  return lines
end

local function tell_suite(suite)
  if suite.why then return put("FAIL    %s", inert(suite.why, 1000)) end
  if not suite.whole then return end
  put("%s: %d of %d tried, %d %%", suite.runbook, suite.sum.tried, suite.sum.all, suite.sum.percent)
  for _, line in ipairs(suite.unused) do put("  FAIL  %s", inert(line, 1000)) end
  for _, line in ipairs(missing_lines(suite.sum)) do put("  %s", inert(line, 400)) end
end

local function count(number, word) return ("%d %s%s"):format(number, word, number == 1 and "" or "s") end

function view.close(suites, sum)
  for _, suite in ipairs(suites) do tell_suite(suite) end
  if sum.least and sum.percent < sum.least then put("FAIL    coverage: %d %%, at least %g %% expected", sum.percent, sum.least) end
  put("%s of %s: %d held, %d failed%s, in %s", count(sum.scenarios, "scenario"), count(sum.files, "file"),
    sum.scenarios - sum.failed, sum.failed, sum.broken > 0 and (", %s wrong"):format(count(sum.broken, "file")) or "",
    duration.text(sum.seconds))
end

return view
