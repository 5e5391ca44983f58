-- sysinfo.process and sysinfo.processes: programs at work.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local hidepid = require "effects.hidepid"
local look = require "effects.sysinfo_look"
local machine = require "effects.machine"
local outcome = require "outcome"
local proc = require "effects.sysinfo_proc"
local re = require "raw.re"
local tasks = require "tasks"
local values = require "values"

-- Matching processes named in a result.
local MATCHES_LISTED = 100
-- The use of the CPU is measured over this long.
local CPU_INTERVAL = 0.1
-- Processes that sysinfo.processes lists at most.
local TOP_MAX = 100

-- Our own process: its pid, that of its parent, its name; from "pid (name) state ppid …". nil where /proc
-- can't be read.
local function ourselves()
  local stat = files.read { path = "/proc/self/stat", max = 4096 }
  if not stat then return {} end
  local pid, name, parent = stat.text:match "^(%d+) %((.*)%) %a (%d+)"
  return { pid = math.tointeger(tonumber(pid)), name = name, parent = math.tointeger(tonumber(parent)) }
end

-- Those whose own arguments hold the pattern because it was typed there: other runs of this program, and the
-- shell, sudo or script that started us. A server that we descend from (sshd, init) matches by its program,
-- and stays.
local function carriers(list, pattern)
  if machine.is_away() then return {} end -- the pattern doesn't go there
  local us, by_pid, excluded, seen = ourselves(), {}, {}, {}
  for _, process in ipairs(list) do
    by_pid[process.pid] = process
    if process.name == us.name then excluded[process.pid] = true end
  end
  local above = by_pid[us.parent]
  while above and not seen[above.pid] do
    seen[above.pid] = true
    if not re.find(above.command:match "^%S*", pattern) then excluded[above.pid] = true end
    above = by_pid[above.ppid]
  end
  return excluded
end

local gone = { zombie = true, dead = true }

local function matching(list, pattern)
  local excluded, matches = carriers(list, pattern), {}
  for _, process in ipairs(list) do
    if not excluded[process.pid] and not gone[process.state] and re.find(process.command, pattern) then
      matches[#matches + 1] = process
    end
  end
  table.sort(matches, function(a, b)
    if a.started_at ~= b.started_at then return a.started_at < b.started_at end
    return a.pid < b.pid
  end)
  return matches
end

-- All processes, with their command lines if `all`, and the machine's uptime then; nil and an error.
local function table_of(call, all)
  local text, err = look.processes(call.timeout, all)
  if not text then return nil, err end
  return proc.processes(text, machine.is_away())
end

-- Measures the matches' use of the CPU; those that ended meanwhile are left out.
local function measured(matches, uptime, call)
  local alive, by_pid = {}, {}
  if #matches == 0 then return alive end
  tasks.sleep(CPU_INTERVAL)
  local list, later = table_of(call, false)
  if not list then return nil, later end
  for _, process in ipairs(list) do by_pid[process.pid] = process end
  for _, process in ipairs(matches) do
    local now = by_pid[process.pid]
    if now and now.start_ticks == process.start_ticks and later > uptime then
      process.cpu_percent = 100 * (now.cpu_seconds - process.cpu_seconds) / (later - uptime)
      alive[#alive + 1] = process
    end
  end
  return alive
end

local function row(process)
  return { pid = process.pid, command = process.command, state = process.state,
           cpu_percent = process.cpu_percent, memory_bytes = process.memory_bytes,
           started_at = process.started_at }
end

local function process(call)
  local list, uptime = table_of(call, true)
  if not list then return nil, uptime end
  local matches, err = measured(matching(list, call.pattern), uptime, call)
  if not matches then return nil, err end
  if #matches == 0 then
    local seen
    seen, err = hidepid.look(call.timeout)
    if not seen then return nil, err end
  end
  local it = { state = #matches > 0 and "running" or "absent", count = #matches, cpu_percent = 0,
               memory_bytes = 0,
               processes = {}, cut = #matches > MATCHES_LISTED }
  for i, match in ipairs(matches) do
    it.cpu_percent, it.memory_bytes = it.cpu_percent + match.cpu_percent, it.memory_bytes + match.memory_bytes
    if i <= MATCHES_LISTED then it.processes[i] = row(match) end
  end
  if matches[1] then it.pid, it.started_at = matches[1].pid, matches[1].started_at end
  return it
end

local function sum_up(it)
  if it.state == "absent" then return "no such process" end
  local which = ("pid %d"):format(it.pid)
  if it.count > 1 then which = ("%d processes, the oldest %s"):format(it.count, which) end
  return ("%s, %.0f %% CPU, %s"):format(which, it.cpu_percent, duration.size_text(it.memory_bytes))
end

machine.effect("sysinfo.process", {
  summary = "Looks for processes by command line; this run and the shell it was started from are left out. Where /proc hides "
    .. "those of others (hidepid), one that is not found is failed, not absent",
  class = "read",
  params = { { "pattern", "string",
               "A regular expression (PCRE) somewhere in program and arguments, joined by blanks" } },
  result = {
    state = "string: running absent", pid = "integer: of the oldest match; nil when absent",
    cpu_percent = "number: of one CPU, all matches together, over 100 ms; 0 when absent",
    memory_bytes = "integer: resident, all matches together; 0 when absent",
    count = "integer: how many match",
    started_at = "number: the oldest match, seconds since 1970",
    processes = ("list: the oldest %d: each pid command state cpu_percent memory_bytes started_at"):format(
      MATCHES_LISTED),
  },
  check = function(call)
    if call.pattern == "" then
      blame.raise "sysinfo.process: argument 1 (pattern): an empty pattern matches every process"
    end
    if values.is_placeholder(call.pattern) then return end
    local ok, why = pcall(re.find, "", call.pattern)
    if not ok then blame.raise("sysinfo.process: argument 1 (pattern): %s", tostring(why)) end
  end,
  run = process,
  command = function(call) return { "pgrep", "-af", "--", call.pattern } end,
  specimen = function(call)
    local one = { pid = 4711, command = call and tostring(call.pattern) or "", state = "sleeping",
                  cpu_percent = 5,
                  memory_bytes = 200 << 20, started_at = 1.7e9 }
    return { state = "running", pid = 4711, cpu_percent = 5, memory_bytes = 200 << 20, count = 1,
             started_at = 1.7e9,
             processes = { one }, cut = false }
  end,
  sum_up = sum_up,
})

local function top(list, count, field, users)
  local sorted, first = table.move(list, 1, #list, 1, {}), {}
  table.sort(sorted, function(a, b)
    if a[field] ~= b[field] then return a[field] > b[field] end
    return a.pid < b.pid
  end)
  for i = 1, math.min(count, #sorted) do
    local it = sorted[i]
    first[i] = { pid = it.pid, ppid = it.ppid, name = it.name, command = it.command, state = it.state,
                 user = users[it.uid] or it.uid and tostring(it.uid) or nil, memory_bytes = it.memory_bytes,
                 cpu_seconds = it.cpu_seconds, cpu_percent = it.cpu_percent, started_at = it.started_at }
  end
  return first
end

-- A list that leaves out those of others would be a wrong one.
local function all_processes(call)
  local seen, err = hidepid.look(call.timeout)
  if not seen then return nil, err end
  local list
  list, err = table_of(call, true)
  if not list then return nil, err end
  if not list[1] then return outcome.failed("io", "/proc shows no process") end
  local users = proc.users((look.texts({ "/etc/passwd" }, call.timeout) or {})[1] or "")
  return { count = #list, by_cpu = top(list, call.top, "cpu_seconds", users),
           by_memory = top(list, call.top, "memory_bytes", users) }
end

machine.effect("sysinfo.processes", {
  summary = "Lists the processes that use the most",
  class = "read",
  options = { top = { "integer", 10, ("How many of each list, at most %d"):format(TOP_MAX) } },
  result = {
    count = "integer: processes of the machine",
    by_cpu = "list: by the CPU used since their start: each pid ppid name command state user memory_bytes "
      .. "cpu_seconds cpu_percent (since its start) started_at",
    by_memory = "list: the same by resident memory",
  },
  check = function(call)
    if call.top < 1 or call.top > TOP_MAX then
      blame.raise("sysinfo.processes: option 'top': 1 to %d expected", TOP_MAX)
    end
  end,
  run = all_processes,
  command = function() return { "ps", "-eo", "pid,ppid,user,stat,rss,pcpu,args", "--sort=-pcpu" } end,
  specimen = { count = 100, by_cpu = {}, by_memory = {} },
  sum_up = function(it)
    local first = it.by_memory[1]
    if not first then return ("%d processes"):format(it.count) end
    return ("%d processes; most memory: %s (pid %d), %s"):format(it.count, first.name, first.pid,
      duration.size_text(first.memory_bytes))
  end,
})
