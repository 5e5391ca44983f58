"""Answers of another shape than expected, part by part: a look that failed, in words, or what can still be told; never a trace into
this program, and never health. Each part of an ordinary answer is nulled, left out, or of another type in turn."""

import copy
import json

import pytest

from lab.web import Site

INSPECT = {
    "Id": "a" * 64, "Name": "/m", "Created": "2026-11-20T10:07:11.5Z", "Image": "sha256:" + "b" * 64, "RestartCount": 0,
    "LogPath": "/x.log", "Driver": "overlay2",
    "State": {"Status": "running", "Running": True, "Restarting": False, "OOMKilled": False, "Pid": 4711,
              "ExitCode": 0, "Error": "", "StartedAt": "2026-11-20T10:07:12.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
              "Health": {"Status": "healthy", "FailingStreak": 0, "Log": [{"ExitCode": 0, "Output": "ok"}]}},
    "Config": {"Image": "api:1", "Env": ["A=1"], "Labels": {"com.docker.compose.project": "p"}, "Tty": False, "WorkingDir": "/app",
               "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "x"]}, "Cmd": ["x"], "Entrypoint": None},
    "HostConfig": {"Memory": 1 << 30, "NanoCpus": 1500000000, "CpuQuota": 0, "CpuPeriod": 0, "NetworkMode": "bridge",
                   "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}, "LogConfig": {"Type": "json-file", "Config": {}},
                   "Binds": ["/a:/b"], "Mounts": None},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
                        "Networks": {"bridge": {"IPAddress": "172.17.0.2", "Aliases": ["m"], "NetworkID": "n"}}},
    "Mounts": [{"Type": "volume", "Source": "/s", "Destination": "/d", "Name": "v", "RW": True}],
}
PS = [{"Id": "a" * 64, "Names": ["/m"], "Image": "api:1", "ImageID": "sha256:b", "State": "running", "Status": "Up 3 days",
       "Created": 1763633231,
       "Labels": {}, "Ports": [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "0.0.0.0"}], "Mounts": []}]
STATS = {"read": "2026-11-20T10:07:11Z", "name": "/m", "pids_stats": {"current": 5},
         "cpu_stats": {"cpu_usage": {"total_usage": 2000000, "percpu_usage": [1]}, "online_cpus": 2},
         "precpu_stats": {"cpu_usage": {"total_usage": 1000000}, "online_cpus": 2},
         "memory_stats": {"usage": 5000000, "limit": 50000000, "stats": {"inactive_file": 1000, "cache": 5}},
         "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}}, "blkio_stats": {"io_service_bytes_recursive": None}}
USAGE = {"LayersSize": 100, "Images": [{"Id": "i", "Size": 5, "SharedSize": 1, "Containers": 0, "RepoTags": ["a:1"], "Created": 5}],
         "Containers": [{"Id": "c", "SizeRw": 5, "State": "running", "Names": ["/c"]}],
         "Volumes": [{"Name": "v", "UsageData": {"Size": 5, "RefCount": 0}}],
         "BuildCache": [{"ID": "b", "Size": 5, "InUse": False}]}
VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}
ANSWERS = {"inspect": INSPECT, "ps": PS, "stats": STATS, "usage": USAGE, "version": VERSION}
OTHERS = [None, "absent", -7, "2026-99-99T99:99:99Z", [], {}, True, [None], 1e300]


def places(value, path=()):
    """Every part of a value, as the way to it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value, path, other):
    if not path:
        return other
    made = copy.deepcopy(value)
    part = made
    for key in path[:-1]:
        part = part[key]
    if other == "absent" and isinstance(part, dict):
        del part[path[-1]]
    else:
        part[path[-1]] = other
    return made


def variants(value):
    """(the way to the part, what stands there instead, the whole)"""
    return [(path, other, changed(value, path, other)) for path in places(value) for other in OTHERS]


class Engine(Site):
    """The n-th question of a kind gets its n-th variant."""

    def __init__(self, kind):
        self.kind, self.variants, self.turn = kind, variants(ANSWERS[kind]), 0
        super().__init__()

    def next(self):
        self.turn += 1
        return self.variants[self.turn - 1][2]

    def answer(self, handler, request):
        path = request.path.partition("?")[0]
        kind = ("stats" if path.endswith("/stats") else "inspect" if path.endswith("/json") and path.count("/") == 4 else
                "ps" if path.endswith("/containers/json") else "usage" if path.endswith("/system/df") else
                "version" if path.endswith("/version") else None)
        if kind == self.kind:
            body = self.next()
        else:
            body = {"inspect": INSPECT, "ps": PS, "stats": STATS, "usage": USAGE, "version": VERSION}.get(kind)
        if body is None and kind is None:
            return handler.reply(404, {"message": "page not found"})
        handler.reply(200, json.dumps(body))


READS = {"inspect": 'docker.inspect("m")', "ps": "docker.ps()", "stats": 'docker.stats("m")', "usage": "docker.disk_usage()",
         "version": "docker.version()"}
SCRIPT = """
runbook {{ title = "Odd" }}
for i = 1, {count} do
  local it = {read}
  local fields = {{}}
  if not it.error then for _, name in ipairs {fields} do fields[#fields + 1] = name .. "=" .. tostring(it[name]) end end
  note(("#%d %s"):format(i, it.error and "failed: " .. it.error.kind .. ": " .. it.error.message or table.concat(fields, " ")))
end
return unresolved "looked"
"""
FIELDS = {"inspect": '{ "state", "oom_killed" }', "ps": "{}", "stats": "{}", "usage": "{}", "version": '{ "version", "api" }'}


@pytest.mark.slow
@pytest.mark.limit(300)
@pytest.mark.parametrize("kind", ANSWERS)
def test_an_engines_answer_of_another_shape(runbook, sandbox, kind):
    engine = Engine(kind)
    sandbox.env["DOCKER_HOST"] = "tcp://" + engine.url.split("//")[1]
    sandbox.write("odd.lua", SCRIPT.format(count=len(engine.variants), read=READS[kind], fields=FIELDS[kind]))
    result = runbook("run", "odd.lua", "--dry-run", timeout=120)
    notes = [event["text"] for event in result.events("note")]
    engine.stop()
    assert len(notes) == len(engine.variants), (len(notes), result.stdout[-2000:], result.stderr)
    odd = []
    for (path, other, _), text in zip(engine.variants, notes):
        if any(word in text for word in ("attempt to", "stdlib/", "nil value", "bad argument", "not understood", "(a ")):
            odd.append(f"{'.'.join(map(str, path))} = {other!r}: {text}")
        if kind == "inspect" and path == ("State", "Status") and "state=running" in text:
            odd.append(f"{other!r} taken for health: {text}")
    assert not odd, f"{len(odd)}:\n" + "\n".join(odd[:60])
