-- docker.read: a file out of a container, through the engine's archive endpoint: no shell and no program is needed in there,
-- and a container that has stopped is read too.
local blame = require "blame"
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local outcome = require "outcome"
local values = require "values"

-- Of a file so much is read at most, in bytes.
local READ_MAX = 1 << 20
-- Links that are followed from one to the next.
local LINKS_MAX = 10
-- Before the file's own bytes: its header, and one with its longer names and attributes.
local HEADERS_MAX = 64 << 10

local BLOCK = 512
-- What an entry of a tar is, by its letter; others only say more of the one that follows.
local kinds = { ["0"] = "file", ["\0"] = "file", ["7"] = "file", ["2"] = "link", ["3"] = "a device",
                ["4"] = "a device", ["5"] = "a folder", ["6"] = "a named pipe" }

-------------------------------------------------------------------- The tar --

-- "00000001750\0" or, for what is larger, the number itself after a byte with its highest bit set.
local function number_of(field)
  if field:byte(1) & 0x80 ~= 0 then return (">I8"):unpack(field, 5) end
  return tonumber(field:match "^[%s\0]*([0-7]+)" or "0", 8)
end

-- A record of an extended header: "27 linkpath=/a/longer/name\n".
local function linkpath(records) return records:match "%d+ linkpath=([^\n]*)\n" end

-- The first entry: { kind =, text = (as much as came), size =, target = }, or nil.
local function first_entry(tar)
  local at, target = 1, nil
  while at + BLOCK - 1 <= #tar do
    local size, letter = number_of(tar:sub(at + 124, at + 135)), tar:sub(at + 156, at + 156)
    local text = tar:sub(at + BLOCK, at + BLOCK + size - 1)
    if kinds[letter] then
      return { kind = kinds[letter], text = text, size = size, target = target or tar:sub(at + 157, at + 256):match "^[^\0]*" }
    end
    target = letter == "x" and linkpath(text) or target
    at = at + BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK
  end
end

------------------------------------------------------------------------ read --

-- What is at a path, or nil: nothing is there. The transfer ends once enough of it came: a folder's would go on.
local function entry_at(it, id, path, max)
  local reply, err = it:request("GET", engine.path("/containers/%s/archive", id), { query = { path = path },
                                max_body = max + HEADERS_MAX })
  if not reply then return nil, err end
  local problem = reply.status ~= 200 and engine.problem(reply)
  if reply.status == 404 or problem and problem.message:find "not a directory$" then return nil end
  if problem then return nil, problem end
  local entry = first_entry(reply.body)
  if not entry then return outcome.failed("protocol", "the Docker engine's answer holds no file: %d bytes", #reply.body) end
  return entry
end

local function joined(path, target)
  if target:sub(1, 1) == "/" then return target end
  return path:match "^(.*)/[^/]*$" .. "/" .. target
end

-- The same, past links; and the path that they lead to.
local function follow(it, id, path, max)
  for _ = 0, LINKS_MAX do
    local entry, err = entry_at(it, id, path, max)
    if not entry or entry.kind ~= "link" then return entry, err, path end
    path = joined(path, entry.target)
  end
  return outcome.failed("usage", "%s: more than %d links, one to the next", path, LINKS_MAX)
end

local function read(call)
  local it = engine.open(call.timeout)
  local inspect, err = it:inspect(call.container)
  if err then return nil, err end
  local entry, path
  if inspect then entry, err, path = follow(it, inspect.Id, call.path, call.max) end
  if err then return nil, err end
  if not entry then return { state = "absent", cut = false } end
  if entry.kind ~= "file" then return outcome.failed("usage", "%s is %s, not a regular file", path, entry.kind) end
  local text = entry.text:sub(1, call.max)
  return { state = "file", text = text, bytes = entry.size, cut = #text < entry.size }
end

catalogue.effect("docker.read", {
  summary = "Reads a file of a container, running or not, without a program in it",
  class = "read",
  params = { { "container", "string", "Name or id" }, { "path", "string", "From the container's root; links are followed" } },
  options = { max = { "size", "1MB", "How much of it, from its beginning, at most 1 MB" } },
  result = { text = "string: its bytes; nil when it is absent", cut = "boolean: there is more of it", bytes = "integer: its size",
             state = "string: file; absent, or there is no such container" },
  check = function(call)
    engine.check_name("docker.read", call.container)
    if type(call.path) == "string" and call.path:sub(1, 1) ~= "/" then
      blame.raise("docker.read: argument 2 (path): a path from the container's root expected, got %s", values.describe(call.path))
    end
    if math.type(call.max) == "integer" and (call.max < 1 or call.max > READ_MAX) then
      blame.raise("docker.read: option 'max': at most %s", duration.size_text(READ_MAX))
    end
  end,
  run = read,
  command = function(call)
    local words = docker_host.command("cp", "-L", call.container .. ":" .. call.path, "-")
    words.through = { "tar", "-xO" }
    return words
  end,
  place = docker_host.place,
  specimen = { state = "file", text = "", cut = false, bytes = 0 },
  sum_up = function(fields)
    if fields.state == "absent" then return "absent" end
    return duration.size_text(fields.bytes) .. (fields.cut and ", cut" or "")
  end,
})
