"""Fixtures of all tests written in Python. Servers are real, start when the first test asks, and end with the session.

  runbook(*args)     build/dev/runbook in the test's folder -> Result     postgres        lab/postgres.py
  runbook_tty(*args) the same on a terminal -> Terminal                   redis_server    lab/redis.py
  screen(*args)      the same on a terminal that draws -> Screen
  luahost(text)      a Lua file as a task of the host -> Result           docker_engine   lab/docker.py
  sandbox            where these run: write(), env, runs()                prometheus_server, sshd
  http_faults        lab/faults.py: HTTP and HTTPS that misbehave         pagerduty, slack, webhook: imitations
  stuck_port, silent_port, closed_port: connecting hangs; is accepted and nothing follows; is refused

Markers: slow (left out by --quick), limit(seconds) (a test may take LIMIT_SECONDS unless it says so).
"""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

pytest.register_assert_rewrite("lab")  # their assertions tell what they saw too

from lab import docker, faults, pagerduty, process, program, prometheus, redis, systemd, terminal, web
from lab import postgres as postgresql, slack as slack_api, sshd as ssh

LIMIT_SECONDS = 120


# Files whose tests wait for what takes long by nature, or start many servers; --quick leaves them out too.
SLOW_FILES = {"test_" + name + ".py" for name in """api_down doctor doctor_missing effects_changes effects_compose effects_docker
    effects_docker_changes effects_docker_engine effects_host effects_kubectl escalation evidence gaps lab machines machines_files
    page platform raw_pg raw_process raw_sys raw_watchdog related replaced_page_live run told watchdog what_changed""".split()}


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="leave out the tests and files that are slow")
    parser.addoption("--share", metavar="DIR", help="of several that run side by side with one folder, each file of tests by one")
    parser.addoption("--update-cases", action="store_true", help="write what was seen into tests/cases/")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; left out by --quick")
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")


def pytest_collection_modifyitems(config, items):
    def is_slow(item):
        return bool(item.get_closest_marker("slow")) or item.path.name in SLOW_FILES
    out = {item for item in items if config.getoption("--quick") and is_slow(item)}
    config.hook.pytest_deselected(items=list(out))
    items[:] = sorted((item for item in items if item not in out), key=lambda item: item.path.name not in SLOW_FILES)


taken = {}  # file -> whether its tests are ours


@pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
def pytest_leave_to_others(item):
    """Whoever comes to a file of tests first makes a file of its name in the shared folder: the others pass it by."""
    share = item.config.getoption("--share")
    if not share:
        return None
    if item.path not in taken:
        try:
            os.close(os.open(os.path.join(share, item.path.name), os.O_CREAT | os.O_EXCL))
            taken[item.path] = True
        except FileExistsError:
            taken[item.path] = False
    return None if taken[item.path] else True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails: with its fixtures, it gets so many seconds."""
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else LIMIT_SECONDS

    def expired(*_):
        raise TimeoutError(f"the test took more than {seconds} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


# Folders of servers: short paths (a socket's has 107 bytes at most), open to the servers' own users, swept when left.

@pytest.fixture(scope="session")
def lab_folder():
    sweep_leftovers()
    folder = tempfile.mkdtemp(prefix=f"runbook-lab-{os.getpid()}-", dir="/tmp")
    os.chmod(folder, 0o755)
    yield folder
    remove_tree(folder)


def sweep_leftovers():
    for name in os.listdir("/tmp"):
        if name.startswith("runbook-lab-") and not os.path.exists("/proc/" + name.split("-")[2]):
            remove_tree(os.path.join("/tmp", name))


def remove_tree(folder):
    """Containers leave mounts behind when their engine is killed; what is mounted must not be deleted through."""
    with open("/proc/self/mounts") as mounts:
        below = [line.split()[1] for line in mounts if line.split()[1].startswith(folder + "/")]
    for mount in reversed(below):
        subprocess.run(["umount", "-l", mount], check=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_of(lab_folder):
    """server_of(Class) -> a started server with a folder of its own, stopped at the end of the session."""
    servers = []

    def start(kind):
        folder = os.path.join(lab_folder, f"{kind.__name__.lower()}{len(servers) or ''}")
        os.mkdir(folder)
        server = kind(folder)
        servers.append(server)
        return server.start()

    yield start
    for server in reversed(servers):
        server.stop()


@pytest.fixture(scope="session")
def postgres_session(server_of):
    return server_of(postgresql.Postgres)


@pytest.fixture
def postgres(postgres_session):
    """Running, whatever the last test did to it; its sessions are gone."""
    postgres_session.start()
    postgres_session.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'conduit'")
    return postgres_session


@pytest.fixture(scope="session")
def redis_session(server_of):
    return server_of(redis.Redis)


@pytest.fixture
def redis_server(redis_session):
    """Running and empty, without a memory limit."""
    redis_session.start()
    redis_session.cli("FLUSHALL")
    redis_session.cli("CONFIG", "SET", "maxmemory", "0")
    return redis_session


@pytest.fixture(scope="session")
def engine_session(request):
    if os.environ.get("RUNBOOK_TEST_NO_DOCKER") == "1":
        pytest.skip("RUNBOOK_TEST_NO_DOCKER=1: no Docker engine wanted")
    return request.getfixturevalue("server_of")(docker.Engine)


@pytest.fixture
def docker_engine(engine_session):
    """Running, without containers; those of the test are removed after it."""
    engine_session.start()
    engine_session.remove_all()
    yield engine_session
    if engine_session.running():
        engine_session.remove_all()


@pytest.fixture(scope="session")
def prometheus_server(server_of):
    return server_of(prometheus.Prometheus)


@pytest.fixture(scope="module")
def systemd_session(server_of):
    """Each file's own: what its units went through is part of how they are."""
    if not systemd.possible():
        pytest.skip("a systemd of the tests' own needs root and the control group hierarchy name=systemd")
    return server_of(systemd.Systemd)


@pytest.fixture(scope="session")
def sshd(server_of):
    return server_of(ssh.Sshd)


# Servers written for the tests.

@pytest.fixture(scope="session")
def faults_session(lab_folder):
    site = faults.Faults(os.path.join(lab_folder, "faults"))
    yield site
    site.stop()


@pytest.fixture
def http_faults(faults_session):
    yield faults_session
    faults_session.reset()


def site_fixture(kind, name):
    @pytest.fixture(name=name)
    def fixture():
        site = kind()
        yield site
        site.stop()
    return fixture


pagerduty_fixture = site_fixture(pagerduty.PagerDuty, "pagerduty")
slack_fixture = site_fixture(slack_api.Slack, "slack")
webhook_fixture = site_fixture(web.Webhook, "webhook")


def port_fixture(kind, name):
    @pytest.fixture(name=name)
    def fixture():
        port = kind()
        yield port.port
        port.close()
    return fixture


stuck_port_fixture = port_fixture(faults.StuckPort, "stuck_port")
silent_port_fixture = port_fixture(faults.SilentPort, "silent_port")
closed_port_fixture = port_fixture(process.HeldPort, "closed_port")


# The programs under test.

@pytest.fixture
def sandbox(tmp_path):
    box = program.Sandbox(tmp_path)
    yield box
    box.close()


@pytest.fixture
def runbook(sandbox):
    """runbook("run", "x.lua", stdin="", env={}, timeout=60) -> Result; `sandbox.write(name, text)` writes files."""
    return lambda *arguments, **options: sandbox.run("runbook", *arguments, **options)


@pytest.fixture
def runbook_tty(sandbox):
    return lambda *arguments, **options: sandbox.tty("runbook", *arguments, **options)


@pytest.fixture
def screen(sandbox):
    """screen(*args, columns=80, rows=24) -> the program on a real terminal (lab/terminal.py)"""
    opened = []

    def start(*arguments, **options):
        opened.append(terminal.Screen(sandbox, "runbook", *arguments, **options))
        return opened[-1]
    yield start
    for one in opened:
        one.close()


@pytest.fixture
def luahost(sandbox):
    """luahost(text, **options): the text as a Lua file, run as a task with the host's own `require`."""
    def run(text, *arguments, **options):
        return sandbox.run("luahost", sandbox.write("host.lua", text), *arguments, **options)
    return run
