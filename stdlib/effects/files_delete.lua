-- files.delete: deletes the files that its preview listed, as they were then, and no others.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local remote = require "effects.files_remote"
local search = require "effects.files_search"
local tasks = require "tasks"

-- The preview is part of a plan, which has 30 s in all.
local PREVIEW_TIMEOUT = 15
-- Files that were left are named in the result up to this many.
local LEFT_NAMED = 100
-- Files named in a plan; the others are counted.
local FILES_NAMED = 5
-- Processes named that hold files open.
local HOLDERS_NAMED = 3

local DAY, HOUR = 86400, 3600

local function counted(count, one, many) return ("%d %s"):format(count, count == 1 and one or many) end

-- "7 to 92 days old", "3 hours old"
local function ages(measure)
  local now = tasks.wall()
  local youngest, eldest = math.max(0, now - measure.newest), math.max(0, now - measure.oldest)
  local unit, name = 60, "minutes"
  if eldest >= 2 * HOUR then unit, name = HOUR, "hours" end
  if eldest >= 2 * DAY then unit, name = DAY, "days" end
  local low, high = youngest // unit, eldest // unit
  return low == high and ("%d %s old"):format(high, name) or ("%d to %d %s old"):format(low, high, name)
end

-- What deleting a file that somebody has open is worth: nothing until that process ends or opens it anew.
local function held_text(list)
  local held = not machine.is_away() and files.held_open { files = list, timeout = PREVIEW_TIMEOUT }
  if not held then return "; whether any is held open could not be seen" end
  local unsure = held.hidden > 0 and (" (%d processes could not be looked into)"):format(held.hidden) or ""
  if held.count == 0 then return unsure ~= "" and "; none is known to be held open" .. unsure or "" end
  local pids = table.concat(held.pids, ", ", 1, math.min(#held.pids, HOLDERS_NAMED))
  return ("; %d %s held open (by pid %s%s) and %s nothing until their process ends%s"):format(held.count,
    held.count == 1 and "is" or "are", pids, #held.pids > HOLDERS_NAMED and ", …" or "",
    held.count == 1 and "frees" or "free", unsure)
end

-- The first of them.
local function named(list)
  local lines = {}
  for i = 1, math.min(#list, FILES_NAMED) do
    local file = list[i]
    lines[i] = ("%s, %s, changed %s"):format(file.path, duration.size_text(file.bytes), machine.ago(file.modified))
  end
  if #list > FILES_NAMED then lines[#lines + 1] = ("… %d more"):format(#list - FILES_NAMED) end
  return lines
end

local function preview(call)
  local found, err = search.walk(call, PREVIEW_TIMEOUT)
  if not found then
    return { text = "nothing can be listed: " .. err.message, size = 0, impossible = err.message }
  end
  if machine.is_away() and #found.files > remote.DELETED_MAX then
    found.files, found.cut = table.move(found.files, 1, remote.DELETED_MAX, 1, {}), true
  end
  local measure = search.measure(found.files)
  local it = { files = found.files, size = measure.count, bytes = measure.bytes, detail = named(found.files) }
  if found.absent then
    it.text = ("deletes nothing: there is no folder %s"):format(call.under)
  elseif measure.count == 0 then
    it.text = ("deletes nothing: no such file under %s"):format(call.under)
  else
    it.text = ("deletes %s, %s under %s, %s%s"):format(counted(measure.count, "file", "files"),
      duration.size_text(measure.bytes), call.under, ages(measure), held_text(found.files))
  end
  if found.cut then it.text = it.text .. "; there are more: they are left" end
  if found.errors.count > 0 then
    it.text = ("%s; %s could not be looked at (%s)"):format(it.text,
      counted(found.errors.count, "entry", "entries"),
      found.errors.first)
  end
  return it
end

-- How many match now that were not in the list.
local function count_new(call, list)
  local found = search.walk(call, PREVIEW_TIMEOUT)
  if not found then return nil end
  local listed, new = {}, 0
  for _, file in ipairs(list) do listed[file.path] = file.ino end
  for _, file in ipairs(found.files) do
    if listed[file.path] ~= file.ino then new = new + 1 end
  end
  return new
end

local function delete(call, plan)
  plan = plan or preview(call)
  if not plan.files then return nil, { kind = "io", message = plan.text } end
  if #plan.files == 0 then
    return { deleted = 0, bytes = 0, left = 0, new = count_new(call, {}), left_files = {} }
  end
  local done, err = (machine.is_away() and remote or files).delete {
    under = call.under, files = plan.files, timeout = call.timeout }
  if not done then
    if err.deleted then
      err.message = ("%s, after %d of %d files"):format(err.message, err.deleted, #plan.files)
    end
    return nil, err
  end
  if done.deleted == 0 then
    local first = done.left[1]
    return outcome.failed("io", "none of %d files was deleted: %s: %s", #plan.files, first.path, first.why)
  end
  return { deleted = done.deleted, bytes = done.bytes, left = #done.left, new = count_new(call, plan.files),
           left_files = table.move(done.left, 1, math.min(#done.left, LEFT_NAMED), 1, {}) }
end

-- What went, for who reads the run afterwards.
local function pins(plan)
  local list = {}
  for i, file in ipairs(plan.files or {}) do
    list[i] = { path = file.path, bytes = file.bytes, modified = file.modified }
  end
  return list
end

local function check(call)
  search.check("files.delete", call)
  if call.under == "/" then blame.raise "files.delete: option 'under': not the root of all files" end
  if not (call.name or call.older_than or call.larger_than) then
    blame.raise "files.delete: which files? Say name, older_than or larger_than; name = \"*\" for all of them"
  end
end

machine.effect("files.delete", {
  summary = "Deletes regular files under a folder: those the plan listed, if they still are as they were",
  class = "destructive",
  options = search.options(),
  result = {
    deleted = "integer: how many are gone", bytes = "integer: their sizes; held open ones free theirs later",
    left = "integer: listed files that were left: changed since, gone, or not ours to delete",
    new = "integer: files that match now and were not in the plan, so were left; nil when that can't be seen",
    left_files = ("list: the first %d that were left: each path why"):format(LEFT_NAMED),
  },
  check = check,
  run = delete,
  command = function(call)
    local words = search.command(call)
    words[#words + 1] = "-delete"
    return words
  end,
  target = function(call) return tostring(call.under) end,
  pins = pins,
  intends = function(call)
    local words = { "deletes", call.name or "files", "under", tostring(call.under) }
    local function add(text, value) if type(value) == "number" then words[#words + 1] = text .. duration.text(value) end end
    add("older than ", call.older_than)
    add("younger than ", call.newer_than)
    if type(call.larger_than) == "number" then words[#words + 1] = "larger than " .. duration.size_text(call.larger_than) end
    return table.concat(words, " ")
  end,
  preview = preview,
  would = function(_, plan)
    plan = plan or {}
    return { deleted = plan.size, bytes = plan.bytes, left = 0, new = 0, left_files = {} }
  end,
  verify = function(call)
    local found = search.walk(call, PREVIEW_TIMEOUT)
    -- else: which were listed isn't known here
    if found and not found.cut and #found.files == 0 then return true end
  end,
  specimen = { deleted = 1, bytes = 1 << 20, left = 0, new = 0, left_files = {} },
  sum_up = function(it)
    local rest = {}
    if it.left > 0 then
      rest[#rest + 1] = ("%d left (%s: %s)"):format(it.left, it.left_files[1].path, it.left_files[1].why)
    end
    if (it.new or 0) > 0 then rest[#rest + 1] = ("%d new ones left"):format(it.new) end
    return ("deleted %s, %s%s"):format(counted(it.deleted, "file", "files"), duration.size_text(it.bytes),
      #rest > 0 and "; " .. table.concat(rest, "; ") or "")
  end,
})
