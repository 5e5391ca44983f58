-- Undelivered notifications wait on disk: written before the first attempt, marked when delivered, tried again by the
-- watchdog until a day has passed.
local backends = require "backends"
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_secret = require "raw.secret"
local run = require "run"

local outbox = { undelivered = 0, rejected = 0 }

-- Entries are this long at most, in bytes.
local ENTRY_MAX = 1 << 20

local function name_of(entry) return (entry.key:gsub("[^%w]", "-")) .. "-" .. entry.backend end

-- Sends one entry through its backend. Its fields, or nil and an error.
local function send(it, entry)
  if entry.step == "resolve" then return it.backend.resolve(it.settings, entry.key) end
  return it.backend[entry.step](it.settings, entry.args, entry.key)
end

local function mark_done(name, fields)
  raw_run.replace(("outbox/%s.done"):format(name), json.encode(fields))
end

-- Queues a step for a backend, tries it at once. The backend's fields with delivered = true, or { delivered = false, why = }.
function outbox.deliver(it, step, args, key)
  args = raw_secret.mask(backends.marked(args)) -- what is told leaves the house
  local entry = { step = step, args = args, key = key, backend = it.name }
  local name = name_of(entry)
  raw_run.replace(("outbox/%s.json"):format(name), json.encode(entry))
  local fields, err = send(it, { step = step, args = args, key = key })
  if fields then
    mark_done(name, fields)
    return fields
  end
  if err.kind == "rejected" then -- repeating won't help; it stays on disk, marked as refused
    mark_done(name, { rejected = err.message })
    outbox.rejected = outbox.rejected + 1
  else
    outbox.undelivered = outbox.undelivered + 1
  end
  return { delivered = false, why = err.message, kind = err.kind }
end

-- Nobody is configured for this step: it stays on disk, and is not tried again.
function outbox.keep(step, args, key)
  local name = name_of { key = key, backend = "none" }
  raw_run.replace(("outbox/%s.json"):format(name),
    json.encode { step = step, args = raw_secret.mask(backends.marked(args)), key = key, backend = "none" })
  mark_done(name, { not_delivered = "nothing is configured for this step" })
end

local function entries()
  local walked = files.walk { under = run.path .. "/outbox", name = "*.json" }
  local list = {}
  for _, file in ipairs(walked and walked.files or {}) do list[#list + 1] = file.path:match "([^/]+)%.json$" end
  table.sort(list)
  return list
end

local function json_of(name)
  local read = files.read { path = run.path .. "/outbox/" .. name, max = ENTRY_MAX }
  return read and json.decode(read.text) or nil
end

local function retry(name)
  if files.stat(run.path .. "/outbox/" .. name .. ".done").state == "file" then return true end
  local entry = json_of(name .. ".json")
  if not entry then return true end
  for _, it in ipairs(backends.of(entry.step)) do
    if it.name == entry.backend then
      local fields, err = send(it, entry)
      if fields then mark_done(name, fields) elseif err.kind == "rejected" then mark_done(name, { rejected = err.message }) end
      return fields ~= nil or err.kind == "rejected"
    end
  end
  return true
end

-- Whom chat messages of this run reached: the channels it made and whom it told, each once.
function outbox.audience()
  local list, known = {}, {}
  for _, name in ipairs(entries()) do
    local entry, done = json_of(name .. ".json"), json_of(name .. ".done")
    local to = entry and done and done.delivered
      and (entry.step == "channel" and done.id or entry.step == "notify" and entry.args.to)
    if to and not known[to] then list[#list + 1], known[to] = to, true end
  end
  return list
end

local ranks = { page = 1, notify = 2, channel = 3, incident = 4 }

-- What became of each message of this run, the page first: { step, backend, to, delivered, answer, why }.
function outbox.told()
  local list = {}
  for _, name in ipairs(entries()) do
    local entry, done = json_of(name .. ".json"), json_of(name .. ".done") or {}
    if entry and ranks[entry.step] then
      list[#list + 1] = { step = entry.step, backend = entry.backend, to = entry.args.to or entry.args.name,
                          delivered = done.delivered or false, answer = done.answer,
                          why = done.rejected or done.not_delivered }
    end
  end
  table.sort(list, function(a, b) return ranks[a.step] < ranks[b.step] end)
  return list
end

-- Tries everything that waits; true when nothing does any more.
function outbox.flush()
  local all = true
  for _, name in ipairs(entries()) do all = retry(name) and all end
  return all
end

return outbox
