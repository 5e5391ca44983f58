-- runbook verify RUN: is what a run wrote down still as it was written? Its journal and the watchdog's by their chains, big values
-- by their hashes, the journal's end by what the report says of it.
local files = require "raw.files"
local foreign = require "foreign"
local raw_journal = require "raw.journal"
local raw_run = require "raw.run"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_WHOLE, EXIT_WRONG, EXIT_USAGE = 0, 1, 2
local REPORT_TAIL = 64 << 10 -- bytes of the report's end in which its word on the journal stands
-- So many values that are not what they should be are named.
local NAMED = 10

-- Where big values may be kept apart: members of these, and of an event itself.
local wide = { "result", "args" }

local function tell(file, text, ...) tty.write(1, ("  %-17s  %s\n"):format(file, text:format(...))) end

-- The hash in whose place `value` stands, or nil.
local function reference(value)
  if type(value) ~= "table" then return nil end
  local name, hash = next(value)
  return name == "$blob" and next(value, name) == nil and type(hash) == "string" and hash or nil
end

local function each_reference(event, f)
  for _, field in ipairs(wide) do
    local object = event[field]
    for _, value in next, type(object) == "table" and object or {} do
      local hash = reference(value)
      if hash then f(hash) end
    end
  end
  local hash = reference(event.pins)
  if hash then f(hash) end
end

-- What the journal refers to: each value is looked at once.
local function blobs_of(folder)
  local seen, state = {}, { values = 0, wrong = {} }
  function state.take(event)
    each_reference(event, function(hash)
      if seen[hash] then return end
      local text, err = raw_journal.blob(folder, hash)
      seen[hash], state.values = true, state.values + 1
      if not text then state.wrong[#state.wrong + 1] = ("line %d: %s"):format(event.seq, foreign.line(err.message)) end
    end)
  end
  return state
end

-- What the report says of the journal's end, written when the run ended: { lines =, hash = }, or nil.
local function proof_of(folder)
  local read = files.read { path = folder .. "/report.md", max = REPORT_TAIL, keep = "tail" }
  local lines, hash = (read and read.text or ""):match "journal%.jsonl has (%d+) lines, the last with the SHA%-256 (%x+)"
  return lines and { lines = tonumber(lines), hash = hash } or nil
end

-- Walks a chain; f(event, hash of its line) hears each event. What is wrong with it, or nil, and its last line's state.
local function walk(path, f)
  local events, err = raw_journal.events(path, true)
  if not events then return ("it can't be read: %s"):format(foreign.line(err.message)) end
  for event in events do f(event, events:last().hash) end
  local damage, last = events:damage(), events:last()
  if not damage then return nil, last end
  if not damage.line then return ("it can't be read any further than line %d: %s"):format(last.lines, damage.why), last end
  return ("damaged from line %d: %s; expected %s, found %s; %s"):format(damage.line, damage.why, foreign.line(damage.expected),
    foreign.line(damage.found), damage.line > 1 and ("the %d before it hold"):format(damage.line - 1) or "none before it"), last
end

-- What the report knows and the chain alone can't tell: lines that are missing at the end, and a last line that was changed.
local function compare(proof, there, last)
  if not proof or there == proof.hash then return nil end
  if not there then
    return ("damaged from line %d: its end is missing; expected %d lines, as the report says, found %d"):format(last.lines + 1,
      proof.lines, last.lines)
  end
  return ("damaged from line %d: it was changed; expected %s, as the report says, found %s"):format(proof.lines, proof.hash, there)
end

-- A run's first line is written before anything else, a watchdog's when it is armed.
local function emptiness(last) return last.lines + last.torn == 0 and "it is empty: not even its first line is there" or nil end

local function how_it_ends(last, ended, proof)
  local words = { ("%d lines, the last with the SHA-256 %s"):format(last.lines, last.hash) }
  if proof then words[#words + 1] = "as the report says" end
  if last.torn > 0 then
    words[#words + 1] = ("then %d bytes of a line that was not finished: its writer was stopped there"):format(last.torn)
  end
  if not ended then
    words[#words + 1] = "no run.ended: it is under way or was killed; whether lines were cut off its end can't be told"
  end
  return table.concat(words, "; ")
end

-- Whether the run's own journal and what it refers to are whole.
local function check_run(folder)
  local blobs, proof, ended, there = blobs_of(folder), proof_of(folder), false, nil
  local wrong, last = walk(folder .. "/journal.jsonl", function(event, hash)
    ended = event.event == "run.ended"
    if proof and event.seq == proof.lines then there = hash end
    blobs.take(event)
  end)
  wrong = wrong or compare(proof, there, last) or emptiness(last)
  tell("journal.jsonl", "%s", wrong or how_it_ends(last, ended, proof))
  if blobs.values > 0 and #blobs.wrong == 0 then tell("blobs/", "%d values, each as its name says", blobs.values) end
  for i = 1, math.min(#blobs.wrong, NAMED) do tell("blobs/", "%s", blobs.wrong[i]) end
  if #blobs.wrong > NAMED then tell("blobs/", "%d more are not what they should be", #blobs.wrong - NAMED) end
  return not wrong and #blobs.wrong == 0
end

-- The watchdog's; a dry run has none.
local function check_watchdog(folder)
  local path = folder .. "/escalation.jsonl"
  if files.stat(path).state == "absent" then return true end
  local wrong, last = walk(path, function() end)
  wrong = wrong or emptiness(last)
  tell("escalation.jsonl", "%s", wrong or how_it_ends(last, true))
  return not wrong
end

return function(arguments)
  local found, err = raw_run.find(arguments[1])
  if not found then
    screen.complain(err.message)
    return EXIT_USAGE
  end
  tty.write(1, found.id .. "\n")
  local run, watchdog = check_run(found.path), check_watchdog(found.path)
  local whole = run and watchdog
  tty.write(1, whole and "whole\n" or "NOT as it was written\n")
  return whole and EXIT_WHOLE or EXIT_WRONG
end
