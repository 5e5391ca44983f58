"""Pages and messages through a proxy, and to a service whose certificate a private authority signed."""

import os
import subprocess

import pytest

from lab.people import HEAD, people, wait_for  # noqa: F401 (a fixture)
from lab.program import executable
from lab.proxy import Proxy

LOGIN = "ops:p4ssw0rd-of-the-proxy"
UNRESOLVED = HEAD.replace('"2s"', '"15m"') + 'return unresolved "x"'
BROKEN = UNRESOLVED.replace("local page =", "if (run.findings[1] or ''):find '^Health' then error 'broken' end\n  local page =")


@pytest.fixture
def proxy(sandbox, people):
    """A proxy with a login, and a config that names it."""
    server = Proxy(LOGIN)
    config = open(sandbox.folder + "/runbook.config.lua").read()
    sandbox.through = lambda more: sandbox.write("runbook.config.lua", config.replace("return {", "return { " + more + ","))
    sandbox.through(f'proxy = "http://{LOGIN}@127.0.0.1:{server.port}"')
    sandbox.write("down.lua", UNRESOLVED)
    yield server
    server.stop()


def asked(proxy, verb="POST"):
    return [path for command, path in proxy.seen if command == verb]


@pytest.mark.parametrize("script", [UNRESOLVED, BROKEN], ids=["script", "built-in"])
def test_all_people_are_told_through_the_proxy(runbook, sandbox, people, proxy, script):
    """Broken by: post.send, or page_request.c, without `proxy`."""
    sandbox.write("down.lua", script)
    result = runbook("run", "down.lua")
    assert result.code == 1 and wait_for(lambda: people.alerts), result
    assert people.url + "/v2/enqueue" in asked(proxy) and "PAGES MAY NOT" not in result.stdout
    if script == UNRESOLVED:
        assert len(asked(proxy)) == 5, proxy.seen  # PagerDuty, Slack's three, the webhook
    for folder, _, names in os.walk(sandbox.state):
        for name in names:
            assert b"p4ssw0rd" not in open(os.path.join(folder, name), "rb").read(), name
    assert "p4ssw0rd" not in result.stdout + result.stderr


@pytest.mark.parametrize("wrong, says", [("login", "wants a login (407)"), ("down", "does not let it through: ")])
def test_a_proxy_that_does_not_work_is_said(runbook, sandbox, people, proxy, wrong, says):
    """Broken by: arming without way_out.warning; a doctor that asks the pager past the proxy."""
    place = f"the proxy 127.0.0.1:{proxy.port} "
    if wrong == "login":
        proxy.login = "somebody:else-0123456789"
    else:
        proxy.stop()
    doctor = runbook("doctor", "down.lua")
    assert doctor.code == 6 and place + says in doctor.stdout, doctor
    page = runbook("doctor", "down.lua", "--page")
    assert "pagerduty did not take it: " + place + says in page.stdout, page
    result = runbook("run", "down.lua")
    assert "PAGES MAY NOT GET OUT: " + place + says in result.stdout and "NOT DELIVERED yet" in result.stdout, result
    assert not people.alerts and "p4ssw0rd" not in doctor.stdout + page.stdout + result.stdout
    if wrong == "login":
        proxy.login = LOGIN
        assert wait_for(lambda: people.alerts, 30), "it is tried again"


def test_a_doctor_looks_through_the_proxy(runbook, sandbox, people, proxy):
    result = runbook("doctor", "down.lua")
    assert result.code == 0 and f"through the proxy 127.0.0.1:{proxy.port}" in result.stdout, result
    assert people.url + "/" in asked(proxy, "HEAD")


@pytest.mark.parametrize("name, direct", [("127.0.0.1", True), ("*", True), ("0.0.1", True), ("7.0.0.1", False), ("x.com", False)])
def test_what_no_proxy_names_is_reached_without_it(runbook, sandbox, people, proxy, name, direct):
    sandbox.through(f'proxy = "http://{LOGIN}@127.0.0.1:{proxy.port}", no_proxy = {{ "{name}" }}')
    runbook("run", "down.lua")
    assert wait_for(lambda: people.alerts) and (not proxy.seen) == direct


@pytest.mark.parametrize("given", ['secret "PROXY"', '"http://ops:" .. secret "PROXY_PASSWORD" .. "@127.0.0.1:%d"'])
def test_its_address_may_be_a_secret(runbook, sandbox, people, proxy, given):
    sandbox.env.update(PROXY=f"http://{LOGIN}@127.0.0.1:{proxy.port}", PROXY_PASSWORD=LOGIN.split(":")[1])
    sandbox.through("proxy = " + (given % proxy.port if "%d" in given else given))
    sandbox.write("down.lua", BROKEN)
    runbook("run", "down.lua")
    assert wait_for(lambda: people.alerts) and asked(proxy)


@pytest.mark.parametrize("script", [UNRESOLVED, BROKEN], ids=["script", "built-in"])
@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_a_private_authority_is_trusted(runbook, sandbox, proxy, http_faults, script, way):
    """Broken by: post.request, or page_request.c, without `ca_file`."""
    through = f'proxy = "http://{LOGIN}@127.0.0.1:{proxy.port}",' if way == "proxy" else ""
    sandbox.write("runbook.config.lua", f'return {{ {through} ca = "{http_faults.ca}", '
                                        f'pager = {{ "webhook", url = "{http_faults.https()}/echo" }} }}')
    sandbox.write("down.lua", script)
    result = runbook("run", "down.lua")
    assert wait_for(lambda: [request for request in http_faults.requests if request.method == "POST"]), result
    assert bool(asked(proxy, "CONNECT")) == (way == "proxy")
    config = open(sandbox.folder + "/runbook.config.lua").read()
    sandbox.write("runbook.config.lua", config.replace(f'ca = "{http_faults.ca}",', ""))
    before = len(http_faults.requests)
    assert "NOT DELIVERED" in runbook("run", "down.lua").stdout and len(http_faults.requests) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("place", ["ca-bundle.pem", "cert.pem", None])
def test_the_authorities_of_another_distribution_are_found(sandbox, http_faults, place):
    """Debian's file is not there. Broken by: authorities_file that knows of curl's own place only."""
    sandbox.write("runbook.config.lua", f'return {{ pager = {{ "webhook", url = "{http_faults.https()}/echo" }} }}')
    sandbox.write("down.lua", UNRESOLVED.replace("return", f"note(http.get('{http_faults.https()}/looked').status) return"))
    shell = 'mount -t tmpfs none /etc/ssl && cp "$0" /etc/ssl/"$1" && shift && exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, http_faults.ca, place or "other.pem", executable("runbook"), "run",
                           "down.lua"], cwd=sandbox.folder, env=sandbox.env, capture_output=True, text=True, timeout=60)
    if place:
        assert wait_for(lambda: [request for request in http_faults.requests if request.method == "POST"]), done
    assert bool([request for request in http_faults.requests if request.path == "/looked"]) == bool(place), done


WRONG = {
    'proxy = "proxy:3128"': "proxy: an address like", "proxy = 5": "proxy: an address or a secret expected, got number 5",
    'proxy = "ftp://x"': "proxy: an address like", "no_proxy = { 5 }": "no_proxy: a list of names",
    'ca = "x.pem"': "ca: a whole path", 'ca = "/nowhere/x.pem"': "ca: ",
    'ca = "/etc/passwd"': "ca: /etc/passwd holds no certificate",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_when_the_config_is_read(runbook, sandbox, wrong):
    sandbox.write("runbook.config.lua", f"return {{ {wrong} }}")
    sandbox.write("down.lua", UNRESOLVED)
    result = runbook("run", "down.lua")
    assert result.code == 2 and WRONG[wrong] in result.stderr, result
