"""The table in runbooks/README.md that says what became of the page: its titles are those of api-down.lua, all of them, its
effects are the catalogue's, and each is really asked for on that platform."""

import json
import os
import re

import pytest

from lab.program import ROOT
from test_scenarios import FILES, names_of

TITLE = re.compile(r"“([^”]+)”")
EFFECT = re.compile(r"`([a-z]+\.[a-z_]+)`")
DECLARED = re.compile(r'\b(probe|remedy|prevention)\("([^"]+)"')


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


RUNBOOK = read("runbooks/api-down.lua")
SHARED = [read(f"runbooks/lib/{name}.lua") for name in ("platform", "workload", "changes")]  # modules that hold a probe of it


class Row:
    def __init__(self, line):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        self.page, self.says, self.here = cells[:3]
        self.effects = {"docker": EFFECT.findall(cells[3]), "kubernetes": EFFECT.findall(cells[4])}
        self.kind = self.here.split(" ")[0]


def rows():
    section = read("runbooks/README.md").split("### What became of the page\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("|")]
    return [Row(line) for line in lines[2:]]


def titles(kind):
    return {title for found, title in DECLARED.findall("".join([RUNBOOK, *SHARED])) if found == kind}


@pytest.mark.parametrize("kind", ["probe", "remedy", "prevention"])
def test_the_table_names_what_the_runbook_has_and_all_of_it(kind):
    named = {title for row in rows() if row.kind == kind for title in TITLE.findall(row.here)}
    assert named == titles(kind), f"only in the table: {named - titles(kind)}; missing there: {titles(kind) - named}"


def test_every_row_says_where():
    for row in rows():
        assert row.kind in ("probe", "remedy", "prevention", "the") or row.here[0] in "`[", row.here
        if row.kind in ("probe", "remedy", "prevention"):
            assert TITLE.findall(row.here) and (row.effects["docker"] or row.effects["kubernetes"]), row.here


def test_every_effect_is_in_the_catalogue():
    catalogue = set(re.findall(r"^#+ `?([a-z]+\.[a-z_]+)", read("spec/effects.md"), re.M))
    named = {effect for row in rows() for effects in row.effects.values() for effect in effects}
    assert len(catalogue) > 60 and len(named) > 30 and named <= catalogue, named - catalogue


def test_every_related_runbook_is_there():
    related = re.search(r"related\s*=\s*{([^}]*)}", RUNBOOK)[1]
    assert {f"[{name}.lua]({name}.lua)" for name in re.findall(r'"([^"]+)"', related)} == {
        row.here for row in rows() if row.here[0] == "["}


def test_each_effect_is_rehearsed_on_its_platform(runbook):
    """Every effect of a probe, a remedy or the escalation is asked for in some scenario of that platform."""
    seen = {}
    for path, name in ((path, name) for path in FILES for name in names_of(path)):
        if path.endswith("api-down.test.lua"):
            result = runbook("run", path.replace(".test.lua", ".lua"), "--scenario", f"{path}:{name}", "--format", "jsonl")
            events = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
            lines = [event["line"] for event in events if event["event"] == "effect.outcome"]
            platform = "kubernetes" if any(line.startswith("kubectl.get pods ") for line in lines) else "docker"
            seen.setdefault(platform, set()).update(line.split(" ")[0] for line in lines)
    missing = [(platform, row.here, effect) for row in rows() if row.kind != "prevention"
               for platform, effects in row.effects.items() for effect in effects if effect not in seen[platform]]
    assert not missing, missing


def body(title):
    """The text of a probe, remedy or prevention; of one that is shared its module."""
    shared = [text for text in SHARED if f'probe("{title}"' in text]
    if shared:
        return shared[0]
    begin = re.search(rf'\b(?:probe|remedy|prevention)\("{re.escape(title)}"', RUNBOOK).start()
    return RUNBOOK[begin:RUNBOOK.index("\nend)", begin)]


MODULES = {name: read(f"runbooks/lib/{name}.lua") for name in ("api", "gaps", "host")}


@pytest.mark.parametrize("row", [row for row in rows() if row.kind in ("probe", "remedy", "prevention")],
                         ids=lambda row: f"{row.page} {row.says}"[:40])
def test_each_effect_stands_where_the_table_says(row):
    """In the body of that title, or in a function that it calls."""
    text = "".join(map(body, TITLE.findall(row.here)))
    for name in re.findall(r"^local function (\w+)", RUNBOOK, re.M):
        if re.search(rf"\b{name}\(", text):
            text += RUNBOOK[RUNBOOK.index(f"local function {name}("):].split("\nend")[0].split("\n\n")[0]
    text += "".join(module for name, module in MODULES.items() if f"{name}." in text)
    absent = [effect for effects in row.effects.values() for effect in effects if effect not in text]
    assert not absent, f"{row.here}: {absent}"
