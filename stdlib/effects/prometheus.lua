-- prometheus: questions to a Prometheus server, or whatever speaks its API (Thanos, Mimir, VictoriaMetrics).
local blame = require "blame"
local curl_words = require("effects.curl").words
local catalogue = require "catalogue"
local json = require "raw.json"
local foreign = require "foreign"
local outcome = require "outcome"
local rehearsal = require "rehearsal"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"
local way_out = require "way_out"

-- What we look with: when it doesn't answer, that is no finding about what it watches.
local NAME = "prometheus"

-- An answer takes this much memory at most, in bytes; of a longer one nothing is known: ask for less.
local ANSWER_MAX = 8 << 20
-- Characters of an answer that isn't Prometheus' that are told.
local SHOWN = 200
-- A range holds this many points of a series at most; Prometheus itself refuses more than 11,000.
local POINTS_MAX = 11000

local WARNINGS = "list: the server's own, nil without one"
local PARTIAL = "boolean: some stores did not answer, as VictoriaMetrics and Thanos say it: what they hold is missing"

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

-- What came instead of what a part of an answer should be, in words.
local function came(value)
  if value == nil then return "nothing" end
  if value == json.null then return "null" end
  return type(value) == "table" and (#value > 0 and "a list" or "an object") or "a " .. type(value)
end

-- The value, if it is of its type; else the look fails with what was expected and what came, and nothing is known.
local function expect(value, kind, name)
  if type(value) == kind then return value end
  error({ kind = NAME, message = ("it does not answer as Prometheus does: %s should be %s, and %s came"):format(name,
    kind == "table" and "a list or an object" or "a " .. kind, came(value)) }, 0)
end

-- Prometheus explains in JSON what is wrong with a question (400, 422), and that it was too busy for it (503).
local function explained(reply, answer)
  local text = type(answer) == "table" and type(answer.error) == "string" and answer.error or nil
  if reply.status == 401 then return outcome.failed("login", "Prometheus refused the login (HTTP 401)") end
  if reply.status == 403 then return outcome.failed("permission", "Prometheus refused it (HTTP 403)") end
  if text and (reply.status == 400 or reply.status == 422) then return outcome.failed("usage", "%s", text) end
  if reply.redirect_url then return outcome.failed(NAME, "HTTP %d: to %s", reply.status, reply.redirect_url) end
  if reply.status == 200 and not text then
    return outcome.failed(NAME, 'it does not answer as Prometheus does: status should be "success", and %s came',
      type(answer.status) == "string" and ("%q"):format(answer.status) or came(answer.status))
  end
  return outcome.failed(NAME, "HTTP %d%s", reply.status, text and ": " .. text or "")
end

-- The answer of a server, decoded; or nil and what a read returns instead, packed.
local function ask(call, path, parameters)
  local base = base_url(call)
  if not base then
    return nil, table.pack(outcome.failed("usage", "no address: give the option url, or prometheus.url in the config"))
  end
  local reply, err = way_out.request { url = base .. question(path, parameters), timeout = call.timeout,
    max_body = ANSWER_MAX, connect_to = rehearsal.routes() }
  if not reply then return nil, table.pack(nil, err) end
  if reply.cut then
    return nil, table.pack(outcome.failed("usage", "the answer is longer than %d bytes: ask for less", ANSWER_MAX))
  end
  local answer, why = json.decode(reply.body)
  if reply.status ~= 200 then return nil, table.pack(explained(reply, answer)) end
  if type(answer) ~= "table" then
    return nil, table.pack(outcome.failed(NAME, "it does not answer as Prometheus does: JSON expected, and %s came: %s",
      answer == nil and "other text" or came(answer), why or foreign.line(reply.body, SHOWN)))
  end
  if answer.status ~= "success" then return nil, table.pack(explained(reply, answer)) end
  return answer
end

-- Only notes on the expression: every other warning says that a store or a remote didn't answer.
local function is_note(warning) return type(warning) == "string" and warning:find "^PromQL " ~= nil end

-- The parts of an answer that came from a part of its stores only, as VictoriaMetrics and Thanos say it.
local function add_warnings(fields, answer)
  local warnings = type(answer.warnings) == "table" and answer.warnings or {}
  fields.warnings = #warnings > 0 and warnings or nil
  fields.partial = answer.isPartial == true
  for _, warning in ipairs(warnings) do fields.partial = fields.partial or not is_note(warning) end
  return fields
end

-- "1 firing", and that some of it may be missing.
local function with_partial(text, fields)
  if not text or not fields.partial then return text end
  local why = fields.warnings and foreign.line(tostring(fields.warnings[1]), SHOWN)
  return text .. ", of a part of the stores only" .. (why and ": " .. why or "")
end

-- A run function that asks `place(call)` and makes fields of the answer's data: `read(data, call)`. What it expects and
-- doesn't find is a failed look.
local function answered(place, read)
  return function(call)
    local answer, other = ask(call, place(call))
    if not answer then return table.unpack(other, 1, other.n) end
    local well, fields, err = pcall(function() return read(expect(answer.data, "table", "data"), call) end)
    if not well then
      if type(fields) == "table" and fields.kind == NAME then return nil, fields end
      error(fields, 0)
    end
    if not fields then return nil, err end
    return add_warnings(fields, answer)
  end
end

----------------------------------------------------------------- Numbers --

-- A number; nil for NaN and the infinities, which are no measurements: what compares with them is unknown, not false.
local function number(text)
  local value = tonumber(text)
  if not value or value ~= value or value == math.huge or value == -math.huge then return nil end
  return math.tointeger(value) or value
end

-- A pair of a time and a value, or of a time and a native histogram, which has a count and a sum and is no number.
local function point(pair, is_histogram)
  expect(pair, "table", "a sample")
  expect(pair[1], "number", "a sample's time")
  if is_histogram then
    local it = expect(pair[2], "table", "a histogram")
    return { at = pair[1], text = ("a histogram of %s, their sum %s"):format(it.count, it.sum) }
  end
  return { at = pair[1], value = number(expect(pair[2], "string", "a sample's value")), text = pair[2] }
end

local function labels_of(series)
  local metric = expect(series, "table", "a series").metric
  return metric ~= nil and expect(metric, "table", "metric") or {}
end

local function sample(series)
  local labels = labels_of(series)
  local it = series.histogram and point(series.histogram, true) or point(series.value)
  it.labels = labels
  return it
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
    value = "number: the first sample's; nil without samples, and for NaN, infinity, texts and native histograms",
    samples = "list: { labels, value, at, text }", count = "integer: samples",
    warnings = WARNINGS, partial = PARTIAL,
  },
  run = answered(instant, function(data)
    local kind, samples = data.resultType, {}
    if kind == "matrix" then
      return outcome.failed("usage",
        "the expression is a range, not a value now: use prometheus.range, or a function over it")
    end
    local result = expect(data.result, "table", "result")
    if kind == "scalar" or kind == "string" then
      samples[1] = point(result)
      samples[1].labels = {}
      if kind == "string" then samples[1].value = nil end
    elseif kind == "vector" then
      for i, series in ipairs(result) do samples[i] = sample(series) end
    else
      return outcome.failed(NAME, 'it does not answer as Prometheus does: resultType should be "vector", and %s came',
        type(kind) == "string" and ("%q"):format(kind) or came(kind))
    end
    return { samples = samples, count = #samples, value = samples[1] and samples[1].value }
  end),
  command = function(call) return curl(call, instant(call)) end,
  target = target,
  specimen = { value = 1, samples = { { labels = {}, value = 1, at = 0, text = "1" } }, count = 1 },
  sum_up = function(fields)
    local first = fields.samples and fields.samples[1]
    if not first then return with_partial("no samples", fields) end
    local more = fields.count > 1 and (" and %d more"):format(fields.count - 1) or ""
    return with_partial((next(first.labels) and labels_text(first.labels) .. " " or "") .. first.text .. more, fields)
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
  local plain = series.values or series.histograms and {}
  for i, pair in ipairs(expect(plain, "table", "values")) do list[i] = point(pair) end
  for _, pair in ipairs(series.histograms and expect(series.histograms, "table", "histograms") or {}) do
    list[#list + 1] = point(pair, true)
  end
  table.sort(list, function(one, other) return one.at < other.at end)
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
    series = "list: { labels, values }", count = "integer: series", warnings = WARNINGS, partial = PARTIAL,
    min = "number: of the first series", max = "number: of the first series", last = "number: of the first series",
  },
  check = function(call)
    if type(call.over) ~= "number" or type(call.step) ~= "number" then return end
    if call.step <= 0 or call.over / call.step > POINTS_MAX then
      blame.raise("prometheus.range: option 'step': at most %d values, over=%g s needs a step of %g s or more",
        POINTS_MAX, call.over, call.over / POINTS_MAX)
    end
  end,
  run = answered(range, function(data)
    local all, fields = {}, {}
    for i, series in ipairs(expect(data.result, "table", "result")) do
      all[i] = { labels = labels_of(series), values = values_of(series) }
    end
    fields.series, fields.count, fields.values = all, #all, all[1] and all[1].values or {}
    for _, point in ipairs(fields.values) do
      if point.value then
        fields.min = math.min(fields.min or point.value, point.value)
        fields.max = math.max(fields.max or point.value, point.value)
        fields.last = point.value
      end
    end
    return fields
  end),
  command = function(call) return curl(call, range(call)) end,
  target = target,
  specimen = { values = {}, series = {}, count = 0 },
  sum_up = function(fields)
    if not fields.last then return with_partial("no values", fields) end
    return with_partial(("%d values from %g to %g, the last %g"):format(#fields.values, fields.min, fields.max, fields.last),
      fields)
  end,
})

------------------------------------------------------------------- alerts --

local function alert_of(one)
  local labels = expect(one.labels, "table", "an alert's labels")
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
    firing = "integer: how many are firing", pending = "integer: how many are pending", warnings = WARNINGS, partial = PARTIAL,
  },
  run = answered(function() return "/api/v1/alerts", {} end, function(data, call)
    local found = { firing = {}, pending = {} }
    for _, one in ipairs(expect(data.alerts, "table", "alerts")) do
      local alert = alert_of(expect(one, "table", "an alert"))
      if found[alert.state] and (not call.name or alert.name == call.name) then
        table.insert(found[alert.state], alert)
      end
    end
    local firing, pending = #found.firing, #found.pending
    return { alerts = table.move(found.pending, 1, pending, firing + 1, found.firing),
             firing = firing, pending = pending }
  end),
  command = function(call) return curl(call, "/api/v1/alerts", {}) end,
  target = target,
  specimen = { alerts = {}, firing = 0, pending = 0 },
  sum_up = function(fields)
    return with_partial(fields.firing and ("%d firing, %d pending"):format(fields.firing, fields.pending), fields)
  end,
})

require("effects.prometheus_rules").add { name = NAME, answered = answered, expect = expect,
  with_partial = with_partial, warnings = WARNINGS, partial = PARTIAL, curl = curl, target = target, url_option = url_option }
