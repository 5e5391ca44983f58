-- Redis Memory Usage, rehearsed.

local MB = 1 << 20

local function memory(used, more)
  local it = { used_percent = used, used_memory = used * 10 * MB, maxmemory = 1000 * MB, maxmemory_policy = "noeviction",
               mem_fragmentation_ratio = 1.1, mem_clients_normal = 2 * MB }
  for name, value in pairs(more or {}) do it[name] = value end
  return it
end

world {
  ["redis.info * memory"] = memory(95),
  ["redis.info * stats"] = { evicted_keys = 0, keyspace_hits = 900, keyspace_misses = 100 },
  ["redis.command * SCAN *"] = { value = { "0", { "session:1", "session:2" } } },
  ["redis.command * MEMORY USAGE *"] = { value = 200 },
  ["redis.command * TYPE *"] = { value = "string" },
  ["redis.command * TTL *"] = { value = 60 },
  ["redis.command * CLIENT LIST"] = { value = "id=3 addr=10.0.0.7:41000 laddr=x fd=8 name= omem=0 tot-mem=1928 cmd=get\n" },
  ["sysinfo.memory *"] = { used_percent = 92, available = 100 * MB },
}

scenario "false alarm" {
  given  = { ["redis.info * memory"] = memory(40) },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "Redis is down" {
  given  = { ["redis.*"] = { why = "connection refused" }, ["service.status redis*"] = { state = "failed" } },
  expect = { outcome = "unresolved", does = {}, pages = 1, says = "Redis does not answer*" },
}

scenario "a cache that evicts is full on purpose" {
  given   = { ["redis.info * memory"] = memory(99, { maxmemory_policy = "allkeys-lfu" }) },
  answers = { ["*"] = "no" },
  expect  = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "a client doesn't read" {
  given   = { ["redis.command * CLIENT LIST"] = { value = "id=3 addr=10.0.0.7:41000 laddr=x fd=8 omem=0 cmd=get\n"
                                                    .. "id=9 addr=10.0.0.9:5000 laddr=x fd=9 omem=400000000 cmd=subscribe\n" } },
  answers = { ["Disconnect the client that doesn't read"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * CLIENT KILL ID 9"] = { ["redis.info * memory"] = memory(50) } },
  expect  = { outcome = "resolved", does = { "redis.command * CLIENT KILL ID 9" } },
}

scenario "much is lost to fragments" {
  given   = { ["redis.info * memory"] = memory(95, { mem_fragmentation_ratio = 2.4 }) },
  answers = { ["Give fragments back"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * MEMORY PURGE"] = { ["redis.info * memory"] = memory(60) } },
  expect  = { outcome = "resolved", by = "Give fragments back", does = { "redis.command * MEMORY PURGE" } },
}

scenario "a few keys fill it" {
  given   = { ["redis.command * MEMORY USAGE session:2"] = { value = 700 * MB } },
  answers = { ["Drop the biggest keys"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * UNLINK session:2"] = { ["redis.info * memory"] = memory(25) } },
  expect  = { outcome = "resolved", by = "Drop the biggest keys", does = { "redis.command * UNLINK session:2" } },
}

scenario "the machine has memory to give" {
  given   = { ["sysinfo.memory *"] = { used_percent = 20, available = 30000 * MB } },
  answers = { ["Raise maxmemory by a quarter"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * CONFIG SET maxmemory 1310720000"] = { ["redis.info * memory"] = memory(76) } },
  expect  = { outcome = "resolved", by = "Raise maxmemory by a quarter",
              does = { "redis.command * CONFIG SET maxmemory 1310720000" } },
}

scenario "it never evicts" {
  answers = { ["Let Redis evict what was used least"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * CONFIG SET maxmemory-policy allkeys-lru"] = {
                ["redis.info * memory"] = memory(99, { maxmemory_policy = "allkeys-lru" }) } },
  expect  = { outcome = "resolved", by = "Let Redis evict what was used least", does = { "redis.command * CONFIG SET *" } },
}

scenario "only clearing helps" {
  answers = { ["Clear the Redis cache"] = "yes", ["*"] = "no" },
  after   = { ["redis.command * FLUSHDB"] = { ["redis.info * memory"] = memory(2) } },
  expect  = { outcome = "resolved", by = "Clear the Redis cache", does = { "redis.command * FLUSHDB" } },
}

scenario "it can't be known what fills it" {
  given   = { ["redis.command *"] = { error = { kind = "permission", message = "this user has no permissions to run it" } } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "nobody answers" {
  answers = { ["*"] = "silence" },
  expect  = { outcome = "unresolved", does = {}, pages = 1, says = "Redis is full, and nothing in this runbook makes room",
              told = { "*Redis*" } },
}

scenario "its memory can't be looked at" {
  given  = { ["redis.info * memory"] = { error = { kind = "permission", message = "this user has no permissions to run INFO" } } },
  expect = { outcome = "unresolved", does = {}, pages = 1, says = "whether Redis is full is not known*" },
}

scenario "what fills it is told to who is woken" {
  given   = { ["redis.info * memory"] = memory(95, { mem_clients_normal = 200 * MB }),
              ["redis.command * TTL *"] = { value = -1 } },
  answers = { ["*"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1,
              told = { "*clients' buffers 200 MB, should be < *", "*keys that never expire 2, should be <= 1*",
                       "*refuses writes: noeviction*", "*error Redis Memory Usage*" } },
}
