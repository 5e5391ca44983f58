-- prometheus: questions to a Prometheus server, or whatever speaks its API (Thanos, Mimir, VictoriaMetrics).
local blame = require "blame"
local curl_words = require("effects.curl").words
local catalogue = require "catalogue"
local json = require "raw.json"
local outcome = require "outcome"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"

-- What we look with: when it doesn't answer, that is no finding about what it watches.
local NAME = "prometheus"

-- An answer takes this much memory at most, in bytes; of a longer one nothing is known: ask for less.
local ANSWER_MAX = 8 << 20
-- A range holds this many points of a series at most; Prometheus itself refuses more than 11,000.
local POINTS_MAX = 11000

local url_option = { "string", nil, "The server's address; unless given the config's prometheus.url",
  what = true, secret = true }

---------------------------------------------------------------- Requests --

local function encoded(text)
  return (text:gsub("[^%w_.~-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

local function base_url(call)
  local url = call.url or settings.prometheus.url
  return url and (values.reveal(url):gsub("/+$", ""))
end

-- path?name=value&…, without the server.
local function question(path, parameters)
  local parts = {}
  for i, pair in ipairs(parameters) do parts[i] = pair[1] .. "=" .. encoded(tostring(pair[2])) end
  return path .. (#parts > 0 and "?" .. table.concat(parts, "&") or "")
end

local function rehearsal_routes()
  local routes = {}
  for name, address in pairs(settings.hosts) do
    local host, port = address:match "^(.*):(%d+)$"
    routes[#routes + 1] = ("%s::%s:%s"):format(name, host or address, port or "")
  end
  return routes
end

-- Prometheus explains in JSON what is wrong with a question (400, 422), and that it was too busy for it (503).
local function explained(reply, answer)
  local text = type(answer) == "table" and answer.error or nil
  if reply.status == 401 then return outcome.failed("login", "Prometheus refused the login (HTTP 401)") end
  if reply.status == 403 then return outcome.failed("permission", "Prometheus refused it (HTTP 403)") end
  if text and (reply.status == 400 or reply.status == 422) then return outcome.failed("usage", "%s", text) end
  return outcome.failed(NAME, "HTTP %d%s", reply.status, text and ": " .. text or "")
end

-- The answer's `data` and its warnings; or nil and what a read returns instead, packed.
local function ask(call, path, parameters)
  local base = base_url(call)
  if not base then
    return nil, table.pack(outcome.failed("usage", "no address: give the option url, or prometheus.url in the config"))
  end
  local reply, err = require("raw.http").request { url = base .. question(path, parameters), timeout = call.timeout,
    max_body = ANSWER_MAX, connect_to = rehearsal_routes() }
  if not reply then return nil, table.pack(nil, err) end
  if reply.cut then
    return nil, table.pack(outcome.failed("usage", "the answer is longer than %d bytes: ask for less", ANSWER_MAX))
  end
  local answer = json.decode(reply.body)
  if reply.status ~= 200 then return nil, table.pack(explained(reply, answer)) end
  if type(answer) ~= "table" or answer.status ~= "success" or type(answer.data) ~= "table" then
    return nil, table.pack(outcome.failed(NAME, "it does not answer as Prometheus does"))
  end
  return answer.data, answer.warnings
end

----------------------------------------------------------------- Numbers --

-- A number; nil for NaN and the infinities, which are no measurements: what compares with them is unknown, not false.
local function number(text)
  local value = tonumber(text)
  if not value or value ~= value or value == math.huge or value == -math.huge then return nil end
  return math.tointeger(value) or value
end

local function sample(labels, pair)
  return { labels = labels or {}, at = pair[1], value = number(pair[2]), text = pair[2] }
end

local function curl(call, path, parameters)
  local url = call.url or settings.prometheus.url or "http://localhost:9090"
  if type(url) == "string" then url = url:gsub("/+$", "") end
  return curl_words { url = url .. question(path, parameters) }
end

local function target(call)
  local url = base_url(call)
  return url and (url:match "^%a+://[^/]*@([^/]+)" or url:match "^%a+://([^/]+)") or "prometheus"
end

local function labels_text(labels)
  local parts = {}
  for _, name in ipairs(values.keys(labels)) do parts[#parts + 1] = ("%s=%q"):format(name, labels[name]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

-------------------------------------------------------------------- query --

local function instant(call)
  local parameters = { { "query", call.expr } }
  if call.at then parameters[2] = { "time", call.at } end
  return "/api/v1/query", parameters
end

catalogue.effect("prometheus.query", {
  summary = "The value of an expression now",
  class = "read",
  instrument = NAME,
  params = { { "expr", "string", "The expression" } },
  options = { url = url_option, at = { "number", nil, "Its value then: seconds since 1970", what = true } },
  result = {
    value = "number: the first sample's; nil without samples, and for NaN and infinity",
    samples = "list: { labels, value, at, text }", count = "integer: samples", warnings = "list: Prometheus' own",
  },
  run = function(call)
    local data, other = ask(call, instant(call))
    if not data then return table.unpack(other, 1, other.n) end
    local kind, samples = data.resultType, {}
    if kind == "scalar" or kind == "string" then
      samples[1] = sample(nil, data.result)
    elseif kind == "vector" then
      for i, series in ipairs(data.result) do samples[i] = sample(series.metric, series.value or { 0, "NaN" }) end
    else
      return outcome.failed("usage",
        "the expression is a range, not a value now: use prometheus.range, or a function over it")
    end
    return { samples = samples, count = #samples, value = samples[1] and samples[1].value, warnings = other }
  end,
  command = function(call) return curl(call, instant(call)) end,
  target = target,
  specimen = { value = 1, samples = { { labels = {}, value = 1, at = 0, text = "1" } }, count = 1 },
  sum_up = function(fields)
    local first = fields.samples and fields.samples[1]
    if not first then return "no samples" end
    local more = fields.count > 1 and (" and %d more"):format(fields.count - 1) or ""
    return (next(first.labels) and labels_text(first.labels) .. " " or "") .. first.text .. more
  end,
})

-------------------------------------------------------------------- range --

local function range(call)
  local last = call.to or tasks.wall()
  return "/api/v1/query_range", { { "query", call.expr }, { "start", ("%.3f"):format(last - call.over) },
    { "end", ("%.3f"):format(last) }, { "step", ("%.3f"):format(call.step) } }
end

local function values_of(series)
  local list = {}
  for i, pair in ipairs(series.values or {}) do list[i] = { at = pair[1], value = number(pair[2]), text = pair[2] } end
  return list
end

catalogue.effect("prometheus.range", {
  summary = "The values of an expression over a time",
  class = "read",
  instrument = NAME,
  params = { { "expr", "string", "The expression" } },
  options = {
    url = url_option, over = { "duration", "1h", "How long a time", what = true },
    step = { "duration", "1m", ("Between two values; at most %d fit"):format(POINTS_MAX), what = true },
    to = { "number", nil, "Its end, seconds since 1970; unless given now", what = true },
  },
  result = {
    values = "list: { at, value, text } of the first series; empty without one",
    series = "list: { labels, values }", count = "integer: series", warnings = "list: Prometheus' own",
    min = "number: of the first series", max = "number: of the first series", last = "number: of the first series",
  },
  check = function(call)
    if type(call.over) ~= "number" or type(call.step) ~= "number" then return end
    if call.step <= 0 or call.over / call.step > POINTS_MAX then
      blame.raise("prometheus.range: option 'step': at most %d values, over=%g s needs a step of %g s or more",
        POINTS_MAX, call.over, call.over / POINTS_MAX)
    end
  end,
  run = function(call)
    local data, other = ask(call, range(call))
    if not data then return table.unpack(other, 1, other.n) end
    local all, fields = {}, { warnings = other }
    for i, series in ipairs(data.result) do all[i] = { labels = series.metric or {}, values = values_of(series) } end
    fields.series, fields.count, fields.values = all, #all, all[1] and all[1].values or {}
    for _, point in ipairs(fields.values) do
      if point.value then
        fields.min = math.min(fields.min or point.value, point.value)
        fields.max = math.max(fields.max or point.value, point.value)
        fields.last = point.value
      end
    end
    return fields
  end,
  command = function(call) return curl(call, range(call)) end,
  target = target,
  specimen = { values = {}, series = {}, count = 0 },
  sum_up = function(fields)
    if not fields.last then return "no values" end
    return ("%d values from %g to %g, the last %g"):format(#fields.values, fields.min, fields.max, fields.last)
  end,
})

------------------------------------------------------------------- alerts --

local function alert_of(one)
  local labels = one.labels or {}
  return { name = labels.alertname, state = one.state, severity = labels.severity, labels = labels,
           annotations = one.annotations or {}, since = one.activeAt, value = number(one.value) }
end

catalogue.effect("prometheus.alerts", {
  summary = "The alerts that are firing or pending",
  class = "read",
  instrument = NAME,
  params = { { "name", "string", "Only alerts of this name", optional = true } },
  options = { url = url_option },
  result = {
    alerts = "list: { name, state, severity, labels, annotations, since, value }, firing ones first",
    firing = "integer: how many are firing", pending = "integer: how many are pending",
  },
  run = function(call)
    local data, other = ask(call, "/api/v1/alerts", {})
    if not data then return table.unpack(other, 1, other.n) end
    local found = { firing = {}, pending = {} }
    for _, one in ipairs(data.alerts or {}) do
      local alert = alert_of(one)
      if found[alert.state] and (not call.name or alert.name == call.name) then
        table.insert(found[alert.state], alert)
      end
    end
    local firing, pending = #found.firing, #found.pending
    return { alerts = table.move(found.pending, 1, pending, firing + 1, found.firing),
             firing = firing, pending = pending }
  end,
  command = function(call) return curl(call, "/api/v1/alerts", {}) end,
  target = target,
  specimen = { alerts = {}, firing = 0, pending = 0 },
  sum_up = function(fields)
    return fields.firing and ("%d firing, %d pending"):format(fields.firing, fields.pending)
  end,
})

require("effects.prometheus_rules").add { name = NAME, ask = ask, curl = curl, target = target, url_option = url_option }
