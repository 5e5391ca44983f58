"""The command by hand, pasted into real shells: imitated programs write down what they are started with and given on their
standard input. Broken by: a word not quoted, a here-document whose end stands in its text, a secret's value in it."""

import json
import os
import shlex
import subprocess

import pytest

# One call of every effect that has a command, with what a shell would stumble over: name, arguments, the words that must
# reach the program, and its standard input.
CALLS = r"""
local catalogue, byhand, json, values = require "catalogue", require "byhand", require "raw.json", require "values"
local settings = require "settings"
settings.environment, settings.host_name, settings.here = { PATH = "/usr/bin:/bin" }, "here", true
settings.machines = { db = { ssh = "db1", sudo = true } }
for _, family in ipairs(catalogue.families) do catalogue.family(family) end

NASTY = "it's $HOME `id` \\ \"x\" {a,b} *\nsecond\tline"
BODY = NASTY .. "\nEOF\nEOF2 \n"
DSN = "postgresql://app@h:5/d"
local function secret(name, value) return values.secret(name, value) end
local rows, seen = {}, {}
local function row(name, arguments, argv, stdin)
  local entry = catalogue.effects[name]
  local call = catalogue.call(entry, table.unpack(arguments))
  local act = { entry = entry, call = call, line = "", match = "" }
  act.class = type(entry.class) == "function" and entry.class(call) or entry.class
  local text, why = byhand.of(act)
  rows[#rows + 1], seen[name] = { name = name, text = text, why = why, argv = json.list(argv or {}), stdin = stdin }, true
end
local function kubectl(...) return { "kubectl", ... } end

row("http.get", { "http://u@h/a?q={x,y}", { headers = { A = NASTY:gsub("\n", " ") }, follow = true } },
  { "curl", "-gsS", "-L", "--max-redirs", "10", "-u", "u", "-H", "A: " .. NASTY:gsub("\n", " "), "http://h/a?q={x,y}" })
row("http.head", { "http://h/" }, { "curl", "-sS", "-I", "http://h/" })
row("http.options", { "http://h/" }, { "curl", "-sS", "-X", "OPTIONS", "http://h/" })
row("http.post", { "http://h/", { body = BODY } },
  { "curl", "-sS", "-H", "Content-Type:", "--data-binary", "@-", "http://h/" }, BODY)
row("http.post", { "http://h/", { body = NASTY } },
  { "curl", "-sS", "-H", "Content-Type:", "--data-binary", "@-", "http://h/" }, NASTY)
row("http.post", { "http://h/", { body = "@/etc/passwd" } },
  { "curl", "-sS", "-H", "Content-Type:", "--data-raw", "@/etc/passwd", "http://h/" })
row("http.get", { "http://h/", { headers = { A = "it's " .. secret("TOKEN", "s3cret value") } } },
  { "curl", "-sS", "-H", "A: it's s3cret value", "http://h/" })
row("http.put", { "http://h/", { json = { a = "it's" } } },
  { "curl", "-sS", "-X", "PUT", "-H", "Content-Type: application/json", "--data-raw", '{"a":"it\'s"}', "http://h/" })
row("http.patch", { "http://h/", { body = "", headers = { ["content-type"] = "x" } } },
  { "curl", "-sS", "-X", "PATCH", "-H", "content-type: x", "--data-raw", "", "http://h/" })
row("http.post", { "http://h/", { json = { a = { 'k"=' .. secret("TOKEN", "s3cret value") } } } },
  { "curl", "-sS", "-H", "Content-Type: application/json", "--data-binary", "@-", "http://h/" }, '{"a":["k\\"=s3cret value"]}')
row("http.delete", { "http://h/" }, { "curl", "-sS", "-X", "DELETE", "http://h/" })
row("prometheus.query", { 'up{a="$x"}', { url = "http://p:9/" } },
  { "curl", "-sS", "http://p:9/api/v1/query?query=up%7Ba%3D%22%24x%22%7D" })
row("prometheus.range", { "up", { url = "http://p", to = 60, over = "1m", step = "30s" } },
  { "curl", "-sS", "http://p/api/v1/query_range?query=up&start=0.000&end=60.000&step=30.000" })
row("prometheus.alerts", { { url = "http://p" } }, { "curl", "-sS", "http://p/api/v1/alerts" })
row("prometheus.rules", { { url = "http://p" } }, { "curl", "-sS", "http://p/api/v1/rules" })

for _, name in ipairs { "inspect", "start" } do row("docker." .. name, { "c" }, { "docker", name, "c" }) end
row("docker.ps", {}, { "docker", "ps", "-a" })
row("docker.disk_usage", {}, { "docker", "system", "df" })
row("docker.version", {}, { "docker", "version" })
row("docker.stats", { "c" }, { "docker", "stats", "--no-stream", "c" })
row("docker.logs", { "c" }, { "docker", "logs", "--tail", "100", "c" })
row("docker.logs", { "c", { match = "^ERROR 'x'" } },
  { "docker", "logs", "--tail", "all", "c", through = { "grep", "-P", "--", "^ERROR 'x'" } })
row("docker.logs", { "c", { count = true } }, { "docker", "logs", "--tail", "all", "c", through = { "wc", "-l" } })
row("docker.read", { "c", "/a b" }, { "docker", "cp", "-L", "c:/a b", "-", through = { "tar", "-xO" } })
row("docker.events", { { container = "c" } }, { "docker", "events", "--since", "10m", "--until", "0s", "--filter=container=c" })
row("docker.restart", { "c" }, { "docker", "restart", "-t", "10", "c" })
row("docker.stop", { "c", { grace = "3s" } }, { "docker", "stop", "-t", "3", "c" })
row("docker.kill", { "c", { signal = "HUP" } }, { "docker", "kill", "-s", "HUP", "c" })
row("docker.exec", { "c", { "app", NASTY }, { env = { MODE = NASTY }, cwd = "/x y", user = "u" } },
  { "docker", "exec", "-e", "MODE=" .. NASTY, "-w", "/x y", "-u", "u", "c", "app", NASTY })
row("docker.exec", { "c", { "app" }, { stdin = BODY } }, { "docker", "exec", "-i", "c", "app" }, BODY)
row("docker.prune", { { images = true, older_than = "7d" } }, { "docker", "image", "prune", "-f", "-a", "--filter=until=168h" })
row("docker.prune", { { build_cache = true } }, { "docker", "builder", "prune", "-f", "-a" })
row("docker.prune", { { containers = true } })
row("docker.prune", { { images = true, build_cache = true } })
for verb, words in pairs { ps = { "ps", "-a" }, up = { "up", "-d" }, stop = { "stop" }, pull = { "pull" } } do
  row("compose." .. verb, { "/a b/c.yml" }, { "docker-compose", "-f", "/a b/c.yml", table.unpack(words) })
end
row("compose.scale", { "/c.yml", { web = 2 }, { env = { TAG = NASTY } } },
  { "docker-compose", "-f", "/c.yml", "up", "-d", "--no-recreate", "--no-deps", "--scale", "web=2", "web", TAG = NASTY })

row("sql.ready", { DSN }, { "pg_isready", "-d", DSN })
for _, name in ipairs { "row", "value", "rows" } do
  row("sql." .. name, { DSN, "SELECT '$1', $1 -- $1\nWHERE a = $2 AND b = $3", { params = { "it's \\", -5, json.null } } },
    { "psql", "-X", DSN, "-c", "BEGIN READ ONLY", "-c", "SELECT '$1', E'it''s \\\\' -- $1\nWHERE a = '-5' AND b = NULL" })
end
row("sql.execute", { DSN, "UPDATE t SET a = $1 WHERE b", { params = { NASTY } } },
  { "psql", "-X", DSN, "-c", "SET lock_timeout = '5s'",
    "-c", "UPDATE t SET a = E'" .. NASTY:gsub("'", "''"):gsub("\\", "\\\\") .. "' WHERE b" })
row("sql.activity", { DSN }, { "psql", "-X", DSN, "-c", "SELECT * FROM pg_stat_activity" })
local ENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
  .. "pid <> pg_backend_pid() AND datname = current_database() AND "
row("sql.terminate_idle", { DSN, { older_than = "60s" } },
  { "psql", "-X", DSN, "-c", ENDS .. "state = 'idle' AND state_change < now() - interval '60.0 s'" })
row("sql.terminate", { DSN, { user = "o'x" } }, { "psql", "-X", DSN, "-c", ENDS .. "usename = 'o''x'" })
row("redis.ping", { "redis://h" }, { "redis-cli", "-h", "h", "-p", "6379", "PING" })
row("redis.info", { "/s ock" }, { "redis-cli", "-s", "/s ock", "INFO" })
row("redis.command", { "redis://h:1/2", "SET", "a", NASTY }, { "redis-cli", "-h", "h", "-p", "1", "-n", "2", "SET", "a", NASTY })

row("sysinfo.memory", {}, { "free", "-b" })
row("sysinfo.disks", {}, { "df", "-P" })
row("sysinfo.du", { "/a b" }, { "du", "-sxB1", "--", "/a b" })
row("sysinfo.load", {}, { "uptime" })
row("sysinfo.cpu", {}, { "vmstat", "1", "2" })
row("sysinfo.uptime", {}, { "uptime", "-s" })
row("sysinfo.process", { NASTY }, { "pgrep", "-af", "--", NASTY })
row("sysinfo.processes", {}, { "ps", "-eo", "pid,ppid,user,stat,rss,pcpu,args", "--sort=-pcpu" })
row("sysinfo.packages", {}, { "grep", "-E", " (install|upgrade|remove|purge) ", "--", "/var/log/dpkg.log" })
row("service.status", { "a" }, { "systemctl", "status", "--no-pager", "--", "a" })
row("service.logs", { "a" }, { "journalctl", "--no-pager", "--output=short-iso", "--lines=100", "--unit=a.service" })
row("service.changes", {}, { "systemctl", "show", "--property=Id,ActiveState,StateChangeTimestamp,FragmentPath,DropInPaths",
  "--", "*.service" })
for _, verb in ipairs { "restart", "start", "stop", "reload", "enable", "disable" } do
  row("service." .. verb, { "a" }, { "systemctl", verb, "--", "a" })
end
row("service.restart", { "a", { on = "db" } }, { "ssh", "db1", "sudo -n systemctl restart -- a" })
row("files.read", { "/a b" }, { "head", "-c", "1048576", "--", "/a b" })
row("files.stat", { "/a" }, { "stat", "--", "/a" })
row("files.find", { { under = "/a", name = "*.log" } }, { "find", "/a", "-xdev", "-type", "f", "-name", "*.log" })
row("files.list", { "/a" }, { "ls", "-la", "--", "/a" })
row("files.delete", { { under = "/a", name = "*.log", older_than = "1d" } },
  { "find", "/a", "-xdev", "-type", "f", "-name", "*.log", "-mmin", "+1440", "-delete" })
row("files.delete", { { under = "/a", older_than = "90s", newer_than = "1h30s", larger_than = 1 } },
  { "find", "/a", "-xdev", "-type", "f", "-mmin", "+2", "-mmin", "-60", "-size", "+0c", "-delete" })
for _, text in ipairs { BODY, NASTY, "", "EOF\n" } do
  row("files.write", { "/a b", text }, { "tee", "--", "/a b" }, text)
  row("files.write", { "/a b", text, { mode = "0640" } }, { "install", "-m", "0640", "--", "/dev/stdin", "/a b" }, text)
end
row("files.write", { "/a", BODY, { on = "db" } }, { "ssh", "db1", "sudo -n tee -- /a >/dev/null" }, BODY)
row("files.write", { "/a", "a\0b" })
row("exec", { { "app", NASTY } }, { "app", NASTY })
row("exec", { { "if", "a=b" } }, { "if", "a=b" })
row("exec", { { "a=b" } }, { "a=b" })
row("exec", { { "app" }, { env = { A = NASTY }, cwd = "/", stdin = BODY } }, { "app", A = NASTY }, BODY)
row("exec", { { "app" }, { env = { A = "x" .. secret("TOKEN", "s3cret value") } } }, { "app", A = "xs3cret value" })
row("exec", { { "app" }, { stdin = "k=" .. secret("TOKEN", "s3cret value") .. "$x`\n" } }, { "app" }, "k=s3cret value$x`\n")
row("exec", { { "app" }, { stdin = secret("TOKEN", "s3cret value") } }, { "app" }, "s3cret value")
row("exec", { { "app" }, { stdin = BODY, on = "db" } }, { "ssh", "db1", "sudo -n app" }, BODY)
row("exec", { { "app" }, { env = { A = secret("TOKEN", "s3cret value") }, on = "db" } })

row("http.delete", { "http://h/" .. values.placeholder "id" })

row("kubectl.get", { "pods" }, kubectl("get", "pods", "--output=json"))
row("kubectl.describe", { "pod", "a" }, kubectl("describe", "pod", "a"))
row("kubectl.logs", { "a" }, kubectl("logs", "a", "--tail=100"))
row("files.read", { "/x", { match = "a b" } }, { "grep", "-P", "--", "a b", "/x" })
row("files.read", { "/x", { match = "a b", count = true } }, { "grep", "-cP", "--", "a b", "/x" })
row("files.read", { "/x", { count = true } }, { "wc", "-l", "--", "/x" })
row("kubectl.top", { "pods" }, kubectl("top", "pods", "--no-headers"))
row("kubectl.rollout_status", { "deployment", "a" }, kubectl("rollout", "status", "deployment/a", "--watch=false"))
row("kubectl.rollout_history", { "deployment", "a" }, kubectl("rollout", "history", "deployment/a"))
row("kubectl.events", { { name = "a" } }, kubectl("get", "events", "--field-selector=involvedObject.name=a", "--output=json"))
row("kubectl.can_i", { "get", "pods" }, kubectl("auth", "can-i", "get", "pods"))
row("kubectl.rollout_restart", { "deployment", "a" }, kubectl("rollout", "restart", "deployment/a"))
row("kubectl.rollout_undo", { "deployment", "a", { to = 3 } }, kubectl("rollout", "undo", "deployment/a", "--to-revision=3"))
row("kubectl.scale", { "deployment", "a", 3, { namespace = "n" } },
  kubectl("--namespace=n", "scale", "deployment/a", "--replicas=3"))
row("kubectl.set_env", { "deployment", "a", { A = NASTY, B = false } }, kubectl("set", "env", "deployment/a", "A=" .. NASTY, "B-"))
row("kubectl.patch", { "pod", "a", { x = "it's" } },
  kubectl("patch", "pod", "a", "--type=strategic", '--patch={"x":"it\'s"}'))
for _, verb in ipairs { "label", "annotate" } do
  row("kubectl." .. verb, { "pod", "a", { b = "it's", c = false } }, kubectl(verb, "pod", "a", "--overwrite", "b=it's", "c-"))
end
row("kubectl.delete", { "pod", "a" }, kubectl("delete", "pod", "a"))
row("kubectl.cordon", { "n" }, kubectl("cordon", "n"))
row("kubectl.uncordon", { "n" }, kubectl("uncordon", "n"))
row("kubectl.drain", { "n" }, kubectl("drain", "n", "--ignore-daemonsets", "--timeout=293s"))
row("kubectl.exec", { "a", { "app", NASTY }, { stdin = BODY } }, kubectl("exec", "a", "--stdin", "--", "app", NASTY), BODY)
row("kubectl.exec", { "a", { "app" }, { env = { MODE = NASTY }, container = "c" } },
  kubectl("exec", "a", "--container=c", "--", "env", "MODE=" .. NASTY, "app"))

local missing = {}
for name, entry in pairs(catalogue.effects) do if entry.command and not seen[name] then missing[#missing + 1] = name end end
for _, it in ipairs(rows) do
  local env = {}
  it.through, it.argv.through = it.argv.through and json.list(it.argv.through), nil
  for key, value in pairs(it.argv) do if type(key) == "string" then env[key] = value end end
  local words = {}
  for i, word in ipairs(it.argv) do words[i] = word end
  it.argv, it.env = json.list(words), env
end
print(json.encode { rows = rows, missing = json.list(missing) })
"""

# Writes down its name, words, standard input and two variables.
IMITATION = """#!/usr/bin/python3
import json, os, sys
seen = {"argv": [os.path.basename(sys.argv[0])] + sys.argv[1:], "stdin": sys.stdin.buffer.read().decode(),
        "env": {name: os.environ[name] for name in ("A", "TAG") if name in os.environ}, "folder": os.getcwd()}
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps(seen) + "\\n")
"""


@pytest.fixture(name="calls")
def calls_fixture(luahost):
    done = luahost(CALLS)
    assert done.code == 0, done
    return json.loads(done.stdout)


@pytest.fixture(name="paste")
def paste_fixture(sandbox):
    """paste(text, shell, **variables) -> what the imitated programs saw, and how the shell ended."""
    folder = os.path.join(sandbox.folder, "bin")
    os.mkdir(folder)
    for name in ("curl docker docker-compose psql pg_isready redis-cli free df du uptime vmstat pgrep ps grep systemctl "
                 "journalctl ssh tar wc head stat find ls tee install app if a=b kubectl").split():
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(IMITATION)
        os.chmod(path, 0o755)

    def paste(text, shell="sh", **variables):
        seen = os.path.join(sandbox.folder, "seen")
        if os.path.exists(seen):
            os.remove(seen)
        env = {"PATH": f"{folder}:/usr/bin:/bin", "SEEN": seen, "LANG": "C.UTF-8", **variables}
        done = subprocess.run([shell], input=text.encode() + b"\n", env=env, cwd=sandbox.folder, capture_output=True,
                              check=False, timeout=30)
        lines = open(seen, encoding="utf-8").read().splitlines() if os.path.exists(seen) else []
        return [json.loads(line) for line in lines], done
    return paste


def test_every_effect_with_a_command_is_tried(calls):
    assert calls["missing"] == []


def test_a_command_is_taken_as_it_is_meant(calls, paste):
    """All of them in one script a shell: each begins a program once, with these words and this standard input."""
    given = [row for row in calls["rows"] if row["argv"]]
    for shell in ("sh", "bash"):
        for row in given:
            seen, done = paste(row["text"], shell, TOKEN="s3cret value")
            assert len(seen) == (2 if row.get("through") else 1), (row, seen, done)
            seen.sort(key=lambda one: one["argv"] == row.get("through"))
            assert seen[1:] == [] or seen[1]["argv"] == row["through"], row["text"]
            assert (seen[0]["argv"], seen[0]["env"]) == (row["argv"], row["env"] or {}), row["text"]
            assert seen[0]["stdin"] == row.get("stdin", ""), row["text"]


def test_where_no_single_command_does_it_none_is_given(calls):
    for row in (row for row in calls["rows"] if not row["argv"]):
        assert "text" not in row and row["why"], row


def test_a_secret_stands_in_it_by_its_name(calls, paste):
    """And nothing is begun while the variable is not filled in."""
    rows = [row for row in calls["rows"] if "TOKEN" in row.get("text", "")]
    assert len(rows) == 5
    for row in rows:
        assert "s3cret" not in row["text"]
        for shell in ("sh", "bash"):
            seen, done = paste(row["text"], shell)
            assert seen == [] and done.returncode != 0 and b"TOKEN" in done.stderr, (row, seen, done)


def test_the_act_and_the_command_by_hand_start_the_same(sandbox, runbook, paste):
    """With its words, variables, standard input and folder."""
    folder, text = os.path.join(sandbox.folder, "bin"), json.dumps("it's $HOME\n`id`")
    seen = os.path.join(sandbox.folder, "seen")
    sandbox.write("a.lua", f"""runbook {{ title = "Act" }}
        remedy("R", {{}}, function()
          exec({{ "app", {text} }}, {{ env = {{ A = {text}, SEEN = "{seen}" }}, stdin = {text}, cwd = "/" }})
        end)() return unresolved "x\"""")
    sandbox.env["PATH"] = f"{folder}:/usr/bin:/bin"
    result = runbook("run", "a.lua", "--here", "--yes", "high")
    with open(seen, encoding="utf-8") as file:
        (acted,) = [json.loads(line) for line in file]
    (pasted,), _ = paste(result.events("effect.intent")[0]["command"])
    assert acted == pasted and acted["stdin"] == acted["env"]["A"] == acted["argv"][1], (acted, pasted)


PUT = """
runbook { title = "By hand" }
local put = remedy("Put", {}, function() files.write("%s", %s) end)
put()
return unresolved "x"
"""


def dry(sandbox, runbook, lua_text):
    """A dry run of a write of that text to the file `here`: its result, and the command in its journal."""
    sandbox.write("a.lua", PUT % (os.path.join(sandbox.folder, "here"), lua_text))
    result = runbook("run", "a.lua", "--dry-run", "--here")
    assert result.code == 0, result
    return result, result.events("plan")[0]["effects"][0]["command"]


@pytest.mark.parametrize("text", ["a\nb\n", "a\nEOF\nb\n", "no end", "", "it's\n\n\n", "\ttab\n"])
def test_what_the_screen_shows_can_be_pasted(sandbox, runbook, text):
    result, command = dry(sandbox, runbook, json.dumps(text))
    shown = result.stdout.split("by hand:", 1)[1].split("\n00:0")[0].strip("\n").removeprefix(" ")
    assert shown == command
    sandbox.write("here", "before\n")
    subprocess.run(["bash", "-c", shown], check=True)
    with open(os.path.join(sandbox.folder, "here"), encoding="utf-8") as file:
        assert file.read() == text


@pytest.mark.parametrize("text, why", [('"a\\27[2Jb\\n"', "control characters"), ('("line\\n"):rep(100)', "lines")])
def test_what_cannot_be_shown_as_it_is_stands_in_the_journal(sandbox, runbook, text, why):
    """Half a command, or one with an escape instead of a byte, would do something else."""
    result, command = dry(sandbox, runbook, text)
    assert f"by hand: in the journal: it " in result.stdout and why in result.stdout and "tee" not in result.stdout
    assert shlex.split(command.split("\n")[0])[:2] == ["tee", "--"]


def test_curl_sends_what_the_effect_sends(sandbox, runbook, http_faults):
    """Against one server: the same method, path, body and headers, but those that name the client."""
    url = http_faults.url + "/a?q={x,y}"
    options = ("body = '@a b\\n\\nc'", "json = { a = \"it's\" }, headers = { ['X-A'] = 'b', Empty = '' }", "", "body = 'x\\n'")
    for verb in ("post", "put", "patch", "delete"):
        for option in options:
            del http_faults.requests[:]
            sandbox.write("a.lua", f'''runbook {{ title = "H" }}
                remedy("R", {{}}, function() http.{verb}("{url}", {{ {option} }}) end)() return unresolved "x"''')
            result = runbook("run", "a.lua", "--yes", "high")
            command = result.events("plan")[0]["effects"][0]["command"]
            subprocess.run(["sh", "-c", command], check=True, capture_output=True)
            first, second = (facts(request) for request in http_faults.requests)
            assert first == second, command


def facts(request):
    headers = {name.lower(): value for name, value in request.headers.items()}
    return request.method, request.path, request.body, {name: value for name, value in headers.items() if name != "user-agent"}
