-- exec without running anything: what is a read, what arguments are refused, what stands in the line.
local catalogue = require "catalogue"
local settings = require "settings"
local values = require "values"
settings.host_name = "here"
local exec = catalogue.family("exec")[true]
local readers = require "effects.exec_readers"

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end

local function raises(pattern, ...)
  local ok, message = pcall(catalogue.call, exec, ...)
  if ok or not tostring(message):find(pattern, 1, true) then
    error(("an error with %q expected, got %s"):format(pattern, tostring(message)), 2)
  end
end

local function class(...) return exec.class(catalogue.call(exec, ...)) end
local function line(...) return catalogue.line(exec, catalogue.call(exec, ...)) end

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

--------------------------------------------------------- The list of readers --

local reads = {
  "df", "df -h /var", "/usr/bin/df -h", "du -sh /var", "free -b", "uptime", "ps aux", "ls -la /",
  "stat -c %s /x", "cat /etc/hosts",
  "tail -n 100 /var/log/syslog", "grep -c x /y", "find / -name *.log -size +1M", "date", "date +%s",
  "date -u", "date -Iseconds",
  "hostname", "hostname -f", "sysctl vm.swappiness", "sysctl -n net.ipv4.ip_forward", "dmesg -T",
  "lsof -i :5432", "ss -tlnp",
  "dig +short example.com", "host example.com", "ping -c 3 192.0.2.1", "ip addr", "ip addr show eth0",
  "ip route show",
  "ip route get 192.0.2.1", "iptables -S INPUT", "iptables -S -t nat", "pg_isready -h db1", "patronictl list",
  "etcdctl endpoint health",
  "etcdctl get /key --prefix", "etcdctl member list", "systemctl status nginx", "systemctl is-active nginx",
  "systemctl list-units --failed",
  "journalctl -u nginx -n 50 --since -1h", "git log --oneline -5", "kubectl get pods -n conduit -o json",
  "kubectl logs x --previous",
  "kubectl rollout status deployment/x", "docker ps -a", "docker inspect x", "docker system df",
  "openssl x509 -in /c -noout -enddate",
  "openssl s_client -connect db:443", "helm list -A",
}
for _, text in ipairs(reads) do equal(class(words(text)), "read", text) end

local writes = {
  "rm x", "sh -c df", "bash -c true", "env df", "sudo df", "xargs df", "nice df", "time df", "watch df",
  "./df", "/tmp/df -h", "bin/df",
  "/usr/bin/../../tmp/df", "DF", "df --sync", "df --sy",
  "date -s 12:00", "date 112410002026", "date --set=12:00", "date -u 1124", "hostname newname",
  "hostname -F /x", "hostname -b",
  "sysctl -w vm.swappiness=1", "sysctl vm.swappiness=1", "sysctl -n vm.swappiness=1", "sysctl -p",
  "sysctl --system",
  "dmesg -C", "dmesg -c", "dmesg --clear", "dmesg --read-clear", "dmesg --cle", "dmesg -Tc", "dmesg -n 1",
  "ss -K dst 192.0.2.1", "ss -tK", "ss --kill", "ss --ki", "ss -D /x", "lsof -D b", "ping -f 192.0.2.1",
  "ping -c3 -b 192.0.2.255",
  "ip addr add 192.0.2.1/24 dev eth0", "ip route add default via 192.0.2.1", "ip link set eth0 down",
  "ip -b /x", "ip addr flush dev eth0",
  "ip route flush cache", "ip netns exec x df", "ip", "iptables -L", "iptables -S -Z", "iptables -S --zero",
  "iptables -F",
  "find / -delete", "find / -name x -exec rm {} +", "find / -execdir rm {} ;", "find / -ok rm {} ;",
  "find / -fprint /x", "find / -fls /x",
  "sort -o x y", "tee x", "dd if=/x of=/y", "cp a b", "curl http://x", "wget http://x", "nc x 1", "ssh x df",
  "systemctl restart nginx", "systemctl", "systemctl --user status", "systemctl stop nginx",
  "systemctl status -H other", "systemctl daemon-reload",
  "systemctl status --host=other x", "systemctl set-property x y", "journalctl --vacuum-size=1G",
  "journalctl --vac=1", "journalctl --rotate",
  "journalctl --flush", "journalctl --cursor-file=/x", "journalctl -u x --rotate", "journalctl --sync",
  "git push", "git -c core.pager=x log", "git diff", "git status", "git log --output=/x", "git log --outp=/x",
  "git show --ext-diff", "git",
  "kubectl delete pod x", "kubectl apply -f x", "kubectl -n x get pods", "kubectl exec x -- ls", "kubectl",
  "kubectl rollout restart x",
  "kubectl get pods --profile=cpu --profile-output=/x", "kubectl auth reconcile -f x", "kubectl config view",
  "docker restart x", "docker system prune", "docker -H x ps", "docker exec x ls", "docker",
  "docker container prune",
  "etcdctl put a b", "etcdctl del a", "etcdctl member remove x", "etcdctl alarm disarm",
  "patronictl failover", "patronictl -c x list",
  "openssl x509 -in /c -out /d", "openssl x509 -in /c --out /d", "openssl genrsa",
  "openssl s_client -connect x -sess_out /y",
  "openssl x509 -req -CAcreateserial", "swapon --show -a", "swapon -a", "timedatectl set-ntp true",
  "nft list ruleset ; flush ruleset",
  "chronyc tracking burst", "chronyc makestep", "zpool status -c x", "helm uninstall x", "rabbitmqctl stop",
  "psql -c SELECT",
}
for _, text in ipairs(writes) do equal(class(words(text)), "write", text) end

-- What is given beside the words can make another thing of them.
equal(class({ "etcdctl", "endpoint", "health" }, { env = { ETCDCTL_API = "3" } }), "read",
  "a variable that only chooses")
for _, name in ipairs { "PATH", "LD_PRELOAD", "GIT_EXTERNAL_DIFF", "SYSTEMD_PAGER", "PYTHONSTARTUP", "HOME",
                        "BASH_ENV", "KUBECONFIG" } do
  equal(class({ "git", "log" }, { env = { [name] = "/x" } }), "write", name)
end
equal(class({ "openssl", "s_client", "-connect", "x:80" }, { stdin = "DELETE / HTTP/1.0\r\n\r\n" }), "write",
  "something to say")
equal(class { "df", values.placeholder "disk" }, "write", "a word that isn't known")
equal(class { values.placeholder "program" }, "write", "a program that isn't known")

-- The author's word: a read may be declared, a write may be called destructive, nothing is lowered.
equal(class({ "mytool", "status" }, { reads = true }), "declared", "declared")
equal(class({ "df" }, { reads = true }), "read", "a listed one needs no word")
equal(class({ "mytool" }, { destructive = true }), "destructive", "destructive")
equal(class({ "df" }, { destructive = true }), "destructive", "raised")
settings.readers = { { "mytool", "status" }, { "/opt/x/bin/tool", "show" } }
equal(class { "mytool", "status", "-v" }, "read", "the config's reader")
equal(class { "/usr/bin/mytool", "status" }, "read", "the config's reader by its path")
equal(class { "/tmp/mytool", "status" }, "write", "another of its name")
equal(class { "mytool", "delete" }, "write", "the config's program with another word")
equal(class { "/opt/x/bin/tool", "show" }, "read", "the config's reader at its place")
equal(class { "tool", "show" }, "write", "another program of its name")
settings.readers = {}
assert(#readers.describe() > 80)

------------------------------------------------------------------ Arguments --

raises('a list of strings like { "df", "-h" } expected, got the string "df -h"', "df -h")
raises("options are a table of their own", { "rm", "x", destructive = true })
raises("options are a table of their own", { "rm", [3] = "x" })
raises("entry 2 is a table", { "df", {} })
raises("a program is needed", {})
raises("a program is needed", { "" })
raises("NUL byte", { "df", "a\0b" })
raises("word 2 is a secret", { "df", values.secret("TOKEN", "x") })
raises("word 1 is a secret", { "df" }, { preview = { values.secret("TOKEN", "x") } })
raises("a path from the root", { "df" }, { cwd = "x" })
raises("'..' is refused", { "df" }, { cwd = "/a/../b" })
raises("no name of a variable", { "df" }, { env = { ["A=B"] = "1" } })
raises("no name of a variable", { "df" }, { env = { "A" } })
raises("a string expected", { "df" }, { env = { A = {} } })
raises("an exit code or a list of them", { "df" }, { expect = "0" })
raises("an exit code or a list of them", { "df" }, { expect = {} })
raises("an exit code or a list of them", { "df" }, { expect = 256 })
raises("contradict", { "df" }, { reads = true, destructive = true })
raises("the config's machines hold no 'db'", { "df" }, { on = "db" })
raises("did you mean 'timeout'", { "df" }, { timout = "1s" })
local given = { A = 1, B = values.secret("TOKEN", "geheim") }
local call = catalogue.call(exec, { "df" }, { env = given })
equal(call.env.A, "1", "a number in env")
equal(given.A, 1, "the script's table stays as it was")

----------------------------------------------------------------------- Lines --

equal(line { "df", "-h" }, "exec df -h @here", "a line")
equal(line { "git", "commit", "-m", "two words", "" }, 'exec git commit -m "two words" "" @here',
  "words with blanks")
equal(line({ "make", "clean" }, { cwd = "/srv/app", timeout = "1m", env = { A = "x" }, on = "" }),
  "exec make clean cwd=/srv/app @here", "what is touched, not how")
equal(line({ "df" }, { on = "here" }), "exec df @here", "this machine by its name")
settings.machines = { db = { ssh = "db1.prod", sudo = true } }
equal(line({ "df" }, { on = "db" }), "exec df @db", "another machine")
equal(table.concat(exec.command(catalogue.call(exec, { "df", "a b" }, { on = "db" })), "|"),
  "ssh|db1.prod|df 'a b'", "a read by hand there")
equal(table.concat(exec.command(catalogue.call(exec, { "rm", "a b" }, { on = "db" })), "|"),
  "ssh|db1.prod|sudo -n rm 'a b'", "a write by hand there")
equal(table.concat(exec.command(catalogue.call(exec, { "df" }, { env = given, cwd = "/x" })), " "),
  "env -C /x A=1 B=*** df", "by hand here")
equal(exec.target(catalogue.call(exec, { "/usr/bin/rm", "x" })), "rm", "what an operator types")

--------------------------------------------------------- Where it may happen --

equal(exec.refuses(catalogue.call(exec, { "df" })), nil, "a read of this machine")
equal(exec.refuses(catalogue.call(exec, { "x" }, { reads = true })), nil, "a declared read of this machine")
assert(exec.refuses(catalogue.call(exec, { "rm", "x" })):find "--here", "a write to this machine")
assert(exec.refuses(catalogue.call(exec, { "rm", "x" }, { on = "here" })):find "--here",
  "a write to it by its name")
equal(exec.refuses(catalogue.call(exec, { "rm", "x" }, { on = "db" })), nil, "a write elsewhere")
settings.here = true
equal(exec.refuses(catalogue.call(exec, { "rm", "x" })), nil, "a write to this machine that was allowed")
settings.machines.db.ssh = "ssh://127.0.0.1:1" -- nobody listens there
local there = catalogue.call(exec, { "rm", "x" }, { on = "db" })
local fields, err = exec.run(there)
assert(not fields and err.kind == "unreachable" and err.message:find "machine db")
assert(exec.preview(there).unknown)
require("effects.ssh").close()
print "exec: well"
