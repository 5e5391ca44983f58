"""How questions leave this machine and what answers them: the config's proxy and authorities, HEAD that isn't served, names beyond
ASCII, and servers that answer HTTP wrongly."""

import gzip

import pytest

from lab.process import HOST
from lab.proxy import Proxy
from lab.web import Site
from lab.wire import head_of, request_, wire


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.stop()


@pytest.fixture
def ask(runbook, sandbox):
    """ask(code, config) -> the outcome of the last effect of a probe's `code`, and the run."""
    def run(code, config=None):
        if config:
            sandbox.write("runbook.config.lua", "return { " + config + " }")
        sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local p = probe("P", function() note({code}) end)
p()
return unresolved "x"
""")
        result = runbook("run", "x.lua", "--dry-run")
        return result.events("effect.outcome")[-1], result
    return run


# The proxy and the authorities of the config. Broken by: way_out.request without `proxy` or `trust`; CAINFO in use for them.

def test_questions_go_through_the_proxy(ask, proxy, closed_port):
    """A name that only the proxy knows, and none that is this machine."""
    config = f'proxy = "http://127.0.0.1:{proxy.port}"'
    event, result = ask(f'http.get("http://shop.invalid:{closed_port}/")', config)
    assert ("GET", f"http://shop.invalid:{closed_port}/") in proxy.seen, result
    assert event["result"]["why"] == f"HTTP 502 (through the proxy 127.0.0.1:{proxy.port})", result
    ask('prometheus.query("up", { url = "http://prom.invalid:9090" })')
    assert [path for _, path in proxy.seen if "prom.invalid" in path], proxy.seen
    count = len(proxy.seen)
    for url in (f"http://127.0.0.1:{closed_port}/", f"http://localhost:{closed_port}/"):
        assert ask(f'http.get("{url}")')[0]["status"] == "not_well" and len(proxy.seen) == count
    config += ', no_proxy = { ".invalid" }'
    assert ask('http.get("http://shop.invalid/")', config)[0]["result"]["error"]["kind"] == "dns" and len(proxy.seen) == count


@pytest.mark.parametrize("url, shown", [("http://shop.invalid/x", " -x http://10.0.0.9:3128 "), ("http://127.0.0.1:1/x", None)])
def test_the_request_by_hand_takes_the_same_way(runbook, sandbox, url, shown):
    """Without the login that stands in the config. Broken by: curl.words without way_out.shown."""
    sandbox.write("runbook.config.lua", 'return { proxy = "http://me:sesame88@10.0.0.9:3128" }')
    sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local r = remedy("R", {{}}, function() http.post("{url}") end)
r()
return unresolved "x"
""")
    result = runbook("run", "x.lua", "--dry-run")
    command = result.events("plan")[-1]["effects"][0]["command"]
    assert (shown in command if shown else " -x " not in command) and "sesame88" not in command, result


def test_a_page_that_is_sent_elsewhere_says_where(runbook, sandbox, http_faults):
    """Broken by: post.send without the redirect's target."""
    http_faults.set("/hook", 308, "", {"Location": "https://sso.example.com/login"})
    sandbox.write("runbook.config.lua", f'return {{ pager = {{ "webhook", url = "{http_faults.url}/hook" }} }}')
    sandbox.write("x.lua", """runbook { title = "X" }
return unresolved "x"
""")
    result = runbook("run", "x.lua")
    assert "HTTP 308: to https://sso.example.com/login" in " ".join(result.stdout.split()), result


@pytest.mark.parametrize("url", ["http://shop.invalid/", "https://shop.invalid/"])
def test_a_proxy_that_wants_a_login_is_not_the_site(ask, proxy, url):
    proxy.login = "user:sesame88"
    event, result = ask(f'http.get("{url}")', f'proxy = "http://127.0.0.1:{proxy.port}"')
    assert event["status"] == "failed" and event["result"]["error"]["kind"] == "proxy", result
    assert "wants a login (407)" in event["result"]["error"]["message"], result


def test_the_configs_authorities_are_trusted(ask, http_faults):
    config = f'ca = "{http_faults.ca}"'
    code = f'http.get("{http_faults.https()}/")'
    unknown = ask(code, "here = false")[0]
    assert unknown["status"] == "failed" and "the config's ca" in unknown["result"]["error"]["message"]
    event, result = ask(code, config)
    assert event["status"] == "ok" and event["result"]["tls"]["verified"], result


def test_the_systems_authorities_stay(luahost, http_faults, tmp_path):
    """SSL_CERT_FILE names the system's here: another file beside it takes nothing away. One that is gone is ours to mend."""
    other = tmp_path / "other.pem"
    other.write_text(open("/etc/ssl/certs/ca-certificates.crt").read())
    code = 'local url, trust = ... local reply, err = require("raw.http").request { url = url, trust = trust } ' \
           'print(reply and reply.status or err.kind .. " " .. err.message)'
    url = http_faults.https() + "/"
    env = {"SSL_CERT_FILE": http_faults.ca}
    assert luahost(code, url, str(other), env=env).stdout.strip() == "200"
    assert luahost(code, url, http_faults.ca).stdout.strip() == "200"
    gone = luahost(code, url, str(tmp_path / "gone.pem"), env=env).stdout
    assert gone.startswith("usage ") and "gone.pem can't be read" in gone


# HEAD. Broken by: exchange() without its second question.

class NoHead(Site):
    status = 405

    def answer(self, handler, request):
        if request.method == "HEAD":
            return handler.reply(self.status, "")
        handler.reply(200, "x" * 100000)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_where_head_is_not_served_get_is_asked(ask, status):
    site = NoHead()
    site.status = status
    event, result = ask(f'http.head("http://{HOST}:{site.port}/health")')
    site.stop()
    assert event["status"] == "ok" and event["result"]["status"] == 200 and event["result"]["asked"] == "GET", result
    assert event["result"]["body"] == "" and [it.method for it in site.requests] == ["HEAD", "GET"]


def test_a_body_after_head_is_no_answer_to_the_next(luahost, wire):
    """The connection that holds it is not used again."""
    def serve(connection, _):
        while head_of(connection):
            lies = b"HTTP/1.1 500 Lies\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(lies) + lies)
    site = wire(serve)
    code = 'local url, http = ..., require "raw.http" for _, m in ipairs { "HEAD", "HEAD", "GET" } do ' \
           'local reply, err = http.request { url = url, method = m } print(reply and reply.status or err.kind) end'
    assert luahost(code, site.url).stdout.split() == ["200", "200", "200"]


# Names. Broken by: url_host_to_ascii without its locale.

@pytest.mark.parametrize("name", ["münchen.example", "M%C3%BCnchen.example", "xn--mnchen-3ya.example"])
def test_names_beyond_ascii(request_, http_faults, name):
    answer, error = request_(f"http://{name}:{http_faults.port}/",
                             connect_to=[f"xn--mnchen-3ya.example:{http_faults.port}:{HOST}:{http_faults.port}"])
    assert error is None and answer["status"] == 200
    assert http_faults.requests[-1].headers["Host"] == f"xn--mnchen-3ya.example:{http_faults.port}"


# Answers that are wrong.

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("answer", [
    OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbroken\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    OK + b"Content-Length: -5\r\n\r\n", OK + b"Content-Length: 100\r\n\r\nshort",
    b"plain words of HTTP/0.9\n", b"\x15\x03\x01\x00\x02\x02\x16",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, OK + b"X: " + b"y" * 300000 + b"\r\n\r\n",
    OK + b"Location: " + b"z" * 10],
    ids=["chunk", "chunk size", "negative length", "short", "0.9", "tls alert", "1xx flood", "long header", "cut head"])
def test_an_answer_that_is_not_http_is_a_finding_in_words(ask, wire, answer):
    def serve(connection, _):
        head_of(connection)
        connection.sendall(answer)
    event, result = ask(f'http.get("{wire(serve).url}/")')
    assert event["status"] == "not_well", result
    assert "127.0.0.1" in event["result"]["why"] and "lua" not in event["result"]["why"], result


@pytest.mark.parametrize("answer, body", [
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nlies", ""),
    (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"x" * 10 ** 7)) +
     gzip.compress(b"x" * 10 ** 7), None)], ids=["204 with a body", "gzip unasked"])
def test_an_odd_body_is_kept_as_it_came(request_, wire, answer, body):
    """Nothing is unpacked: what a server sends small stays small."""
    def serve(connection, _):
        head_of(connection)
        connection.sendall(answer)
    reply, error = request_(wire(serve).url)
    assert error is None and len(reply["body"]) < 20000
    assert body is None or reply["body"] == body


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"a": 1}', b'{"a": NaN}', b"[" * 100000, b'{"a": "\xff"}', b"{'a': 1}"],
                         ids=["BOM", "NaN", "deep", "latin", "quotes"])
def test_json_that_is_none_is_nil(ask, http_faults, body):
    http_faults.set("/json", 200, body)
    event, result = ask(f'tostring(http.get("{http_faults.url}/json").json == nil)')
    assert event["status"] == "ok" and "true" in result.stdout, result
