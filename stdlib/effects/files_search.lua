-- What files.find and files.delete have in common: the options that choose files, the search, and words for
-- what was found.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local machine = require "effects.machine"
local remote = require "effects.files_remote"
local tasks = require "tasks"

local search = {}

-- Files named in a result. raw.files counts and deletes at most 100,000 (FILES_LIST_MAX); more is said to be
-- cut.
search.LISTED = 1000

function search.options()
  return {
    under = { "string", nil, "The folder, from the root", what = true, required = true },
    name = { "string", nil, "Glob for the file's name alone: \"*.log\"", what = true },
    older_than = { "duration", nil, "Changed longer ago than this", what = true },
    newer_than = { "duration", nil, "Changed less long ago than this", what = true },
    larger_than = { "size", nil, "Of at least this size", what = true },
    timeout = { "duration", "60s", "The longest it may take" },
  }
end

function search.check(effect, call)
  call.under = machine.path(effect, "option 'under'", call.under)
  if type(call.name) == "string" and (call.name == "" or call.name:find "/") then
    blame.raise("%s: option 'name': a glob for the name alone expected, got %q", effect, call.name)
  end
end

local function walk(call, timeout)
  local asked = { under = call.under, name = call.name, older_than = call.older_than, newer_than = call.newer_than,
                  min_bytes = call.larger_than, flat = call.flat, timeout = timeout or call.timeout }
  if machine.is_away() then return remote.walk(asked) end
  local now = tasks.wall()
  asked.older_than = call.older_than and now - call.older_than
  asked.newer_than = call.newer_than and now - call.newer_than
  return files.walk(asked)
end

-- The files that match: as raw.files.walk, with files = {} and `absent` when the folder isn't there.
function search.walk(call, timeout)
  local found, err = walk(call, timeout)
  if found then return found end
  if err.kind ~= "missing" then return nil, err end
  return { files = {}, absent = true, cut = false, errors = { count = 0 } }
end

-- count, bytes, oldest, newest of a list of files.
function search.measure(list)
  local it = { count = #list, bytes = 0 }
  for _, file in ipairs(list) do
    it.bytes = it.bytes + file.bytes
    it.oldest = math.min(it.oldest or file.modified, file.modified)
    it.newest = math.max(it.newest or file.modified, file.modified)
  end
  return it
end

function search.find(call)
  local found, err = search.walk(call)
  if not found then return nil, err end
  local it = search.measure(found.files)
  it.state, it.files = found.absent and "absent" or "directory", {}
  for i = 1, math.min(it.count, search.LISTED) do
    local file = found.files[i]
    it.files[i] = { path = file.path, bytes = file.bytes, modified = file.modified }
  end
  it.unread, it.unread_first = found.errors.count, found.errors.first
  it.cut = found.cut or it.count > search.LISTED or it.unread > 0
  return it
end

function search.sum_up(it)
  if it.state == "absent" then return "there is no such folder" end
  local unread = it.unread > 0 and ("; %d could not be read (%s)"):format(it.unread, it.unread_first) or ""
  return ("%d files, %s%s"):format(it.count, duration.size_text(it.bytes), unread)
end

-- find(1) for the same. It counts whole minutes here: rounded so that it never takes a file more.
function search.command(call)
  local words = { "find", call.under, "-xdev", "-type", "f" }
  local function add(flag, value) words[#words + 1], words[#words + 2] = flag, value end
  if call.name then add("-name", call.name) end
  if call.older_than then add("-mmin", ("+%d"):format(math.ceil(call.older_than / 60))) end
  if call.newer_than then add("-mmin", ("-%d"):format(call.newer_than // 60)) end
  if call.larger_than and call.larger_than > 0 then add("-size", ("+%dc"):format(call.larger_than - 1)) end
  return words
end

return search
