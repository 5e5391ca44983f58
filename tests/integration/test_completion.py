"""Completion in the shells themselves: each is asked what it would put in for a line that is begun."""

import os
import shutil
import subprocess

import pytest

from lab.program import executable

RUNBOOK = 'runbook { title = "X" }\nlocal p = params { pool_size = { 1, "How many" }, key = { secret = true } }\nsysinfo.uptime()\n'
SCENARIOS = 'scenario "plain" { given = {} }\nscenario "with a blank" { given = {} }\n'
CONFIG = 'return { environments = { staging = {}, production = { default = true } } }\n'

# bash's own machinery needs a terminal; these variables are what it gives to a completing function.
BASH = """
compopt() { echo "compopt $*"; }
source <(runbook completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
words=${1//=/ = }; words=${words//:/ : }
read -ra COMP_WORDS <<<"$words"
if [[ $1 == *[[:space:]] ]]; then COMP_WORDS+=(""); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_runbook
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh completes in its line editor only: a zsh in a pseudo terminal of its own, whose compadd prints what it is given.
ZSH = """
zmodload zsh/zpty
zpty z zsh -f -i
drain() { local line; while zpty -r z line "*$1*"; do [[ $line == *$1* ]] && return; done }
zpty -w z "PS1=; autoload -U compinit; compinit -u -D; source <(runbook completion zsh); \
compadd() { print -r -- \\"FOUND \\${words_of_line[*]}\\" }; _files() { print FOUND files }; print re''ady"
drain ready
zpty -w -n z "$1"$'\\t'
zpty -r z line "*FOUND*"$'\n'
print -r -- "$line"
zpty -d z
"""


def bash(line, env):
    return run(["bash", "--norc", "-c", BASH, "bash", line], env)


def fish(line, env):
    seen = run(["fish", "--no-config", "-c", "runbook completion fish | source; complete -C $argv[1]", line], env)
    return "\n".join(line.split("\t")[0] for line in seen.splitlines())


def zsh(line, env):
    return run(["zsh", "-f", "-c", ZSH, "zsh", line], env)


def run(command, env):
    result = subprocess.run(command, env=env, cwd=env["HERE"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result
    return result.stdout


@pytest.fixture(params=[bash, fish, zsh], ids=lambda shell: shell.__name__)
def complete(request, sandbox):
    """complete(line) -> what the shell offers, as text."""
    folder = os.path.join(sandbox.folder, "bin")
    os.mkdir(folder)
    os.symlink(executable("runbook"), os.path.join(folder, "runbook"))
    sandbox.write("x.lua", RUNBOOK)
    sandbox.write("x.test.lua", SCENARIOS)
    sandbox.write("runbook.config.lua", CONFIG)
    env = {**os.environ, **sandbox.env, "PATH": f"{folder}:{os.environ['PATH']}", "HERE": sandbox.folder, "TERM": "dumb"}
    return lambda line: request.param(line, env)


@pytest.mark.parametrize("line, offered, not_offered", [
    ("runbook ", ["run", "ack", "doctor", "completion"], ["_complete", "_escalate"]),
    ("runbook d", ["doctor"], ["run", "ack"]),
    ("runbook run --al", ["--alongside", "--alert-started"], ["--yes"]),
    ("runbook run x.lua --yes ", ["low", "medium", "high"], ["--env"]),
    ("runbook run x.lua --env ", ["staging", "production"], ["--env"]),
    ("runbook run x.lua --env=st", ["staging"], ["production"]),
    ("runbook run x.lua -p ", ["pool_size="], ["key"]),
    ("runbook run x.lua --scenario x.test.lua:", ["plain", "with"], ["--env"]),
    ("runbook effects docker.res", ["docker.restart"], ["docker.ps"]),
    ("runbook ack la", ["last"], ["files"]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_shell_offers_what_could_follow(complete, line, offered, not_offered):
    """Broken by: a table of options in complete.lua of its own; a shell's script that passes the words on wrongly."""
    seen = complete(line)
    assert all(word in seen for word in offered), seen
    assert not any(word in seen.replace(line, "") for word in not_offered), seen


def test_a_file_is_offered_where_one_is_expected(complete):
    seen = complete("runbook doctor ")
    assert any(word in seen for word in ("compopt -o default", "x.lua", "files")), seen


def test_runs_are_offered_newest_first(sandbox, runbook):
    """Broken by: offers.RUN in the order of the folder."""
    folder = os.path.join(sandbox.env["XDG_STATE_HOME"], "runbook", "runs")
    for run_id in ("20260101-000000-x-aaaa", "20260102-000000-x-bbbb", "dry-20260103-000000-x-cccc"):
        os.makedirs(os.path.join(folder, run_id), mode=0o700)
    seen = runbook("_complete", "--", "ack", "").stdout
    offered = [line.split("\t")[0] for line in seen.splitlines()]
    assert offered[:2] == ["words", "last"]
    ours = [name for name in offered if name.startswith("202601")]  # others of this user may be kept in memory
    assert ours == ["20260102-000000-x-bbbb", "20260101-000000-x-aaaa"], offered


def test_no_effect_and_no_page_comes_of_completing(sandbox, runbook):
    """The script runs as far as params{…}, in a sandbox without a mode. Broken by: offers.param that declares the whole script."""
    sandbox.write("evil.lua", 'runbook { title = "X" }\nfiles.write("touched", "x")\nparams { n = { 1, "n" } }\n')
    result = runbook("_complete", "--", "run", "evil.lua", "-p", "")
    assert (result.code, result.stdout) == (0, "words\n"), result
    assert not os.path.exists(os.path.join(sandbox.folder, "touched")) and not sandbox.runs()


def test_a_shell_that_is_not_known_is_named(runbook):
    result = runbook("completion", "tcsh")
    assert result.code == 2 and "bash, zsh or fish expected, got tcsh" in result.stderr, result


def test_the_scripts_are_sound(runbook, tmp_path):
    for shell in ("bash", "zsh", "fish"):
        script = tmp_path / shell
        script.write_text(runbook("completion", shell).stdout)
        assert shutil.which(shell) and subprocess.run([shell, "-n", str(script)], timeout=20).returncode == 0


@pytest.mark.parametrize("words, kind", [(("coverage", "--rules"), "files"), (("init", "--alert"), "files"),
                                         (("check", "--baseline"), "files"), (("coverage", "--prometheus"), "words")])
def test_where_a_file_is_expected_files_are_offered(runbook, words, kind):
    """Broken by: an option that takes a file and is not told as one."""
    assert runbook("_complete", "--", *words, "").stdout.splitlines()[0] == kind
