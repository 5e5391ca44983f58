"""raw.pg against a real server, and against ports that aren't one."""

import os
import signal
import subprocess
import time

import pytest

from lab import postgres as postgresql
from lab.luavalues import ask, lua
from lab.process import HOST
from lab.tls import Authority
from lab.wire import wire


@pytest.fixture
def pg(luahost):
    """pg(dsn, lua) -> what show(…) in `lua` showed; there `c` is the connection and `query(sql, …)` asserts success."""
    def run(dsn, text, env=None, **options):
        return ask(luahost, f"""
          local pg, task = require 'raw.pg', require 'raw.task'
          local function well(value, why) return value or error(why.message, 2) end
          local c <close> = well(pg.connect({lua({"dsn": dsn, **options})}))
          local function query(...) return well(c:query(...)) end
          {text}""", env=env)
    return run


@pytest.fixture
def refusal(luahost):
    """refusal(dsn, **options) -> the error of a connect that fails."""
    def run(dsn, env=None, **options):
        shown = ask(luahost, f"show(require('raw.pg').connect({lua({'dsn': dsn, **options})}))", env=env)
        assert shown[0][0] is None, shown
        return shown[0][1]
    return run


class Guarded(postgresql.Postgres):
    """Asks for passwords."""
    settings = {**postgresql.Postgres.settings, "password_encryption": "scram-sha-256"}

    def __init__(self, folder):
        super().__init__(folder)
        self.psql("ALTER ROLE conduit PASSWORD 'pa ss''wörd'")
        self.write_hba("host all conduit all scram-sha-256", "host all postgres all trust", "local all all peer")

    def write_hba(self, *lines):
        with open(self.data + "/pg_hba.conf", "w") as file:
            file.write("\n".join(lines) + "\n")
        self.psql("SELECT pg_reload_conf()")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def guarded(server_of):
    return server_of(Guarded)


# Values

def test_types(pg, postgres):
    row, = pg(postgres.dsn, """
      local row = query [[SELECT true AS yes, false AS no, 1::int2 AS i2, -2::int4 AS i4, 9223372036854775807::int8 AS i8,
        7::oid AS o, 1.5::float4 AS f4, 0.1::float8 AS f8, 10::numeric AS n, 10.50::numeric AS nf, 37.000::numeric AS nz,
        123456789012345678901234567890::numeric AS big, 'NaN'::float8 AS nan, 'Infinity'::float8 AS inf, NULL::int AS nothing,
        'x'::text AS t, '2025-01-02 03:04:05.123456+00'::timestamptz AS at, ARRAY[1,2] AS list, '{"a": 1}'::jsonb AS j,
        '\\xff00'::bytea AS b, interval '1 day' AS i]].rows[1]
      for name, value in pairs(row) do row[name] = math.type(value) and { math.type(value), value } or value end
      show(row)""")[0]
    assert row == {
        "yes": True, "no": False, "i2": ["integer", 1], "i4": ["integer", -2], "i8": ["integer", 9223372036854775807],
        "o": ["integer", 7], "f4": ["float", 1.5], "f8": ["float", 0.1], "n": ["integer", 10], "nf": ["float", 10.5],
        "nz": ["integer", 37], "big": ["float", 1.2345678901235e+29], "nan": "NaN", "inf": "Infinity", "t": "x",
        "at": "2025-01-02 03:04:05.123456+00", "list": "{1,2}", "j": '{"a": 1}', "b": "\\xff00", "i": "1 day"}


def test_result(pg, postgres):
    shown = pg(postgres.dsn, """
      query "CREATE TEMP TABLE t (a int, b text)"
      show(query "INSERT INTO t VALUES (1, 'one'), (2, 'two')")
      show(query "SELECT a, b, a + 1 FROM t ORDER BY a")
      show(query "SELECT a FROM t WHERE false")
      show(query "UPDATE t SET b = '' WHERE a > 1 RETURNING a")
      show(query "SET statement_timeout = 0")
      show(query "")""")
    insert, select, none, update, setting, empty = (result[0] for result in shown)
    assert (insert["command"], insert["affected"], insert["rows"], insert["cut"]) == ("INSERT 0 2", 2, {}, False)
    assert select["columns"] == ["a", "b", "?column?"] and select["command"] == "SELECT 2"
    assert select["rows"] == [{"a": 1, "b": "one", "?column?": 2}, {"a": 2, "b": "two", "?column?": 3}]
    assert none["columns"] == ["a"] and none["rows"] == {}
    assert update["rows"] == [{"a": 2}] and update["affected"] == 1
    assert setting["command"] == "SET" and "affected" not in setting
    assert empty["columns"] == {} and "command" not in empty


def test_params(pg, postgres):
    shown = pg(postgres.dsn, r"""
      show(query("SELECT $1::text AS a, $2::int AS b, $3::bool AS c, $4::float8 AS d, $5::text AS e",
                 { "it's; DROP", 42, true, 0.1, nil, n = 5 }).rows[1])
      show(pcall(c.query, c, "SELECT $1::text", { {} }))
      show(pcall(c.query, c, "SELECT $1::text", { "a\0b" }))
      show(pcall(c.query, c, "SELECT\0 1"))
      show(c:query("SELECT $1::int", { "x" }))
      show(c:query("SELECT 1", { 1, 2 }))""")
    assert shown[0][0] == {"a": "it's; DROP", "b": 42, "c": True, "d": 0.1}
    assert all(line[0] is False for line in shown[1:4])
    assert shown[4][1]["sqlstate"] == "22P02" and shown[5][1]["sqlstate"] == "08P01"


def test_one_statement_only(pg, postgres):
    error = pg(postgres.dsn, 'show(c:query "SELECT 1; SELECT 2") show(query("SELECT 1 AS one").rows)')
    assert error[0][1]["sqlstate"] == "42601" and error[1][0] == [{"one": 1}]


def test_errors_have_kind_and_reason(pg, postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS secret_table (id int PRIMARY KEY)")
    shown = pg(postgres.dsn, """
      show(c:query "SELECT * FROM secret_table")
      show(c:query "SELECT nme FROM (SELECT 1 AS name) t")
      query "SET statement_timeout = 50"
      show(c:query "SELECT pg_sleep(5)")
      query "CREATE TEMP TABLE t (a int PRIMARY KEY)"
      query "INSERT INTO t VALUES (1)"
      show(c:query "INSERT INTO t VALUES (1)")
      show(c:query "COPY t TO STDOUT")""")
    permission, hint, late, detail, copy = (line[1] for line in shown)
    assert (permission["kind"], permission["sqlstate"]) == ("permission", "42501")
    assert hint["kind"] == "sqlstate" and 'does not exist; Perhaps you meant' in hint["message"]
    assert (late["kind"], late["sqlstate"]) == ("timeout", "57014")
    assert "already exists" in detail["message"]
    assert copy["kind"] == "usage"


# Limits

def test_rows_are_cut(pg, postgres):
    shown = pg(postgres.dsn, """
      local r = query("SELECT generate_series(1, 50000) AS i")
      show(#r.rows, r.rows[10000].i, r.cut, r.affected)
      r = query("SELECT generate_series(1, 5) AS i", nil, { max_rows = 5 })
      show(#r.rows, r.cut)
      r = query("SELECT repeat('x', 1000) AS t FROM generate_series(1, 100)", nil, { max_bytes = 10500 })
      show(#r.rows, r.cut)
      r = query("SELECT 1", nil, { max_rows = 0 })
      show(#r.rows, r.cut)""")
    assert shown == [[10000, 10000, True, 50000], [5, False], [10, True], [0, True]]


def test_stop_at_cut_stops_the_server(pg, postgres):
    began = time.monotonic()
    shown = pg(postgres.dsn, """
      local r = query("SELECT generate_series(1, 1000000000), repeat('x', 100)", nil, { max_rows = 10, stop_at_cut = true })
      show(#r.rows, r.cut)
      show(c:query "SELECT 1")
      task.sleep(0.3)""")
    assert shown[0] == [10, True] and shown[1][1]["kind"] == "reset"
    assert time.monotonic() - began < 10
    assert postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runbook' AND state = 'active'") == "0"


def test_a_write_is_not_stopped_by_its_answer(pg, postgres):
    postgres.psql("DROP TABLE IF EXISTS many; CREATE TABLE many (i int); GRANT ALL ON many TO conduit")
    shown = pg(postgres.dsn, """
      local r = query("INSERT INTO many SELECT generate_series(1, 20000) RETURNING i", nil, { max_rows = 10 })
      show(#r.rows, r.cut, r.affected)""")
    assert shown == [[10, True, 20000]] and postgres.psql("SELECT count(*) FROM many") == "20000"


# Deadlines

def test_query_timeout_stops_the_server_and_closes(pg, postgres):
    shown = pg(postgres.dsn, """
      local began = task.now()
      show(c:query("SELECT pg_sleep(60)", nil, { timeout = 0.3 }))
      show(task.now() - began)
      show(c:query "SELECT 1") show(c:info()) show(tostring(c))
      task.sleep(0.5)""")
    assert shown[0][1] == {"kind": "timeout", "message": "the query took longer than 0.3 s"}
    assert shown[1][0] < 2
    assert shown[2][1]["kind"] == shown[3][1]["kind"] == "reset" and "closed" in shown[4][0]
    assert postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' "
                         "AND pid <> pg_backend_pid()") == "0"


def test_frozen_server_lets_nobody_in(refusal, postgres):
    postgres.freeze()
    try:
        error = refusal(postgres.dsn, timeout=0.5)
    finally:
        postgres.thaw()
    assert error["kind"] == "timeout" and "connected, but no answer" in error["message"]


def test_timeout_against_a_frozen_server_lets_the_program_end(luahost, sandbox, postgres):
    process = sandbox.start("luahost", sandbox.write("x.lua", f"""
      local pg, task = require 'raw.pg', require 'raw.task'
      local c = assert(pg.connect {{ dsn = "{postgres.dsn}" }})
      print(c:info().pid)
      task.sleep(1)
      local _, why = c:query("SELECT 1", nil, {{ timeout = 0.5 }})
      print(why.kind)"""))
    session = int(process.stdout.readline())
    try:
        postgres.freeze()
        os.kill(session, signal.SIGSTOP)
        out, err = process.communicate(timeout=10)
    finally:
        os.kill(session, signal.SIGCONT)
        postgres.thaw()
    assert (out, process.returncode) == (b"timeout\n", 0), err


def test_connect_timeouts(refusal, silent_port, stuck_port):
    error = refusal(f"postgresql://u:secret@{HOST}:{stuck_port}/d", timeout=0.5)
    assert error["kind"] == "timeout" and "no connection in time" in error["message"] and str(stuck_port) in error["message"]
    error = refusal(f"postgresql://u:secret@{HOST}:{silent_port}/d", timeout=0.5)
    assert error["kind"] == "timeout" and "connected, but no answer" in error["message"]


def test_a_stuck_address_does_not_take_all_the_time(pg, postgres, stuck_port):
    dsn = f"postgresql://conduit@{HOST}:{stuck_port},localhost:{postgres.port}/conduit"
    assert pg(dsn, "show(c:info().port)", timeout=2)[0][0] == postgres.port


def test_cancelled(luahost, postgres, silent_port):
    began = time.monotonic()
    shown = ask(luahost, f"""
      local pg, task = require 'raw.pg', require 'raw.task'
      local c = assert(pg.connect {{ dsn = "{postgres.dsn}" }})
      local tasks = {{ task.spawn(function() pg.connect {{ dsn = "host={HOST} port={silent_port}" }} end),
                      task.spawn(function() c:query "SELECT pg_sleep(60)" end) }}
      task.sleep(0.2)
      show(pcall(c.query, c, "SELECT 1"))
      for _, one in ipairs(tasks) do task.cancel(one) end
      for _, one in ipairs(tasks) do show((task.join(one))) end
      show(c:query "SELECT 1")""")
    assert "busy" in shown[0][1] and shown[1:3] == [[False]] * 2 and shown[3][1]["kind"] == "reset"
    assert time.monotonic() - began < 5


def test_close_while_a_query_runs(pg, postgres):
    shown = pg(postgres.dsn, """
      local running = task.spawn(function() show(c:query "SELECT pg_sleep(60)") end)
      task.sleep(0.2)
      c:close()
      show((task.join(running)))
      c:close()""")
    assert shown[0][1]["kind"] == "cancelled" and shown[1] == [True]


def test_left_behind(luahost, postgres):
    result = luahost(f"""
      local pg, task = require 'raw.pg', require 'raw.task'
      for _ = 1, 5 do
        local c = assert(pg.connect {{ dsn = "{postgres.dsn}" }})
        task.spawn(function() c:query "SELECT pg_sleep(60)" end)
      end
      task.sleep(0.2)""")
    assert result.code == 0, result


# Connections that break

def test_killed_session(pg, postgres):
    shown = pg(postgres.dsn, """
      local pid = c:info().pid
      show(c:query("SELECT pg_terminate_backend($1::int)", { pid }))
      show(c:query "SELECT 1")""")
    assert (shown[0][1]["kind"], shown[0][1]["sqlstate"]) == ("reset", "57P01") and shown[1][1]["kind"] == "reset"


def test_killed_while_idle(luahost, postgres):
    shown = ask(luahost, f"""
      local pg = require 'raw.pg'
      local a, b = assert(pg.connect {{ dsn = "{postgres.dsn}" }}), assert(pg.connect {{ dsn = "{postgres.dsn}" }})
      assert(a:query("SELECT pg_terminate_backend($1::int)", {{ b:info().pid }}))
      require('raw.task').sleep(0.2)
      show(b:query "SELECT 1")""")
    assert shown[0][1]["kind"] == "reset" and shown[0][1].get("sqlstate") in ("57P01", None)


def test_server_dies(luahost, sandbox, postgres):
    process = sandbox.start("luahost", sandbox.write("x.lua", f"""
      local c = assert(require('raw.pg').connect {{ dsn = "{postgres.dsn}" }})
      print("ready")
      local _, why = c:query("SELECT pg_sleep(60)", nil, {{ timeout = 20 }})
      print(why.kind)"""))
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    postgres.stop()
    out, err = process.communicate(timeout=15)
    assert out == b"reset\n", err


# Who lets us in

def test_refused_unknown_missing(refusal, closed_port, tmp_path):
    error = refusal(f"postgresql://u:secret@{HOST}:{closed_port}/d")
    assert (error["kind"], error["message"]) == ("refused", f"{HOST}:{closed_port}: Connection refused")
    error = refusal("postgresql://u:secret@no-such-host.invalid/d")
    assert (error["kind"], error["message"]) == ("dns", "no-such-host.invalid: the name does not resolve")
    error = refusal(f"host={tmp_path} user=u")
    assert error["kind"] == "missing" and f"{tmp_path}/.s.PGSQL.5432" in error["message"]


def test_login(pg, refusal, guarded):
    where = f"{HOST}:{guarded.port}/conduit"
    assert pg(f"postgresql://conduit:pa%20ss'w%C3%B6rd@{where}", "show(c:info().user)") == [["conduit"]]
    wrong = refusal(f"postgresql://conduit:hunter2@{where}")
    assert (wrong["kind"], wrong["sqlstate"]) == ("login", "28P01") and "hunter2" not in wrong["message"]
    assert wrong["message"] == f'{HOST}:{guarded.port}: password authentication failed for user "conduit"'
    none = refusal(f"postgresql://conduit@{where}")
    assert none["kind"] == "login" and "password" in none["message"]
    stranger = refusal(f"postgresql://nobody@{where}")
    assert (stranger["kind"], stranger["sqlstate"]) == ("login", "28000")
    missing = refusal(f"postgresql://postgres@{HOST}:{guarded.port}/nope")
    assert (missing["kind"], missing["sqlstate"]) == ("missing", "3D000")


def test_password_from_file_or_environment(pg, guarded, sandbox):
    dsn = f"postgresql://conduit@localhost:{guarded.port}/conduit"
    assert pg(dsn, "show(1)", env={"PGPASSWORD": "pa ss'wörd"}) == [[1]]
    path = sandbox.write("pgpass", f"localhost:{guarded.port}:*:conduit:pa ss'wörd\n")
    os.chmod(path, 0o600)
    assert pg(dsn, "show(1)", env={"PGPASSFILE": path}) == [[1]]


def test_the_environment_leads_nowhere_else(pg, postgres):
    env = {"PGHOST": "elsewhere.invalid", "PGPORT": "1", "PGUSER": "other", "PGDATABASE": "other", "PGOPTIONS": "-c x=y",
           "PGSERVICE": "s", "PGSSLMODE": "verify-full", "PGHOSTADDR": "10.0.0.1", "PGTZ": "Asia/Tokyo", "PGAPPNAME": "spy",
           "PGCLIENTENCODING": "LATIN1"}
    shown = pg(f"host={HOST} port={postgres.port} user=conduit dbname=conduit", """
      show(query("SELECT current_setting('TimeZone') AS tz, current_setting('application_name') AS app, 'ö' AS o").rows[1])
      show(c:info())""", env=env)
    assert shown[0][0] == {"tz": "UTC", "app": "runbook", "o": "Ã¶"}
    info = shown[1][0]
    assert (info["host"], info["address"], info["port"], info["db"], info["user"]) == (
        HOST, HOST, postgres.port, "conduit", "conduit")
    assert info["server_version"].startswith("1") and info["pid"] > 0 and info["in_recovery"] is False


def test_starting_server(refusal, wire):
    """A server that says 57P03: written by hand, as a real one says it for an instant only."""
    recovering = "Consistent recovery state has not been yet reached."
    site = wire(postgresql.answers_start_up_with(
        postgresql.fatal("57P03", "the database system is starting up", detail=recovering)))
    error = refusal(f"postgresql://u@{HOST}:{site.port}/d")
    assert (error["kind"], error["sqlstate"]) == ("starting", "57P03")
    assert error["message"].endswith("the database system is starting up; " + recovering)


@pytest.mark.parametrize("answer, kind", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol"), (b"", "reset"), (b"S\0\0\0", "protocol")])
def test_not_a_postgres_server(refusal, wire, answer, kind):
    def serve(connection, _):
        connection.recv(8)
        connection.sendall(answer)
    error = refusal(f"postgresql://u@{HOST}:{wire(serve).port}/d", timeout=2)
    assert error["kind"] == kind, error


def test_tls(pg, refusal, server_of, tmp_path):
    authority = Authority(str(tmp_path))

    class Tls(postgresql.Postgres):
        pass
    server = server_of(Tls)
    # libpq tells an expired one and one of an authority that we don't know in the same words: nothing is known then.
    for kind, means, error_words in (("good", None, None), ("expired", "trust", "certificate"), ("wrong_host", "tls", "localhost")):
        for suffix in ("pem", "key"):
            target = f"{server.data}/server.{'crt' if suffix == 'pem' else 'key'}"
            subprocess.run(["install", "-m600", "-o", "postgres", str(tmp_path / f"{kind}.{suffix}"), target], check=True)
        server.psql("ALTER SYSTEM SET ssl = on")
        server.psql("SELECT pg_reload_conf()")
        time.sleep(0.3)
        dsn = f"postgresql://conduit@localhost:{server.port}/conduit?sslmode=verify-full&sslrootcert={authority.ca}"
        if error_words is None:
            assert pg(dsn, "show(query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()').rows[1])") == [[{"ssl": True}]]
        else:
            error = refusal(dsn)
            assert error["kind"] == means and error_words in error["message"]


# Where it goes, and settings

def test_hosts(pg, postgres):
    shown = pg("postgresql://conduit@db.prod.invalid/conduit", "show(c:info())",
               hosts={"db.prod.invalid": f"{HOST}:{postgres.port}"})
    assert (shown[0][0]["host"], shown[0][0]["address"], shown[0][0]["port"]) == ("db.prod.invalid", HOST, postgres.port)


def test_hosts_with_v6_addresses(refusal, closed_port):
    for target, shown in ((f"[::1]:{closed_port}", f"db:{closed_port} (::1)"), ("::1", "db:1 (::1)"), ("[::1]", "db:1 (::1)")):
        error = refusal("host=db port=1", hosts={"db": target})
        assert error["message"].startswith(shown + ": "), error


def test_next_host(pg, postgres, closed_port):
    dsn = f"postgresql://conduit@{HOST}:{closed_port},nope.invalid:5432,localhost:{postgres.port}/conduit"
    assert pg(dsn, "show(c:info().host)") == [["localhost"]]


def test_socket_folder(pg, postgres):
    shown = pg(f"host={postgres.folder} port={postgres.port} user=conduit dbname=conduit", "show(c:info())")
    assert shown[0][0]["host"] == postgres.folder


def test_settings(pg, refusal, postgres):
    shown = pg(postgres.dsn + "?options=-c%20work_mem%3D1MB", """
      show(query("SELECT current_setting('statement_timeout') AS a, current_setting('default_transaction_read_only') AS b, "
        .. "current_setting('app.note') AS c, current_setting('work_mem') AS d").rows[1])""",
               options={"statement_timeout_ms": 1500, "default_transaction_read_only": "on", "app.note": r"a b\c, d"})
    assert shown[0][0] == {"a": "1500ms", "b": "on", "c": r"a b\c, d", "d": "1MB"}
    assert refusal(postgres.dsn, options={"no_such_setting": "x"})["sqlstate"] == "42704"


def test_parse(luahost):
    def parse(dsn):
        return ask(luahost, f"show(require('raw.pg').parse({lua(dsn)}))")[0]
    assert parse("postgresql://u:p@db1:6432/app?sslmode=require")[0] == {
        "host": "db1", "port": 6432, "dbname": "app", "user": "u", "password_given": True}
    assert parse("host=a,b port=1,2 user=u dbname=d")[0] == {
        "host": "a,b", "port": "1,2", "dbname": "d", "user": "u", "password_given": False}
    assert parse("user=u")[0] == {
        "host": "/var/run/postgresql", "port": 5432, "dbname": "u", "user": "u", "password_given": False}
    for dsn in ("password=my secret", "postgresql://u:%zzsecret@h/", "nonsense", "hots=x", "service=no-such-service"):
        nothing, error = parse(dsn)
        assert nothing is None and error["kind"] == "usage" and "secret" not in error["message"], dsn


def test_dsns_that_cannot_work(refusal):
    for dsn in ("host=a,b port=1,2,3", "host=a hostaddr=1.1.1.1,2.2.2.2", "host=a port=70000", "host=127.0.0.1 sslmode=maybe"):
        assert refusal(dsn)["kind"] == "usage", dsn


def test_many_connections_at_once(luahost, postgres):
    shown = ask(luahost, f"""
      local pg, task = require 'raw.pg', require 'raw.task'
      local sum, tasks = 0, {{}}
      for i = 1, 20 do
        tasks[i] = task.spawn(function()
          local c <close> = assert(pg.connect {{ dsn = "{postgres.dsn}" }})
          for _ = 1, 20 do
            local row = c:query("SELECT $1::int AS i", {{ i }}).rows[1]
            sum = sum + row.i
          end
        end)
      end
      for _, one in ipairs(tasks) do assert(task.join(one)) end
      show(sum)""")
    assert shown == [[210 * 20]]
