r"""Runs tests/cases/**/*.case: tests as data, each in a fresh process, folder and state directory.

A file holds one case, or several that begin with `=== name`. What stands before the first section is a comment.

    === A runbook that resolves
    --- script                      written to case.lua; `--- script NAME` says another name
    runbook { title = "Case" }
    return resolved "done"
    --- args                        shell words; without it: run case.lua [--scenario case.test.lua]
    run case.lua --dry-run
    --- exit                        the exit code
    0
    --- stdout                      the whole output, exactly (trailing blanks of the output's end aside)
    ...
    --- stderr contains             these lines, in this order, each within a line of the output
    resolved

Sections:
    given       script, config (runbook.config.lua), scenario (case.test.lua), file NAME, args, stdin, env (NAME=VALUE)
    expected    stdout, stderr, `stdout contains`, `stderr contains`, `stdout lacks`, `stderr lacks`, exit, journal
    journal     regular expressions, in order; each searched in "EVENT {the event as JSON, keys in the journal's order}"

What is not given as expected is not checked. Output and expectations are normalised before they are compared: run ids
become <ID>, times of day and dates <TIME>, hashes <HASH>, numbers of milliseconds <MS>, the case's folder <DIR>.

    script/test --update-cases      rewrites stdout, stderr and exit of cases that fail (then read the diff)
"""

import difflib
import pathlib
import re
import shlex

import pytest

CASES = pathlib.Path(__file__).parent / "cases"
HEADER = re.compile(r"--- ([a-z]+)(?: (.+))?$")
GIVEN = {"script": "case.lua", "config": "runbook.config.lua", "scenario": "case.test.lua", "file": None}
EXPECTED = ("stdout", "stderr", "exit", "journal")
OTHERS = ("args", "stdin", "env")

NORMAL = [(re.compile(pattern), name) for pattern, name in (
    (r"\b(?:dry-)?\d{8}-\d{6}-[a-z0-9-]+-[0-9a-z]{4}\b", "<ID>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d)?", "<TIME>"),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "<TIME>"),
    (r"\b[0-9a-f]{64}\b", "<HASH>"),
    (r"\b\d+(?:\.\d+)?( ?ms)\b", r"<MS>\1"),
    (r'("ms": ?)\d+(?:\.\d+)?', r"\1<MS>"),
)]


class Section:
    def __init__(self, name, argument, line):
        self.name, self.argument, self.line, self.lines = name, argument, line, []

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)

    @property
    def key(self):
        return f"{self.name} {self.argument or ''}".strip()


class Case:
    """One case: `sections` in the file's order. `line` is where it begins."""

    def __init__(self, path, name, line):
        self.path, self.name, self.line, self.sections = path, name, line, []

    def __str__(self):
        place = str(self.path.relative_to(CASES).with_suffix(""))
        return f"{place}::{self.name}" if self.name else place

    def get(self, key):
        return next((section for section in self.sections if section.key == key), None)

    def words(self):
        args = self.get("args")
        if args:
            return shlex.split(args.text)
        script = next((s for s in self.sections if s.name == "script"), None)
        words = ["run", (script and script.argument) or GIVEN["script"]]
        return words + (["--scenario", GIVEN["scenario"]] if self.get("scenario") else [])


def parse(path):
    """The cases of a file. Mistakes in it are ValueErrors that name the line."""
    cases = [Case(path, None, 1)]
    for number, line in enumerate(path.read_text().split("\n")[:-1], 1):
        header = HEADER.match(line)
        if line.startswith("=== "):
            cases.append(Case(path, line[4:].strip(), number))
        elif header:
            if header[1] not in (*GIVEN, *EXPECTED, *OTHERS):
                raise ValueError(f"{path}:{number}: no such section: {header[1]}")
            cases[-1].sections.append(Section(header[1], header[2], number))
        elif cases[-1].sections:
            cases[-1].sections[-1].lines.append(line)
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: two cases are named {name!r}")
    return [case for case in map(trimmed, cases) if case.sections]


def trimmed(case):
    """Blank lines at the end of a section are there to be read, not to be compared."""
    for section in case.sections:
        while section.lines and not section.lines[-1].strip():
            section.lines.pop()
    return case


def normal(text, folder):
    text = text.replace(folder, "<DIR>")
    for pattern, name in NORMAL:
        text = pattern.sub(name, text)
    return text


def run(case, sandbox):
    for section in case.sections:
        if section.name in GIVEN:
            sandbox.write(section.argument or GIVEN[section.name], section.text)
    env, stdin = case.get("env"), case.get("stdin")
    variables = dict(line.split("=", 1) for line in env.lines if line) if env else {}
    return sandbox.run("runbook", *case.words(), env=variables, stdin=stdin.text if stdin else "")


def missing_in_order(wanted, lines, found):
    """The first of `wanted` that no line after its predecessor's holds, or None."""
    rest = iter(lines)
    return next((one for one in wanted if not any(found(one, line) for line in rest)), None)


def compare(section, seen, folder):
    """What is wrong, in words, or None. `seen` is the output, or the exit code or the journal as text."""
    wanted, seen = normal(section.text, folder), normal(seen, folder)
    if section.argument == "contains":
        line = missing_in_order(wanted.splitlines(), seen.splitlines(), lambda one, line: one in line)
        return line and f"line {line!r} is not in\n{seen}"
    if section.argument == "lacks":
        line = next((one for one in wanted.splitlines() if one in seen), None)
        return line and f"line {line!r} is in\n{seen}"
    if section.name == "journal":
        pattern = missing_in_order(section.lines, seen.splitlines(), re.search)
        return pattern and f"no event matches {pattern!r} in\n{seen}"
    if wanted.rstrip() == seen.rstrip():
        return None
    return "\n".join(difflib.unified_diff(wanted.splitlines(), seen.splitlines(), "expected", "seen", lineterm=""))


def outcomes(result):
    journal = "".join(f"{event['event']} {line}\n" for event, line in zip(result.journal, result.journal_lines))
    return {"stdout": result.stdout, "stderr": result.stderr, "exit": f"{result.code}\n", "journal": journal}


def update(case, key, text):
    """Puts `text` into the case's file in the place of a section's body. The file is read anew: it may have changed."""
    section = next(one for one in parse(case.path) if one.name == case.name).get(key)
    lines = case.path.read_text().split("\n")
    lines[section.line:section.line + len(section.lines)] = text.rstrip().split("\n")
    case.path.write_text("\n".join(lines))


def all_cases():
    return [case for path in sorted(CASES.rglob("*.case")) for case in parse(path)]


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case(case, sandbox, request):
    result = run(case, sandbox)
    seen = outcomes(result)
    wrong = []
    for section in case.sections:
        mistake = section.name in EXPECTED and compare(section, seen[section.name], sandbox.folder)
        if mistake and request.config.getoption("--update-cases") and section.key in ("stdout", "stderr", "exit"):
            update(case, section.key, normal(seen[section.name], sandbox.folder))
        elif mistake:
            wrong.append(f"{case.path}:{section.line}: {section.key}\n{mistake}")
    if wrong:
        pytest.fail("\n\n".join([*wrong, repr(result)]), pytrace=False)
