-- The diagnosis of runbooks/api-down.lua, all of it side by side: what bench/limit.c does by hand.
runbook { title = "Diagnosis", alert = "None", severity = "info", condition = "never", impact = "none" }

local p = params {
  base_url = { "http://127.0.0.1", "Public address of the API" },
  name     = { "conduit-api", "Container" },
  process  = { "ConduitLLM.Http", "Command line of the API process, a regular expression" },
  database = { "postgresql://conduit@localhost:5432/conduit", "PostgreSQL of the API" },
  redis    = { "redis://localhost:6379", "Redis of the API" },
  measure  = { true, "Measure the CPU of process and container, over 100 ms" },
  exec     = { true, "Run a program in the container" },
  only     = { "", "One probe by its name; empty: all of them" },
}

local probes = {}

for i, path in ipairs { "/health", "/health/ready", "/health/live" } do
  probes["health " .. i] = probe(path, function()
    check(path .. " answers", http.head(p.base_url .. path, { timeout = "5s" }))
  end)
end

probes.container = probe("Container", function()
  local c = docker.inspect(p.name)
  check("the container runs", c.state == "running", { fault = "stopped", detail = c.summary })
  for name, value in pairs(c.env) do if name:find "^CONDUIT" then note(name .. "=" .. value) end end
end)

probes.logs = probe("Logs", function()
  local log = docker.logs(p.name, { tail = 100 })
  check("its last 100 log lines hold no fatal error", not re.find(log.text, "(?i)fatal|unhandled exception"))
end)

probes.machine = probe("Machine", function()
  check("memory is below 90 %",     sysinfo.memory().used_percent < 90,         { fault = "memory_short" })
  check("every disk is below 99 %", sysinfo.disks().fullest.used_percent < 99,  { fault = "disk_full" })
end)

probes.process = probe("Process", function()
  if p.measure then
    check("the API uses less than 80 % of a CPU", sysinfo.process(p.process).cpu_percent < 80, { fault = "loaded" })
  else
    check("there are processes", sysinfo.processes({ top = 1 }).count > 1)
  end
end)

probes.database = probe("Database", function()
  if not check("PostgreSQL accepts connections", sql.ready(p.database), { fault = "down" }) then return end
  local used = sql.row(p.database, [[
    SELECT count(*) AS now, current_setting('max_connections')::int AS most FROM pg_stat_activity]]).row
  check("fewer than 90 % of the connections are taken", used.now < 0.9 * used.most, { fault = "pool_exhausted" })
end)

probes.cache = probe("Cache", function()
  if not check("Redis answers PING", redis.ping(p.redis), { fault = "down" }) then return end
  note(redis.info(p.redis, "server"))
  check("Redis memory is below 90 %", redis.info(p.redis, "memory").used_percent < 90, { fault = "full" })
end)

if p.measure then
  probes.use = probe("Use", function()
    check("the container uses less than 80 % of a CPU", docker.stats(p.name).cpu_percent < 80, { fault = "loaded" })
  end)
end

if p.exec then
  probes.settings = probe("Settings", function()
    local settings = docker.exec(p.name, { "cat", "appsettings.json" }, { reads = true })
    check("appsettings.json is valid", json.decode(settings.stdout) ~= nil, { fault = "misconfigured" })
  end)
end

local chosen = {}
for name, look in pairs(probes) do if p.only == "" or p.only == name then chosen[#chosen + 1] = look end end
together(chosen)
return resolved "looked at everything"
