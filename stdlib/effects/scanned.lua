-- match, count and since: of a log the lines that match, found while it passes (interpreter/linescan.h). What docker.logs,
-- kubectl.logs and files.read share.
local blame = require "blame"
local duration = require "duration"
local outcome = require "outcome"
local re = require "raw.re"
local tasks = require "tasks"
local values = require "values"

local scanned = {}

-- Of the lines that match, the newest up to this many bytes are kept.
local TEXT_MAX = 1 << 20

scanned.options = {
  match = { "string", nil, "Only lines in which this regular expression matches, of all there is; the newest 1 MB of them "
    .. "is kept, and lines are looked at up to 64 KB", what = true },
  count = { "boolean", false, "Counts the lines, without keeping them", what = true },
}
scanned.result = {
  lines = "integer: lines that were looked at, with `match` or `count`",
  matched = "integer: how many of them match; without `match` all do",
}

-- Refuses a wrong pattern where the script says it.
function scanned.check(effect, call)
  if type(call.match) ~= "string" then return end
  local ok, why = pcall(re.find, "", call.match)
  if not ok then blame.raise("%s: option 'match': %s", effect, (tostring(why):gsub("^[^:]*:%d+: ", ""))) end
end

-- A moment: seconds since 1970, or a duration before now.
function scanned.check_since(effect, option, value)
  if value == nil or type(value) == "number" or values.is_placeholder(value) then return end
  if type(value) ~= "string" or not duration.parse(value) then
    blame.raise("%s: option '%s': a duration before now like \"10m\", or seconds since 1970, expected, got %s", effect, option,
      values.describe(value))
  end
end

-- It as seconds since 1970.
function scanned.moment(value)
  return type(value) == "number" and value or tasks.wall() - duration.parse(value)
end

function scanned.is_wanted(call) return call.match ~= nil or call.count == true end

-- The raw modules' option; `more`: framed, since.
function scanned.spec(call, more)
  return { match = call.match, count = call.count, max = TEXT_MAX, framed = more and more.framed, since = more and more.since }
end

-- The result's fields of what a raw module gave: text (nil with `count`), cut, lines, matched; or nil and the error.
function scanned.fields(call, given)
  local it = given.scanned
  if not it then return outcome.failed(given.scan_error.kind, "%s", given.scan_error.message) end
  return { text = not call.count and it.text or nil, cut = it.cut, lines = it.lines, matched = it.matched }
end

-- The fields where there is no log: none of its lines matches.
function scanned.none(call, fields)
  if scanned.is_wanted(call) then fields.lines, fields.matched = 0, 0 end
  if call.count then fields.text = nil end
  return fields
end

-- A command that writes a log, with what looks for the lines behind it.
function scanned.command(call, words)
  if call.match then
    words.through = { "grep", call.count and "-cP" or "-P", "--", call.match, both = true }
  elseif call.count then
    words.through = { "wc", "-l", both = true }
  end
  return words
end

-- What a healthy log gives: nothing that matches.
function scanned.specimen(fields)
  return function(call)
    local copy = values.copy_shallow(fields)
    if scanned.is_wanted(call) then
      copy.lines, copy.matched = 1000, call.match and 0 or 1000
      copy.text = not call.count and (call.match and "" or copy.text) or nil
    end
    return copy
  end
end

-- "12 of 3400 lines match", "3400 lines"; nil without `match` and `count`.
function scanned.sum_up(fields)
  if not fields.lines then return nil end
  if fields.matched == fields.lines then return ("%d lines"):format(fields.lines) end
  return ("%d of %d lines match"):format(fields.matched, fields.lines)
end

return scanned
