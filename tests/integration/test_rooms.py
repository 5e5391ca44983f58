"""script/lint says who uses whom though ARCHITECTURE.md forbids it."""

import os
import shutil
import subprocess

import pytest

from lab.program import ROOT

WRONG = {
    "stdlib/effects/x.lua": ('local words = require "words.goal"\n', "effects/ may not require words/"),
    "stdlib/views/x.lua": ('return require("effects.docker")\n', "views/ may not require effects/"),
    "stdlib/backends/x.lua": ('return require "commands.run"\n', "backends/ may not require commands/"),
    "interpreter/core.c": ("#include <lua.h>\n", "the core knows no Lua"),
    "interpreter/watchdog_x.c": ('#include "luautil.h"\n', "it pages without Lua"),
    "interpreter/page_x.c": ("#include <uv.h>\n", "it pages without the event loop"),
}
RIGHT = {
    "stdlib/effects/x.lua": 'local a, b, c = require "values", require "raw.text", require "effects.y"\n',
    "stdlib/commands/x.lua": 'return require "modes.live"\n',
    "interpreter/core.c": "#include <libgen.h>\n",
    "interpreter/lib_x.c": "#include <lua.h>\n",
}


@pytest.fixture
def lint(tmp_path):
    """Writes files into a tree of its own; what script/lint says there."""
    (tmp_path / "script").mkdir()
    shutil.copy(os.path.join(ROOT, "script", "lint"), tmp_path / "script")
    shutil.copy(os.path.join(ROOT, ".clang-format"), tmp_path)
    (tmp_path / "CMakeLists.txt").write_text("# core\nset(core interpreter/core.c\n  interpreter/other.c)\n")

    def run(files):
        for path, text in {"interpreter/core.c": "", "interpreter/other.c": "", **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        done = subprocess.run([tmp_path / "script" / "lint"], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout
    return run


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_use_is_said(lint, path):
    text, says = WRONG[path]
    code, out = lint({path: text})
    assert code == 1 and out.startswith(f"{path}:1: ") and says in out, out


def test_the_others_are_allowed(lint):
    assert lint(RIGHT) == (0, "lint: nothing wrong\n")
