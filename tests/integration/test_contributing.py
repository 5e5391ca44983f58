"""CONTRIBUTING.md, carried out: what it adds is added to a copy of the tree, built and used.

    <!-- append: PATH -->   ```lua: at the end of that file
    <!-- new: PATH -->      ```lua: a file
    <!-- patch -->          ```diff: lines that stand there once, and what takes their place
"""

import os
import re
import shutil
import subprocess

import pytest

from lab.people import wait_for
from lab.program import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.limit(600)]

BLOCK = re.compile(r"^<!-- (?P<what>append|new|patch)(?:: (?P<path>\S+))? -->\n```\w+\n(?P<text>.*?)^```$", re.M | re.S)
PIECES = re.compile(r"^--- a/(\S+)\n\+\+\+ b/\S+\n@@\n((?:(?!--- a/)[ +-].*\n)+)", re.M)


def lines_of(piece, marks):
    return "".join(line[1:] + "\n" for line in piece.splitlines() if line[0] in marks)


def carry_out(tree, what, path, text):
    if what == "patch":
        pieces = PIECES.findall(text)
        assert "".join(f"--- a/{file}\n+++ b/{file}\n@@\n{piece}" for file, piece in pieces) == text
        for file, piece in pieces:
            before, there = lines_of(piece, " -"), (tree / file).read_text()
            assert there.count(before) == 1, f"{file} has not, or not once:\n{before}"
            (tree / file).write_text(there.replace(before, lines_of(piece, " +")))
        return
    assert (tree / path).exists() == (what == "append"), path
    with open(tree / path, "a", encoding="utf-8") as file:
        file.write("\n" + text if what == "append" else text)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a build with all examples in it."""
    tree = tmp_path_factory.mktemp("tree") / "copy"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".pytest_cache"))
    examples = [found.group("what", "path", "text") for found in BLOCK.finditer((tree / "CONTRIBUTING.md").read_text())]
    assert len(examples) == 8
    for example in examples:
        carry_out(tree, *example)
    for words in (["--preset", "release", "-DRUNBOOK_TESTS=OFF"], ["--build", "--preset", "release", "--parallel", "2"]):
        done = subprocess.run(["cmake", *words], cwd=tree, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    lint = subprocess.run([tree / "script" / "lint"], cwd=tree, capture_output=True, text=True)
    assert lint.stdout.endswith("lint: nothing wrong\n"), lint.stdout
    return tree / "build"


@pytest.fixture
def use(built, tmp_path):
    """use(word, …): what the built program says, in a folder of its own."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}

    def run(*words):
        done = subprocess.run([built / "runbook", *words], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    run.folder = tmp_path
    return run


CACHE = """
runbook { title = "Cache" }
local url = "%s"
local size = redis.size(url)
ticket("INC-7: " .. size.keys .. " keys")
local keep = remedy("Keep it", { risk = "low" }, function() return redis.persist(url, "%s") end)
keep()
return resolved "kept"
"""


def run_cache(use, url, key, *options):
    (use.folder / "cache.lua").write_text(CACHE % (url, key))
    (use.folder / "answers.lua").write_text('return { ["Keep it"] = "yes" }')
    return use("run", "cache.lua", *options)


def test_the_effects_and_the_word(use, redis_server):
    for key in ("session", "other"):
        redis_server.cli("SET", key, "1", "EX", "1000")
    keys = redis_server.cli("DBSIZE")
    code, out = run_cache(use, redis_server.url, "session", "--dry-run")
    assert "ticket INC-7: %s keys" % keys in out and re.search(r"would redis.persist .* session: \d+ seconds are left", out), out
    assert redis_server.cli("TTL", "session") != "-1", "a dry run"
    code, out = run_cache(use, redis_server.url, "session", "--answers", "answers.lua")
    assert code == 0 and redis_server.cli("TTL", "session") == "-1", out
    code, out = run_cache(use, redis_server.url, "nobody", "--answers", "answers.lua")
    assert "refused, there is no key nobody" in out, out
    code, out = use("effects", "redis.persist")
    assert code == 0 and "Takes away a key's time to live" in out


def test_the_effects_without_a_server(use, closed_port):
    code, out = run_cache(use, f"redis://127.0.0.1:{closed_port}", "x")
    assert code != 0 and "redis.size" in out and "refused" in out, out


def test_the_chat_backend(use, http_faults):
    http_faults.set("/hook", body='{"id": "42"}')
    (use.folder / "runbook.config.lua").write_text(f'return {{ chat = {{ "discord", url = "{http_faults.url}/hook" }} }}')
    (use.folder / "tell.lua").write_text("""runbook { title = "Tell" }
        escalation("15m", function() escalate.notify { to = "#ops", text = "@everyone, it is down" } end)
        return unresolved "not mended" """)
    code, out = use("run", "tell.lua")
    assert code == 1, out
    assert wait_for(lambda: http_faults.requests), out
    body = http_faults.requests[-1].json
    assert body == {"content": "\N{FULLWIDTH COMMERCIAL AT}everyone, it is down", "allowed_mentions": {"parse": []}}
    (use.folder / "runbook.config.lua").write_text('return { chat = { "discord", adress = "x" } }')
    assert "url" in use("run", "tell.lua")[1]


def test_the_command(use):
    code, out = use("words")
    assert code == 0 and {"probe", "remedy", "ticket"} < set(out.split())
    assert "the words of the language" in use("--help")[1]
