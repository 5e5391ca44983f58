-- files: regular files of a machine: reading and finding. Changes stand in effects/files_delete.lua and
-- files_write.lua. Paths go from the root, without `..`: what a runbook means must not hang on where it was
-- started.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local remote = require "effects.files_remote"
local scanned = require "effects.scanned"
local search = require "effects.files_search"
local values = require "values"

-- Bytes of a file that are read at most.
local READ_MAX = 1 << 20

local path_param = { "path", "string", "From the root" }

local function check_path(effect)
  return function(call) call.path = machine.path(effect, "argument 1 (path)", call.path) end
end

---------------------------------------------------------------------- read --

-- The lines that match, or are to be counted. Nothing in a file says when it was written but its own lines.
local function scan(call)
  local since = call.since and scanned.moment(call.since) or nil
  local look = (machine.is_away() and remote or files).scan
  local it, err = look { path = call.path, scan = scanned.spec(call, { since = since }), timeout = call.timeout }
  if not it then
    if err.kind ~= "missing" then return nil, err end
    return scanned.none(call, { state = "absent", cut = false })
  end
  if since and it.scanned and not it.scanned.timed and it.bytes > 0 then
    return outcome.failed("usage", "no line of %s begins with a time (2026-11-26 03:02:11, 2026-11-26T03:02:11Z or Nov 26 "
      .. "03:02:11): `since` can't be told", call.path)
  end
  local fields, why = scanned.fields(call, it)
  if fields then fields.state, fields.bytes = "file", it.bytes end
  return fields, why
end

local function read(call)
  if scanned.is_wanted(call) or call.since then return scan(call) end
  local it, err = (machine.is_away() and remote or files).read {
    path = call.path, max = call.max, keep = call.keep, timeout = call.timeout }
  if it then return { state = "file", text = it.text, bytes = it.bytes, cut = it.cut } end
  if err.kind ~= "missing" then return nil, err end
  return { state = "absent", cut = false }
end

machine.effect("files.read", {
  summary = "Reads a regular file",
  class = "read",
  params = { path_param },
  options = { max = { "size", "1MB", "How much of it, at most 1 MB" },
              keep = { "string", "head", "Which end of a longer one", one_of = { "head", "tail" } },
              match = scanned.options.match, count = scanned.options.count,
              since = { "any", nil, "Only lines from there on, by the time that they begin with: \"10m\" before now, or seconds "
                .. "since 1970", what = true } },
  result = { text = "string: its bytes; nil when it is absent, and with `count`", cut = "boolean: there is more of it",
             lines = scanned.result.lines, matched = scanned.result.matched,
             bytes = "integer: its size on disk", state = "string: file absent" },
  check = function(call)
    check_path "files.read" (call)
    if not values.is_placeholder(call.max) and (call.max < 1 or call.max > READ_MAX) then
      blame.raise("files.read: option 'max': at most %s", duration.size_text(READ_MAX))
    end
    scanned.check("files.read", call)
    scanned.check_since("files.read", "since", call.since)
  end,
  run = read,
  as_root = true,
  command = function(call)
    if call.match then return { "grep", call.count and "-cP" or "-P", "--", call.match, call.path } end
    if call.count then return { "wc", "-l", "--", call.path } end
    return { call.keep == "tail" and "tail" or "head", "-c", ("%d"):format(call.max), "--", call.path }
  end,
  specimen = scanned.specimen { state = "file", text = "", cut = false, bytes = 0 },
  sum_up = function(it)
    if it.state == "absent" then return "absent" end
    if it.lines then return scanned.sum_up(it) end
    return duration.size_text(it.bytes) .. (it.cut and ", cut" or "")
  end,
})

---------------------------------------------------------------------- stat --

local function stat(call)
  local it, err = (machine.is_away() and remote or files).stat(call.path)
  if not it then return nil, err end
  it.pin = nil
  it.mode = it.mode and ("%04o"):format(it.mode)
  return it
end

machine.effect("files.stat", {
  summary = "Looks whether a file is there, its size and when it was changed; links are not followed",
  class = "read",
  params = { path_param },
  result = { state = "string: file directory symlink other absent", bytes = "integer: its size",
             modified = "number: seconds since 1970", mode = "string: permissions, as 0644",
             uid = "integer: whose it is", gid = "integer: whose group's" },
  check = check_path "files.stat",
  run = stat,
  as_root = true,
  command = function(call) return { "stat", "--", call.path } end,
  specimen = { state = "file", bytes = 1024, modified = 1.7e9, mode = "0644", uid = 0, gid = 0 },
  sum_up = function(it)
    if it.state == "absent" then return "absent" end
    return ("%s, %s, changed %s"):format(it.state, duration.size_text(it.bytes), machine.ago(it.modified))
  end,
})

---------------------------------------------------------------- find, list --

local found_fields = {
  state = "string: directory, or absent: there is no such folder", count = "integer: how many were found",
  bytes = "integer: their sizes together",
  oldest = "number: when the oldest was changed, seconds since 1970; nil for none",
  newest = "number: the same of the newest",
  files = ("list: by path, the first %d: each path bytes modified"):format(search.LISTED),
  cut = "boolean: something is missing: more files than are listed, or folders that couldn't be read",
  unread = "integer: folders and files that couldn't be looked at",
  unread_first = "string: the first of them, and why",
}

local function specimen()
  return { state = "directory", count = 0, bytes = 0, files = {}, cut = false, unread = 0 }
end

machine.effect("files.find", {
  summary = "Finds regular files in a folder and the folders in it: no symbolic links, no other file systems",
  class = "read",
  options = search.options(),
  result = found_fields,
  check = function(call) search.check("files.find", call) end,
  run = search.find,
  as_root = true,
  command = search.command,
  specimen = specimen,
  sum_up = search.sum_up,
})

machine.effect("files.list", {
  summary = "Lists the regular files of a folder, without those of folders in it",
  class = "read",
  params = { path_param },
  result = found_fields,
  check = check_path "files.list",
  as_root = true,
  run = function(call) return search.find { under = call.path, flat = true, timeout = call.timeout } end,
  command = function(call) return { "ls", "-la", "--", call.path } end,
  specimen = specimen,
  sum_up = search.sum_up,
})

require "effects.files_delete"
require "effects.files_write"
