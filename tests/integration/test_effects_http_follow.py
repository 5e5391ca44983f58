"""Redirects: a read follows them, and what was given for one place goes to no other; a change goes where it was approved.
Break it: let curl follow."""

import pytest

from lab.process import HOST
from lab.web import Site


class Redirects(Site):
    """/there is the answer; /near leads to it, /far to the same under another name, /loop to itself."""

    def answer(self, handler, request):
        targets = {"/near": "there", "/far": f"http://localhost:{self.port}/there", "/loop": "/loop"}
        if request.path in targets:
            return handler.reply(302, "", {"Location": targets[request.path]})
        handler.reply(200, "found")


@pytest.fixture
def site():
    site = Redirects()
    yield site
    site.stop()


def ask(runbook, sandbox, site, path, options):
    sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local it = http.get("http://{HOST}:{site.port}{path}", {{ headers = {{ ["X-Api-Key"] = "abcdefgh" }}, {options} }})
note(it.ok and it.body .. " at " .. it.url or it.why)
return unresolved "x"
""")
    return runbook("run", "x.lua", "--dry-run")


def keys(site):
    return [(request.path, request.headers.get("X-Api-Key")) for request in site.requests]


def test_on_its_own_origin_the_headers_go_along(runbook, sandbox, site):
    assert "found at" in ask(runbook, sandbox, site, "/near", "follow = true").stdout
    assert keys(site) == [("/near", "abcdefgh"), ("/there", "abcdefgh")]


def test_to_another_place_no_header_goes(runbook, sandbox, site):
    assert f"found at http://localhost:{site.port}/there" in ask(runbook, sandbox, site, "/far", "follow = true").stdout
    assert keys(site) == [("/far", "abcdefgh"), ("/there", None)]


def test_unless_it_is_told_to_it_says_where(runbook, sandbox, site):
    assert f"HTTP 302: to http://localhost:{site.port}/there" in ask(runbook, sandbox, site, "/far", "").stdout
    assert len(site.requests) == 1


def test_ten_are_enough(runbook, sandbox, site):
    assert "HTTP 302: to" in ask(runbook, sandbox, site, "/loop", "follow = true").stdout
    assert len(site.requests) == 11


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_a_change_follows_nobody(runbook, sandbox, verb):
    sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local r = remedy("R", {{}}, function() http.{verb}("http://127.0.0.1:1/", {{ follow = true }}) end)
r()
return unresolved "x"
""")
    result = runbook("run", "x.lua", "--dry-run")
    assert "unknown option 'follow'" in result.stdout + result.stderr, result
