"""What nginx and HAProxy really answer, for a service that is there, that isn't and that lies. Broken by: exchange() without its
second question; http_failure.c without no_tls; redis_reply.c without its words for HTTP."""

import threading

import pytest

from lab.gateways import Haproxy, Nginx
from lab.process import HOST, wait_for


@pytest.fixture(scope="session")
def nginx(server_of):
    return server_of(Nginx)


@pytest.fixture(scope="session")
def haproxy(server_of):
    return server_of(Haproxy)


@pytest.fixture
def ask(runbook, sandbox):
    """ask(code) -> the outcome of the last effect of a probe's `code`, and the run."""
    def run(code):
        sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local p = probe("P", function() note(tostring({code})) end)
p()
return unresolved "x"
""")
        result = runbook("run", "x.lua", "--dry-run")
        return result.events("effect.outcome")[-1], result
    return run


@pytest.fixture
def behind():
    """behind(gateway, answer): every connection behind it is answered so, and closed."""
    ends = []

    def start(gateway, answer):
        listener = gateway.listen()

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ends.append((listener, thread))

    yield start
    for listener, thread in ends:
        listener.shutdown(2)
        listener.close()
        thread.join()


@pytest.mark.parametrize("status", [405, 501])
def test_head_that_nginx_does_not_serve(ask, nginx, status):
    event, result = ask(f'http.head("{nginx.url}/{status}").asked')
    assert event["status"] == "ok" and event["result"]["status"] == 200 and "GET" in result.stdout, result
    assert event["result"]["body"] == "", result


def test_head_of_what_is_gone_is_asked_once(ask, nginx):
    event, result = ask(f'http.head("{nginx.url}/gone").why')
    assert event["status"] == "not_well" and event["result"]["why"] == "HTTP 410" and event["result"].get("asked") is None, result


def test_head_then_get_on_one_connection(ask, nginx):
    event, result = ask(f'http.head("{nginx.url}/packed.json").status .. http.get("{nginx.url}/plain").body')
    assert event["status"] == "ok" and "200all is well" in result.stdout, result


def test_a_redirect_says_where(ask, nginx):
    event, result = ask(f'http.get("{nginx.url}/moved").why')
    assert event["result"]["why"] == "HTTP 308: to https://login.example.com/sso?from=api", result
    event, result = ask(f'http.get("{nginx.url}/here", {{ follow = true }}).body')
    assert event["status"] == "ok" and "all is well" in result.stdout, result


def test_packed_only_when_asked_for(ask, nginx):
    """Nobody asked: nginx sends plain words. What comes packed all the same is told by its header."""
    event, result = ask(f'http.get("{nginx.url}/plain").body')
    assert "all is well" in result.stdout and "content-encoding" not in event["result"]["headers"], result
    event, result = ask(f'http.get("{nginx.url}/packed.json").headers["content-encoding"]')
    assert event["status"] == "ok" and "gzip" in result.stdout, result


@pytest.mark.parametrize("gateway, path", [("nginx", "/behind/"), ("haproxy", "/")])
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot a thousand bytes",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nnot so many"], ids=["length", "chunks"])
def test_a_body_that_breaks_off_behind_it(ask, request, behind, gateway, path, answer):
    there = request.getfixturevalue(gateway)
    behind(there, answer)
    event, result = ask(f'http.get("{there.url}{path}").why')
    assert event["status"] == "not_well" and "before the body was complete" in event["result"]["why"], result


@pytest.mark.parametrize("gateway, path, status", [
    ("nginx", "/behind/", 502), ("haproxy", "/gone", 503), ("haproxy", "/empty", 503), ("haproxy", "/", 503)])
def test_nobody_behind_it(ask, request, gateway, path, status):
    there = request.getfixturevalue(gateway)
    event, result = ask(f'http.get("{there.url}{path}").why')
    assert event["status"] == "not_well" and event["result"]["why"] == f"HTTP {status}", result
    event, result = ask(f'http.head("{there.url}{path}").why')
    assert event["result"]["status"] == status and event["result"].get("asked") is None, result


@pytest.mark.parametrize("gateway, path, status", [("nginx", "/behind/", 504), ("haproxy", "/", 504)])
def test_silence_behind_it(ask, request, gateway, path, status):
    there = request.getfixturevalue(gateway)
    with there.listen():
        event, result = ask(f'http.get("{there.url}{path}").why')
    assert event["status"] == "not_well" and event["result"]["why"] == f"HTTP {status}", result


@pytest.mark.parametrize("gateway", ["nginx", "haproxy"])
def test_the_wrong_tongue_is_told(ask, request, gateway):
    there = request.getfixturevalue(gateway)
    event, result = ask(f'http.get("https://{HOST}:{there.port}/").why')
    assert event["status"] == "not_well", result
    assert event["result"]["why"] == f"{HOST}:{there.port} speaks no TLS: its address begins with http://, not https://", result
    event, result = ask(f'redis.ping("redis://{HOST}:{there.port}").error.message')
    assert event["status"] == "failed" and "it answers in HTTP" in event["result"]["error"]["message"], result
    event, result = ask(f'redis.ping("rediss://{HOST}:{there.port}").error.message')
    assert event["status"] == "failed" and "speaks no TLS" in event["result"]["error"]["message"], result


def test_clear_words_to_nginx_port_of_tls(ask, nginx):
    event, result = ask(f'http.get("http://localhost:{nginx.tls.port}/plain").why')
    assert event["status"] == "not_well", result
    assert event["result"]["why"] == "HTTP 400: it speaks TLS: its address begins with https://, not http://", result


def test_prometheus_behind_a_gateway_that_has_nobody(ask, haproxy):
    event, result = ask(f'prometheus.query("up", {{ url = "{haproxy.url}/gone" }}).error')
    assert event["status"] == "failed" and "503" in event["result"]["error"]["message"], result


def test_haproxys_statistics_are_read_as_they_are(ask, haproxy):
    url = f"http://{HOST}:{haproxy.stats.port}/stats;csv"
    wait_for(lambda: "gone,api1,0,0,0,0,,0,0,0,,0,,0,0,0,0,DOWN" in ask(f'http.get("{url}").body')[1].stdout, "the server is down")
