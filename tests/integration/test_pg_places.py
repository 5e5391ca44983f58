"""Where raw.pg connects to and with what of ours: services, password files, one of several servers, files for TLS."""

import os
import subprocess

import pytest

from lab import postgres as postgresql
from lab.luavalues import ask
from lab.process import HOST
from lab.tls import Authority
from test_raw_pg import guarded, pg, refusal


def test_password_files(pg, guarded, sandbox):
    dsn = f"postgresql://conduit@localhost:{guarded.port}/conduit"
    path = sandbox.write("home/.pgpass", f"localhost:{guarded.port}:*:conduit:pa ss'wörd\n")
    os.chmod(path, 0o600)
    assert pg(dsn + "?passfile=" + path, "show(1)") == [[1]]
    assert pg(dsn, "show(1)", env={"HOME": os.path.dirname(path)}) == [[1]]


def test_a_password_file_that_others_may_read_is_named(refusal, guarded, sandbox):
    path = sandbox.write("pgpass", "*:*:*:*:hunter2\n")
    os.chmod(path, 0o640)
    error = refusal(f"postgresql://conduit@localhost:{guarded.port}/conduit", env={"PGPASSFILE": path})
    assert error["kind"] == "login" and f"{path} is not used, because others may read it: chmod 600" in error["message"], error
    os.chmod(path, 0o600)
    error = refusal(f"postgresql://conduit@localhost:{guarded.port}/conduit", env={"PGPASSFILE": path})
    assert "password authentication failed" in error["message"] and "chmod" not in error["message"], error


def test_a_service_is_looked_up_in_its_file(pg, refusal, luahost, postgres, closed_port, sandbox):
    path = sandbox.write("services", f"[prod]\nhost={HOST},{HOST}\nport={closed_port},{postgres.port}\nuser=conduit\n"
                         "dbname=conduit\napplication_name=from file\n[wrong]\nnonsense=1\n")
    env = {"PGSERVICEFILE": path, "PGSERVICE": "wrong", "PGPORT": "1"}
    name = "query(\"SELECT current_setting('application_name') AS a\").rows[1].a"
    assert pg("service=prod", f"show(c:info().port, {name})", env=env) == [[postgres.port, "from file"]]
    assert pg("postgresql:///postgres?service=prod", "show(c:info().db)", env=env) == [["postgres"]]
    parsed = ask(luahost, "show(require('raw.pg').parse('service=prod host=other port=7'))", env=env)[0][0]
    assert (parsed["host"], parsed["port"], parsed["user"]) == ("other", 7, "conduit")
    for dsn, words in (("service=nowhere", 'definition of service "nowhere" not found'),
                       ("service=wrong", "syntax error in service")):
        error = refusal(dsn, env=env)
        assert error["kind"] == "usage" and words in error["message"], error
    error = refusal("service=prod", env={"PGSERVICEFILE": path + ".missing"})
    assert error["kind"] == "usage" and "not found" in error["message"], error


@pytest.fixture
def standby(server_of, postgres):
    return server_of(type("StandbyOfOurs", (postgresql.Standby,), {"of": postgres}))


def test_which_of_two_servers(pg, refusal, postgres, standby):
    both = f"host={HOST},localhost port={postgres.port},{standby.port} user=conduit dbname=conduit target_session_attrs="
    for attrs, port in (("any", postgres.port), ("primary", postgres.port), ("standby", standby.port), ("read-only", standby.port),
                        ("prefer-standby", standby.port)):
        assert pg(both + attrs, "show(c:info().port)") == [[port]], attrs
    alone = f"host={HOST} port={postgres.port} user=conduit dbname=conduit target_session_attrs="
    assert pg(alone + "prefer-standby", "show(c:info().port)") == [[postgres.port]]
    assert refusal(alone + "standby")["kind"] == "unreachable"
    standby.stop()
    assert pg(both + "prefer-standby", "show(c:info().port)") == [[postgres.port]]
    assert refusal(both + "read-only")["kind"] == "refused"


def test_files_of_our_own_say_nothing_of_the_server(refusal, server_of, tmp_path):
    """A key that can't be read is not the server's fault. Broken by: the system's codes looked for first."""
    Authority(str(tmp_path))
    server = server_of(type("TlsOfOurs", (postgresql.Postgres,), {}))
    for name, target in (("good.pem", "server.crt"), ("good.key", "server.key")):
        subprocess.run(["install", "-m600", "-o", "postgres", tmp_path / name, f"{server.data}/{target}"], check=True)
    server.psql("ALTER SYSTEM SET ssl = on")
    server.stop()
    server.start()
    (tmp_path / "junk.pem").write_text("junk")
    (tmp_path / "open.key").write_bytes((tmp_path / "good.key").read_bytes())
    (tmp_path / "open.key").chmod(0o644)
    (tmp_path / "link.key").symlink_to("good.key/nothing")
    own = f"sslcert={tmp_path}/good.pem sslkey="
    for options, kind in (
            ("sslmode=verify-full sslrootcert=/nowhere/ca.pem", "trust"), (f"sslmode=verify-ca sslrootcert={tmp_path}", "trust"),
            (f"sslmode=verify-ca sslrootcert={tmp_path}/junk.pem", "trust"), (own + "/nowhere/key", "usage"),
            (own + f"{tmp_path}/open.key", "usage"), (own + f"{tmp_path}/expired.key", "usage"),
            (own + f"{tmp_path}/link.key", "usage"), (f"sslcert={tmp_path}/junk.pem sslkey={tmp_path}/good.key", "usage"),
            ("ssl_max_protocol_version=TLSv1", "usage"), ("channel_binding=require", "login")):
        error = refusal(f"host=localhost port={server.port} user=conduit dbname=conduit sslmode=require " + options)
        assert error["kind"] == kind, (options, error)
