"""One story, told to people: the page, the chat message, the report, read back where they arrive."""

import os

from lab.program import ROOT


def test_each_check_once_in_the_order_in_which_it_matters(sandbox):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "story_test.lua"))
    assert (done.code, done.stdout) == (0, "story: well\n"), done
