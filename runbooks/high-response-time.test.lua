-- High Response Time, rehearsed.

local fast = { ok = true, status = 200, ms = { dns = 1, connect = 2, tls = 10, first_byte = 40, total = 55 } }
local slow = { ok = true, status = 200, takes = "1.2s", ms = { dns = 1, connect = 2, tls = 10, first_byte = 1200, total = 1215 } }

world {
  ["kubectl.get deployment *"] = { state = "absent", place = "conduit @ prod" },
  ["http.get *"] = slow,
  ["docker.inspect *"] = { image = "conduit-api:1" },
  ["docker.ps"] = { containers = { { name = "conduit-api", image = "conduit-api:1" } } },
  ["docker.exec * cat *cpu.stat"] = { stdout = "usage_usec 5\nnr_periods 100\nnr_throttled 0\n" },
  ["sql.activity *"] = { total = 20, max_connections = 100, used_percent = 20.0, waiting = 0 },
  ["sql.value * to_regclass*"] = { value = true },
}

scenario "false alarm" {
  given  = { ["http.get *"] = fast },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "a statement is stuck" {
  given   = { ["sql.rows * query_start *"] = { rows = { { pid = 99, application = "report", seconds = 700, waits_for = "Lock",
                                                         query = "UPDATE orders" } } } },
  answers = { ["End the stuck statements"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate * pids=99"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "End the stuck statements", does = { "sql.terminate * pids=99" }, pages = 0 },
}

scenario "the pool is short: its own runbook goes on" {
  given   = { ["sql.activity *"] = { total = 95, max_connections = 100, used_percent = 95.0, idle = 85, active = 5, waiting = 0 } },
  answers = { ["End idle sessions"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate_idle *"] = {
              ["sql.activity *"] = { total = 10, max_connections = 100, used_percent = 10.0, idle = 5 },
              ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "End idle sessions", does = { "sql.terminate_idle *" }, pages = 0 },
}

scenario "Redis is full: its own runbook goes on" {
  given   = { ["redis.info * memory"] = { used_percent = 97, used_memory = 970000000, maxmemory = 1000000000,
                                          maxmemory_policy = "noeviction", mem_fragmentation_ratio = 1.1, mem_clients_normal = 0 },
              ["redis.info * stats"] = { evicted_keys = 0, keyspace_hits = 1, keyspace_misses = 1 },
              ["redis.command * SCAN *"] = { value = { "0", {} } } },
  answers = { ["Clear the Redis cache"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * FLUSHDB"] = { ["redis.info * memory"] = { used_percent = 1, maxmemory_policy = "noeviction",
                                                                           maxmemory = 1000000000 }, ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Clear the Redis cache", does = { "redis.command * FLUSHDB" }, pages = 0 },
}

scenario "the planner is wrong" {
  given   = { ["sql.rows * n_mod_since_analyze *"] = {
              rows = { { name = "orders", rows = 100000, changed = 90000, scans = 12 } } } },
  answers = { ["Tell the planner about the tables"] = "yes", ["*"] = "no" },
  after   = { ["sql.execute * ANALYZE"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Tell the planner about the tables", does = { "sql.execute * ANALYZE" } },
}

scenario "the CPU limit holds it up" {
  given   = { ["docker.exec * cat *cpu.stat"] = { { stdout = "nr_periods 100\nnr_throttled 0\n" },
                                                                { stdout = "nr_periods 200\nnr_throttled 80\n" } } },
  answers = { ["Scale horizontally"] = "yes", ["*"] = "no" },
  after   = { ["compose.scale *"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Scale horizontally", does = { "compose.scale *" } },
}

scenario "the API itself is slow" {
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["docker.restart *"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Restart the API service", does = { "docker.restart conduit-api" } },
}

scenario "the CPU limit holds the pods up" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get pods *"] = { items = { { name = "conduit-api-1", ready = false },
                                                   { name = "conduit-api-2", ready = true } } },
              ["kubectl.exec conduit-api-2 cat *cpu.stat"] = { { stdout = "nr_periods 100\nnr_throttled 0\n" },
                                                                { stdout = "nr_periods 200\nnr_throttled 80\n" } } },
  answers = { ["Scale horizontally"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.scale *"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Scale horizontally", does = { "kubectl.scale deployment conduit-api 3" } },
}

scenario "a pod is busy" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.exec * cat *cpu.stat"] = { stdout = "nr_periods 0\nnr_throttled 0\n" },
              ["kubectl.top pods *"] = { items = { { name = "conduit-api-1", cpu = 0.2, memory_bytes = 1 << 27 },
                                                   { name = "conduit-api-2", cpu = 0.97, memory_bytes = 1 << 28 } } } },
  answers = { ["Scale horizontally"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.scale *"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", by = "Scale horizontally", does = { "kubectl.scale deployment conduit-api 3" } },
}

-- The API waits for somebody else: nothing here mends that but time.
scenario "an upstream is late" {
  params  = { upstreams = "https://models.example.com/status" },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "nobody answers" {
  answers = { ["*"] = "silence" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "it can't be measured" {
  given   = { ["http.get *"] = { error = { kind = "dns", message = "api.conduit.im does not resolve" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "the API itself is slow, on Kubernetes" {
  given   = { ["docker.inspect *"] = { state = "absent" },
              ["kubectl.get deployment *"] = { state = "present", place = "conduit @ prod" } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["http.get *"] = fast } },
  expect  = { outcome = "resolved", does = { "kubectl.rollout_restart deployment conduit-api" } },
}

scenario "nobody says where the API runs" {
  given   = { ["kubectl.get deployment *"] = { error = { kind = "unreachable", message = "the connection was refused" } } },
  answers = { ["*"] = "silence" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}
