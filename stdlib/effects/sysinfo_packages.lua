-- sysinfo.packages: what dpkg did to a Debian machine of late, by its own log. The log holds local times without a
-- zone, so the machine that wrote them translates them, by its own zone (/etc/localtime), never by our login's or TZ.
local machine = require "effects.machine"
local outcome = require "outcome"
local sysinfo_look = require "effects.sysinfo_look"
local tasks = require "tasks"

-- Changes listed at most; the newest stay.
local PACKAGES_MAX = 1000
-- What is read of the log's lines, in bytes.
local LINES_MAX = 4 << 20

-- $1 is the oldest time wanted, $2 the log; the one that was rotated last is read before it. Prints "FROM|more|FIRST":
-- that time by the machine's clock, whether older logs are there, the first line of those read. Then the lines of
-- changed packages, and any that begin with no date (dpkg writes none), an empty one, and the times of all these. Lines
-- are chosen by what the clock showed, and one that is put back shows an hour twice: so from two hours before.
local LOOK = [[
unset TZ
said=$(stat -- "$2" 2>&1) || case $said in *'No such file'*) echo absent; exit 0 ;; *) echo "$said" >&2; exit 1 ;; esac
clock() { date -d "@$1" '+%Y-%m-%d %H:%M:%S'; }
from=$(clock "$1") && choose=$(clock $(($1 - 7200))) || exit 1
more=
if [ -e "$2.2.gz" ] || [ -e "$2.2" ]; then more=more; fi
if [ -e "$2.1" ]; then set -- "$2.1" "$2"; else set -- "$2"; fi
lines=$(awk -v from="$choose" '$1 !~ /^[0-9]+-[0-9][0-9]-[0-9][0-9]$/ ||
  ($3 ~ /^(install|upgrade|remove|purge)$/ && $1 " " $2 >= from)' "$@") || exit 1
echo "$from|$more|$(cat -- "$@" | head -n 1)"
[ -z "$lines" ] && exit 0
printf '%s\n\n' "$lines"
printf '%s\n' "$lines" | cut -c 1-19 | date -f - +%s
]]

-- "2026-11-23 17:40:00 upgrade postgresql-15:amd64 15.17-0 15.18-0" → its entry, or nil.
local function entry(line, at)
  local action, name, from, to = line:match "^%S+ %d+:%d+:%d+ (%l+) ([%w.+-]+):?%w* (%S+) (%S+)$"
  if not action then return nil end
  return { at = at, action = action, name = name, from = from ~= "<none>" and from or nil,
           to = to ~= "<none>" and to or nil }
end

-- Lines and their times as entries, in the log's order; nil and an error.
local function entries(lines, times, cutoff)
  local list, next_time = {}, times:gmatch "(%-?%d+)\n"
  for line in lines:gmatch "([^\n]*)\n" do
    local at = math.tointeger(tonumber(next_time() or ""))
    local it = at and entry(line, at)
    if not it then
      return outcome.failed("io", "a line of dpkg's log is not understood: %s", machine.first_line(line))
    end
    if at >= cutoff then list[#list + 1] = it end
  end
  if next_time() then return outcome.failed("io", "dpkg's log holds more times than lines") end
  return list
end

local function newest_first(list)
  local turned = {}
  for i = #list, math.max(1, #list - PACKAGES_MAX + 1), -1 do turned[#turned + 1] = list[i] end
  return turned
end

local function look(call)
  local cutoff = tasks.wall() - call.since
  local from = ("%d"):format(math.max(0, math.floor(cutoff)))
  local text, err = sysinfo_look.script(LOOK, call.timeout, { from, call.log }, LINES_MAX)
  if not text then return nil, err end
  if text == "absent\n" then return { state = "absent", packages = {}, count = 0, cut = false } end
  local begins, more, first, rest = text:match "^([^|\n]*)|(%l*)|([^\n]*)\n(.*)$"
  if not begins then return outcome.failed("io", "dpkg's log is not understood") end
  local lines, times = rest:match "^(.-\n)\n(.*)$"
  local list
  list, err = entries(lines or "", times or "", cutoff)
  if not list then return nil, err end
  return { state = "present", packages = newest_first(list), count = #list,
           cut = #list > PACKAGES_MAX or more == "more" and first:sub(1, 19) > begins }
end

machine.effect("sysinfo.packages", {
  summary = "Looks which packages were installed, upgraded, removed of late, in the log of Debian's dpkg and the one "
    .. "rotated last",
  class = "read",
  options = {
    since = { "duration", "1d", "Only changes younger than this", what = true },
    log = { "string", "/var/log/dpkg.log", "The log; its times are local times of its machine", what = true },
  },
  result = {
    packages = "list: newest first, 1,000 at most; each at (seconds since 1970) action (install upgrade remove purge) "
      .. "name from to (versions; nil where there was or is none)",
    count = "integer: how many changes there are",
    cut = "boolean: the oldest are missing, or older logs would be needed",
    state = "string: present; absent: this machine has no dpkg log",
  },
  check = function(call) call.log = machine.path("sysinfo.packages", "option 'log'", call.log) end,
  run = look,
  command = function(call) return { "grep", "-E", " (install|upgrade|remove|purge) ", "--", call.log } end,
  specimen = { state = "present", packages = {}, count = 0, cut = false },
  sum_up = function(it)
    if it.state == "absent" then return "there is no dpkg log" end
    return ("%d package%s changed"):format(it.count, it.count == 1 and "" or "s")
  end,
})
