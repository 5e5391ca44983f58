"""What the exporters beside an API say, for a Prometheus that scrapes them: cAdvisor's, PostgreSQL's and Redis' metrics at
/metrics, and at /probe what the blackbox exporter says of a target, which is really asked."""

import urllib.error
import urllib.parse
import urllib.request

from .web import Site

METRICS = """\
container_memory_working_set_bytes{{name="{name}",pod="{name}-1",container="api"}} 1e8
container_cpu_usage_seconds_total{{name="{name}",pod="{name}-1",container="api"}} 12
pg_stat_activity_count{{state="idle"}} 7
redis_memory_used_bytes 1e6
"""
CLOSE = {"Connection": "close"}  # or they would be answered after `stop` too


class Exporters(Site):
    def __init__(self, name="conduit-api"):
        self.name = name
        super().__init__()

    def answer(self, handler, request):
        url = urllib.parse.urlsplit(request.path)
        if url.path == "/metrics":
            return handler.reply(200, METRICS.format(name=self.name), CLOSE)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path != "/probe" or query.get("module") != "http_2xx":
            return handler.reply(404, "no such path or module\n", CLOSE)
        return handler.reply(200, f"probe_success {int(is_well(query['target']))}\n", CLOSE)


def is_well(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False
