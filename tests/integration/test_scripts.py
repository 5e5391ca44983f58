"""What the scripts say where they can't work, and that script/bootstrap installs what CMake asks for. That they do work on a
machine that has nothing is for .ci/run to show."""

import os
import re
import shutil
import subprocess
import tempfile

import pytest

from lab.program import ROOT

NOBODY = [shutil.which("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []


def script(name, *arguments):
    return subprocess.run([os.path.join(ROOT, "script", name), *arguments], capture_output=True, text=True, timeout=60)


def one_line(text):
    assert text.endswith("\n") and text.count("\n") == 1, text
    return text


USAGES = {"demo": "usage: script/demo", "bootstrap": "usage: script/bootstrap [--build|--package]"}


@pytest.mark.parametrize("name, usage", USAGES.items())
def test_usage(name, usage):
    asked, wrong = script(name, "--help"), script(name, "--nonsense")
    assert (asked.returncode, asked.stderr) == (0, "") and one_line(asked.stdout).startswith(usage)
    assert (wrong.returncode, wrong.stdout) == (2, "") and one_line(wrong.stderr).startswith(usage)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount the tree read-only for itself")
def test_a_demo_of_a_read_only_tree():
    read_only = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && "$1/script/demo"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", read_only, "sh", ROOT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (73, "")
    assert f"no permission to write to {ROOT}/build" in one_line(done.stderr)


@pytest.fixture
def bootstrap():
    """Runs script/bootstrap as nobody, who finds no package installed; `sudo` is the text of that program, else there is none."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("sort", "comm", "sed", "grep", "dpkg-query", "apt-get"):
            silent = name in ("dpkg-query", "apt-get")
            os.symlink(shutil.which("true" if silent else name), os.path.join(folder, name))

        def run(*arguments, sudo=None):
            if sudo:
                path = os.path.join(folder, "sudo")
                with open(path, "w") as file:
                    file.write(sudo)
                os.chmod(path, 0o755)
            return as_nobody("bootstrap", "/bin/bash", "-s", "--", *arguments, env={"PATH": folder})
        yield run


def as_nobody(name, *interpreter, **options):
    """A script read from standard input: nobody may not look into every tree."""
    with open(os.path.join(ROOT, "script", name)) as text:
        return subprocess.run([*NOBODY, *interpreter], stdin=text, capture_output=True, text=True, timeout=60,
                              cwd="/", **options)


def test_packages_are_missing_and_so_is_sudo(bootstrap):
    done = bootstrap("--build")
    assert (done.returncode, done.stdout) == (77, "")
    assert re.match("bootstrap: only root can install packages, and there is no sudo: .* cmake ", one_line(done.stderr))


def test_what_apt_said_is_shown_when_it_fails(bootstrap):
    done = bootstrap("--build", sudo='#!/bin/sh\n[ "$1" != apt-get ] || { echo no such network; exit 100; }\n')
    assert done.returncode == 100 and "no such network" in done.stderr, done


def test_the_builds_packages_hold_what_cmake_asks_for(bootstrap):
    done = bootstrap("--build", sudo="#!/bin/sh\n")
    installed = set(re.search("^bootstrap: installing (.*)", done.stdout)[1].split())
    with open(os.path.join(ROOT, "CMakeLists.txt")) as text:
        modules = re.findall(r"^pkg_\w+\(\w+ REQUIRED IMPORTED_TARGET ([\w.-]+?)(?:>=|[ )])", text.read(), re.MULTILINE)
    files = [shutil.which(name, path="/usr/bin") for name in ("gcc", "cmake", "ninja", "pkg-config")]
    files += [os.path.join(output("pkg-config", "--variable=pcfiledir", module), module + ".pc") for module in modules]
    assert len(modules) >= 9
    packages = {file: output("dpkg", "-S", file).split(":")[0] for file in files}
    assert {file: package for file, package in packages.items() if package not in installed} == {}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_fresh_machine_needs_a_suite_a_command_and_root():
    for arguments in ([], ["sid", "true"], ["trixie"], ["trixie", "--user"]):
        done = script("fresh", *arguments)
        assert done.returncode == 2 and one_line(done.stderr).startswith("usage: script/fresh bookworm|trixie"), arguments
    done = as_nobody("fresh", "/usr/bin/python3", "-", "trixie", "true")
    assert done.returncode == 1 and one_line(done.stderr).startswith("fresh: only root can make another root: sudo ")
