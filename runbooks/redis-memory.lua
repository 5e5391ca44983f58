-- Redis Memory Usage: the conduit API's Redis is nearly full.
--
--   runbook run redis-memory.lua --dry-run     what fills it; what would be done about it
--   runbook audit redis-memory.lua             would Redis have made room by itself?

runbook {
  title     = "Redis Memory Usage",
  alert     = "RedisMemory",
  severity  = "error",
  condition = "redis_memory_used_bytes / redis_memory_max_bytes > 0.8 for 5m",
  impact    = "Soon Redis refuses writes (OOM command not allowed), or drops what is still needed",
  related   = { "api-down", "high-response-time" },
}

local changes = require "lib.changes"
local gaps = require "lib.gaps"

local p = params {
  redis    = { "redis://localhost:6379", "The server, and the database that the cache is in" },
  redis_on = { "", "Machine Redis runs on, as the config names it; empty is this one" },
  most     = { 80, "So many percent of maxmemory are too many" },
  pages    = { 20, "Pages of about 100 keys that are walked in search of big ones" },
  measured = { 200, "So many of these keys are measured" },
  big      = { "10MB", "A key that takes more is too big", type = "size" },
  changed  = { "24h", "How far back to look for what changed", type = "duration" },
}

local function memory() return redis.info(p.redis, "memory") end

-- nil when the server doesn't tell.
local function evicts(info)
  if not info.maxmemory_policy or not info.maxmemory then return nil end
  return info.maxmemory_policy ~= "noeviction" and info.maxmemory > 0
end

local function when_full(info)
  local does = evicts(info)
  if does == nil then return nil end
  return does and "makes room" or "refuses writes"
end

-- A cache that evicts is full on purpose.
recovered("Redis has room, or makes it", { within = "30s", every = "2s" }, function()
  local m = memory()
  if not m.used_percent then return false end -- it tells no limit: nobody knows
  return m.used_percent < p.most or evicts(m) == true and m.maxmemory_policy:find "^allkeys" ~= nil
end)

escalation("15m", function(run)
  escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
end)

------------------------------------------------------------------ Diagnosis --

local function megabytes(bytes) return bytes and ("%.1f MB"):format(bytes / 2 ^ 20) or "unknown" end

local usage = probe("Memory", function()
  if not check("Redis answers PING", redis.ping(p.redis), { fault = "down" }) then
    return note(service.status("redis", { on = p.redis_on }))
  end
  local m = memory()
  check("Redis memory", m.used_percent, "<", p.most, { unit = "%", fault = "full", detail = megabytes(m.used_memory) })
  check("maxmemory", m.maxmemory, ">", 0, { unit = "B", fault = "unlimited" })
  check("what Redis does when it is full", when_full(m), "==", "makes room",
        { fault = "never_evicts", detail = evicts(m) == false and "refuses writes: " .. m.maxmemory_policy or nil })
  check("memory lost to fragments", m.used_memory < 2 ^ 26 and 1 or m.mem_fragmentation_ratio, "<", 1.5,
        { fault = "fragmented" })
  check("clients' buffers", m.mem_clients_normal, "<", math.max(1 << 24, m.used_memory // 10),
        { unit = "B", fault = "buffers_large" })
  note(("data %s, overhead %s, of it clients %s, replicas %s, backlog %s"):format(megabytes(m.used_memory_dataset),
       megabytes(m.used_memory_overhead), megabytes(m.mem_clients_normal), megabytes(m.mem_clients_slaves),
       megabytes(m.mem_replication_backlog)))
  return { policy = m.maxmemory_policy, limit = m.maxmemory }
end)

-- At most `pages` pages of SCAN; it never holds the others up.
local function some_keys()
  local keys, cursor = {}, "0"
  for _ = 1, p.pages do
    local page = redis.command(p.redis, "SCAN", cursor, "COUNT", "100").value
    cursor = tostring(page[1])
    table.move(page[2], 1, #page[2], #keys + 1, keys)
    if cursor == "0" then break end
  end
  return keys
end

-- One key: { key, bytes, type, expires }, or nil when it went meanwhile.
local function measure(key)
  local bytes = redis.command(p.redis, "MEMORY", "USAGE", key).value
  if not bytes then return nil end
  return { key = key, bytes = bytes, type = redis.command(p.redis, "TYPE", key).value,
           expires = redis.command(p.redis, "TTL", key).value ~= -1 }
end

-- Evenly out of `keys`, the biggest first.
local function measure_some(keys)
  local list = {}
  for i = 1, #keys, math.max(1, #keys // p.measured) do list[#list + 1] = measure(keys[i]) end
  table.sort(list, function(a, b) return a.bytes > b.bytes end)
  return list
end

-- The five groups that take most of what was measured.
local function note_groups(list, group_of)
  local groups, order, whole = {}, {}, 0
  for _, it in ipairs(list) do
    local name = group_of(it)
    if not groups[name] then
      groups[name] = { name = name, keys = 0, bytes = 0 }
      table.insert(order, groups[name])
    end
    local group = groups[name]
    group.keys, group.bytes, whole = group.keys + 1, group.bytes + it.bytes, whole + it.bytes
  end
  table.sort(order, function(a, b) return a.bytes > b.bytes end)
  for i = 1, math.min(#order, 5) do
    local it = order[i]
    note(("%s: %d keys, %s, %.0f %% of what was measured"):format(it.name, it.keys, megabytes(it.bytes),
         100 * it.bytes / whole))
  end
end

local contents = probe("Keys", function()
  local before = redis.info(p.redis, "stats")
  local list, lasting, big = measure_some(some_keys()), 0, {}
  for _, it in ipairs(list) do
    if not it.expires then lasting = lasting + 1 end
    if it.bytes > p.big then big[#big + 1] = it.key end
  end
  note_groups(list, function(it) return "type " .. it.type end)
  note_groups(list, function(it) return (it.key:match "^[^:]+:" or it.key) .. "*" end)
  for i = 1, math.min(#list, 5) do
    note(("%s (%s): %s"):format(list[i].key, list[i].type, megabytes(list[i].bytes)))
  end
  check(("keys of more than %s"):format(megabytes(p.big)), #big, "==", 0,
        { fault = "big_keys", detail = ("of %d measured"):format(#list) })
  check("keys that never expire", lasting, "<=", #list // 2, { fault = "lasting", detail = ("of %d measured"):format(#list) })
  local after = redis.info(p.redis, "stats")
  local evicted = after.evicted_keys and before.evicted_keys and after.evicted_keys - before.evicted_keys
  check("keys evicted while we looked", evicted, "==", 0, { fault = "evicting" })
  note(("%s hits, %s misses, %d evicted since the start"):format(after.keyspace_hits or "unknown",
       after.keyspace_misses or "unknown", after.evicted_keys))
  return { biggest = big }
end)

-- The client for which the most output is held back: it reads too slowly, or not at all.
local clients = probe("Clients", function()
  local slowest, held
  for _, line in ipairs(text.lines(redis.command(p.redis, "CLIENT", "LIST").value or "")) do
    local it = re.match(line, [[^id=(?<id>\d+) addr=(?<addr>\S+).* omem=(?<omem>\d+)]])
    local bytes = it and tonumber(it.omem)
    if bytes and bytes > (held or 0) then slowest, held = it, bytes end
  end
  check("held back for the slowest client", held or 0, "<", 1 << 24, { unit = "B", fault = "slow_reader",
        detail = slowest and "at " .. slowest.addr })
  return { reader = slowest and slowest.id }
end)

local machine = probe("Machine", function()
  local m = sysinfo.memory { on = p.redis_on }
  check("memory of the machine", m.used_percent, "<", 90, { unit = "%", fault = "memory_short" })
  return { available = m.available }
end)

local what_changed = changes.probe { within = p.changed, machines = { p.redis_on } }

----------------------------------------------------------------- Resolution --

local function set(name, value) redis.command(p.redis, "CONFIG", "SET", name, value) end

local disconnect = remedy("Disconnect the client that doesn't read", { risk = "medium" }, function(id)
  redis.command(p.redis, "CLIENT", "KILL", "ID", id)
end)

local purge = remedy("Give fragments back", { risk = "low", within = "0s" }, function()
  redis.command(p.redis, "MEMORY", "PURGE")
end)

-- Both cure: their undo is for one that breaks off. Until Redis is started again; what shall stay stands in redis.conf.
local raise_limit = remedy("Raise maxmemory by a quarter", { risk = "low",
  undo = function(limit) set("maxmemory", limit) end },
  function(limit) set("maxmemory", limit + limit // 4) end)

local drop_big = remedy("Drop the biggest keys", { risk = "high", warning = "what they hold is lost" }, function(keys)
  redis.command(p.redis, "UNLINK", table.unpack(keys, 1, math.min(#keys, 10)))
end)

local evict = remedy("Let Redis evict what was used least", { risk = "medium",
  warning = "keys that don't expire can go too: for a cache alone",
  undo = function(policy) set("maxmemory-policy", policy) end },
  function() set("maxmemory-policy", "allkeys-lru") end)

local clear = remedy("Clear the Redis cache", { risk = "high", warning = "all cached data is lost" }, function()
  redis.command(p.redis, "FLUSHDB")
end)

----------------------------------------------------------------- Prevention --

prevention("Redis makes room by itself", function()
  local m = memory()
  check("when it is full it", when_full(m), "==", "makes room", {
        detail = ("maxmemory %s, %s"):format(m.maxmemory or "unknown", m.maxmemory_policy or "policy unknown"),
        mend = "# redis.conf\nmaxmemory 1gb\nmaxmemory-policy allkeys-lru\n" })
end)

prevention("Somebody is warned before", function()
  check("an alert fires at 80 % of maxmemory", gaps.alerts_on "redis_memory_used_bytes", { mend = gaps.rule {
        group = "redis", alert = "RedisMemory",
        expr = "redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.8" } })
end)

--------------------------------------------------------------- The decision --

local now = usage()
if now.down then return unresolved "Redis does not answer: api-down.lua restarts it" end
if now.full == false then return resolved "false alarm: Redis has room" end
if now.full == nil then return unresolved "whether Redis is full is not known: nothing is cleared on a guess" end

local keys, readers, host = together(contents, clients, machine, what_changed)

if readers.slow_reader and readers.reader then disconnect(readers.reader) end
if now.fragmented                       then purge()                    end
if keys.big_keys and keys.biggest       then drop_big(keys.biggest)     end
if now.unlimited == false and host.memory_short == false and host.available > now.limit then
  raise_limit(now.limit)
end
if now.never_evicts                     then evict(now.policy)          end
clear()

return unresolved "Redis is full, and nothing in this runbook makes room"
