-- What one command of Redis is meant to do, and what it would hit, by reads alone.
local duration = require "duration"
local redis_commands = require "effects.redis_commands"
local redis_server = require "effects.redis_server"

local redis_plan = {}

local function counted(count, word) return ("%d %s%s"):format(count, word, count == 1 and "" or "s") end

------------------------------------------------------------------ Meaning --

-- What a command is meant to do, told by its words alone.
local function meaning(words, place)
  local name, part = words[1]:upper(), (words[2] or ""):upper()
  if name == "FLUSHALL" then return "deletes every key of every database" end
  if name == "FLUSHDB" then return ("deletes every key of db %d"):format(place.db) end
  if (name == "DEL" or name == "UNLINK") and words[2] then return "deletes " .. table.concat(words, ", ", 2) end
  if name == "SET" and words[2] then return "sets " .. words[2] end
  if name == "CONFIG" and words[3] and part == "SET" then return "sets " .. words[3] end
  if name == "CLIENT" and words[3] and part == "PAUSE" then return ("holds clients up for %s ms"):format(words[3]) end
  return "runs " .. name
end

local function words_of(call)
  local words = {}
  for i, word in ipairs(call.words) do words[i] = tostring(word) end
  return words
end

function redis_plan.intends(call)
  local place = redis_server.place(call.url) or { name = tostring(redis_server.shown(call.url)), db = 0 }
  return ("%s on %s"):format(meaning(words_of(call), place), place.name)
end

------------------------------------------------------------ Circumstances --

local number = redis_server.number

local function is_cluster(info) return info.cluster_enabled == 1 or redis_server.mode(info) == "cluster" end

-- What the server doesn't tell is said to be unknown: none are something else.
local function circumstances(info)
  local clients, used, replicas = number(info, "connected_clients"), number(info, "used_memory"), number(info, "connected_slaves")
  local list = { clients and counted(clients, "client") or "clients unknown" }
  list[2] = info.role == "slave" and "replica" or info.role or "role unknown"
  if is_cluster(info) then list[#list + 1] = "one node of a cluster: its own keys alone" end
  if not replicas then list[#list + 1] = "replicas unknown" end
  if replicas and replicas > 0 then list[#list + 1] = counted(replicas, "replica") end
  list[#list + 1] = used and duration.size_text(used) .. " used" or "memory unknown"
  return table.concat(list, ", ")
end

-- What the server knows of a command: its flags; false when it has none of that name; nil when it doesn't say. COMMAND,
-- which it must know when it answers, shows that no other answer is taken for a no.
local function flags_of(ask, name)
  local known = ask { "COMMAND", "INFO", name, "COMMAND" }
  if type(known) ~= "table" or type(known[2]) ~= "table" then return nil end
  local flags = {}
  if type(known[1]) ~= "table" then return false end
  for _, flag in ipairs(type(known[1][3]) == "table" and known[1][3] or {}) do flags[flag] = true end
  return flags
end

-- Why the server can't carry a command out, by what it says of itself; nil when it can.
local function obstacle(flags, info, name, place)
  if redis_server.mode(info) == "sentinel" and not flags then
    return ("%s is a Sentinel and holds no data: it tells the master by SENTINEL GET-MASTER-ADDR-BY-NAME"):format(place.name)
  end
  if flags == false then
    return ("%s has no command %s: it is renamed or disabled there, or its version lacks it"):format(place.name, name:upper())
  end
  if flags and flags.write and info.role == "slave" and info.slave_read_only == 1 then
    return ("%s is a read-only replica of %s:%s: send it there"):format(place.name, info.master_host, info.master_port)
  end
end

--------------------------------------------------------------------- Keys --

-- Keys of all databases, from INFO's db0:keys=12,expires=0,…; nil when the server has no such section.
local function keys_of_all(info, text)
  local keys = text:find "# Keyspace" and 0 or nil
  for name, value in pairs(info) do
    if name:find "^db%d+$" then
      local count = tostring(value):match "keys=(%d+)"
      if not count then return nil end
      keys = (keys or 0) + tonumber(count)
    end
  end
  return keys
end

local removers = { DEL = true, UNLINK = true, GETDEL = true }

-- What a command takes away: how many keys, and of what; nil when that can't be told in keys.
local function losses(ask, words, place, info, text)
  local name = words[1]:upper()
  if name == "FLUSHALL" then return keys_of_all(info, text), "every database" end
  local question = name == "FLUSHDB" and { "DBSIZE" } or removers[name] and { "EXISTS", table.unpack(words, 2) }
  if not question then return nil end
  local keys, err = ask(question)
  return math.type(keys) == "integer" and keys or nil, ("db %d"):format(place.db), err
end

-- How much one that takes all keys takes is the point: what isn't known of it is not one key.
local takes_all = { FLUSHALL = true, FLUSHDB = true }

-- SET k v NX, SETNX, COPY without REPLACE: they leave what is there alone.
local function spares(words)
  local name = words[1]:upper()
  if name == "COPY" then return redis_commands.class(words) ~= "destructive" end
  for i = 4, name == "SET" and #words or 0 do
    if words[i]:upper() == "NX" then return true end
  end
  return name:find "NX$" ~= nil
end

-- The keys that a command would replace, as the server tells them by its own table (Redis 7), and whether all its keys are
-- here: the names of those that are there; nil and the error.
local function replaced(ask, words)
  local keys, names = ask { "COMMAND", "GETKEYSANDFLAGS", table.unpack(words) }, {}
  for _, it in ipairs(type(keys) == "table" and keys or {}) do
    local count, err = ask { "EXISTS", it[1] }
    if not count and redis_server.rules_out(err) then return nil, err end
    for _, flag in ipairs(count == 1 and not spares(words) and it[2] or {}) do
      if flag == "OW" then names[#names + 1] = it[1] end
    end
  end
  return names
end

local UNITS = { k = 1000, kb = 1 << 10, m = 1000000, mb = 1 << 20, g = 1000000000, gb = 1 << 30, b = 1, [""] = 1 }

-- What CONFIG SET of maxmemory takes away at once: what is above the new limit, unless the policy evicts nothing.
local function evicts(words, info)
  if words[1]:upper() ~= "CONFIG" or (words[2] or ""):upper() ~= "SET" then return nil end
  local limit, policy, used = number(info, "maxmemory"), info.maxmemory_policy, number(info, "used_memory")
  for i = 3, #words - 1, 2 do
    local name, value = words[i]:lower(), words[i + 1]:lower()
    if name == "maxmemory-policy" then policy = value end
    local number, unit = value:match "^(%d+)(%a*)$"
    if name == "maxmemory" and number and UNITS[unit] then limit = tonumber(number) * UNITS[unit] end
  end
  if not limit or limit == 0 or policy == "noeviction" or used and limit >= used then return nil end
  if not used then return "may evict keys at once: how much is used is unknown" end
  return ("evicts keys at once: %s are used, %s would be allowed"):format(duration.size_text(used), duration.size_text(limit))
end

------------------------------------------------------------------ Preview --

local function cannot(why) return { text = why, size = 0, impossible = why } end

local function text_of(call, keys, of, gone, place)
  if keys then return ("deletes %s of %s on %s"):format(counted(keys, "key"), of, place.name) end
  local there = #gone > 0 and ", and what is there under " .. table.concat(gone, ", ") .. " is replaced" or ""
  return redis_plan.intends(call) .. there
end

local function look(ask, call)
  local place, words = redis_server.place(call.url), words_of(call)
  local flags = flags_of(ask, words[1])
  local text, err = ask { "INFO" }
  local info = type(text) == "string" and redis_server.info(text) or {}
  local why = obstacle(flags, info, words[1], place)
  if why then return cannot(why) end
  if not text then return nil, err end
  local keys, of, problem = losses(ask, words, place, info, text)
  local gone = {}
  if not keys and not problem then gone, problem = replaced(ask, words) end
  if problem then
    why = redis_server.rules_out(problem)
    return why and cannot(why), problem
  end
  local evicted = evicts(words, info)
  if not keys and takes_all[words[1]:upper()] then
    return { text = ("%s: how many keys that are is unknown (%s)"):format(redis_plan.intends(call), circumstances(info)),
             size = math.huge, unknown = true }
  end
  return { size = keys or 1, loses = evicted ~= nil,
           text = ("%s (%s)%s"):format(text_of(call, keys, of, gone, place), circumstances(info),
             evicted and "; " .. evicted or "") }
end

function redis_plan.preview(call)
  local made, err = redis_server.with(call.url, call.timeout, function(ask) return look(ask, call) end)
  return made or { text = "radius unknown: " .. err.message, size = math.huge, unknown = true }
end

return redis_plan
