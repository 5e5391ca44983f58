-- Database Connection Pool Exhausted, rehearsed.

local full = { total = 95, max_connections = 100, slots = 97, used_percent = 95.0, active = 20, idle = 10, idle_in_transaction = 5 }
local roomy = { total = 30, max_connections = 100, slots = 97, used_percent = 30.0, active = 10, idle = 20 }

world {
  ["kubectl.get deployment *"] = { state = "absent", place = "conduit @ prod" },
  ["sql.activity *"] = full,
  ["docker.inspect *"] = { image = "conduit-api:1", env = { ConnectionStrings__Main = "Host=db;Maximum Pool Size=40" } },
  ["docker.ps"] = { containers = { { name = "conduit-api", image = "conduit-api:1" } } },
}

scenario "false alarm" {
  given  = { ["sql.activity *"] = roomy },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "the pool refuses everybody, and nobody may use the reserved slots" {
  given  = { ["sql.ready *"] = { full = true, login_refused = "sorry, too many clients already" } },
  expect = { outcome = "unresolved", does = {}, pages = 1, says = "PostgreSQL refuses every further session*" },
}

scenario "PostgreSQL is down" {
  given  = { ["sql.ready *"] = { why = "connection refused", state = "silent" } },
  expect = { outcome = "unresolved", does = {}, pages = 1, says = "PostgreSQL accepts no connection at all*" },
}

scenario "one session blocks the others" {
  given   = { ["sql.rows *pg_blocking_pids*"] = { rows = { { pid = 4711, application = "report", state = "idle in transaction",
                                                             blocked = 60, seconds = 900, query = "LOCK TABLE orders" } } } },
  answers = { ["End the sessions that block others"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate * pids=4711"] = { ["sql.activity *"] = roomy } },
  expect  = { outcome = "resolved", by = "End the sessions that block others", does = { "sql.terminate * pids=4711" } },
}

scenario "transactions were abandoned" {
  given   = { ["sql.rows *xact_start >*"] = { rows = { { pid = 7, application = "worker", state = "idle in transaction",
                                                         seconds = 4000, query = "UPDATE orders" } } } },
  answers = { ["End abandoned transactions"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate *"] = { ["sql.activity *"] = roomy } },
  expect  = { outcome = "resolved", by = "End abandoned transactions",
              does = { 'sql.terminate * older_than=5m state="idle in transaction"' } },
}

scenario "abandoned transactions come back" {
  given   = { ["sql.rows *xact_start >*"] = { rows = { { pid = 7, application = "worker", state = "idle in transaction",
                                                         seconds = 4000, query = "UPDATE orders" } } } },
  answers = { ["End abandoned transactions"] = "yes", ["Let PostgreSQL end abandoned transactions"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", does = { "sql.terminate *", "sql.execute * SET idle_in*" }, pages = 1 },
}

scenario "idle sessions fill it" {
  given   = { ["sql.activity *"] = { total = 95, max_connections = 100, slots = 97, used_percent = 95.0, idle = 85, active = 5 } },
  answers = { ["End idle sessions"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate_idle *"] = { ["sql.activity *"] = roomy } },
  expect  = { outcome = "resolved", by = "End idle sessions", does = { "sql.terminate_idle *" }, never = { "sql.terminate *" } },
}

scenario "a pool leaks" {
  given   = { ["sql.rows * AS held *"] = { rows = { { application = "conduit-api", address = "10.0.0.7", held = 88 } } } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["docker.restart *"] = { ["sql.activity *"] = roomy } },
  expect  = { outcome = "resolved", by = "Restart the API service", does = { "docker.restart conduit-api" } },
}

scenario "a pool of the deployment leaks" {
  params  = { platform = "kubernetes" },
  given   = { ["sql.rows * AS held *"] = { rows = { { application = "conduit-api", address = "10.0.0.7", held = 88 } } },
              ["kubectl.get pods *"] = { items = { { name = "conduit-api-7c9f", ready = true } } },
              ["kubectl.exec * cat appsettings.json"] = { stdout = '{"Db": "Host=db;MaxPoolSize=30"}' } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["sql.activity *"] = roomy } },
  expect  = { outcome = "resolved", by = "Restart the API service", does = { "kubectl.rollout_restart deployment conduit-api" } },
}

scenario "the pools don't fit, and nobody can mend that now" {
  given   = { ["docker.ps"] = { containers = { { name = "api-1", image = "conduit-api:1" },
                                               { name = "api-2", image = "conduit-api:1" },
                                               { name = "api-3", image = "conduit-api:1" } } } },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "the API's settings can't be known" {
  params  = { platform = "docker" },
  given   = { ["sql.rows * AS held *"] = { rows = { { application = "conduit-api", address = "10.0.0.7", held = 120 } } },
              ["docker.inspect *"] = { error = { kind = "permission", message = "no access to the socket" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "nobody answers" {
  given   = { ["sql.activity *"] = { total = 95, max_connections = 100, slots = 97, used_percent = 95.0, idle = 85, active = 5 } },
  answers = { ["*"] = "silence" },
  expect  = { outcome = "unresolved", does = {}, pages = 1,
              told = { "*critical Database*", "*Who holds the sessions: idle sessions 85*" },
              says = "sessions are still short, and nothing in this runbook frees more" },
}

scenario "it can't be known who holds them" {
  given   = { ["sql.activity *"] = { error = { kind = "permission", message = "permission denied" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}
