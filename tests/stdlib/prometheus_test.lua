-- Against a real server with the lab's rules that has scraped itself once:
-- luahost --stdlib stdlib tests/stdlib/prometheus_test.lua URL CLOSED_PORT
local catalogue = require "catalogue"
local result = require "result"
local settings = require "settings"
local values = require "values"
catalogue.family "prometheus"

local url, closed_port = ...

local function equal(found, expected, what)
  if found ~= expected then
    error(("%s: expected %s, got %s"):format(what or "", tostring(expected), tostring(found)), 2)
  end
end

local function has(text, part)
  assert(tostring(text):find(part, 1, true), ("%q does not hold %q"):format(tostring(text), part))
end

local function raises(part, f, ...)
  local ok, problem = pcall(f, ...)
  assert(not ok, "it should have raised: " .. part)
  has(problem, part)
end

local function entry(name) return catalogue.effects["prometheus." .. name] end

local function read(name, ...)
  local it = entry(name)
  local call = catalogue.call(it, ...)
  local fields, err = it.run(values.reveal_all(call))
  if not fields then fields, err = require("outcome").from_error(err, nil, it.instrument) end
  local status = not fields and "failed" or fields.ok == false and "not_well" or "ok"
  fields = fields or { ok = false, error = err }
  if fields.ok == nil then fields.ok = true end
  return result.new(it, catalogue.line(it, call), status, fields)
end

local tests = {}

function tests.query()
  local it = read("query", "vector(42.5)")
  equal(it.ok, true)
  equal(it.value, 42.5)
  equal(it.count, 1)
  equal(result.summary(it), "42.5")
  equal(read("query", "1 + 1").value, 2, "a scalar")
  local none = read("query", 'up{job="no such job"}')
  equal(none.ok, true)
  equal(none.value, nil)
  equal(#none.samples, 0)
  equal(result.summary(none), "no samples")
  local up = read("query", 'up{job="prometheus"}')
  equal(up.value, 1)
  equal(up.samples[1].labels.job, "prometheus")
  assert(up.samples[1].at > 1e9)
  local nan = read("query", "vector(0) / 0")
  equal(nan.value, nil, "NaN is no measurement")
  equal(nan.samples[1].text, "NaN")
  equal(read("query", "vector(1) / 0").value, nil)
  equal(read("query", "vector(7)", { at = 1000 }).samples[1].at, 1000)
end

function tests.wrong_questions()
  local it = read("query", "sum(")
  equal(result.status(it), "failed")
  equal(it.error.kind, "usage")
  has(it.error.message, "parse error")
  equal(read("query", "up[5m]").error.kind, "usage")
  equal(read("query", "up * on(job) group_left up").ok ~= nil, true)
end

function tests.range()
  local it = read("range", "vector(3)", { over = "5m", step = "1m" })
  assert(#it.values >= 5)
  equal(it.values[1].value, 3)
  equal(it.min, 3)
  equal(it.max, 3)
  equal(it.last, 3)
  equal(it.values[2].at - it.values[1].at, 60)
  equal(read("range", 'up{job="none"}').count, 0)
  equal(#read("range", 'up{job="none"}').values, 0)
  raises("at most 11000", catalogue.call, entry "range", "up", { over = "30d", step = "1s" })
end

function tests.rules()
  local all = read "rules"
  equal(all.ok, true)
  equal(all.unhealthy, 0)
  local one = read("rules", "APIDown")
  equal(one.count, 1)
  equal(one.rules[1].kind, "alerting")
  equal(one.rules[1].query, 'up{job="conduit-api"} == 0')
  equal(one.rules[1].labels.severity, "critical")
  equal(one.rules[1].group, "lab")
  equal(read("rules", "NoSuchRule").count, 0)
  assert(all.count >= 2)
  has(result.summary(all), "rules")
end

function tests.alerts()
  local it = read("alerts", "AlwaysFiring")
  equal(it.firing, 1)
  equal(it.alerts[1].state, "firing")
  equal(it.alerts[1].severity, "info")
  equal(it.alerts[1].value, 1)
  has(it.alerts[1].since, "T")
  equal(read("alerts", "None").firing, 0)
end

function tests.addresses()
  equal(read("query", "1", { url = "http://127.0.0.1:" .. closed_port }).error.kind, "prometheus")
  equal(read("rules", { url = "http://127.0.0.1:" .. closed_port }).error.kind, "prometheus")
  settings.prometheus.url = nil
  equal(read("query", "1").error.kind, "usage")
  settings.prometheus.url = url
  equal(read("query", "1", { url = url .. "/no/such/path" }).error.message, "HTTP 404")
  local call = catalogue.call(entry "query", 'up{job="a"}', { url = "http://me:hush@h:9090/" })
  equal(table.concat(entry("query").command(call), " "),
    "curl -sS -u me http://h:9090/api/v1/query?query=up%7Bjob%3D%22a%22%7D")
  equal(entry("query").target(call), "h:9090")
end

settings.prometheus.url = url
local names, failed = values.keys(tests), 0
for _, name in ipairs(names) do
  local ok, why = xpcall(tests[name], debug.traceback)
  print((ok and "ok " or "FAILED ") .. name .. (ok and "" or ": " .. tostring(why)))
  if not ok then failed = failed + 1 end
end
assert(failed == 0, "some tests failed")
