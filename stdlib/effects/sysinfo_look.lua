-- Where the bytes of sysinfo come from: this machine's files, or those of the running effect's machine over ssh. What they
-- mean is told in one place, effects/sysinfo_proc.lua. No process is started for a look at this machine.
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local sys = require "raw.sys"
local tasks = require "tasks"

local look = {}

-- Of one file of /proc, in bytes: a machine of many containers has some thousand mounts.
local FILE_MAX = 4 << 20
-- Of what /proc says of all processes, in bytes.
local TABLE_MAX = 32 << 20

local READING = { LC_ALL = "C" }

-- Runs a script of ours there, with arguments: its output, or nil and an error.
function look.script(text, timeout, arguments, max_output)
  local argv = { "/bin/sh", "-c", text, "sh", table.unpack(arguments or {}) }
  local ended, err = machine.run { argv = argv, reading = READING, timeout = timeout, max_output = max_output }
  if not ended then return nil, err end
  if ended.code == 0 and not ended.cut then return ended.stdout, ended.stderr end
  if ended.cut then return outcome.failed("limit", "the machine said more than is read") end
  local said = machine.first_line(ended.stderr)
  local kind = said:find "Permission denied" and "permission" or said:find "[Nn]o such file" and "missing"
    or said:find "not found" and "missing" or "io"
  return outcome.failed(kind, "%s", said ~= "" and said or ("looking ended with code %d"):format(ended.code))
end

----------------------------------------------------------------------- Files --

local READ = [[
for it; do
  case $it in /*) cat -- "$it" || exit 1; printf '\0' ;; *) sleep "$it" ;; esac
done
]]

local function texts_away(wanted, timeout)
  local words = {}
  for i, it in ipairs(wanted) do words[i] = type(it) == "number" and ("%.3f"):format(it) or it end
  local said, err = look.script(READ, timeout, words, FILE_MAX)
  if not said then return nil, err end
  local texts = {}
  for text in said:gmatch "([^\0]*)\0" do texts[#texts + 1] = text end
  return texts
end

-- The texts of files, in their order; a number among them is a pause in seconds. nil and an error when one can't be read.
function look.texts(wanted, timeout)
  if machine.is_away() then return texts_away(wanted, timeout) end
  local texts = {}
  for _, it in ipairs(wanted) do
    if type(it) == "number" then
      tasks.sleep(it)
    else
      local read, err = files.read { path = it, max = FILE_MAX, timeout = timeout }
      if not read then return nil, err end
      texts[#texts + 1] = read.text
    end
  end
  return texts
end

--------------------------------------------------------------------- Mounts --

-- Each looks for itself, so that one that hangs holds up none; when time is over the others have answered.
local SPACE = [[
i=0
for mount; do
  i=$((i+1))
  { answer=$(stat -f -c '%S %b %f %a %c %d' -- "$mount" 2>&1) && echo "$i $answer" || echo "$i ! $answer"; } &
done
wait
]]
local SPACE_WORDS = "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$"

local function space_of(answer)
  local why = answer:match "^! (.*)$"
  if why then return { why = why } end
  local words = { answer:match(SPACE_WORDS) }
  for i, word in ipairs(words) do words[i] = math.tointeger(tonumber(word)) end
  local size, blocks, free, available, inodes, inodes_free = table.unpack(words)
  return size and inodes_free and { size = size, blocks = blocks, free = free, available = available, inodes = inodes,
                                    inodes_free = inodes_free }
end

-- Of each mount { size, blocks, free, available, inodes, inodes_free } as statvfs(3) has them, or { why } of one that gave
-- no answer.
function look.spaces(points, timeout)
  if not machine.is_away() then return sys.spaces { points = points, timeout = timeout } end
  local argv, spaces = { "/bin/sh", "-c", SPACE, "sh", table.unpack(points) }, {}
  local ended, err = machine.run { argv = argv, reading = READING, timeout = timeout }
  if not ended and err.kind ~= "timeout" then return nil, err end
  for index, answer in ((ended or err).stdout or ""):gmatch "(%d+) ([^\n]*)\n" do
    local space = space_of(answer)
    if not space then
      return outcome.failed("io", "stat -f of that machine is not understood: six numbers expected, got %q", answer)
    end
    spaces[math.tointeger(tonumber(index))] = space
  end
  for i = 1, #points do spaces[i] = spaces[i] or { why = ("did not answer within %g s"):format(timeout) } end
  return spaces
end

------------------------------------------------------------------------- du --

local DU = [[
[ -e "$1" ] || [ -L "$1" ] || { stat -- "$1" >/dev/null 2>&1 || echo absent; exit 0; }
du -sx -B1 -- "$1" | cut -f 1
du -sx --inodes -- "$1" 2>/dev/null | cut -f 1
]]

-- As raw.sys.du, with the machine's own du.
function look.du(call)
  local text, said = look.script(DU, call.timeout, { call.path })
  if not text then return nil, said end
  if text == "absent\n" then return { state = "absent", bytes = 0, entries = 0, cut = false, unread = 0 } end
  local bytes, entries = text:match "^(%d+)\n(%d+)\n$"
  if not bytes then return outcome.failed("io", "du: %s", machine.first_line(said)) end
  local _, unread = said:gsub("[^\n]+", "")
  return { state = "present", bytes = math.tointeger(tonumber(bytes)), entries = math.tointeger(tonumber(entries)),
           cut = unread > 0, unread = unread, unread_first = unread > 0 and machine.first_line(said) or nil }
end

------------------------------------------------------------------- Processes --

-- grep -z ends by NUL what a file says, with the file's name before it: any command line goes through. Files
-- of processes that ended meanwhile are passed over; so its exit code says nothing.
local PROCESSES = [[
cd /proc && echo "$$ $(getconf PAGESIZE) $(getconf CLK_TCK) $(sed -n 's/^btime //p' stat) $(cut -d' ' -f1 uptime)" || exit 1
grep -aHz '' [0-9]*/stat 2>/dev/null
[ "$1" = all ] || exit 0
grep -aHz '' [0-9]*/cmdline 2>/dev/null
stat -c '%n/uid:%u' [0-9]* 2>/dev/null | tr '\n' '\0'
exit 0
]]

-- Bytes of all processes: "OWN PAGE TICKS BOOT UPTIME\n", then "PID/stat:…\0" of each; with `all` also "PID/cmdline:WORD\0"
-- for each word and "PID/uid:…\0".
function look.processes(timeout, all)
  if machine.is_away() then return look.script(PROCESSES, timeout, { all and "all" or "stat" }, TABLE_MAX) end
  return sys.processes { all = all, max = TABLE_MAX, timeout = timeout }
end

return look
