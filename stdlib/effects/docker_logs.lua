-- docker.logs and docker.events: what a container said, what the engine did.
local blame = require "blame"
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local engine = require "effects.docker_engine"
local json = require "raw.json"
local scanned = require "effects.scanned"
local stream = require "effects.docker_stream"
local tasks = require "tasks"
local values = require "values"

-- Of a log, its newest bytes up to this many are kept.
local LOG_MAX = 1 << 20
-- Lines asked for unless the script says otherwise.
local TAIL = 100
-- Of events, the newest up to this many are kept, and the stream's newest bytes.
local EVENTS_MAX, EVENTS_BYTES = 1000, 1 << 20

local moment, check_moment = scanned.moment, scanned.check_since

local function stamp(value) return ("%.9f"):format(moment(value)) end

---------------------------------------------------------------------- Logs --

local function check_logs(call)
  scanned.check("docker.logs", call)
  engine.check_name("docker.logs", call.container)
  check_moment("docker.logs", "since", call.since)
  check_moment("docker.logs", "until", call["until"])
  local tail = call.tail
  if tail ~= nil and tail ~= "all" and (math.type(tail) ~= "integer" or tail < 0)
    and not values.is_placeholder(tail) then
    blame.raise("docker.logs: option 'tail': a number of lines or \"all\" expected, got %s",
      values.describe(tail))
  end
end

-- With `since` the span says how much, and what is looked for is looked for in all of it; else the last lines do.
local function tail_of(call) return call.tail or (call.since or scanned.is_wanted(call)) and "all" or TAIL end

local function logs_query(call)
  local both = call.stream == "both"
  return {
    stdout = both or call.stream == "stdout", stderr = both or call.stream == "stderr", tail = tail_of(call),
    since = call.since and stamp(call.since) or nil,
    ["until"] = call["until"] and stamp(call["until"]) or nil,
    timestamps = call.timestamps or nil,
  }
end

local function after_newline(text)
  local at = text:find("\n", 1, true)
  return at and text:sub(at + 1) or text
end

local function logs(call)
  local it = engine.open(call.timeout)
  local inspect, err = it:inspect(call.container)
  if err then return nil, err end
  if not inspect then return scanned.none(call, { ok = true, state = "absent", text = "", cut = false }) end
  local scan = scanned.is_wanted(call) and scanned.spec(call, { framed = not inspect.Config.Tty }) or nil
  local reply
  reply, err = it:request("GET", engine.path("/containers/%s/logs", inspect.Id), { query = logs_query(call),
                          max_body = LOG_MAX, keep = not scan and "tail" or nil, scan = scan })
  if not reply then return nil, err end
  if reply.status ~= 200 then return nil, engine.problem(reply) end
  if scan then
    local fields
    fields, err = scanned.fields(call, reply)
    if not fields then return nil, err end
    fields.ok, fields.state = true, inspect.State.Status or "unknown"
    return fields
  end
  local text = stream.read(reply, inspect.Config.Tty, true).both
  if reply.cut and inspect.Config.Tty then text = after_newline(text) end
  return { ok = true, state = inspect.State.Status or "unknown", text = text, cut = reply.cut or false }
end

catalogue.effect("docker.logs", {
  summary = "Reads what a container wrote to its standard streams, newest kept",
  class = "read",
  params = { { "container", "string", "Name or id" } },
  options = {
    tail = { "any", nil, "Lines from the end, or \"all\"; 100, with `since`, `match` and `count` all. The newest 1 MB is kept" },
    since = { "any", nil, "From there on: \"10m\" before now, or seconds since 1970" },
    ["until"] = { "any", nil, "Up to there" },
    stream = { "string", "both", "Which of its streams", one_of = { "both", "stdout", "stderr" } },
    timestamps = { "boolean", false, "Each line begins with its time" },
    match = scanned.options.match, count = scanned.options.count,
  },
  result = { text = "string: the lines, both streams as they came; nil with `count`",
             cut = "boolean: older lines were left out for size",
             lines = scanned.result.lines, matched = scanned.result.matched,
             state = "string: the container's; absent when there is none" },
  check = check_logs,
  run = logs,
  command = function(call)
    local words = docker_host.command("logs", "--tail", tostring(tail_of(call)))
    if call.since then words[#words + 1] = "--since=" .. tostring(call.since) end
    if call["until"] then words[#words + 1] = "--until=" .. tostring(call["until"]) end
    words[#words + 1] = call.container
    return scanned.command(call, words)
  end,
  place = docker_host.place,
  specimen = scanned.specimen { state = "running", text = "INFO listening on :80\n", cut = false },
  sum_up = function(fields)
    if fields.state == "absent" then return "there is no such container" end
    if fields.lines then return scanned.sum_up(fields) end
    local _, count = (fields.text or ""):gsub("\n", "")
    return ("%d lines%s"):format(count, fields.cut and ", older ones cut" or "")
  end,
})

-------------------------------------------------------------------- Events --

local function event_of(line)
  local event = json.decode(line)
  if type(event) ~= "table" or type(event.Actor) ~= "table" then return nil end
  local attributes = event.Actor.Attributes
  local nanoseconds = math.tointeger(event.timeNano)
  return { at = nanoseconds and nanoseconds / 1e9 or event.time, type = event.Type, action = event.Action,
           name = attributes.name, id = event.Actor.ID, image = attributes.image,
           exit_code = math.tointeger(tonumber(attributes.exitCode)), signal = attributes.signal }
end

local function read_events(reply)
  local body, list = reply.cut and after_newline(reply.body) or reply.body, {}
  for line in body:gmatch "[^\n]+" do list[#list + 1] = event_of(line) end
  local left_out = math.max(0, #list - EVENTS_MAX)
  local newest = table.move(list, left_out + 1, #list, 1, {})
  return { ok = true, events = newest, count = #newest, cut = reply.cut or left_out > 0 }
end

local function filters(call)
  local wanted = { type = call.type and { call.type } or nil,
                   container = call.container and { call.container } or nil }
  return next(wanted) and json.encode(wanted) or nil
end

local function events(call)
  local it = engine.open(call.timeout)
  -- Without an end in the past the stream would go on.
  local ends = math.min(moment(call["until"]), tasks.wall())
  local reply, err = it:request("GET", "/events", { max_body = EVENTS_BYTES, keep = "tail",
    query = { since = stamp(call.since), ["until"] = stamp(ends), filters = filters(call) } })
  if not reply then return nil, err end
  if reply.status ~= 200 then return nil, engine.problem(reply) end
  return read_events(reply)
end

catalogue.effect("docker.events", {
  summary = "Lists what the engine did to containers, images, networks and volumes in a span of time",
  class = "read",
  options = {
    since = { "any", "10m", "From there on: \"10m\" before now, or seconds since 1970" },
    ["until"] = { "any", "0s", "Up to there; never later than now" },
    container = { "string", nil, "Only this container's", what = true },
    type = { "string", nil, "Only of this type", what = true,
             one_of = { "container", "image", "volume", "network", "daemon" } },
  },
  result = { events = "list: each at type action name id image exit_code signal; the newest 1,000",
             count = "integer",
             cut = "boolean: older ones were left out" },
  check = function(call)
    check_moment("docker.events", "since", call.since)
    check_moment("docker.events", "until", call["until"])
    if call.container then engine.check_name("docker.events", call.container) end
  end,
  run = events,
  command = function(call)
    local words = docker_host.command("events", "--since", tostring(call.since), "--until",
      tostring(call["until"]))
    if call.container then words[#words + 1] = "--filter=container=" .. call.container end
    if call.type then words[#words + 1] = "--filter=type=" .. call.type end
    return words
  end,
  place = docker_host.place,
  specimen = { events = {}, count = 0, cut = false },
  sum_up = function(fields) return fields.count and ("%d events"):format(fields.count) end,
})
