"""What tests of `runbook doctor` share."""

import os
import shutil

import pytest

from .kubernetes import Cluster

HEAD = 'runbook { title = "Doctor" }\nlocal at = params { to = { "", "Where" }, at = { "", "Where else" } }\n'
COMPOSE = "version: '3'\nservices:\n  api:\n    image: conduit-api:1\n    network_mode: none\n"
PEOPLE = """
  pager    = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" },
  chat     = { "slack", token = secret "SLACK_TOKEN", url = "%s/api" },
  incident = { "webhook", url = "%s/hook" },"""
class Looked:
    """How a doctor's look ended: `code`, `rows` (its events), `result` (lab.program.Result)."""

    def __init__(self, result):
        self.result, self.code, self.rows = result, result.code, result.events("doctor.row")

    def of(self, state, area=None):
        """(what, text) of the rows in a state."""
        return [(row["what"], row["text"]) for row in self.rows if row["state"] == state and area in (None, row["area"])]

    def only(self, state, area):
        """The text of the one row there is."""
        found = self.of(state, area)
        assert len(found) == 1, self
        return found[0][1]

    def __repr__(self):
        return repr(self.result)


@pytest.fixture
def doctor(runbook, sandbox):
    """doctor(script or path, *arguments) -> Looked; whatever it says, it says how each stop is put right."""
    def look(script, *arguments, **options):
        path = script if script.endswith(".lua") else sandbox.write("doctor.lua", HEAD + script)
        looked = Looked(runbook("doctor", path, *arguments, **options))
        assert all(row.get("mend") for row in looked.rows if row["state"] == "stops"), looked
        assert (looked.code == 6) == bool(looked.of("stops")), looked
        return looked
    return look


@pytest.fixture
def configured(sandbox):
    """configured(text): the config is { text }."""
    return lambda text: sandbox.write("runbook.config.lua", "return { %s }" % text)


@pytest.fixture
def role(postgres):
    """role(sql) -> the DSN of a role `doctor`, made for the test, after `sql`."""
    def make(*statements):
        for statement in ("CREATE ROLE doctor LOGIN", *statements):
            postgres.psql(statement)
        return postgres.uri("doctor", "conduit")
    yield make
    postgres.psql("DROP OWNED BY doctor; DROP ROLE IF EXISTS doctor")


@pytest.fixture
def cluster():
    server = Cluster()
    yield server
    server.stop()


@pytest.fixture
def kubeconfig(cluster, sandbox):
    if not shutil.which("kubectl", path="/usr/bin"):
        pytest.skip("there is no kubectl")
    return sandbox.write("kubeconfig", cluster.kubeconfig())
