-- The watchdog's side of a run: started before the script's first line, armed with its levels before the first effect,
-- told how the run ended. Armed means rehearsed: each level was carried out dry, and what it needs is at hand.
local backends = require "backends"
local duration = require "duration"
local escalation = require "words.escalation"
local json = require "raw.json"
local journal = require "journal"
local raw_run = require "raw.run"
local run = require "run"
local secrets = require "secrets"
local settings = require "settings"
local tasks = require "tasks"

local arming = {}
local handle -- of the watchdog process
local program, children -- the runbook binary and the environment of the watchdog's own children
local inherited = {} -- level → the earlier run that has carried it out
local started -- when the watchdog was
local armed  -- whether the script's own levels are
local ready  -- whether it said that it is armed
local settling -- whether the run has ended: what stops the escalation from here on is our own word

-- How often the watchdog is looked after, in seconds: what it does stands on the screen a moment later.
local GUARD_SECONDS = 0.5
-- How long the levels' rehearsal may take, in seconds; and after how long without its end the watchdog is asked whether it
-- works: one that was stopped takes every word and does nothing.
local REHEARSAL_SECONDS = 30
local ASK_SECONDS = 3
-- A watchdog that is told to stop says within this time that it did, in seconds.
local STOP_SECONDS = 2
-- How long the end of a run waits to hear that a page was delivered.
local DELIVERY_SECONDS = 10

-- Seconds in which no level fires: somebody has the incident in hand.
local function put_off_left()
  return handle and handle:status().put_off or 0
end

-- Seconds from now until a level: it counts from the beginning of the alert.
local function from_now(after) return math.max(after - run.elapsed(), put_off_left()) end

-- Until the script has said when it wants to be paged for, one level of the config's or the default time stands in, and gives
-- the script time to say so: the alert may be older than the run.
local function guard_level()
  local after = from_now(duration.parse(run.config.escalate_after or escalation.AFTER))
  return { { index = escalation.GUARD, after = math.max(after, escalation.GUARD_SECONDS - (tasks.now() - started)) } }
end

local function levels_from_now()
  if not armed then return guard_level() end
  local list = {}
  for index, level in ipairs(run.levels) do
    if not inherited[index] then list[#list + 1] = { index = index, after = from_now(level.after) } end
  end
  return list
end

-- The pages that go out when the script's own levels fail: prepared now, sent without Lua, from the watchdog's memory; on disk
-- for a watchdog that takes over.
local pages = {}
local function prepare_pages(levels)
  for _, level in ipairs(levels) do
    local page = json.encode { requests = json.list(backends.built_in_requests(level.index)) }
    if pages[level.index] ~= page then
      pages[level.index] = page
      raw_run.replace(("escalation/page-%d.json"):format(level.index), page)
      if handle then handle:page(level.index, page) end
    end
  end
end

local function child_environment(host)
  local env = {}
  for name, value in pairs(settings.environment) do env[name] = value end
  for _, name in ipairs { "XDG_STATE_HOME", "CURL_CA_BUNDLE", "SSL_CERT_FILE" } do env[name] = host.getenv(name) end
  return env
end

-- Starts the watchdog process; a handle, or nil and an error.
local function start_process(levels, later)
  local fresh, err = require("raw.watchdog").start { run_path = run.path, self = program, levels = levels,
    secrets = secrets.all(), env = children, later = later }
  for index, page in pairs(fresh and pages or {}) do fresh:page(index, page) end
  return fresh, err
end

-- Sends the watchdog on its way, with the level that stands in and its built-in page; `later`: it is waited for by arming.ready.
local function begin(later)
  local first, err = levels_from_now(), nil
  local ok, why = pcall(prepare_pages, first)
  if not ok then
    error({ refused = "the escalation can't be armed: " .. (type(why) == "table" and why.usage or tostring(why)) }, 0)
  end
  for _, level in ipairs(run.generation > 1 and require("predecessor").end_own() or {}) do inherited[level] = run.id end
  handle, err = start_process(first, later)
  if not handle then error({ refused = "the watchdog can't be started: " .. err.message }, 0) end
  ready = not later
end

-- A run that is resumed has a watchdog, which holds every secret: it goes when the levels were tried in this process (arming.arm).
function arming.start(host)
  started, program, children = tasks.now(), host.program, child_environment(host)
  if run.generation == 1 then begin(true) end
end

-- Waits until the watchdog says that it is armed: before the script's first line.
function arming.ready()
  if not handle or ready then return end
  local err
  ready, err = handle:ready()
  if not ready then handle, err = start_process(levels_from_now()) end -- it was lost on the way
  ready = handle ~= nil
  if ready then return end
  error({ refused = "the watchdog can't be started: " .. err.message }, 0)
end

-- The levels that are still to come, to the second: nobody reads a clock to the millisecond.
local function describe()
  local parts, past = {}, {}
  for _, index in ipairs(handle:status().fired) do past[index] = true end
  for _, level in ipairs(levels_from_now()) do
    local left = duration.text(math.ceil(level.after))
    if not past[level.index] then parts[#parts + 1] = ("level %d in %s"):format(level.index, left) end
  end
  return #parts > 0 and table.concat(parts, ", ") or "every level has fired"
end

local function hand_over_secrets()
  for name, value in pairs(secrets.all()) do
    local ok, err = handle:secret(name, value)
    if not ok then return nil, err end
  end
  return true
end

-- Another in its place.
local function replace(levels)
  handle:kill()
  local err
  handle, err = start_process(levels)
  return handle ~= nil, err
end

-- Whether the watchdog answers: its levels are these from now on. That its process is there says nothing of one that was stopped.
local function answers(levels)
  local ok, err = handle:arm(levels)
  return ok or handle:status().alive and err.kind ~= "timeout", ok, err
end

-- Hands secrets and levels over; to another watchdog when this one was lost on the way.
local function hand_over()
  local ok, err = hand_over_secrets()
  local heard = ok
  if ok then heard, ok, err = answers(levels_from_now()) end
  if heard or (handle:status().alive and err.kind ~= "timeout") then return ok, err end
  return replace(levels_from_now())
end

----------------------------------------------- What the watchdog has done --

local taken = {} -- "fired 1", "delivered 1", …: what the run's journal has of it

local function first_time(word, level)
  local name = word .. " " .. level
  if taken[name] then return false end
  taken[name] = true
  return true
end

local function fired(level, why)
  if run.levels[level] then run.levels[level].fired = true end
  if first_time("fired", level) then journal.event("escalation.fired", { level = level, why = why }) end
end

local function delivered(level, by)
  if not first_time("delivered", level) then return end
  local told = by ~= "built-in" and require("outbox").told() or nil
  journal.event("escalation.delivered", { level = level, by = by, told = told and json.list(told),
                                          says = require("delivery").says(told, by) })
end

-- Whether a level's page was taken, and everybody else was tried: one who is busy for hours doesn't make it untold.
local function paged_by(level)
  local state = require("outbox").state()
  return state.unanswered == 0 and state.paged_keys[backends.page_key(level)]
end

-- Somebody else has it in hand, for a while or for good: whoever sits at the screen must know.
local function put_off(seconds)
  if run.elapsed() + seconds < (run.put_off_until or 0) + 1 then return end
  local word = require("taken").put_off(require("taken").words(run.path))
  if not word or not first_time("put off", word.name) then return end
  run.put_off_until = run.elapsed() + seconds
  journal.event("escalation.put_off", { ["until"] = require("raw.text").time_text(word.ends), by = word.by,
    text = ("%s has it in hand: no level fires before %s"):format(word.by, require("taken").clock(word.ends)) })
end

local stops = { ack = "acknowledged: no later level fires", abort = "somebody said that the incident is over",
                pager = "acknowledged in the pager: no later level fires", recovered = "the goal held when a level was due",
                continued = "a later run of this incident goes on with its clock" }

-- "acknowledged in the pager by Ada": who it was their process was told.
local function taken_in_pager()
  local text = require("raw.files").read { path = run.path .. "/escalation/taken.json", max = 1 << 16 }
  local it = text and json.decode(text.text)
  return type(it) == "table" and ("%s in the pager by %s: no later level fires"):format(it.status, it.by) or stops.pager
end

local function stopped(why)
  if settling or not stops[why] or not first_time("stopped", why) then return end
  run.escalation_at = nil
  journal.event("escalation.stopped", { why = why, text = why == "pager" and taken_in_pager() or stops[why] })
end

-- Its doings become events of the run while it goes on: whoever sits at the screen must not believe that there is time left.
local function take_in()
  local status = handle:status()
  if status.put_off then put_off(status.put_off) end
  if status.stopped then stopped(status.stopped) end
  for _, level in ipairs(status.fired) do fired(level) end
  for _, level in ipairs(status.failed) do
    if first_time("failed", level) then journal.event("escalation.failed", { level = level }) end
  end
  for _, level in ipairs(status.delivered) do delivered(level, status.by[level]) end
  for _, level in ipairs(status.fired) do
    if not taken["delivered " .. level] and paged_by(level) then delivered(level, "script") end
  end
  return status
end

-- A watchdog that was killed or is stuck is replaced, with what it had not delivered.
local function revive()
  local delivered, left = {}, {}
  for _, index in ipairs(handle:status().delivered) do delivered[index] = true end
  for _, level in ipairs(levels_from_now()) do if not delivered[level.index] then left[#left + 1] = level end end
  handle:kill()
  local fresh, err = start_process(left)
  if not fresh then return journal.news("watchdog.gone", { why = err.message }) end
  handle = fresh
  journal.event("escalation.armed", { levels = left, text = "the watchdog was gone and is back: " .. describe() }, true)
end

-- It must be at work: that its process is there says nothing of one that was stopped.
local function look_after()
  local status = take_in()
  if not status.alive or status.stuck then revive() end
end

local function guard()
  while handle do
    tasks.sleep(GUARD_SECONDS)
    if handle then look_after() end
  end
end

----------------------------------------------------------- At the first act --

-- An unfinished run of the same incident: this one goes on with its clock. What it has told people counts as told.
local function take_over()
  if run.options.alongside or not handle then return "" end
  local words = {}
  for _, it in ipairs(require("predecessor").find(require("lock").about())) do
    if it.same and require("predecessor").tell(it) then
      require("predecessor").inherit_put_off(it)
      require("predecessor").tell_report(it)
      run.count_from(math.min(run.alert_wall, it.manifest.alert_wall or run.alert_wall))
      for level, id in pairs(it.manifest.carried_out or {}) do inherited[tonumber(level)] = id end
      for _, level in ipairs(it.fired) do inherited[level] = it.id end
      local gone = not it.watched and "its watchdog is gone" or nil
      journal.event("run.continues", { run = it.id, alert_began = require("raw.text").time_text(run.alert_wall), why = gone,
                                       told = #it.fired > 0 and json.list(it.fired) or nil })
      words[#words + 1] = ("; takes over the clock of run %s, unfinished%s"):format(it.id, gone and ": " .. gone or "")
    elseif not it.same then
      words[#words + 1] = ("; run %s, with other parameters, is armed too (runbook abort %s when it is over)"):format(it.id, it.id)
    end
  end
  return table.concat(words)
end

-- For the next run that takes over: level → the run that has carried it out.
local function carried_out()
  local map = {}
  for level, id in pairs(inherited) do map[tostring(level)] = id end
  return next(map) and map
end

-- Their process tries the levels, as the watchdog will start it; raises why they can't be armed.
local function rehearse_there()
  local limit, ask = tasks.now() + REHEARSAL_SECONDS, tasks.now() + ASK_SECONDS
  handle:rehearse()
  local status = handle:status()
  while not status.rehearsal and status.alive and tasks.now() < limit do
    tasks.sleep(0.005)
    if tasks.now() >= ask then
      if not answers(guard_level()) and replace(guard_level()) then handle:rehearse() end
      ask = tasks.now() + ASK_SECONDS
    end
    if not handle then error({ refused = "the watchdog was lost, and no other can be started" }, 0) end
    status = handle:status()
  end
  if status.rehearsal == 0 or not status.alive then return end -- one that was lost is started again
  local why = require("raw.files").read { path = run.path .. "/escalation/rehearsal.failed", max = 1 << 16 }
  error({ refused = why and why.text or status.rehearsal and ("its process ended with exit code %d"):format(status.rehearsal)
    or ("its rehearsal took longer than %d s"):format(REHEARSAL_SECONDS) }, 0)
end

-- Whatever a level may come to need of them is at hand.
local function fetch_all_secrets()
  for _, step in ipairs { "page", "notify", "incident" } do pcall(backends.of, step) end
end

-- At the first effect: the script's levels are known, rehearsed and handed over.
-- `keep_sources` writes down what their process runs from: after the rehearsal, which may be the first to load a module.
function arming.arm(keep_sources)
  escalation.add_default(run.config.escalate_after)
  for index in ipairs(run.levels) do escalation.rehearse(index) end
  if run.generation > 1 then begin() end
  local taken_over = take_over()
  keep_sources(carried_out())
  armed = true
  if handle then
    fetch_all_secrets()
    prepare_pages(levels_from_now())
    local ok, err = hand_over_secrets()
    if not ok then ok, err = replace(guard_level()) end -- it was lost meanwhile; one that is started has them all
    if ok then
      rehearse_there()
      ok, err = hand_over()
    end
    if not ok then error({ refused = "the escalation can't be armed: " .. err.message }, 0) end
  end
  if handle then tasks.spawn(guard) end
  run.escalation_at = run.levels[1].after
  local text = describe() .. taken_over .. backends.warning() .. require("way_out").warning()
  journal.event("escalation.armed", { levels = levels_from_now(), text = text }, true)
end

------------------------------------------------------------- The run's end --

-- Looks until `condition()` gives something, for DELIVERY_SECONDS at most; a signal says that somebody won't wait. A watchdog
-- that is ended meanwhile is replaced once where its level, `fires`, is still to go out.
local function wait_for(condition, fires)
  local limit = tasks.now() + DELIVERY_SECONDS
  local found = condition()
  while not found and not tasks.hurried() and tasks.now() < limit do
    if not take_in().alive then
      if not fires then break end
      revive()
      handle:fire(fires)
      fires = nil
    end
    tasks.sleep(0.05)
    found = condition()
  end
  return found
end

-- What became of the page, in words that never call it done before the service took it.
local function wait_for_delivery(level)
  if not backends.can_page() then return "the page is NOT DELIVERED: no pager is configured" .. backends.contacts() end
  local outbox = require "outbox"
  local paged = wait_for(function() return #take_in().delivered > 0 or outbox.state().paged end, level)
  if paged then return "the on-call engineer was paged" end
  local tries = take_in().alive and " yet; the watchdog keeps trying" or ": the watchdog is gone"
  return "the page is NOT DELIVERED" .. tries .. backends.contacts()
end

-- Who was not told beside the page: what a service refused nobody tries again, what waits is the watchdog's.
local function not_told()
  local outbox, lines = require "outbox", {}
  wait_for(function() return outbox.state().unanswered == 0 end)
  local state = outbox.state()
  for _, text in ipairs(state.refused) do lines[#lines + 1] = "NOT TOLD: " .. text end
  for _, text in ipairs(state.open) do lines[#lines + 1] = "NOT YET TOLD, the watchdog keeps trying: " .. text end
  return lines
end

local function end_in_words(state)
  local lines = {}
  if state.resolves > 0 then
    lines[1] = "the page is resolved too: " .. (state.waiting == 0 and "done" or "NOT DONE yet; the watchdog keeps trying")
  else
    lines[1] = "nobody had been paged yet: nothing goes out any more"
  end
  if #state.told > 0 then lines[#lines + 1] = "told that it is over: " .. table.concat(state.told, ", ") end
  for _, text in ipairs(state.late) do lines[#lines + 1] = "not yet told that it is over: " .. text end
  return lines
end

-- Nothing fires any more; whether the watchdog heard it. One that doesn't is ended: it must not page when somebody lets it go on.
local function stop(why)
  handle:stop(why)
  local limit, status = tasks.now() + STOP_SECONDS, handle:status()
  while status.alive and not status.stopped and tasks.now() < limit do
    tasks.sleep(0.01)
    status = handle:status()
  end
  if status.alive and not status.stopped then handle:kill() end
  return status.stopped ~= nil
end

-- A resolved end: whoever was told hears it, in the order of one queue, which is the watchdog's.
local function end_resolved(it, fired)
  local outbox = require "outbox"
  local keys = {}
  for i, level in ipairs(fired) do keys[i] = backends.page_key(level) end
  for level, id in pairs(inherited) do keys[#keys + 1] = backends.page_key(level, id) end
  local state = outbox.state()
  local anything = #keys > 0 or #state.told > 0 or state.tried or state.waiting > 0
  local written = anything and outbox.end_it { text = require("delivery").over(it), keys = keys }
  local stopped_there = stop "resolved"
  if not anything then return { "escalation stopped: resolved" } end
  if not written or not stopped_there then
    outbox.resolve_now(keys)
    return { "the page was resolved without " .. (written and "the watchdog, which does not answer" or
      "the outbox, which can't be written") }
  end
  handle:deliver()
  wait_for(function() return outbox.state().waiting == 0 end)
  return end_in_words(outbox.state())
end

-- A resolved run asks about what it put up: meanwhile nobody is paged, for `seconds` at most.
function arming.put_off(seconds)
  if not handle then return end
  local levels = levels_from_now()
  for _, level in ipairs(levels) do level.after = math.max(level.after, seconds) end
  if handle:arm(levels) then run.escalation_at = nil end
end

-- Something waits in the outbox: from here on the watchdog tries it.
function arming.retry() if handle then handle:deliver() end end

-- The levels wait although the run ended badly: who has it in hand is not paged before the time that was asked for.
local function put_off_in_words()
  local word = require("taken").put_off(require("taken").words(run.path))
  local who = word and ("%s has it in hand until %s"):format(word.by, require("taken").clock(word.ends)) or "it was put off"
  return { ("nobody is paged yet: %s, then level %d goes out"):format(who, levels_from_now()[1].index),
           ("  runbook ack %s     I own it: no level fires"):format(run.id) }
end

-- After these ends nobody is to be paged: levels that are due are not armed anew.
local is_over = { resolved = true, usage = true, refused = true }

-- From here on nobody looks after the watchdog: one that does not answer is replaced now.
local function look_a_last_time(it)
  take_in()
  if is_over[it.outcome] or it.unloaded then return end
  if not handle:status().alive or not answers(levels_from_now()) then revive() end
end

-- Tells the watchdog how it ended; lines for the operator.
local function settle(it)
  local status = take_in()
  settling = true
  if it.outcome == "resolved" then
    return end_resolved(it, status.fired)
  end
  if it.unloaded and require("screen").is_attended() then
    stop "abort"
    return { "nobody was paged: the runbook does not load, and somebody sits at this terminal" }
  end
  if it.outcome == "unresolved" or it.outcome == "failed" or it.pages then
    if #status.delivered > 0 then return { "the on-call engineer was paged earlier" } end
    local first = status.fired[1]
    if not first then
      if next(inherited) then return { "the on-call engineer was paged earlier, by run " .. select(2, next(inherited)) } end
      first = levels_from_now()[1].index
      handle:fire(first)
      if put_off_left() > 0 then return put_off_in_words() end
      fired(first, it.outcome)
    end
    local line = wait_for_delivery(first)
    return { line, table.unpack(not_told()) }
  end
  if it.outcome == "usage" or it.outcome == "refused" then
    stop "abort"
    return {}
  end
  return { ("the incident is not over: escalation (%s) stays armed"):format(describe()),
           ("  runbook resume %s  go on where it stopped"):format(run.id),
           ("  runbook ack %s     I own it: no later level fires"):format(run.id),
           ("  runbook abort %s   it is over"):format(run.id) }
end

function arming.settle(it)
  local ok, why = pcall(arming.ready) -- a script that can't be loaded ends before it was waited for
  if not ok then return { why.refused } end
  if not handle then return {} end
  look_a_last_time(it)
  local lines = settle(it)
  take_in()
  handle:deliver()
  handle:detach()
  handle = nil
  return lines
end

return arming
