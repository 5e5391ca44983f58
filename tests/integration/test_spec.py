r"""The documents say what the program does: what they show is run, what they list is compared with what there is.

In *.md, spec/*.md and runbooks/*.md stands above a fenced block what it is (those of CONTRIBUTING.md: test_contributing.py):

    <!-- example: NAME, exit 0, stdout contains "found: down" -->     ```lua: a whole runbook, run against its scenario
    <!-- scenario: NAME -->                                           ```lua: the scenario file of that example
    <!-- file: NAME, lib/checks.lua -->                               another file beside it
    <!-- output: NAME -->                                             ```text: what that example prints; a line … is any lines
    <!-- output of: run runbooks/x.lua --scenario … -->               ```text: what the program prints to these words
    <!-- shell: NAME, exit 0, stdout contains "OK" -->                ```sh: commands, run in the run directory of an example

Clauses: exit N · stdout|stderr contains|lacks "…" · args "run example.lua --dry-run". Without args the example is run with its
scenario, or against the specimens alone. Every ```lua block has a mark: one that nobody runs is one that is wrong some day.

    script/test --update-cases -k spec      rewrites outputs that differ (then read the diff)
"""

import glob
import os
import re
import shlex
import shutil
import subprocess

import pytest

import test_cases
from lab.program import ROOT

DOCUMENTS = sorted(os.path.relpath(path, ROOT) for pattern in ("*.md", "spec/*.md", "runbooks/*.md")
                   for path in glob.glob(os.path.join(ROOT, pattern)))
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
# `config`: one that test_templates.py takes from here; `append`, `new`, `patch`: test_contributing.py
MARK = re.compile(r"(example|scenario|file|config|output of|output|shell|append|new|patch)(?:: (.*))?", re.S)
CLAUSE = re.compile(r'(exit) (\d+)|(stdout|stderr) (contains|lacks) "((?:[^"\\]|\\.)*)"|(args) "((?:[^"\\]|\\.)*)"')
PLACE = r"`((?:tests|stdlib|interpreter|runbooks|spec|script|cmake)/[\w./-]*\w)(?:::(\w+))?`"  # `stdlib/gate.lua`
NO_SCENARIO = 'scenario "example" {}\n'


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class Block:
    """A fenced block: `kind` (lua, text, sh …), `role` (example, scenario …, or None without a mark), `name`, `clauses`."""

    def __init__(self, document, match):
        self.document, self.kind, self.text = document, match["kind"], match["text"]
        self.line = match.string.count("\n", 0, match.start("text"))
        mark = MARK.fullmatch(" ".join((match["mark"] or "").split()))
        self.role, rest = (mark[1], mark[2] or "") if mark else (None, "")
        self.name, _, self.rest = (rest, "", "") if self.role == "output of" else rest.partition(", ")
        found = list(CLAUSE.finditer(self.rest))
        self.clauses = [tuple(part for part in clause.groups() if part is not None) for clause in found]
        self.unread = CLAUSE.sub("", self.rest).replace(",", "").strip() if self.role not in ("file", "append", "new") else ""

    def __str__(self):
        return f"{self.document}:{self.name or self.line}"

    def get(self, name, default=None):
        return next((clause[1].replace('\\"', '"') for clause in self.clauses if clause[0] == name), default)


def blocks():
    return [Block(document, match) for document in DOCUMENTS for match in BLOCK.finditer(read(document))]


BLOCKS = blocks()


def of_role(role):
    return [block for block in BLOCKS if block.role == role]


def beside(block, role):
    """The blocks of that role that belong to an example: of the same document and name."""
    return [other for other in of_role(role) if (other.document, other.name) == (block.document, block.name)]


# ---- Blocks ----

def test_every_lua_block_is_run():
    assert BLOCKS
    loose = [f"{block.document}:{block.line}" for block in BLOCKS if block.kind == "lua" and block.role is None]
    assert not loose, "no mark above: " + ", ".join(loose)


def test_marks_are_understood():
    wrong = [f"{block}: {block.unread}" for block in BLOCKS if block.unread]
    wrong += [f"{block}: no such example" for role in ("scenario", "file", "output", "shell") for block in of_role(role)
              if not beside(block, "example")]
    wrong += [f"{block}: twice" for block in of_role("example") if len(beside(block, "example")) > 1]
    assert not wrong


def write_files(example, sandbox):
    sandbox.write("example.lua", example.text)
    scenario = beside(example, "scenario")
    sandbox.write("example.test.lua", scenario[0].text if scenario else NO_SCENARIO)
    for file in beside(example, "file"):
        sandbox.write(file.rest, file.text)


def run_example(example, sandbox):
    write_files(example, sandbox)
    words = shlex.split(example.get("args", "run example.lua --scenario example.test.lua"))
    return sandbox.run("runbook", *words)


def check_clauses(block, code, outputs):
    """`outputs`: stdout and stderr as text."""
    for clause in block.clauses:
        if clause[0] == "exit":
            assert code == int(clause[1]), outputs
        elif clause[0] in outputs:
            wanted = clause[2].replace('\\"', '"')
            assert (wanted in outputs[clause[0]]) == (clause[1] == "contains"), (clause, outputs)


def fits(wanted, seen):
    """Whether lines are the wanted ones; a line that is … stands for any lines."""
    if "…" not in wanted:
        return wanted == seen
    first = wanted.index("…")
    rest = wanted[first + 1:]
    return wanted[:first] == seen[:first] and any(fits(rest, seen[at:]) for at in range(first, len(seen) + 1))


def compare_output(block, seen, folder, request):
    wanted = test_cases.normal(block.text, folder).rstrip().split("\n")
    if fits(wanted, test_cases.normal(seen, folder).rstrip().split("\n")):
        return
    if "…" in wanted or not request.config.getoption("--update-cases"):
        pytest.fail(f"{block.document}:{block.line}: it prints\n{seen}", pytrace=False)
    text = read(block.document)
    with open(os.path.join(ROOT, block.document), "w", encoding="utf-8") as file:
        file.write(text.replace(f"```{block.kind}\n{block.text}```", f"```{block.kind}\n{seen.rstrip()}\n```", 1))


@pytest.mark.parametrize("example", of_role("example"), ids=str)
def test_example(example, sandbox, request):
    result = run_example(example, sandbox)
    check_clauses(example, result.code, {"stdout": result.stdout, "stderr": result.stderr})
    for output in beside(example, "output"):
        compare_output(output, result.stdout, sandbox.folder, request)


@pytest.mark.parametrize("block", of_role("output of"), ids=str)
def test_output(block, sandbox, request):
    shutil.copytree(os.path.join(ROOT, "runbooks"), os.path.join(sandbox.folder, "runbooks"))
    compare_output(block, sandbox.run("runbook", *shlex.split(block.name)).stdout, sandbox.folder, request)


@pytest.mark.parametrize("block", of_role("shell"), ids=str)
def test_shell(block, sandbox):
    result = run_example(beside(block, "example")[0], sandbox)
    shell = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(shell, cwd=result.run_dir, capture_output=True, text=True)
    check_clauses(block, done.returncode, {"stdout": done.stdout, "stderr": done.stderr})


# ---- What is named exists ----

def test_named_files_and_tests_exist():
    """`tests/integration/test_run.py::test_x`, `stdlib/gate.lua`, links between documents."""
    wrong = []
    for document in DOCUMENTS:
        text = read(document)
        for path, test in re.findall(PLACE, text):
            if not os.path.exists(os.path.join(ROOT, path)):
                wrong.append(f"{document}: there is no {path}")
            elif test and not re.search(rf"\b{test}\b", read(path)):
                wrong.append(f"{document}: {path} has no {test}")
        tests = sources("tests/**/*.py")
        wrong += [f"{document}: there is no {test}" for test in re.findall(r"`(test_\w+)`", text)
                  if f"def {test}(" not in tests]
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(document), link)):
                wrong.append(f"{document}: the link {link} leads nowhere")
    assert not wrong, "\n".join(wrong)


def test_every_runbook_is_listed():
    text = read("runbooks/README.md")
    for path in glob.glob(os.path.join(ROOT, "runbooks", "*.lua")):
        name = os.path.relpath(path, ROOT)
        assert name.endswith(".test.lua") or f"| `{name}` |" in text, f"runbooks/README.md lists no {name}"


def test_limits_are_those_of_the_code():
    """A row of a table of limits ends with `FILE`: `the text there`, white space aside."""
    row = re.compile(r"^\|.*\| `([\w./]+)`: `([^`]+)` \|$", re.M)
    rows = [found for document in DOCUMENTS for found in row.findall(read(document))]
    assert len(rows) > 40

    def squeezed(text):
        return " ".join(text.replace("\\\n", " ").split())

    wrong = [f"{path}: {text}" for path, text in rows if squeezed(text) not in squeezed(read(path))]
    assert not wrong, "not in the code:\n" + "\n".join(wrong)


def test_lines_fit():
    """Prose of at most 110 columns; tables, links and code are as long as they must be. spec/effects.md is generated."""
    wrong = []
    for document in DOCUMENTS:
        text = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), read(document))
        wrong += [f"{document}:{number}: {len(line)} columns" for number, line in enumerate(text.split("\n"), 1)
                  if len(line) > 110 and not line.startswith(("|", "<!--")) and document != "spec/effects.md"]
    assert not wrong, "\n".join(wrong)


# ---- Lists that must be whole ----

def same(documented, real):
    documented, real = set(documented), set(real)
    assert documented == real, f"only in the document: {documented - real}; missing there: {real - documented}"


def headings(document, level=3):
    """The first name of each heading: "### `probe(title, fn)`" → probe."""
    return re.findall(rf"^{'#' * level} `?([\w.]+)", read(document), re.M)


def section(document, heading):
    """The text under a heading, up to the next of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n", read(document), re.M)
    assert found, f"{document} has no section {heading}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", read(document)[found.end():], maxsplit=1, flags=re.M)[0]


def first_column(text):
    """The code in the first cell of each row of a table."""
    return [name for row in re.findall(r"^\| (`[^|]*) \|", text, re.M) for name in re.findall(r"`([^`]+)`", row)]


def test_effects_are_documented_as_generated(runbook, request):
    result = runbook("effects")
    assert result.code == 0, result
    if request.config.getoption("--update-cases"):
        with open(os.path.join(ROOT, "spec/effects.md"), "w", encoding="utf-8") as file:
            file.write(result.stdout)
    assert result.stdout == read("spec/effects.md"), "run: runbook effects > spec/effects.md"


def test_every_word_is_documented(luahost):
    result = luahost('for word in pairs(require("script").words()) do print(word) end')
    same([name for name in headings("spec/language.md") if name[0].islower()], result.stdout.split())


def test_everything_kept_of_lua_is_documented(luahost):
    result = luahost("""
        require("sandbox").environment(".", {})
        for _, name in ipairs(require("sandbox").names) do print(name) end
        for _, name in ipairs(require("catalogue").families) do print("-" .. name) end""")
    names = result.stdout.split()
    families = {name[1:] for name in names if name[0] == "-"}
    kept = {name for name in names if name[0] != "-"} - families - {"re", "json", "text", "time"}
    same(first_column(section("spec/language.md", "Kept")), kept)


def sources(*patterns):
    return "\n".join(read(os.path.relpath(path, ROOT)) for pattern in patterns
                     for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True)))


def test_every_event_is_documented():
    lua = set(re.findall(r'journal\.event\(\s*"([\w.]+)"', sources("stdlib/**/*.lua")))
    watchdog = set(re.findall(r'record\w*\((?:dog, )"([\w.]+)"', sources("interpreter/watchdog*.c")))
    assert "effect.intent" in lua | set(re.findall(r'"(effect\.intent)"', sources("stdlib/journal.lua")))
    same(headings("spec/journal.md", 4), lua | watchdog)


EVERY_EVENT = """
runbook { title = "Every event", severity = "warning" }
local p = params { file = { "x.txt", "A file" } }
recovered("it holds two", { within = "300ms", every = "50ms" }, function() return files.read(p.file).text == "two" end)
escalation("10m")
local look = probe("Look", function() check("it is there", files.stat(p.file), { fault = "missing" }) note "looked" end)
local bad = probe("Bad", function() error "cannot look" end)
local wrong = probe("Wrong", function() check("x", true, { falut = "x" }) end)
local one = remedy("One", { warning = "careful", temporary = true, undo = function() files.write(p.file, "zero") end }, function()
  if not confirm("sure?") then return end
  files.write(p.file, "one")
end)
local two = remedy("Two", { risk = "medium" }, function() files.write(p.file, "two") end)
local no = remedy("No", {}, function() files.write(p.file, "no") end)
prevention("Held", function() check("two copies", false, { mend = "copies: 2" }) error "broken" end)
together(look, bad, wrong)
choose("which?", { "a", "b" })
ask("what?", { default = "x" })
handover("other", { depth = 2 })
pcall(files.write, p.file, "refused")
note(files.stat(p.file))
no() one() %s
return unresolved "not"
"""


def documented_fields():
    text = read("spec/journal.md")
    parts = re.split(r"^#### `([\w.]+)`.*$", text, flags=re.M)
    return {name: set(first_column(body.split("\n#", 1)[0])) for name, body in zip(parts[1::2], parts[2::2])}


@pytest.mark.parametrize("end, options", [("two()", ["--here"]), ("", ["--here"]), ("two()", ["--dry-run"])],
                         ids=["resolved", "unresolved", "dry"])
def test_every_field_of_every_event_is_documented(runbook, sandbox, end, options):
    sandbox.write("every.lua", EVERY_EVENT % end)
    sandbox.write("other.lua", 'runbook { title = "Other" }\nparams { depth = { 1, "x" } }\nreturn unresolved "other"')
    sandbox.write("answers.lua", 'return { ["which?"] = "a", ["what?"] = "x", No = "no", One = "yes", ["sure?"] = "yes",'
                                 ' Two = "yes", ["Undo: One"] = "no" }')
    result = runbook("run", "every.lua", "-p", f"file={sandbox.folder}/x.txt", "--answers", "answers.lua", *options)
    assert result.journal, result
    documented, wrong = documented_fields(), []
    for event in result.journal:
        unknown = set(event) - {"seq", "at", "event", "prev"} - documented[event["event"]]
        wrong += [f"{event['event']}: {name}" for name in sorted(unknown)]
    assert not wrong, sorted(set(wrong))
    if end == "two()" and options == ["--here"]:
        seen = {event["event"] for event in result.journal}
        others = ("escalation.", "doctor.", "permission.", "defect", "run.continues", "run.resumed", "freeze", "approval.given")
        assert seen >= {name for name in documented if not name.startswith(others)} | {"escalation.armed"}


def test_every_field_of_a_doctors_row_is_documented(runbook, sandbox):
    rows = runbook("doctor", sandbox.write("x.lua", 'runbook { title = "X" }\nprobe("P", function() exec({ "nope" }) end)')).events(
        "doctor.row")
    fields = {name for row in rows for name in row} - {"seq", "at", "event", "prev"}
    assert fields == documented_fields()["doctor.row"], rows
    areas = set(re.findall(r"`(\w+)`", re.search(r"^\| `area` \|(.*)$", read("spec/journal.md"), re.M)[1]))
    assert areas == set(re.findall(r'"(\w+)"', re.search(r"local order = \{(.*?)\}", read("stdlib/doctor.lua"), re.S)[1]))


def test_every_command_and_option_is_documented(runbook):
    commands = re.findall(r"^  (\w+) ", runbook("--help").stdout, re.M)
    same([name for name in headings("spec/cli.md", 2) if name[0].islower()], commands)
    for command in commands:
        shown = re.findall(r"^  --([\w-]+)(?:, -(\w))?", runbook(command, "--help").stdout, re.M)
        real = {f"--{name}" for name, _ in shown} | {f"-{letter}" for _, letter in shown if letter}
        text = re.search(rf"^## `{command}.*?(?=^## |\Z)", read("spec/cli.md"), re.M | re.S)[0]
        same({word for name in first_column(text) for word in re.findall(r"(?<!\S)--?[\w-]+", name)}, real)


def known_keys(runbook, sandbox, config):
    """What the program itself lists when it meets a key like no other."""
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn resolved "x"\n')
    sandbox.write("runbook.config.lua", config)
    result = runbook("run", "x.lua", "--dry-run")
    assert result.code == 2, result
    return re.search(r"there is: ([^)]*)\)", result.stderr)[1].split(", ")


def test_every_key_of_the_config_is_documented(runbook, sandbox):
    text = section("spec/cli.md", "Keys")
    same(first_column(text.split("### ")[0]), known_keys(runbook, sandbox, "return { zzzzzzzzzzzzzzz = 1 }"))
    own = known_keys(runbook, sandbox, "return { environments = { e = { zzzzzzzzzzzzzzz = 1 } } }")
    same(first_column(section("spec/cli.md", "Keys of an environment")), own)


def test_exit_codes_are_documented():
    codes = set(re.findall(r"\w+ = (\d+)", re.search(r"local exits = \{(.*?)\}", read("stdlib/ending.lua"))[1]))
    codes |= set(re.findall(r"#define EXIT_\w+ (\d+)", read("interpreter/main.c")))
    same({code for code in first_column(section("spec/cli.md", "Exit codes")) if len(code) < 3}, codes)


def test_kinds_that_are_findings_are_documented():
    found = re.search(r"local findings = \{(.*?)\}", read("stdlib/outcome.lua"), re.S)[1]
    same(first_column(section("spec/language.md", "Kinds that are findings")), re.findall(r"(\w+) = true", found))


def test_keys_of_a_scenario_are_documented(luahost, runbook, sandbox):
    def told(text):
        sandbox.write("x.lua", 'runbook { title = "X" }\nreturn resolved "x"\n')
        sandbox.write("x.test.lua", f'scenario "x" {text}')
        result = runbook("run", "x.lua", "--scenario", "x.test.lua")
        return re.search(r"there is: ([^)]*)\)", result.stderr)[1].split(", ")

    same(first_column(section("spec/scenarios.md", "Keys")), told("{ zzzzzzzzzzzzzzz = 1 }"))
    same(first_column(section("spec/scenarios.md", "expect")), told("{ expect = { zzzzzzzzzzzzzzz = 1 } }"))
