"""Files and sysinfo on another machine, over ssh: `on = "db"`."""

import json
import os
import subprocess
import time

from lab.effects import PATH
from lab.machines import ODD, machines, on, one, perform  # noqa: F401 (fixtures)


# files

def test_files_with_odd_names(perform, tmp_path):
    names = [name for name in ODD if name not in ("", " ", "*")] + ["a.log", " blank "]
    folder = tmp_path / "with 'quotes' and\nnewline"
    (folder / "below").mkdir(parents=True)
    for i, name in enumerate(names):
        (folder / name).write_bytes(b"x" * i)
    (folder / "below" / "deep.log").write_text("deep")
    (folder / "link").symlink_to("a.log")
    found, flat, log = perform(("files.find", on(under=str(folder))), ("files.list", str(folder), on()),
                               ("files.find", on(under=str(folder), name="*.log", larger_than=1)))
    assert found["line"].endswith("@db")
    assert {os.path.basename(file["path"]) for file in found["fields"]["files"]} == {*names, "deep.log"}
    assert {os.path.basename(file["path"]) for file in flat["fields"]["files"]} == set(names)
    assert log["fields"]["count"] == 2 and not log["fields"]["cut"]
    perform(("files.delete", on(under=str(folder), name="*")))
    assert [name for _, _, files in os.walk(folder) for name in files] == ["link"]


def test_reading_and_looking(perform, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first\0\xff\nlast")
    os.mkfifo(tmp_path / "pipe")
    steps = [("files.read", str(path), on(max=5)), ("files.read", str(path), on(max=4, keep="tail")),
             ("files.read", str(tmp_path / "none"), on()), ("files.read", str(tmp_path / "pipe"), on()),
             ("files.stat", str(path), on()), ("files.stat", str(path / "x"), on()), ("files.stat", str(tmp_path), on()),
             ("files.find", on(under=str(tmp_path / "none"))), ("files.find", on(under=str(path)))]
    head, tail, none, pipe, stat, below, folder, nowhere, no_folder = perform(*steps)
    assert head["fields"] == {"state": "file", "text": "first", "bytes": 12, "cut": True}
    assert tail["fields"]["text"] == "last"
    assert none["fields"]["state"] == "absent"
    assert pipe["error"]["kind"] == "usage"
    assert stat["fields"]["state"] == "file" and stat["fields"]["bytes"] == 12 and stat["fields"]["mode"] == "0644"
    assert abs(stat["fields"]["modified"] - os.stat(path).st_mtime) < 1e-3
    assert below["fields"]["state"] == "absent" and folder["fields"]["state"] == "directory"
    assert nowhere["fields"]["state"] == "absent"
    assert no_folder["error"]["kind"] == "usage"


def test_lines_that_match(perform, tmp_path):
    """The same there as here. Broken by: a scan that takes the login's own text for the file's; a size among the lines."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"2026-11-26T03:%02d:00Z %s \xc3\xa4 line %d\r\n" % (n % 60, b"ERROR" if n % 7 == 0 else b"INFO", n)
                              for n in range(60)) + b"ERROR last")
    since = 1795662000 + 30 * 60  # 2026-11-26T03:30:00Z
    asked = [{"match": "ERROR"}, {"match": "^ERROR last$", "count": True}, {"count": True}, {"match": "line", "since": since},
             {"match": "ERROR", "since": since, "count": True}]
    there = perform(*[("files.read", str(path), on(**options)) for options in asked])
    here = perform(*[("files.read", str(path), options) for options in asked])
    assert [it["fields"] for it in there] == [it["fields"] for it in here]
    found, last, all_of_it, late, counted = (it["fields"] for it in here)
    assert found["matched"] == found["text"].count("\n") == 10 and found["text"].endswith("ERROR last\n"), found
    assert (last["matched"], last["lines"], all_of_it["lines"], all_of_it["matched"]) == (1, 61, 61, 61)
    assert late["text"].startswith("2026-11-26T03:30:00Z") and (late["lines"], late["matched"], counted["matched"]) == (31, 30, 5)
    for options in (on(), {}):
        none, folder, no_time = perform(("files.read", str(tmp_path / "none"), {**options, "match": "x"}),
                                        ("files.read", str(tmp_path), {**options, "match": "x"}),
                                        ("files.read", "/etc/passwd", {**options, "since": "10m"}))
        assert (none["fields"]["state"], none["fields"]["matched"]) == ("absent", 0) and folder["error"]["kind"] == "usage"
        assert "begins with a time" in no_time["error"]["message"]


def test_writing_there(perform, tmp_path):
    path = tmp_path / "it's new"
    made, same = perform(("files.write", str(path), "one\n", on(mode="0600")), ("files.write", str(path), "one\n", on()))
    assert path.read_text() == "one\n" and path.stat().st_mode & 0o777 == 0o600
    assert made["verified"] and made["preview"]["text"].startswith("makes ") and "holds this text" in same["preview"]["text"]
    replaced, = perform(("files.write", str(path), "two", on()))
    assert replaced["fields"]["bytes"] == 3 and path.read_text() == "two" and path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    assert "symlink" in perform(("files.write", str(tmp_path / "link"), "x", on()))[0]["preview"]["impossible"]
    assert sorted(os.listdir(tmp_path))[-2:] == ["it's new", "link"]


PINNED = """
local catalogue, json = require "catalogue", require "raw.json"
local settings, given = require "settings", json.decode((...))
settings.machines, settings.environment = given.machines, given.environment
catalogue.family "files"
local entry = catalogue.effects[given.effect]
local call = catalogue.call(entry, table.unpack(given.arguments))
local plan = entry.preview(call)
local changed = require("raw.process").run { argv = { "/bin/sh", "-c", given.meanwhile }, env = given.environment }
assert(changed.code == 0, changed.stderr)
local it, err = entry.run(call, plan)
require("effects.ssh").close()
print(json.encode { size = plan.size, fields = it, error = err })
"""


def test_only_what_was_listed_is_deleted(luahost, machines, tmp_path):
    folder, outside = tmp_path / "logs", tmp_path / "outside"
    for path in (folder / "sub", folder / "moved", outside):
        path.mkdir(parents=True)
    for path in (folder / "same", folder / "grown", folder / "sub" / "replaced", folder / "moved" / "victim", outside / "victim"):
        path.write_text("text")
    meanwhile = (f"cd {folder} && echo more >> grown && cp sub/replaced r && rm sub/replaced && mv r sub/replaced && touch new"
                 f" && mv moved ../elsewhere && ln -s {outside} moved && rm -f gone")
    (folder / "gone").write_text("x")
    given = {"machines": machines, "environment": {"PATH": PATH}, "effect": "files.delete", "meanwhile": meanwhile,
             "arguments": [{"under": str(folder), "name": "*", "on": "db"}]}
    done = json.loads(luahost(PINNED, json.dumps(given)).stdout)
    assert done["size"] == 5 and done["fields"]["deleted"] == 1 and done["fields"]["left"] == 4, done
    whys = {os.path.basename(file["path"]): file["why"] for file in done["fields"]["left_files"]}
    assert whys == {"gone": "is gone already", "grown": "changed since it was listed",
                    "replaced": "changed since it was listed", "victim": "a folder on its way was replaced"}
    assert (outside / "victim").exists() and not (folder / "same").exists() and (folder / "new").exists()


def test_a_file_changed_after_the_plan_is_not_overwritten(luahost, machines, tmp_path):
    path = tmp_path / "config"
    path.write_text("old")
    given = {"machines": machines, "environment": {"PATH": PATH}, "effect": "files.write", "meanwhile": f"echo other > {path}",
             "arguments": [str(path), "new", {"on": "db"}]}
    done = json.loads(luahost(PINNED, json.dumps(given)).stdout)
    assert "was changed since the plan" in done["error"]["message"] and path.read_text() == "other\n"
    assert os.listdir(tmp_path) and not [name for name in os.listdir(tmp_path) if name.startswith(".runbook")]


# sysinfo: the "other" machine is this one, so both must tell the same

def both(perform, name, *arguments, **options):
    here, there = perform((name, *arguments, {"on": "here", **options}), (name, *arguments, on(**options)))
    assert there["line"] == here["line"].replace("@here", "@db") and "fields" in there, there
    return here["fields"], there["fields"]


def near(a, b, share=0.1):
    return abs(a - b) <= share * max(abs(a), abs(b), 1)


def test_memory_load_uptime_cpu(perform):
    here, there = both(perform, "sysinfo.memory")
    assert here["total"] == there["total"] and near(here["available"], there["available"]) and here.keys() == there.keys()
    assert near(here["used_percent"], there["used_percent"], 0.5)
    here, there = both(perform, "sysinfo.load")
    assert here["cpus"] == there["cpus"] and abs(here["one"] - there["one"]) < 1
    here, there = both(perform, "sysinfo.uptime")
    assert here["boot_id"] == there["boot_id"] and abs(here["seconds"] - there["seconds"]) < 5
    here, there = both(perform, "sysinfo.cpu", interval="200ms")
    assert here.keys() == there.keys() and 0 <= there["used_percent"] <= 100


def test_disks_and_du(perform, tmp_path):
    here, there = both(perform, "sysinfo.disks")
    assert here["by_mount"].keys() == there["by_mount"].keys() and not there["silent"]
    assert here["fullest"]["mount"] == there["fullest"]["mount"]
    for mount, disk in here["by_mount"].items():
        other = there["by_mount"][mount]
        assert disk.keys() == other.keys() and disk["total"] == other["total"], (disk, other)
        assert abs(disk["used_percent"] - other["used_percent"]) <= 1 and disk["read_only"] == other["read_only"]
    (tmp_path / "a file").write_bytes(b"x" * 100_000)
    here, there = both(perform, "sysinfo.du", str(tmp_path))
    assert here == there
    assert both(perform, "sysinfo.du", str(tmp_path / "none"))[1]["state"] == "absent"


def test_processes(perform):
    mark = f"odd\n{os.getpid()} name"
    with subprocess.Popen(["python3", "-c", "while True: pass", mark]) as busy:
        time.sleep(0.3)
        try:
            fields, absent, most = [done["fields"] for done in perform(
                ("sysinfo.process", f"odd\\s{os.getpid()}", on()), ("sysinfo.process", f"{mark}-none", on()),
                ("sysinfo.processes", on(top=5)))]
        finally:
            busy.kill()
    assert (fields["state"], fields["count"], fields["pid"]) == ("running", 1, busy.pid)
    assert fields["cpu_percent"] > 20 and fields["memory_bytes"] > 1 << 20
    assert fields["processes"][0]["command"].endswith(mark) and abs(fields["started_at"] - time.time()) < 30
    assert absent["state"] == "absent"
    assert most["count"] > 5 and len(most["by_cpu"]) == 5 and most["by_memory"][0]["user"]
