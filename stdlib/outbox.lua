-- What people are to be told, on disk before the first attempt: an entry for each backend of the config, done when its
-- service said so. One attempt is short and nobody waits for another; who tries again, and when, is the watchdog's business.
local backends = require "backends"
local files = require "raw.files"
local foreign = require "foreign"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_secret = require "raw.secret"
local run = require "run"
local tasks = require "tasks"

local outbox = {}

-- Entries are this long at most, in bytes.
local ENTRY_MAX = 1 << 20
-- An attempt under way is no other process's for so long, in seconds.
local CLAIM_SECONDS = 60
-- A step that needs another's answer waits for it so long, in seconds, and goes without.
outbox.ANSWER_SECONDS = 10
-- How often somebody who waits for an answer looks, in seconds.
local LOOK_SECONDS = 0.05
-- Written at a resolved end: what nobody was told yet is dropped, what they were told is taken back.
local OVER = "over"

local mine = {} -- the entries that this process queued, in order: { name =, record =, it =, done = }, also by name

local function path_of(name) return "outbox/" .. name end

-- A disk that refuses keeps nobody from being told: the entry is then in memory alone.
local function write(name, record) return raw_run.replace(path_of(name), json.encode(record)) end
local function keep(entry) write(entry.name .. ".json", entry.record) end

local function finish(entry, fields)
  entry.done = fields
  write(entry.name .. ".done", fields)
end

local function read(name)
  if files.stat(run.path .. "/" .. path_of(name)).state ~= "file" then return nil end
  local text = files.read { path = run.path .. "/" .. path_of(name), max = ENTRY_MAX }
  return text and json.decode(text.text) or nil
end

local function name_of(record)
  return ("%s-%s-%d%s"):format(record.key:gsub("[^%w]", "-"), record.backend, record.instance,
    record.step == "resolve" and "-resolve" or "")
end

-- What a run had queued before it was resumed is not begun again when it is done.
local function new_entry(record, it)
  local entry = { name = name_of(record), record = record, it = it }
  entry.done = run.generation > 1 and read(entry.name .. ".done") or nil
  if not entry.done then keep(entry) end
  return entry
end

-- Writes a step down, once for each backend that serves it; nothing is sent. The entries.
function outbox.queue(step, args, key)
  args = raw_secret.mask(backends.marked(args)) -- what is told leaves the house
  local list = {}
  for i, it in ipairs(backends.of(step)) do
    list[i] = new_entry({ step = step, args = args, key = key, backend = it.name, instance = it.instance, attempts = 0 }, it)
    mine[#mine + 1], mine[list[i].name] = list[i], list[i]
  end
  return list
end

-- Nobody is configured for this step: it stays on disk, and is not tried.
function outbox.keep(step, args, key)
  finish(new_entry { step = step, args = raw_secret.mask(backends.marked(args)), key = key, backend = "none", instance = 0 },
    { not_delivered = "nothing is configured for this step" })
end

---------------------------------------------------------------- Attempts --

-- What a queued step's service said: of this process's own within ANSWER_SECONDS, else what is on disk by now; or nil.
local function answer_of(name)
  local entry, limit = mine[name], tasks.now() + outbox.ANSWER_SECONDS
  while entry and entry.under_way and tasks.now() < limit do tasks.sleep(LOOK_SECONDS) end
  local done = entry and entry.done or read(name .. ".done")
  return done and done.delivered and done or nil
end

-- An argument that is another step's result (effects/escalate.lua) becomes what that step's service said.
local function answered(args)
  local copy = {}
  for name, value in pairs(args) do
    local of_step = type(value) == "table" and value.queued
    if of_step then copy[name] = answer_of(of_step) else copy[name] = value end
  end
  return copy
end

local function send(entry)
  local record, it = entry.record, entry.it
  if record.step == "resolve" then return it.backend.resolve(it.settings, record.key) end
  return it.backend[record.step](it.settings, answered(record.args), record.key)
end

-- An error of ours won't go away by trying again.
local function send_safely(entry)
  local ok, fields, err = pcall(send, entry)
  if ok then return fields, err end
  if tasks.is_interrupt(fields) then error(fields, 0) end
  return nil, { kind = "rejected", message = type(fields) == "table" and fields.usage or tostring(fields) }
end

-- One attempt, claimed on disk before it. What the service asks to wait for is kept; nobody waits for it here.
local function attempt(entry)
  local record = entry.record
  record.attempts, record.not_before = record.attempts + 1, tasks.wall() + CLAIM_SECONDS
  keep(entry)
  local fields, err = send_safely(entry)
  if fields then return finish(entry, fields) end
  if err.kind == "rejected" then return finish(entry, { rejected = err.message }) end
  record.not_before, record.why = tasks.wall() + (err.after or 0), err.message
  keep(entry)
end

local function begin(entry)
  entry.under_way = true
  return tasks.spawn(function()
    local ok, why = pcall(attempt, entry)
    entry.under_way = false
    if not ok then error(why, 0) end
  end)
end

local function set_going(entries)
  for _, entry in ipairs(entries) do entry.begun = entry.begun or not entry.done and begin(entry) or nil end
end

-- Tries entries side by side, each once; returns when all have an answer or none.
function outbox.attempt(entries)
  set_going(entries)
  for _, entry in ipairs(entries) do if entry.begun then tasks.join(entry.begun) end end
end

-- What the service said to a step that this process queued, for whoever can't go on without; what was queued before it goes
-- out first. Nil when it didn't say anything in time.
function outbox.answer(name)
  set_going(mine)
  return answer_of(name)
end

-- Tries all that this process queued.
function outbox.carry_out() outbox.attempt(mine) end

-- What became of what this process queued: "delivered", "waiting", "nobody" when whoever should be woken was not: the pagers
-- if the level pages, else those it tells in chat.
function outbox.verdict()
  local of_step, waiting = { page = {}, notify = {} }, false
  for _, entry in ipairs(mine) do
    table.insert(of_step[entry.record.step] or {}, entry)
    waiting = waiting or not entry.done
  end
  local reached = false
  for _, entry in ipairs(#of_step.page > 0 and of_step.page or of_step.notify) do
    reached = reached or not (entry.done and entry.done.rejected)
  end
  return not reached and "nobody" or waiting and "waiting" or "delivered"
end

-------------------------------------------------------------- On the disk --

local function names()
  local walked = files.walk { under = run.path .. "/outbox", name = "*.json" }
  local list = {}
  for _, file in ipairs(walked and walked.files or {}) do
    local name = file.path:match "([^/]+)%.json$"
    if name ~= OVER then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- All entries of the run, in order, also by name.
local function load_all()
  local list = {}
  for _, name in ipairs(names()) do
    local record = read(name .. ".json")
    if record then
      local entry = { name = name, record = record, done = read(name .. ".done") }
      list[#list + 1], list[name] = entry, entry
    end
  end
  return list
end

local function find_backends(entries)
  local by_step = {}
  for _, entry in ipairs(entries) do
    local step = entry.record.step == "resolve" and "page" or entry.record.step
    by_step[step] = by_step[step] or backends.of(step)
    for _, it in ipairs(by_step[step]) do if it.instance == entry.record.instance then entry.it = it end end
    if not entry.it and not entry.done then finish(entry, { rejected = "the config has no such backend any more" }) end
  end
end

-- What is to be tried now: its time has come.
local function due(entries)
  local list = {}
  for _, entry in ipairs(entries) do
    local record = entry.record
    local ready = not entry.done and not entry.begun and (record.not_before or 0) <= tasks.wall()
    if ready then list[#list + 1] = entry end
  end
  return list
end

----------------------------------------------------------------- The end --

-- A resolved end: `said` = { text = for those who were told, keys = of pages that may have gone out past the outbox }.
-- False when it can't be written.
function outbox.end_it(said) return write(OVER .. ".json", said) end

local function add(entries, record, it)
  if entries[name_of(record)] then return end
  local entry = new_entry(record, it)
  entries[#entries + 1], entries[entry.name] = entry, entry
end

-- Taken back behind it: a page that was tried may have been taken, whatever its service said. By now nobody tries it any more:
-- the watchdog begins with the outbox when a level's own process is gone.
local function take_back(entries, entry)
  local record = entry.record
  if record.step ~= "page" or record.attempts == 0 or not entry.it.backend.resolve then return end
  add(entries, { step = "resolve", key = record.key, backend = record.backend, instance = record.instance, attempts = 0,
                 args = {}, of_the_end = true }, entry.it)
end

-- One more message, once, to whom an entry told something in chat; a channel that was made too.
local function add_message(entries, entry, about, text, of_the_end)
  local record, done = entry.record, entry.done
  local to = done and done.delivered and (record.step == "channel" and done.id or record.step == "notify" and record.args.to)
  if not to or record.follows then return end
  local key = ("runbook/%s/%s/%s"):format(run.id, about, raw_run.sha256(to):sub(1, 12))
  add(entries, { step = "notify", key = key, backend = record.backend, instance = record.instance, attempts = 0,
                 args = { to = to, text = text }, follows = true, of_the_end = of_the_end }, entry.it)
end

-- Whoever was told in chat hears who has it in hand, once a word: the page's answer is not for the on-call engineer alone.
local function tell_taken(entries)
  local taken = require "taken"
  for _, word in ipairs(taken.words(run.path)) do
    if word.word == "ack" or word.seconds and word.at + word.seconds > tasks.wall() then
      local text = ("%s: %s has it in hand%s (run %s)"):format(run.manifest.title or run.file, word.by,
        word.seconds and (" until %s: no level fires before"):format(taken.clock(word.at + word.seconds))
        or ": no later level fires", run.id)
      for i = 1, #entries do add_message(entries, entries[i], word.name, foreign.line(text)) end
    end
  end
end

-- The built-in page goes past the outbox: its traces say that it was tried.
local function resolve_built_in(entries, keys)
  for _, key in ipairs(keys) do
    for _, it in ipairs(backends.of "page") do
      local page = { key = key, backend = it.name, instance = it.instance, step = "page" }
      if it.backend.resolve and not entries[name_of(page)] then
        page.step, page.attempts, page.args, page.of_the_end = "resolve", 0, {}, true
        add(entries, page, it)
      end
    end
  end
end

-- Nobody is told of what is over; whoever was is told that it is.
local function settle_end(entries, said)
  for i = 1, #entries do
    local entry = entries[i]
    if not entry.done and not entry.record.of_the_end then
      finish(entry, { dropped = "the incident was over before it was taken" })
    end
    if entry.it then
      take_back(entries, entry)
      add_message(entries, entry, "resolved", said.text, true)
    end
  end
  resolve_built_in(entries, said.keys)
end

-- Tries everything whose time has come; true when nothing waits any more.
function outbox.flush()
  local entries = load_all()
  find_backends(entries)
  local said = read(OVER .. ".json")
  if said then
    settle_end(entries, said)
    write(OVER .. ".done", {})
  else
    tell_taken(entries)
  end
  local list = due(entries)
  while #list > 0 do
    outbox.attempt(list)
    list = due(entries)
  end
  for _, entry in ipairs(entries) do if not entry.done then return false end end
  return true
end

-- A resolved end where nothing can be written down: the pages that may have gone out are resolved at once.
function outbox.resolve_now(keys)
  local entries = {}
  resolve_built_in(entries, keys)
  outbox.attempt(entries)
end

--------------------------------------------------------------- In words --

local ranks = { page = 1, notify = 2, channel = 3, incident = 4 }

-- What became of each message that a level or the run sent, the page first: { step, backend, to, delivered, answer, why }.
function outbox.told()
  local list = {}
  for _, entry in ipairs(load_all()) do
    local record, done = entry.record, entry.done or {}
    if ranks[record.step] and not record.follows and not record.of_the_end then
      list[#list + 1] = { step = record.step, backend = record.backend, to = record.args.to or record.args.name,
                          delivered = done.delivered or false, answer = done.answer,
                          why = done.rejected or done.not_delivered or record.why }
    end
  end
  table.sort(list, function(a, b) return ranks[a.step] < ranks[b.step] end)
  return list
end

local function is_ending() return read(OVER .. ".json") and not read(OVER .. ".done") end

-- "#team-lead, by slack"
local function naming(record)
  local args = record.args or {}
  return ("%s, by %s"):format(args.to or args.name or record.step, record.backend)
end

local function tell(state, record, done)
  if not done then
    state.waiting = state.waiting + 1
    if not record.why then state.unanswered = state.unanswered + 1 end
    local list = record.of_the_end and state.late or state.open
    list[#list + 1] = ("%s: %s"):format(naming(record), record.why or "no answer yet")
  elseif done.rejected then
    state.refused[#state.refused + 1] = ("%s: %s"):format(naming(record), done.rejected)
  elseif done.delivered and record.of_the_end and record.step == "notify" then
    state.told[#state.told + 1] = record.args.to
  end
end

-- What became of all of it, for the run's last lines: how many entries are `waiting`, of how many nothing was heard yet
-- (`unanswered`), in words what is `open`, `refused`, `told` that it is over and `late` in that; whether a page was `tried`,
-- `paged` somebody (`paged_keys`: which of them), how many `resolves` there are.
function outbox.state()
  local ending = is_ending() and 1 or 0
  local state = { waiting = ending, unanswered = ending, resolves = 0, told = {}, refused = {}, late = {}, open = {},
                  paged_keys = {} }
  for _, entry in ipairs(load_all()) do
    local record, done = entry.record, entry.done
    tell(state, record, done)
    if record.step == "page" then
      state.tried = state.tried or (record.attempts or 0) > 0
      if done and done.delivered then state.paged, state.paged_keys[record.key] = true, true end
    end
    if record.step == "resolve" then state.resolves = state.resolves + 1 end
  end
  return state
end

return outbox
