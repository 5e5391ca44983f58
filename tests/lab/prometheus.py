"""A Prometheus server of the tests' own: scrapes itself, and what `.targets()` names, every second."""

import json
import os
import urllib.parse
import urllib.request

from .process import HOST, Server

CONFIG = """\
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [ rules.yml ]
scrape_configs:
  - job_name: prometheus
    static_configs: [ {{ targets: [ "{host}:{port}" ] }} ]
  - job_name: conduit-api
    file_sd_configs: [ {{ files: [ targets.json ], refresh_interval: 1s }} ]
"""

# One alert that always fires, so that `alerts` has something to read, and the runbooks' own.
RULES = """\
groups:
  - name: lab
    rules:
      - { alert: AlwaysFiring, expr: vector(1), labels: { severity: info } }
      - { alert: APIDown, expr: 'up{job="conduit-api"} == 0', labels: { severity: critical } }
"""


class Prometheus(Server):
    def command(self):
        self._write("prometheus.yml", CONFIG.format(host=HOST, port=self.port))
        self._write("rules.yml", RULES)
        if not os.path.exists(os.path.join(self.folder, "targets.json")):
            self.targets([])
        return ["/usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                f"--web.listen-address={HOST}:{self.port}", "--web.enable-lifecycle"]

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def targets(self, addresses):
        """What the job conduit-api scrapes: a list of "host:port"."""
        self._write("targets.json", json.dumps([{"targets": addresses}] if addresses else []))

    def answers(self):
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=1).status == 200
        except OSError:
            return False

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def query(self, expression):
        """The samples of an instant query."""
        address = self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
