-- Commands on other machines, over the machine's own ssh. One connection per machine and run (a master of
-- ssh's, found by a socket in a private folder), which all commands share; nothing is installed there.
--
-- A command goes out as one line for the remote POSIX shell: WRAPPER, then the vector, each word quoted. Its
-- standard input carries first a line of variables (so that no secret stands in an argv), then the program's
-- input. Our end of it stays open until the program has ended: when it closes before, because of a deadline,
-- Ctrl-C, or the death of this process or of the connection, the wrapper ends what it started. Marker lines on
-- stderr tell the program's own exit code 255 from ssh's, and what happened from what may have happened; one on
-- stdout tells the program's output from what the login's own files print before it. The last one ends our ssh, too:
-- sshd waits for all who hold the output, as a daemon that the program left behind.
--
-- Nothing of that is sent before the login shell has shown that it is a POSIX one: csh takes a line end in a quoted word
-- for the end of the command, and would run the rest as the next.
local outcome = require "outcome"
local process = require "raw.process"
local raw_run = require "raw.run"
local settings = require "settings"
local stdin_env = require "effects.stdin_env"
local tasks = require "tasks"
local text = require "raw.text"
local values = require "values"

local ssh = {}

-- Seconds that a connection may take until ssh is logged in.
local CONNECT_TIMEOUT = 8
-- Commands in flight on one machine; sshd refuses more than 10 per connection (MaxSessions) as it comes.
local SESSIONS = 8
-- Seconds that an idle connection lives on when this process died without closing it.
local PERSIST = 60
-- Seconds after its deadline that a command has to end in an orderly way.
local GRACE = 0.1
-- Seconds for the connection's goodbye.
local CLOSE_TIMEOUT = 2
-- Bytes of a command's line: Linux takes 128 KiB in one argument.
local LINE_MAX = 120000

-- The wrapper's arguments: marker, bytes of input, folder, "sudo" or "", the vector. fd 7: what comes from us;
-- fd 8: the program's stdout; fd 9: the watcher's pid. The watcher waits for the end of fd 7. Signals go to the
-- whole process group only if it is the wrapper's own, as sshd makes it.
local WRAPPER = [[
rb_mark=$1 rb_size=$2 rb_folder=$3 rb_sudo=$4; shift 4
rb_say() { printf '%s %s\n' "$rb_mark" "$1" >&2; }
rb_end() {
  read -r rb_stat < /proc/$$/stat || exit
  set -- $rb_stat
  [ "$5" = "$$" ] || exit
  trap '' TERM
  kill -TERM 0
  [ -z "$rb_sudo" ] || sudo -n kill -TERM -- "-$$"
  sleep 2
  [ -z "$rb_sudo" ] || sudo -n kill -KILL -- "-$$"
  kill -KILL 0
}
rb_nl='
'
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
IFS= read -r rb_env || exit 0
eval "$rb_env"
rb_say began
[ -z "$rb_folder" ] || cd -- "$rb_folder" 2>/dev/null || { rb_say folder; exit 0; }
if [ -n "$rb_sudo" ]; then
  command -v sudo >/dev/null || { rb_say nosudo; exit 0; }
  set -- sudo -n -- "$@"
elif ! command -v -- "$1" >/dev/null; then
  rb_say missing; exit 0
fi
printf '%s\n' "$rb_mark"
exec 7<&0 8>&1
rb_watcher=$(
  exec 9>&1 1>&8 8>&-
  {
    head -c "$rb_size" 9>&-
    { while read -r rb_rest; do :; done; rb_end; } <&7 >/dev/null 2>&1 9>&- &
    echo $! >&9
  } <&7 | "$@" 9>&- 7<&-
)
rb_code=$?
kill -KILL "$rb_watcher"
rb_say "ended $rb_code"
exit "$rb_code"
]]

-- Asks nothing, forwards nothing, runs nothing but what we say, whatever the user's configuration adds; how
-- host keys are checked stays the user's.
local CAREFUL = { "-o", "BatchMode=yes", "-o", "ConnectTimeout=" .. CONNECT_TIMEOUT, "-o", "RemoteCommand=none",
                  "-o", "ClearAllForwardings=yes", "-x", "-a", "-T" }

-- The braces are for PowerShell, which does sums in double quotes too, and reads them otherwise.
local SHELL_QUESTION, SHELL_ANSWER = 'echo "runbook: ${PATH:+$((6*7))} is right"', "runbook: 42 is right"
-- Shells that passed elsewhere, so that the name explains nothing.
local POSIX = { sh = true, bash = true, dash = true, ash = true, ksh = true, mksh = true, zsh = true, yash = true }

local machines = {} -- name → what we know of it
local folder        -- of the sockets

---------------------------------------------------------------- Connection --

local function local_run(spec)
  local env = values.copy_shallow(settings.environment)
  env.SSH_AUTH_SOCK, env.LC_ALL = settings.ssh_agent, "C"
  spec.env = env
  return process.run(spec)
end

local function append(words, ...)
  for _, list in ipairs { ... } do table.move(list, 1, #list, #words + 1, words) end
end

-- ssh's own words up to the destination, and the destination.
function ssh.words(name)
  local there = settings.machines[name] or {}
  local words = { "ssh" }
  if there.config then words[2], words[3] = "-F", there.config end
  return words, tostring(there.ssh or name)
end

-- What ssh says → kind, words. Never a kind that is an answer of what was asked about: we could not look.
local complaints = {
  { "HOST IDENTIFICATION HAS CHANGED", "login", "its host key is not the one that is known: somebody may listen "
    .. "in, or it was installed anew; see for yourself with ssh" },
  { "Host key verification failed", "login", "its host key is not known here: connect once by hand and check it" },
  { "Permission denied", "login", "it refused the login, and no password is asked for in a run" },
  { "Too many authentication failures", "login", "it refused the login" },
  { "account is currently not available", "login", "the login there may run no commands" },
  { ": restricted", "login", "its login shell is a restricted one; a POSIX shell that may run /bin/sh is needed" },
  { "Could not resolve hostname", "dns", "its name does not resolve" },
  { "Connection refused", "unreachable", "the connection was refused" },
  { "No route to host", "unreachable", "there is no route to it" },
  { "Network is unreachable", "unreachable", "there is no route to it" },
  { "[Tt]imed out", "unreachable", "it did not answer" },
  { "Bad configuration option", "usage", "ssh refuses its configuration" },
  { "Bad owner or permissions", "usage", "ssh refuses its configuration" },
  { "Can't open user config file", "usage", "ssh can't read its configuration" },
  { "no matching", "unreachable", "ssh and its sshd have no algorithm in common" },
}

local function last_line(said)
  local line = text.last_line(said)
  return text.truncate(line:match "^.*\r(.*)$" or line, 200)
end

local function complaint(name, said)
  for _, it in ipairs(complaints) do
    if said:find(it[1]) then
      return { kind = it[2], message = ("machine %s: %s (%s)"):format(name, it[3], last_line(said)) }
    end
  end
  local line = last_line(said)
  return { kind = "unreachable", message = ("machine %s: ssh could not connect%s"):format(name,
    line ~= "" and ": " .. line or "") }
end

-- A folder of our own for the sockets. In /tmp, because a socket's path has 107 bytes at most.
local function make_folder()
  if folder then return folder end
  local why
  for _, parent in ipairs { "/tmp", "/dev/shm", "/var/tmp" } do
    local made, err = local_run { argv = { "mktemp", "-d", parent .. "/runbook-XXXXXXXX" }, timeout = 5 }
    local path = made and made.code == 0 and made.stdout:match "^(/%S+)\n$"
    if path then
      folder = path
      return folder
    end
    why = made and last_line(made.stderr) or err.message
  end
  return outcome.failed("io", "no folder for ssh's sockets: %s", why)
end

-- ssh with `options` and `more`, or nil and the error of a machine that did not answer.
local function ask(name, options, more)
  local words, destination = ssh.words(name)
  append(words, options, { "--", destination }, more or {})
  local done, err = local_run { argv = words, timeout = CONNECT_TIMEOUT + 1, keep = "tail" }
  if done or err.kind ~= "timeout" then return done, err end
  return outcome.failed("unreachable", "machine %s: it did not answer within %g s", name, CONNECT_TIMEOUT)
end

local function careful(socket, master, ...)
  local options = {}
  append(options, CAREFUL, { "-o", "ControlMaster=" .. master, "-o", "ControlPath=" .. socket }, ...)
  return options
end

local function leave(name, socket)
  local words, destination = ssh.words(name)
  append(words, { "-o", "ControlPath=" .. socket, "-O", "exit", "--", destination })
  local_run { argv = words, timeout = CLOSE_TIMEOUT }
end

-- What a shell answers that is no POSIX one, or none at all. Its name is the login's $SHELL, which every shell can print.
local function wrong_shell(name, socket, ended)
  local said = ended.stdout .. ended.stderr
  local err = complaint(name, said)
  if err.kind ~= "unreachable" then return nil, err end
  local asked = ask(name, careful(socket, "no"), { "echo $SHELL" })
  local shell = text.last_line(asked and asked.stdout or ""):match "^/%g*$"
  shell = shell and shell:match "^.*/([^/]+)$"
  if not shell or POSIX[shell] then shell = "an unknown one" end
  local line = last_line(said)
  return outcome.failed("login", "machine %s: the login shell is %s; a POSIX shell is needed%s", name, shell,
    line ~= "" and (" (it said: %s)"):format(line) or "")
end

-- True when the login shell works out what only a POSIX shell does. To any other the question is harmless.
local function check_shell(name, socket)
  local ended, err = ask(name, careful(socket, "no"), { SHELL_QUESTION })
  if not ended then return nil, err end
  if ended.stdout:find(SHELL_ANSWER, 1, true) then return true end
  if ended.code == 255 and ended.stdout == "" then return nil, complaint(name, ended.stderr) end
  return wrong_shell(name, socket, ended)
end

local function open(it, name)
  local place, err = make_folder()
  if not place then return nil, err end
  it.opened = it.opened + 1
  local socket = ("%s/%s"):format(place, raw_run.sha256(name .. it.opened):sub(1, 8))
  local done, ok
  done, err = ask(name, careful(socket, "yes", { "-o", "ControlPersist=" .. PERSIST, "-o", "ServerAliveInterval=5",
                                                 "-o", "ServerAliveCountMax=3", "-N", "-f" }))
  if not done then return nil, err end
  if done.code ~= 0 then return nil, complaint(name, done.stderr) end
  it.pending = socket
  ok, err = check_shell(name, socket)
  it.pending = nil
  if ok then it.socket = socket else leave(name, socket) end
  return ok, err
end

local function is_open(it)
  if not it.socket then return false end
  local there = require("raw.files").stat(it.socket)
  return there and there.state == "other"
end

-- Those who waited while another failed to connect have their answer.
local function connect(it, name)
  local asked = tasks.now()
  return it.opening(function()
    if is_open(it) then return true end
    if it.failed_at and it.failed_at >= asked then return nil, it.failure end
    local ok, err = open(it, name)
    if not ok then it.failed_at, it.failure = tasks.now(), err end
    return ok, err
  end)
end

-- Ends all connections; at the end of the run.
function ssh.close()
  for name, it in pairs(machines) do
    local socket = it.pending or it.socket
    if socket then leave(name, socket) end
  end
  machines = {}
  if folder then local_run { argv = { "rm", "-rf", "--", folder }, timeout = CLOSE_TIMEOUT } end
  folder = nil
end

------------------------------------------------------------------- Command --

-- The remote line, and what goes to its standard input.
local function compose(spec, mark)
  local argv, outer, input = spec.argv, values.copy_shallow(spec.reading or {}), spec.stdin or ""
  if spec.sudo and next(spec.env or {}) then
    argv, input = stdin_env.wrapped(spec.argv), stdin_env.line(spec.env) .. input
  else
    for name, value in pairs(spec.env or {}) do outer[name] = value end
  end
  local words = { "/bin/sh", "-c", WRAPPER, "sh", mark, ("%d"):format(#input), spec.cwd or "",
                  spec.sudo and "sudo" or "" }
  table.move(argv, 1, #argv, #words + 1, words)
  return "exec " .. text.shell_quote(words), stdin_env.line(outer) .. input
end

-- stdout without the marker and what the login printed before it, or nil. A tail whose beginning is missing may have lost both.
local function output_of(spec, mark, ended)
  local _, last = ended.stdout:find(mark .. "\n", 1, true)
  if not last and ended.cut and spec.keep == "tail" then
    last = math.max(0, #ended.stdout - (spec.max_output or #ended.stdout))
  end
  return last and ended.stdout:sub(last + 1)
end

local function read_output(name, spec, mark, ended)
  local said = ended.stdout
  ended.stdout = output_of(spec, mark, ended)
  if ended.stdout then return ended end
  return outcome.failed("login", "machine %s: the login prints text in place of the answer: %s", name,
    text.truncate(said:match "[^\r\n]*%S[^\r\n]*" or "", 200))
end

-- Cuts the markers out of stderr: the program's own part, what the last marker says, whether it began at all.
local function read_marks(said, mark)
  local _, began = said:find(mark .. " began\n", 1, true)
  if not began then return said, nil, false end
  said = said:sub(began + 1)
  local first, _, word, code = said:find(mark .. " (%l+) ?(%d*)\n")
  if not first then return said, nil, true end
  local rest = said:sub(first):gsub("^[^\n]*\n", "", 1)
  return said:sub(1, first - 1) .. rest, word, true, math.tointeger(tonumber(code))
end

local sudo_says = {
  { "a password is required", "it wants a password: allow it without one (NOPASSWD)" },
  { "a terminal is required", "it wants a password: allow it without one (NOPASSWD)" },
  { "must have a tty", "it wants a terminal (requiretty)" },
  { "not in the sudoers file", "the login may not use it" },
  { "may not run sudo", "the login may not use it" },
  { "is not allowed to execute", "the login may not run this with it" },
}

local function sudo_complaint(name, spec, ended)
  if not spec.sudo or ended.code ~= 1 then return nil end
  for _, it in ipairs(sudo_says) do
    if ended.stderr:find(it[1], 1, true) then
      return { kind = "permission",
               message = ("machine %s: sudo: %s (%s)"):format(name, it[2], last_line(ended.stderr)) }
    end
  end
  local program = ended.stderr:match "^sudo: ([^\n]+): command not found\n"
  if not program then return nil end
  return { kind = "missing", message = ("machine %s: %s: no such program"):format(name, program) }
end

-- What the wrapper found before it began the program.
local function not_begun(name, spec, word)
  if word == "missing" then
    return outcome.failed("missing", "machine %s: %s: no such program", name, spec.argv[1])
  elseif word == "folder" then
    return outcome.failed("missing", "machine %s: the folder %s is not there", name, spec.cwd)
  end
  return outcome.failed("permission", "machine %s: there is no sudo, and its config says sudo = true", name)
end

-- The kind of a connection that broke after the command was sent: a look has failed, a change may have been
-- made.
local function lost(spec) return spec.changes and "reset" or "unreachable" end

local function explain(name, spec, mark, ended)
  local said, word, began, code = read_marks(ended.stderr, mark)
  ended.stderr = said
  if word == "ended" then
    ended.code, ended.signal = code, nil
    local err = sudo_complaint(name, spec, ended)
    if err then return nil, err end
    return read_output(name, spec, mark, ended)
  elseif word then
    return not_begun(name, spec, word)
  elseif ended.cut and not ended.signal and ended.code ~= 255 then
    return read_output(name, spec, mark, ended) -- so much on stderr that the last marker is lost
  elseif began then
    return outcome.failed(lost(spec), "machine %s: the connection was lost while %s ran%s", name, spec.argv[1],
      said ~= "" and ": " .. last_line(said) or "")
  end
  local err = complaint(name, said)
  if err.kind == "unreachable" then err.kind = lost(spec) end
  return nil, err
end

-- A deadline that passes before the program is known to have begun says nothing about it.
local function late(name, spec, mark, err)
  if err.kind ~= "timeout" then return nil, err end
  local said, word, began, code = read_marks(err.stderr or "", mark)
  if not began then
    return outcome.failed(spec.changes and "timeout" or "unreachable", "machine %s: it did not answer in time", name)
  end
  err.stdout = output_of(spec, mark, err) or ""
  if word == "ended" then -- in time; only our wait for the rest of its output was not
    return { code = code, stdout = err.stdout, stderr = said, cut = true, left = true, ms = 1000 * spec.timeout }
  end
  return nil, { kind = "timeout", stdout = err.stdout, stderr = said, cut = err.cut,
                message = ("%s on machine %s took longer than %g s; it was ended there"):format(spec.argv[1], name,
                  spec.timeout) }
end

local function carry_out(it, name, spec, due, progress)
  local ok, err = connect(it, name)
  if not ok then return nil, err end
  local left = due - tasks.now()
  if left <= 0 then return outcome.failed("unreachable", "machine %s: it did not answer in time", name) end
  local mark = "runbook:" .. raw_run.sha256(raw_run.random(16)):sub(1, 16)
  local line, input = compose(spec, mark)
  if #line > LINE_MAX then
    return outcome.failed("limit", "machine %s: the command is longer than %d bytes", name, LINE_MAX)
  end
  local words, destination = ssh.words(name)
  append(words, careful(it.socket, "no"), { "--", destination, line })
  local ended
  if spec.scan then spec.scan.after = mark end
  progress.sent = true
  ended, err = local_run { argv = words, stdin = input, hold_input = true, last = mark .. " ended ", timeout = left,
                           keep = spec.keep, max_output = spec.max_output and spec.max_output + #mark + 1,
                           scan = spec.scan }
  if not ended then return late(name, spec, mark, err) end
  return explain(name, spec, mark, ended)
end

-- Runs spec.argv on machine `name`: as raw.process.run, which see; `spec.reading` are variables that aren't
-- secret and that sudo lets through (LC_ALL, TZ), `spec.sudo` runs it by sudo -n, `spec.changes` says that it
-- is no mere look: what is in doubt is then of kind reset or timeout. A program's end by a signal
-- is its shell's code, 128 and the signal's number.
function ssh.run(name, spec)
  settings.close_machines = ssh.close
  machines[name] = machines[name] or { opening = tasks.slots(1), sessions = tasks.slots(SESSIONS), opened = 0 }
  local it, due, progress = machines[name], tasks.now() + spec.timeout, {}
  local in_time, ended, err =
    tasks.deadline(spec.timeout + GRACE, it.sessions, carry_out, it, name, spec, due, progress)
  if in_time then return ended, err end
  if not progress.sent then
    return outcome.failed("unreachable", "machine %s: there was no connection in time", name)
  end
  return outcome.failed("timeout", "%s on machine %s took longer than %g s", spec.argv[1], name, spec.timeout)
end

return ssh
