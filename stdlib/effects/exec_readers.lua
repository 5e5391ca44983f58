-- The programs whose runs are reads, by program and leading words. Only what is sure: a run that isn't found
-- here is a write unless its author says `reads = true`, and a wrong entry would let a probe change
-- something. So an entry names what turns a reader into a writer, and anything near to that is refused too:
-- bundled short options (-tK), abbreviated long ones (--vac).
local settings = require "settings"

local readers = {}

-- An entry: the words, and
--   letters   short options that write            long   long options that write, without dashes
--   only      Lua patterns: every further argument must match one
--   bad       Lua patterns that no argument may match        none   no further arguments

-- systemd's tools go to other machines over ssh.
local remote = { letters = "HM", long = { "host", "machine" } }

local list = {
  -- disks, memory, processes, users
  { "df", long = { "sync" } }, { "du" }, { "free" }, { "uptime" }, { "vmstat" }, { "nproc" }, { "lscpu" },
  { "lsblk" }, { "findmnt" }, { "ps" }, { "pgrep" }, { "pidof" }, { "lsof", letters = "D" }, { "id" },
  { "whoami" }, { "groups" }, { "who" }, { "w" }, { "last" }, { "uname" }, { "getent" },
  { "swapon", "--show", none = true }, { "zfs", "list" }, { "hostname", only = { "^%-[sfiIdAy]$" } },
  { "dmesg", letters = "CcDEn",
    long = { "clear", "read-clear", "console-off", "console-on", "console-level" } },
  { "date", only = { "^%+", "^%-u$", "^%-%-utc$", "^%-R$", "^%-I%l*$", "^%-%-iso%-8601",
                     "^%-%-rfc%-3339=" } },
  { "chronyc", "tracking", none = true }, { "chronyc", "sources", only = { "^%-v$" } },
  { "sysctl", only = { "^%-[na]$", "^%l[%w%._/%-]*$" } },
  -- files
  { "cat" }, { "ls" }, { "stat" }, { "head" }, { "tail" }, { "wc" }, { "grep" }, { "readlink" },
  { "realpath" }, { "md5sum" }, { "sha256sum" },
  { "find", bad = { "^%-delete", "^%-exec", "^%-ok", "^%-fprint", "^%-fls" } },
  -- network
  { "dig" }, { "host" }, { "ss", letters = "KD", long = { "kill", "diag" } }, { "traceroute" },
  { "tracepath" }, { "ping", letters = "fb" }, { "ip", "addr", none = true }, { "ip", "addr", "show" },
  { "ip", "route", none = true }, { "ip", "route", "show" }, { "ip", "route", "get" },
  { "ip", "link", none = true }, { "ip", "link", "show" }, { "ip", "neigh", "show" },
  { "ip", "rule", "show" }, { "iptables", "-S", only = { "^%-[tvw]$", "^%w[%w_%-]*$" } },
  { "openssl", "x509", bad = { "^%-%-?out", "^%-%-?CA", "engine", "provider", "^%-.*rand", "^%-.*req" } },
  { "openssl", "s_client",
    bad = { "_out", "keylog", "msgfile", "engine", "provider", "^%-.*rand", "early_data" } },
  -- databases and clusters
  { "pg_isready" }, { "patronictl", "list" }, { "patronictl", "topology" }, { "patronictl", "history" },
  { "patronictl", "show-config" }, { "etcdctl", "endpoint" }, { "etcdctl", "get" },
  { "etcdctl", "member", "list" }, { "etcdctl", "alarm", "list" }, { "rabbitmqctl", "status" },
  { "rabbitmqctl", "cluster_status" }, { "rabbitmqctl", "list_queues" }, { "helm", "list" },
  { "helm", "status" }, { "helm", "history" },
  -- logs
  { "journalctl", letters = "M",
    long = { "vacuum-size", "vacuum-time", "vacuum-files", "rotate", "flush", "sync", "relinquish-var",
             "smart-relinquish-var", "setup-keys", "update-catalog", "cursor-file", "machine" } },
  -- code: not `git status` and `git diff`: they write the index and start what the repository names
  { "git", "rev-parse" }, { "git", "log", long = { "output", "ext-diff", "textconv" } },
  { "git", "show", long = { "output", "ext-diff", "textconv" } },
}

local function add_all(program, verbs, entry)
  for _, verb in ipairs(verbs) do
    list[#list + 1] = { program, verb, letters = entry.letters, long = entry.long }
  end
end

add_all("timedatectl", { "status", "show" }, remote)
add_all("systemctl", { "status", "show", "is-active", "is-failed", "is-enabled", "is-system-running", "cat",
                       "list-units", "list-unit-files", "list-timers", "list-sockets", "list-jobs",
                       "list-dependencies" }, remote)

local kubectl = { long = { "profile", "profile-output", "log-file", "log-dir", "cache-dir" } }
add_all("kubectl", { "get", "describe", "logs", "top", "version", "api-resources" }, kubectl)
list[#list + 1] = { "kubectl", "rollout", "status", long = kubectl.long }
list[#list + 1] = { "kubectl", "rollout", "history", long = kubectl.long }
list[#list + 1] = { "kubectl", "auth", "can-i", long = kubectl.long }

for _, engine in ipairs { "docker", "podman" } do
  add_all(engine, { "ps", "inspect", "logs", "images", "version", "info", "top", "port", "diff" }, {})
  list[#list + 1] = { engine, "system", "df" }
end

local by_program = {}
for _, entry in ipairs(list) do
  by_program[entry[1]] = by_program[entry[1]] or {}
  table.insert(by_program[entry[1]], entry)
end

-- Where programs of these names are the ones meant; elsewhere it is any file.
local folders = { "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/" }

-- A program's name as the list knows it, or nil.
local function program_name(path)
  if not path:find "/" then return path end
  for _, folder in ipairs(folders) do
    local name = path:sub(1, #folder) == folder and path:sub(#folder + 1)
    if name and not name:find "/" then return name end
  end
end

local function leads(words, argv)
  for i = 2, #words do if argv[i] ~= words[i] then return false end end
  return true
end

-- An abbreviation of a long option counts as that option.
local function is_long(argument, names)
  local given = argument:match "^%-%-([^=]+)"
  for _, name in ipairs(given and names or {}) do
    if name:sub(1, #given) == given then return true end
  end
end

local function is_short(argument, letters)
  return letters and argument:find "^%-[^%-]" and argument:find("[" .. letters .. "]", 2) ~= nil
end

local function matches_any(argument, patterns)
  for _, pattern in ipairs(patterns) do if argument:find(pattern) then return true end end
  return false
end

local function only_reads(entry, argument)
  if entry.none or is_short(argument, entry.letters) or is_long(argument, entry.long) then return false end
  if entry.only and not matches_any(argument, entry.only) then return false end
  return not (entry.bad and matches_any(argument, entry.bad))
end

local function listed(argv)
  for _, entry in ipairs(by_program[program_name(argv[1])] or {}) do
    local reads = leads(entry, argv)
    for i = #entry + 1, reads and #argv or 0 do reads = reads and only_reads(entry, argv[i]) end
    if reads then return true end
  end
  return false
end

-- The config's readers: leading words, of a program as it is written there.
local function configured(argv)
  for _, words in ipairs(settings.readers) do
    if (words[1] == argv[1] or words[1] == program_name(argv[1])) and leads(words, argv) then return true end
  end
  return false
end

-- Variables that make another program of it, or have it start others.
local risky = { "^PATH$", "^HOME$", "^ENV$", "^LD_", "PAGER", "EDITOR", "^GIT_", "^PYTHON", "^PERL", "^BASH",
                "_OPTIONS$", "OPTS$", "^KUBECONFIG$", "^IFS$", "^SHELL" }

local function harmless(env)
  for name in pairs(env or {}) do if matches_any(name, risky) then return false end end
  return true
end

-- Whether this run is a read: all arguments known, on the list, and nothing given to it that could make it
-- another thing.
function readers.reads(argv, env, has_input)
  for _, word in ipairs(argv) do if type(word) ~= "string" then return false end end
  if #argv == 0 or has_input or not harmless(env) then return false end
  return configured(argv) or listed(argv)
end

-- The list in words, for the reference: "ip addr show", each once.
function readers.describe()
  local names = {}
  for _, entry in ipairs(list) do names[#names + 1] = table.concat(entry, " ") end
  return names
end

return readers
