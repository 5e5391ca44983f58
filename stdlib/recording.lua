-- What a run wrote down, for its resume: what came to the script from outside, in order, by its place in the run; which calls of
-- remedies had begun and how they ended; which writes were begun and have no outcome; and which events the journal has already.
local json = require "raw.json"
local raw_journal = require "raw.journal"
local raw_secret = require "raw.secret"

local recording = {}
recording.__index = recording

-- Events by which something came to the script. Of the others those that the script's own steps write again when they are taken
-- again stand in the journal once.
local delivers = { ["effect.outcome"] = true, answer = true, wait = true, ["remedy.begun"] = true, ["remedy.ended"] = true }
local repeated = { param = true, mistake = true, note = true, check = true, owed = true, ["probe.started"] = true,
                   ["probe.ended"] = true, ["remedy.started"] = true, ["handover.started"] = true, ["handover.ended"] = true,
                   ["permission.missing"] = true }
-- What tells one of them from another.
local identity = { "key", "call", "probe", "args", "label", "remedy", "runbook", "what", "title", "name", "number", "state",
                   "outcome", "text" }

-- Masked, as the journal has it.
local function signature(name, fields)
  local parts = { name }
  for i, field in ipairs(identity) do
    local value = fields[field]
    parts[i + 1] = type(value) == "string" and raw_secret.redact(value) or type(value) ~= "table" and tostring(value) or ""
  end
  return table.concat(parts, "\0")
end

-- Values that stand in blobs/ put back in their places.
local function whole(folder, value)
  if type(value) ~= "table" then return value end
  local hash = rawget(value, "$blob")
  if type(hash) == "string" and next(value, next(value)) == nil then
    local text, err = raw_journal.blob(folder, hash)
    if not text then error({ refused = "a value of the journal can't be read: " .. err.message }, 0) end
    return (assert(json.decode(text, { exact = true })))
  end
  for name, item in next, value do value[name] = whole(folder, item) end
  return value
end

-- A copy with its secrets put back, and whether nothing stayed masked.
function recording.unmasked(value)
  if type(value) == "string" then return raw_secret.restore(value) end
  if type(value) ~= "table" or debug.getmetatable(value) and getmetatable(value) ~= "list" then return value, true end
  local copy, all = getmetatable(value) == "list" and json.list {} or {}, true
  for name, item in next, value do
    local text, clean = recording.unmasked(item)
    copy[name], all = text, all and clean
  end
  return copy, all
end

----------------------------------------------------------------- Reading --

local on = {}

-- The call of a remedy: what became of it.
local function call_of(self, event)
  local it = self.calls[event.call] or {}
  if event.call then self.calls[event.call] = it end
  return it
end

on["effect.intent"] = function(self, event) self.begun[event.key] = event end
on["effect.outcome"] = function(self, event) self.begun[event.key] = nil end
on["remedy.begun"] = function(self, event) call_of(self, event).begun = true end
on["remedy.ended"] = function(self, event)
  local it = call_of(self, event)
  it.state, it.why = event.state, event.why
end
function on.owed(self, event) self.owed[event.number] = event end
on["run.ended"] = function(self, event) self.ended = event end

-- From here to the next resume nothing is the script's.
local broken_off = { suspended = true, aborted = true }
on["run.ending"] = function(self, event) self.is_ending = broken_off[event.outcome] end
on["run.resumed"] = function(self, event)
  self.is_ending, self.ended = false, nil
  self.resumes[#self.resumes + 1] = event
end

-- What the dry pass of a plan looked at, and what was asked about a plan: today's plan is another.
local function is_of_plan(event)
  return event.status == "would" or event.key and event.key:find "%.p%d+g?%d*[.:]" or event.event == "answer" and not event.key
end

local function learn(self, folder, event)
  event.result = whole(folder, event.result)
  self.events[#self.events + 1] = event
  local name = event.event
  if on[name] then on[name](self, event) end
  if self.is_ending then return end
  if delivers[name] and not is_of_plan(event) then self.order[#self.order + 1] = event end
  if repeated[name] and not event.word then -- what people noted is not the script's
    local sign = signature(name, event)
    self.repeated[sign] = (self.repeated[sign] or 0) + 1
  end
end

-------------------------------------------------------------- Its last end --

-- Of what the end of the run broke off nothing is known but that: it is done again. The goal is looked at anew in any case.
local function is_loose(event)
  if event.key and event.key:find "^goal:" then return true end
  return event.status == "cancelled" or event.event == "remedy.ended" and event.why == "silence"
end

local function forget(self, event)
  if event.event ~= "remedy.ended" then return end
  local it = self.calls[event.call]
  it.state, it.why = nil, nil
end

-- What a remedy that has no end is in doubt about: a write whose outcome nobody knows, too.
local function note_doubts(self)
  for i = #self.order, 1, -1 do
    local event = self.order[i]
    local call = event.status == "unknown" and self:call_around(event.key)
    if call and not call.state then
      self.begun[event.key] = event
      table.remove(self.order, i)
    end
  end
end

-- The call of a remedy that a key belongs to: "1.4" of "1.4:2" and of "1.4.1:1".
function recording:call_around(key)
  local path = key:match "^[^:]*"
  while path do
    if self.calls[path] then return self.calls[path] end
    path = path:match "^(.*)%.[^.]*$"
  end
end

-- What an earlier end broke off was done again by an earlier resume: the last counts.
local function index(self)
  local kept = {}
  for i = #self.order, 1, -1 do
    local event = self.order[i]
    local name = event.key or event.event .. " " .. event.call
    if not self.by_key[name] then self.by_key[name], kept[#kept + 1] = event, event end
  end
  self.order = {}
  for i = #kept, 1, -1 do table.insert(self.order, kept[i]) end
  for i, event in ipairs(self.order) do event.place = i end
end

-- Reads the journal of the run in `folder`; raises { refused = } when it can't be gone on with.
function recording.read(folder)
  local self = setmetatable({ events = {}, order = {}, by_key = {}, calls = {}, begun = {}, owed = {}, resumes = {},
                              repeated = {} }, recording)
  local events, err = raw_journal.events(folder .. "/journal.jsonl", true)
  if not events then error({ refused = "the journal can't be read: " .. err.message }, 0) end
  for event in events do learn(self, folder, event) end
  local damage = events:damage()
  if damage then
    error({ refused = ("the journal is damaged%s: %s; what came after can't be trusted"):format(
      damage.line and (" from line %d"):format(damage.line) or "", damage.why) }, 0)
  end
  while #self.order > 0 and is_loose(self.order[#self.order]) do forget(self, table.remove(self.order)) end
  note_doubts(self)
  index(self)
  return self
end

-- Whether the journal has this event of a step that is taken again: once for each time it stands there.
function recording:has(name, fields)
  if not repeated[name] then return false end
  local sign = signature(name, fields)
  local count = self.repeated[sign] or 0
  if count > 0 then self.repeated[sign] = count - 1 end
  return count > 0
end

local function is_inside(key, path) return key:sub(1, #path) == path and key:find("^[.:]", #path + 1) ~= nil end

local failures = { failed = true, refused = true, unknown = true }
local is_change = { write = true, destructive = true }

-- Whether a write of the call of a remedy did not succeed: the remedy ends there, whatever is planned behind it.
function recording:has_failed(path)
  for key, event in pairs(self.by_key) do
    if is_inside(key, path) and failures[event.status] and is_change[event.class] then return true end
  end
  return false
end

local function is_doubt(event) return event.class ~= "notify" end

-- How many writes were begun and have no outcome; one whose outcome says so is counted already.
function recording:count_doubts()
  local count = 0
  for _, event in pairs(self.begun) do if is_doubt(event) and not event.status then count = count + 1 end end
  return count
end

-- The writes that were begun in the call of a remedy and have no outcome, in order.
function recording:doubts(path)
  local list = {}
  for key, event in pairs(self.begun) do
    if is_inside(key, path) and is_doubt(event) then list[#list + 1] = event end
  end
  table.sort(list, function(a, b) return a.seq < b.seq end)
  return list
end

return recording
