-- API Down, rehearsed: each scenario is a world and what the runbook must do in it.

local deployment = { state = "present", place = "conduit @ prod" }

world {
  ["http.head *"] = { ok = false, why = "connection refused" },
  ["docker.inspect *"] = { state = "running", summary = "running for 3 days", env = { CONDUIT_ENV = "production" } },
  ["docker.logs *"] = { text = "listening on :80\n" },
  ["docker.exec * cat appsettings.json"] = { stdout = '{"Logging":{"LogLevel":{"Default":"Warning"}}}', code = 0 },
  ["docker.exec * dotnet exec *"] = { stdout = "database: ok", code = 0 },
  ["kubectl.get deployment *"] = { state = "absent", summary = "there is no deployment conduit-api", place = "conduit @ prod" },
  ["kubectl.exec * cat appsettings.json"] = { stdout = '{"Logging":{"LogLevel":{"Default":"Warning"}}}', code = 0 },
  ["kubectl.exec * dotnet exec *"] = { stdout = "database: ok", code = 0 },
  ["kubectl.get nodes"] = { items = { { name = "node-1", object = { status = { conditions = {
                              { type = "Ready", status = "True" }, { type = "DiskPressure", status = "False" } } } } } } },
}

-- What `script/demo` shows: the API's container, new since forty minutes, was killed for memory; the restart brings it back.
scenario "demo" {
  given = {
    ["docker.inspect *"] = { state = "exited", summary = "exited (137) 5 minutes ago, out of memory", exit_code = 137,
                             oom_killed = true, env = { CONDUIT_ENV = "production" }, image = "conduit-api:2",
                             image_id = "sha256:" .. ("7f3c1a9be2d0"):rep(5) .. "4c81",
                             created_at = ago "40m", started_at = ago "40m" },
    ["docker.logs *"] = { text = "Fatal error. System.OutOfMemoryException\n" },
    ["docker.exec * cat appsettings.json"] = { error = { kind = "stopped", message = "conduit-api is not running" } },
    ["docker.exec * dotnet exec *"] = { error = { kind = "stopped", message = "conduit-api is not running" } },
    ["docker.restart *"] = { takes = "4s", radius = "restarts conduit-api (exited 5 minutes ago)" },
  },
  answers = { ["*"] = "yes" },
  after = { ["docker.restart conduit-api"] = { ["http.head *"] = { ok = true, status = 200, takes = "30ms" } } },
  expect = { outcome = "resolved", by = "Restart the API service", does = { "docker.restart conduit-api" }, pages = 0,
             within = "3m" },
}

scenario "false alarm" {
  given  = { ["http.head *"] = { ok = true, status = 200 } },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "the health check can't be made" {
  given   = { ["http.head *"] = { error = { kind = "dns", message = "api.conduit.im does not resolve" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {} },
}

scenario "Redis is full" {
  given   = { ["redis.info * memory"] = { used_percent = 97 } },
  answers = { ["Clear the Redis cache"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * FLUSHDB"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Clear the Redis cache", does = { "redis.command * FLUSHDB" },
              never = { "service.restart *" }, pages = 0, within = "5m" },
}

scenario "the pool is exhausted" {
  given   = { ["sql.activity *"] = { total = 95, slots = 97, used_percent = 97.9 } },
  answers = { ["Kill idle database connections"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate_idle *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Kill idle database connections", does = { "sql.terminate_idle *" }, pages = 0 },
}

scenario "the database can't be known" {
  given   = { ["sql.*"] = { error = { kind = "login", message = "password authentication failed" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {} },
}

local root, var = { mount = "/", used_percent = 40, inodes_used_percent = 3 }, { mount = "/var", used_percent = 97 }
local data = { mount = "/data", used_percent = 97 }

scenario "a disk is full" {
  given   = { ["sysinfo.disks *"] = { fullest = var, fewest_inodes = root, by_mount = { ["/"] = root, ["/var"] = var } } },
  answers = { ["Clear disk space"] = "yes", ["*"] = "no" },
  after   = { ["files.delete *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Clear disk space", does = { "docker.prune *", "files.delete *" } },
}

scenario "a disk is full that nothing here can free" {
  given   = { ["sysinfo.disks *"] = { fullest = data, fewest_inodes = root, by_mount = { ["/"] = root, ["/data"] = data } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {} },
}

scenario "the pool refuses everybody: the reserved slots are left" {
  params  = { database_admin = "postgresql://admin@localhost:5432/postgres" },
  given   = { ["sql.ready *"] = { full = true, login_refused = "sorry, too many clients already" } },
  answers = { ["Kill idle database connections"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate_idle postgresql://admin@*"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Kill idle database connections", does = { "sql.terminate_idle postgresql://admin@*" } },
}

scenario "HEAD is not served" {
  given  = { ["http.head *"] = { ok = false, status = 405, why = "HTTP 405" }, ["http.get *"] = { ok = true, status = 200 } },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "Redis is down" {
  given   = { ["redis.*"] = { why = "connection refused" } },
  answers = { ["Restart Redis"] = "yes", ["*"] = "no" },
  after   = { ["service.restart redis"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart Redis", does = { "service.restart redis" } },
}

scenario "the API is overloaded" {
  given   = { ["sysinfo.process *"] = { state = "running", cpu_percent = 98 } },
  answers = { ["Scale horizontally"] = "yes", ["*"] = "no" },
  after   = { ["compose.scale *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Scale horizontally", does = { "compose.scale *" } },
}

scenario "only debug logging is left" {
  answers = { ["Enable debug logging"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", does = { "docker.set_env *" }, pages = 1 },
}

scenario "the restart fails" {
  given   = { ["docker.restart *"] = { error = { kind = "failed", message = "no space left on device" } } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", pages = 1, never = { "service.restart *" } },
}

scenario "it comes back by itself while the operator thinks" {
  given   = { ["http.head */health"] = { { why = "connection refused" }, { why = "connection refused" },
                                        { ok = true, status = 200 } },
              ["http.head */health/*"] = { ok = true, status = 200 } },
  answers = { ["*"] = "silence" },
  expect  = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "nobody answers" {
  answers = { ["*"] = "silence" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "a probe hangs" {
  given   = { ["sql.ready *"] = { never = true } },
  answers = { ["Restart PostgreSQL"] = "yes", ["*"] = "no" },
  after   = { ["service.restart postgresql"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart PostgreSQL", does = { "service.restart postgresql" } },
}

-- The same on Kubernetes.

scenario "a pod crashes over and over" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.get pods selector=app=conduit-api"] = {
                ready = 0, total = 1, summary = "0 of 1 ready: conduit-api-7c9f (CrashLoopBackOff, 4 restarts)",
                not_ready = { { name = "conduit-api-7c9f", ready = false, phase = "Running", restarts = 4,
                                reason = "CrashLoopBackOff" } } },
              ["kubectl.logs conduit-api-7c9f previous=true"] = { text = "FATAL DATABASE_URL is not set\n" } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart the API service",
              does = { "kubectl.rollout_restart deployment conduit-api" }, never = { "docker.*" }, pages = 0 },
}

-- A restart would make the bad revision again, and the one before would be one further away.
local of_new = { metadata = { name = "conduit-api-2", labels = { ["pod-template-hash"] = "new" } } }
local bad_rollout = {
  ["kubectl.get deployment *"] = deployment,
  ["kubectl.get pods selector=app=conduit-api"] = {
    ready = 1, total = 2, summary = "1 of 2 ready: conduit-api-2 (ImagePullBackOff)",
    not_ready = { { name = "conduit-api-2", ready = false, reason = "ImagePullBackOff", object = of_new } } },
  ["kubectl.rollout_history *"] = { current = 7, revisions = {
    { revision = 6, at = ago "9d", images = { "conduit-api:1.4.2" }, hash = "old" },
    { revision = 7, at = ago "4m", images = { "conduit-api:9.9.9" }, hash = "new" } } },
}

scenario "a new revision fails" {
  params  = { platform = "kubernetes" },
  given   = bad_rollout,
  answers = { ["Roll back to the revision before"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_undo *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Roll back to the revision before", pages = 0,
              does = { "kubectl.rollout_undo deployment conduit-api" }, never = { "kubectl.rollout_restart *" } },
}

scenario "a new revision fails, and nobody wants it back" {
  params  = { platform = "kubernetes" },
  given   = bad_rollout,
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "the Service selects none of its pods" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.get pods selector=app=conduit-api"] = { ready = 2, total = 2 },
              ["kubectl.get service *"] = { state = "present", object = { spec = { selector = { app = "conduit-apx" } } } },
              ["kubectl.get endpoints *"] = { state = "present", object = { metadata = {} } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1, never = { "kubectl.rollout_restart *" } },
}

-- Newer clusters have EndpointSlices; one without a port that the Service leads to is reached by nobody.
scenario "the Service leads to a port of a name that no container has" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.get pods selector=app=conduit-api"] = { ready = 2, total = 2, items = { {
                name = "conduit-api-1", ready = true,
                object = { metadata = {}, spec = { containers = { { name = "api", ports = { { name = "web" } } } } } } } } },
              ["kubectl.get service *"] = { state = "present", object = { spec = { selector = { app = "conduit-api" },
                ports = { { name = "http", port = 80, targetPort = "http" } } } } },
              ["kubectl.get endpoints *"] = { state = "absent" },
              ["kubectl.get endpointslices *"] = { items = { { object = { ports = {}, endpoints = { { addresses = { "10.0.0.1" },
                conditions = { ready = true } } } } } } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1, never = { "kubectl.rollout_restart *" },
              told = { "which no container of its pods has" } },
}

scenario "the Service is reached by its EndpointSlices" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.get pods selector=app=conduit-api"] = { ready = 2, total = 2 },
              ["kubectl.get service *"] = { state = "present", object = { spec = { selector = { app = "conduit-api" },
                ports = { { name = "http", port = 80, targetPort = "http" } } } } },
              ["kubectl.get endpoints *"] = { error = { kind = "permission", message = "forbidden" } },
              ["kubectl.get endpointslices *"] = { items = { { object = { ports = { { name = "http" } }, endpoints = {
                { addresses = { "10.0.0.1" } }, { addresses = { "10.0.0.2" }, conditions = { ready = false } } } } } } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "every node is cordoned" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get nodes"] = { items = { { name = "node-1", ready = true, cordoned = true, conditions = {
                                          { type = "Ready", status = "True" } } } } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, told = { "nodes that take new pods" } },
}

scenario "somebody scaled it to 0" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = { state = "present", place = "conduit @ prod", object = { spec = { replicas = 0,
                selector = { matchLabels = { app = "conduit-api" } }, template = { spec = { containers = {} } } } } } },
  answers = { ["Scale up from 0"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.scale *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Scale up from 0", does = { "kubectl.scale deployment conduit-api 3" } },
}

scenario "nothing measures the pods" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.top *"] = { error = { kind = "kubectl", message = "error: Metrics API not available" } } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart the API service", does = { "kubectl.rollout_restart *" } },
}

scenario "the pods are overloaded" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.top pods *"] = { items = { { name = "conduit-api-1", cpu = 0.1, memory_bytes = 1 << 27 },
                                                   { name = "conduit-api-2", cpu = 0.98, memory_bytes = 1 << 27 } } } },
  answers = { ["Scale horizontally"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.scale *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Scale horizontally", does = { "kubectl.scale deployment conduit-api 3" } },
}

scenario "a node's disk is full" {
  params  = { platform = "kubernetes", machine = "node-1" },
  given   = { ["kubectl.get nodes"] = { items = { { name = "node-1", object = { status = { conditions = {
                                          { type = "DiskPressure", status = "True" } } } } } } } },
  answers = { ["Clear disk space"] = "yes", ["*"] = "no" },
  after   = { ["files.delete *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Clear disk space", does = { "files.delete * @node-1" }, never = { "docker.*" } },
}

-- PostgreSQL and Redis stand on machines of their own, whatever the API runs on.
scenario "PostgreSQL is down beside the cluster" {
  params  = { platform = "kubernetes", database_on = "db", redis_on = "cache" },
  given   = { ["sql.ready *"] = { why = "connection refused", state = "silent" } },
  answers = { ["Restart PostgreSQL"] = "yes", ["*"] = "no" },
  after   = { ["service.restart postgresql @db"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart PostgreSQL", does = { "service.restart postgresql @db" } },
}

scenario "the pods exhaust the pool" {
  params  = { platform = "kubernetes", database_on = "db", redis_on = "cache" },
  given   = { ["sql.activity *"] = { total = 95, slots = 97, used_percent = 97.9 } },
  answers = { ["Kill idle database connections"] = "yes", ["*"] = "no" },
  after   = { ["sql.terminate_idle *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Kill idle database connections", does = { "sql.terminate_idle *" } },
}

scenario "Redis is down beside the cluster" {
  params  = { platform = "kubernetes", database_on = "db", redis_on = "cache" },
  given   = { ["redis.*"] = { why = "connection refused" } },
  answers = { ["Restart Redis"] = "yes", ["*"] = "no" },
  after   = { ["service.restart redis @cache"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Restart Redis", does = { "service.restart redis @cache" }, never = { "docker.*" } },
}

scenario "Redis is full beside the cluster" {
  params  = { platform = "kubernetes", database_on = "db", redis_on = "cache" },
  given   = { ["redis.info * memory"] = { used_percent = 97 } },
  answers = { ["Clear the Redis cache"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * FLUSHDB"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", by = "Clear the Redis cache", does = { "redis.command * FLUSHDB" } },
}

scenario "the rollout of a restart gets stuck" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get deployment *"] = deployment,
              ["kubectl.rollout_restart *"] = { error = { kind = "rollout", message = "restarted, but the rollout is stuck" } } },
  answers = { ["Restart the API service"] = "yes", ["Enable debug logging"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", pages = 1, never = { "kubectl.scale *" }, does = { "…", "kubectl.set_env *" } },
}

scenario "the cluster can't be reached" {
  params  = { platform = "kubernetes" },
  given   = { ["kubectl.get *"] = { error = { kind = "unreachable", message = "the connection was refused" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

-- Where it runs is found out, unless `platform` says so.

scenario "it runs in a deployment" {
  given   = { ["docker.inspect *"] = { state = "absent" }, ["kubectl.get deployment *"] = deployment },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", does = { "kubectl.rollout_restart deployment conduit-api" }, never = { "docker.*" } },
}

scenario "there is no engine, but a cluster" {
  given   = { ["docker.inspect *"] = { error = { kind = "missing", message = "there is no such socket" } },
              ["kubectl.get deployment *"] = { state = "absent", place = "conduit @ prod" } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", does = { "kubectl.rollout_restart deployment conduit-api" } },
}

scenario "there is no cluster, and no container" {
  given   = { ["docker.inspect *"] = { state = "absent" },
              ["kubectl.get deployment *"] = { error = { kind = "usage", message = "the kubeconfig names no cluster" } } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", does = { "docker.restart conduit-api" } },
}

scenario "it runs in both: the operator says which" {
  given   = { ["kubectl.get deployment *"] = deployment },
  answers = { ["Where does the API run?"] = "kubernetes", ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["kubectl.rollout_restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", does = { "kubectl.rollout_restart deployment conduit-api" } },
}

scenario "it runs in both, and nobody says which" {
  given   = { ["kubectl.get deployment *"] = deployment },
  answers = { ["Where does the API run?"] = "silence", ["*"] = "yes" },
  expect  = { outcome = "unresolved", does = {}, pages = 1, within = "6m" },
}

scenario "it is in neither: the operator says which" {
  given   = { ["docker.inspect *"] = { state = "absent" } },
  answers = { ["Where does the API run?"] = "docker", ["Restart the API service"] = "yes", ["*"] = "no" },
  expect  = { outcome = "unresolved", does = { "docker.restart conduit-api" } },
}

scenario "the cluster is out of reach: the container alone decides nothing" {
  given   = { ["kubectl.get deployment *"] = { error = { kind = "unreachable", message = "the connection was refused" } } },
  answers = { ["Where does the API run?"] = "silence", ["*"] = "yes" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "we may not look at containers: the operator says which" {
  given   = { ["docker.inspect *"] = { error = { kind = "permission", message = "permission denied" } } },
  answers = { ["Where does the API run?"] = "docker", ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["docker.restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", does = { "docker.restart conduit-api" } },
}

scenario "neither engine nor cluster can be looked at" {
  given   = { ["docker.inspect *"] = { error = { kind = "missing", message = "there is no such socket" } },
              ["kubectl.get deployment *"] = { error = { kind = "missing", message = "kubectl: no such program" } } },
  answers = { ["Where does the API run?"] = "silence", ["*"] = "yes" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

-- What changed is said before the medicine; it decides nothing.

scenario "an upgrade on db1 brought it down" {
  params  = { database_on = "db1" },
  given   = { ["sysinfo.packages @db1"] = { count = 1, packages = { { at = ago "3m", action = "upgrade", name = "postgresql-15",
                                            from = "15.17", to = "15.18" } } },
              ["service.changes @db1"] = { count = 1, changes = { { at = ago "2m", name = "postgresql.service", what = "state",
                                           type = "forking", state = "failed", sub = "failed", result = "exit-code" } } },
              ["sql.ready *"] = { why = "connection refused" } },
  answers = { ["Restart PostgreSQL"] = "yes", ["*"] = "no" },
  after   = { ["service.restart postgresql @db1"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", does = { "service.restart postgresql" }, pages = 0 },
}

scenario "what changed can't be known" {
  given   = { ["sysinfo.packages *"] = { error = { kind = "permission", message = "permission denied" } },
              ["service.changes *"] = { error = { kind = "unreachable", message = "no answer" } } },
  answers = { ["Restart the API service"] = "yes", ["*"] = "no" },
  after   = { ["docker.restart *"] = { ["http.head *"] = { ok = true, status = 200 } } },
  expect  = { outcome = "resolved", does = { "docker.restart conduit-api" } },
}
