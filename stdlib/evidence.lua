-- Evidence before medicine: what a write would destroy (logs, descriptions, sessions, INFO) is saved into the run's evidence/
-- before the write is begun. An entry says what that is, as reads of the catalogue:
--   evidence(save, call, plan)    save(effect, arguments…) → the fields that were saved, or nil
-- What can't be looked at is told, and the write goes on; what can't be kept (a full disk) is told, and a person is asked.
local approval = require "approval"
local catalogue = require "catalogue"
local duration = require "duration"
local gate = require "gate"
local journal = require "journal"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_secret = require "raw.secret"
local raw_text = require "raw.text"
local tasks = require "tasks"
local values = require "values"

local evidence = {}

-- Of one piece the newest bytes are kept, so many at most; a run keeps so many bytes in all.
evidence.PIECE_MAX = 1 << 20
evidence.RUN_MAX = 64 << 20
-- All that one write wants is looked at within so many seconds.
evidence.SECONDS = 20

local count, bytes = 0, 0 -- of this run's pieces

------------------------------------------------------------------- Pieces --

local function entry_of(name)
  catalogue.family(name:match "^%l+")
  return catalogue.effects[name]
end

-- A log as it is; of other results a line a field. Masked before anything of it is cut.
local function text_of(fields)
  if type(fields.text) == "string" then return raw_secret.redact(fields.text) end
  local lines, plain = {}, raw_secret.mask(journal.plain(fields))
  for i, name in ipairs(values.keys(plain)) do
    local value = plain[name]
    lines[i] = name .. ": " .. (type(value) == "string" and value or json.encode(value))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function file_name(act)
  count = count + 1
  return ("evidence/%03d-%s.txt"):format(count, act.entry.name)
end

-- Each piece says what it is and when it was looked at.
local function head(act) return ("# %s\n# %s\n\n"):format(act.line, raw_text.time_text(tasks.wall())) end

-- True, or nil and why it can't be kept.
local function keep(piece, act, text)
  if bytes + #text > evidence.RUN_MAX then
    return nil, ("a run keeps %s of evidence, and has them"):format(duration.size_text(evidence.RUN_MAX))
  end
  local ok, err = raw_run.save(piece.file, head(act) .. text)
  if not ok then return nil, err.message end
  bytes = bytes + #text
  return true
end

-- Looks at one thing and keeps it, once for each `seen`; adds to `told` what became of it.
local function save_piece(told, seen, name, ...)
  local act = gate.act(entry_of(name), ...)
  if seen[act.line] then return seen[act.line] end
  local fields, err = gate.mode().read(act)
  seen[act.line] = fields or {}
  if not fields or fields.ok == false then
    table.insert(told.unread, { line = act.line, why = fields and fields.why or err.message })
    return fields
  end
  local text = text_of(fields)
  local piece = { line = act.line, file = file_name(act), bytes = #text, cut = #text > evidence.PIECE_MAX or nil }
  local kept, why = keep(piece, act, text:sub(-evidence.PIECE_MAX))
  if kept then
    table.insert(told.saved, piece)
  else
    table.insert(told.unsaved, { line = act.line, bytes = #text, why = why })
  end
  return fields
end

--------------------------------------------------------------------- Save --

-- Calls f(save, …), which looks at things, for so many seconds; returns what became of each.
local function look(seconds, f, ...)
  local told, seen = { saved = json.list {}, unsaved = json.list {}, unread = json.list {} }, {}
  local ok, in_time = pcall(tasks.deadline, seconds, f, function(...) return save_piece(told, seen, ...) end, ...)
  if not ok and tasks.is_interrupt(in_time) then error(in_time, 0) end
  local why = not ok and tostring(in_time) or not in_time and ("not within %g s"):format(seconds)
  if why then table.insert(told.unread, { line = "the rest", why = why }) end
  return told
end

-- A file of answers was written before anybody knew of this.
local function go_on_without(act)
  local text = ("Go on with %s without the evidence that can't be saved?"):format(act.line)
  return gate.ask { kind = "confirm", text = text, label = text, in_person = true, default = "no", planned = "no",
                    within = approval.WITHIN } == "yes"
end

-- What would be saved before a write, as the names of the reads: for its plan. Nothing is looked at.
function evidence.names(act)
  local names, seen = {}, {}
  pcall(act.entry.evidence, function(name)
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end, act.call, act.preview)
  return #names > 0 and json.list(names) or nil
end

-- Before a write is begun; `plan` is its preview. Whether the write may go on.
function evidence.save(act, plan)
  local told = look(evidence.SECONDS, act.entry.evidence, act.call, plan)
  told.line, told.key = act.line, act.key
  journal.event("evidence", told)
  return #told.unsaved == 0 or go_on_without(act)
end

-- For who goes on: each of `jobs` looks at something; what one can't look at keeps no other from looking.
function evidence.gather(jobs, seconds)
  local told = look(seconds, function(save)
    for _, job in ipairs(jobs) do
      local ok, why = pcall(job, save)
      if not ok and tasks.is_interrupt(why) then error(why, 0) end
    end
  end)
  if #told.saved + #told.unsaved + #told.unread > 0 then journal.event("evidence", told) end
end

return evidence
