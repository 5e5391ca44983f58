-- Files of another machine, by its own find, stat, head and mv (of GNU's coreutils and findutils), in the shapes
-- of raw.files. What they say is read strictly; names are ended by NUL or quoted by us, so that any name goes
-- through. Times are compared by that machine's clock.
local machine = require "effects.machine"
local outcome = require "outcome"
local raw_secret = require "raw.secret"
local text_tools = require "raw.text"

local remote = {}

-- Files that are listed at most.
remote.LISTED_MAX = 100000
-- Files that one effect deletes at most: each costs two processes there.
remote.DELETED_MAX = 10000
-- Bytes of find's output that are read; enough for LISTED_MAX paths of some 250 bytes.
local LIST_BYTES = 32 << 20
-- Of files.read's output: the text and a line before it.
local READ_BYTES = (1 << 20) + 256

local READING = { LC_ALL = "C" }

-- What coreutils say → kind.
local complaints = { { "Permission denied", "permission" }, { "Operation not permitted", "permission" },
                     { "No such file or directory", "missing" }, { "Not a directory", "missing" },
                     { "No space left", "io" }, { "Read%-only file system", "permission" } }

local function complaint(ended, what)
  local said = machine.first_line(ended.stderr)
  for _, it in ipairs(complaints) do
    if said:find(it[1]) then return { kind = it[2], message = said } end
  end
  return { kind = "io", message = ("%s ended with code %d%s"):format(what, ended.code, said ~= "" and ": " .. said or "") }
end

-- Runs a script of ours with arguments.
local function script(text, arguments, more)
  local argv = { "/bin/sh", "-c", text, "sh", table.unpack(arguments) }
  local ended, err = machine.run { argv = argv, reading = READING, timeout = more.timeout, stdin = more.stdin,
                                   max_output = more.max_output, scan = more.scan }
  if not ended then return nil, err end
  return ended
end

---------------------------------------------------------------------- stat --

-- Not of coreutils' words for the kinds: those may be translated and grow.
local STAT = "%f %s %.9Y %u %g %d %i"
local types = { [0x8000] = "file", [0x4000] = "directory", [0xa000] = "symlink" }

local function read_stat(line)
  local mode, bytes, modified, uid, gid, dev, ino = line:match "^(%x+) (%d+) (%-?%d+%.%d+) (%d+) (%d+) (%d+) (%d+)$"
  if not mode then return outcome.failed("io", "stat wrote %q", machine.first_line(line)) end
  mode = tonumber(mode, 16)
  return { state = types[mode & 0xf000] or "other", bytes = math.tointeger(tonumber(bytes)), modified = tonumber(modified),
           mode = mode & 0xfff, uid = math.tointeger(tonumber(uid)), gid = math.tointeger(tonumber(gid)),
           pin = ("%s %s %s %s"):format(dev, ino, bytes, modified) }
end

-- As raw.files.stat, and `pin`: device, inode, size and time as text, to be compared there.
function remote.stat(path, timeout)
  local ended, err = machine.run { argv = { "stat", "-c", STAT, "--", path }, reading = READING, timeout = timeout or 10 }
  if not ended then return nil, err end
  if ended.code == 0 then return read_stat((ended.stdout:gsub("\n$", ""))) end
  err = complaint(ended, "stat")
  if err.kind == "missing" then return { state = "absent" } end
  return nil, err
end

---------------------------------------------------------------------- read --

-- The kind of file is looked at first, so that a named pipe doesn't block.
local READ = [[
[ -e "$1" ] || [ -L "$1" ] || { stat -L -- "$1" >/dev/null; exit; }
[ -f "$1" ] || { stat -L -- "$1" >/dev/null && exit 9; exit; }
size=$(stat -L -c %s -- "$1") && exec 3<"$1" && echo "$size" && "$3" -c "$2" <&3
]]

-- As raw.files.read.
function remote.read(asked)
  local keep = asked.keep == "tail" and "tail" or "head"
  local ended, err = script(READ, { asked.path, ("%d"):format(asked.max), keep },
    { timeout = asked.timeout, max_output = math.max(READ_BYTES, asked.max + 256) })
  if not ended then return nil, err end
  if ended.code == 9 then return outcome.failed("usage", "%s is not a regular file", asked.path) end
  if ended.code ~= 0 then return nil, complaint(ended, "reading") end
  local size, from = ended.stdout:match "^(%d+)\n()"
  if not size then return outcome.failed("io", "reading %s: no size was told", asked.path) end
  local text = ended.stdout:sub(from)
  size = math.tointeger(tonumber(size))
  -- files of /proc tell a size of 0
  local cut = ended.cut or size > #text or size == 0 and #text == asked.max
  return { text = cut and raw_secret.whole(text, keep) or text, bytes = size, cut = cut }
end

-- Its size goes to the other stream: this one's lines are all the file's.
local SCAN = [[
[ -e "$1" ] || [ -L "$1" ] || { stat -L -- "$1" >/dev/null; exit; }
[ -f "$1" ] || { stat -L -- "$1" >/dev/null && exit 9; exit; }
stat -L -c %s -- "$1" >&2 && exec cat -- "$1"
]]
-- Kept of its bytes, before which the login's own text stands.
local SCAN_HEAD = 16 << 10

-- As raw.files.scan.
function remote.scan(asked)
  local ended, err = script(SCAN, { asked.path }, { timeout = asked.timeout, max_output = SCAN_HEAD, scan = asked.scan })
  if not ended then return nil, err end
  if ended.code == 9 then return outcome.failed("usage", "%s is not a regular file", asked.path) end
  if ended.code ~= 0 then return nil, complaint(ended, "reading") end
  local size = math.tointeger(tonumber(ended.stderr:match "(%d+)\n$"))
  if not size then return outcome.failed("io", "reading %s: no size was told", asked.path) end
  return { bytes = size, scanned = ended.scanned, scan_error = ended.scan_error }
end

---------------------------------------------------------------------- walk --

-- Its first argument is the folder, the second that the folders in it are left out; the rest is find's.
local WALK = [[
[ -e "$1" ] || [ -L "$1" ] || { stat -- "$1" >/dev/null; exit 8; }
[ -d "$1" ] && [ ! -L "$1" ] || exit 9
under=$1 flat=$2; shift 2
date +%s && exec find "$under" $flat -xdev -type f "$@" -printf '%D %i %s %T@ %p\0'
]]

local function read_entry(record)
  local dev, ino, bytes, whole, part, path = record:match "^(%d+) (%d+) (%d+) (%-?%d+)%.?(%d*) (/.*)$"
  if not dev then return nil end
  local modified = ("%s.%s"):format(whole, (part .. "000000000"):sub(1, 9))
  return { path = path, bytes = math.tointeger(tonumber(bytes)), modified = tonumber(modified),
           ino = math.tointeger(tonumber(ino)), dev = math.tointeger(tonumber(dev)),
           pin = ("%s %s %s %s"):format(dev, ino, bytes, modified) }
end

local function passes(file, asked, now)
  return not (asked.older_than and file.modified >= now - asked.older_than)
    and not (asked.newer_than and file.modified <= now - asked.newer_than)
end

local function read_list(ended, asked)
  local now, from = ended.stdout:match "^(%d+)\n()"
  if not now then return outcome.failed("io", "looking for files: no time was told") end
  now = tonumber(now)
  local it = { files = {}, cut = ended.cut, errors = { count = 0 } }
  for record in ended.stdout:sub(from):gmatch "([^\0]*)\0" do
    local file = read_entry(record)
    if not file then return outcome.failed("io", "find wrote %q", machine.first_line(record)) end
    if passes(file, asked, now) then it.files[#it.files + 1] = file end
  end
  table.sort(it.files, function(a, b) return a.path < b.path end)
  if #it.files > remote.LISTED_MAX then
    it.files, it.cut = table.move(it.files, 1, remote.LISTED_MAX, 1, {}), true
  end
  for line in ended.stderr:gmatch "[^\n]+" do
    it.errors.count = it.errors.count + 1
    it.errors.first = it.errors.first or machine.first_line(line)
  end
  return it
end

-- As raw.files.walk, but older_than and newer_than are seconds of age.
function remote.walk(asked)
  local arguments = { asked.under, asked.flat and "-maxdepth 1" or "" }
  if asked.name then arguments[3], arguments[4] = "-name", asked.name end
  if asked.min_bytes then
    arguments[#arguments + 1], arguments[#arguments + 2] = "-size", ("+%dc"):format(asked.min_bytes - 1)
  end
  local ended, err = script(WALK, arguments,
    { timeout = asked.timeout, max_output = LIST_BYTES })
  if not ended then return nil, err end
  if ended.code == 9 then return outcome.failed("usage", "%s is not a folder", asked.under) end
  if ended.code == 8 then return nil, complaint(ended, "looking for files") end
  if ended.code > 1 or ended.stdout == "" then return nil, complaint(ended, "find") end
  return read_list(ended, asked)
end

-------------------------------------------------------------------- delete --

-- Fed by standard input, so that any number of names goes through; a word cut off in the middle is no command.
-- `d` goes into a folder and makes sure that it stands where its path says, with no link on the way: from then
-- on names are looked up in that very folder, whatever becomes of its path. `f` deletes a name there if it still
-- is the regular file that was listed: device, inode, size and time. What happened is told file by file.
local DELETE_HEAD = [[
d() { in=; cd -P -- "$1" 2>/dev/null && [ "$(pwd -P; echo x)" = "$1
x" ] && in=1; }
f() {
  [ $# -eq 2 ] || return
  [ "$in" ] || { echo moved; return; }
  now=$(stat -c '%d %i %s %.9Y %F' -- "./$1" 2>/dev/null </dev/null) || { echo gone; return; }
  case $now in "$2 regular file"|"$2 regular empty file") ;; *) echo changed; return;; esac
  if why=$(rm -f -- "./$1" 2>&1 </dev/null); then echo deleted; else echo "kept $why" | tr '\n' ' '; echo; fi
}
]]

local whys = { moved = "a folder on its way was replaced", gone = "is gone already", changed = "changed since it was listed" }

local function delete_script(list)
  local lines, last = { DELETE_HEAD }, nil
  for _, file in ipairs(list) do
    local folder, name = file.path:match "^(.*)/([^/]+)$"
    if folder == "" then folder = "/" end
    if folder ~= last then lines[#lines + 1] = text_tools.shell_quote { "d", folder } .. "\n" end
    lines[#lines + 1] = text_tools.shell_quote { "f", name, file.pin } .. "\n"
    last = folder
  end
  lines[#lines + 1] = "echo end\n"
  return table.concat(lines)
end

-- One line of the answer for each file, in order.
local function read_deletion(output, list)
  local it, at = { deleted = 0, bytes = 0, left = {} }, 0
  for line in output:gmatch "([^\n]*)\n" do
    at = at + 1
    local file, word = list[at], line:match "^%l+"
    if line == "deleted" and file then
      it.deleted, it.bytes = it.deleted + 1, it.bytes + file.bytes
    elseif file and (whys[word] or word == "kept") then
      it.left[#it.left + 1] = { path = file.path, why = whys[word] or machine.first_line(line:sub(6)) }
    else
      return it, line == "end" and at == #list + 1
    end
  end
  return it, false
end

-- As raw.files.delete, of a list of remote.walk's.
function remote.delete(asked)
  local ended, err = machine.run { argv = { "/bin/sh", "-s" }, stdin = delete_script(asked.files), reading = READING,
                                   timeout = asked.timeout, max_output = LIST_BYTES }
  local done, whole = read_deletion((ended or err).stdout or "", asked.files)
  if ended and whole then return done end
  err = err or { kind = "reset", message = "the list of what was deleted ended before its end" }
  err.deleted, err.bytes, err.left = done.deleted, done.bytes, done.left
  return nil, err
end

--------------------------------------------------------------------- write --

-- The new text beside the old file, complete and synced, then in its place, if that is as it was. The expected
-- state is "absent" or a pin. Links are not followed: `mv -T` replaces, and a link is neither state.
local WRITE = [[
path=$1 size=$2 mode=$3 expected=$4
new=$(mktemp -- "${path%/*}/.runbook-XXXXXXXX") || exit 10
trap 'rm -f -- "$new"' EXIT
trap 'exit 11' HUP INT TERM
cat >"$new" || exit 10
[ "$(stat -c %s -- "$new")" = "$size" ] || exit 11
if [ "$expected" = absent ]; then
  chmod "${mode:-0644}" -- "$new" || exit 10
else
  chown --reference="$path" -- "$new" && chmod --reference="$path" -- "$new" || exit 10
  [ -z "$mode" ] || chmod "$mode" -- "$new" || exit 10
fi
sync -- "$new" || exit 10
now=$(stat -c '%d %i %s %.9Y %F' -- "$path" 2>/dev/null) || now='absent regular file'
case $now in "$expected regular file"|"$expected regular empty file") ;; *) exit 12;; esac
mv -fT -- "$new" "$path" || exit 10
sync -- "${path%/*}/" 2>/dev/null || :
]]

-- As raw.files.write, in the place of `asked.before`, which remote.stat gave.
function remote.write(asked)
  local before = asked.before.state == "absent" and "absent" or asked.before.pin
  local arguments = { asked.path, ("%d"):format(#asked.text), asked.mode and ("%04o"):format(asked.mode) or "", before }
  local ended, err = script(WRITE, arguments, { timeout = asked.timeout, stdin = asked.text })
  if not ended then return nil, err end
  if ended.code == 0 then return { bytes = #asked.text } end
  if ended.code == 11 then return outcome.failed("io", "%s: its new text did not arrive whole: left as it is", asked.path) end
  if ended.code == 12 then
    return outcome.failed("io", "%s was changed since the plan was made: it was left as it is", asked.path)
  end
  return nil, complaint(ended, "writing")
end

return remote
