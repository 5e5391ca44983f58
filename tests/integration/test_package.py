"""What is given to others, as they get it: installed, used and removed where nothing else is. script/fresh makes the machines."""

import glob
import json
import os
import re
import subprocess
import tarfile

import pytest

from lab.docker import CLIENT
from lab.program import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.limit(600),
              pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another root")]

OUT = os.path.join(ROOT, "build", "packages")
SUITE = re.search(r"^VERSION_CODENAME=(\w+)", open("/etc/os-release").read(), re.M).group(1)
OTHER = {"bookworm": "trixie", "trixie": "bookworm"}[SUITE]
RUNBOOK = """runbook { title = "X" }
note(http.get "http://127.0.0.1:1/")
note(sql.value("postgresql://127.0.0.1:1/x", "SELECT 1"))
note(redis.info "rediss://127.0.0.1:1")
return resolved "looked"
"""

# Each of the modules that are opened at first use: rules are YAML, and no file of this folder is a runbook for them.
RULES = "groups: [{ name: g, rules: [{ alert: Late, expr: up == 0 }] }]"

# As root on a bare machine: the package in, used by somebody without rights, out again; what was there before is there after.
INSTALLED = """
set -eu
cat >/tmp/runbook.deb
list() { find / -xdev -path '*runbook*' | grep -v '^/srv\\|^/tmp' || true; }
quietly() { env DEBIAN_FRONTEND=noninteractive "$@" >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }; }
quietly apt-get -q update
quietly apt-get -q -y install --no-install-recommends /tmp/runbook.deb
cd /tmp
cat >x.lua <<'END'
%s
END
as_somebody() { setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=/usr/bin:/bin HOME=/tmp/home "$@"; }
mkdir -m 700 home && chown 65534:65534 home
as_somebody runbook --version
as_somebody runbook run x.lua --dry-run | grep -e 'http.get' -e 'sql.value' -e 'redis.info' -e looked
echo '%s' >rules.yml
mkdir empty && as_somebody runbook coverage empty --rules rules.yml || true
books=/usr/share/runbook/runbooks
as_somebody runbook run $books/api-down.lua --scenario $books/api-down.test.lua:demo | tail -1
dpkg -V runbook
quietly apt-get -q -y purge runbook
echo "left: $(list)"
""" % (RUNBOOK, RULES)

# The tarball where its libraries are not, or are there in other versions, and a variable says to take those.
UNPACKED = """
set -eu
mkdir "/tmp/a place" && cd "/tmp/a place" && tar -xz --strip-components=1
cat >/tmp/x.lua <<'END'
%s
END
if test "$1" = libraries; then
  apt-get -q update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends libcurl4t64 libpq5 libhiredis1.1.0 >/dev/null 2>&1
  export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu
fi
bin/runbook --version
bin/runbook run /tmp/x.lua --dry-run | grep -e 'http.get' -e 'sql.value' -e 'redis.info' -e looked
echo '%s' >/tmp/rules.yml
bin/runbook coverage share --rules /tmp/rules.yml || true
books=share/runbook/runbooks
bin/runbook run $books/api-down.lua --scenario $books/api-down.test.lua:demo | tail -1
for file in bin/runbook lib/runbook/lib_*.so lib/runbook/runbook-page; do ldd "$file"; done
""" % (RUNBOOK, RULES)


def package(*kinds):
    done = subprocess.run([os.path.join(ROOT, "script", "package"), *kinds], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def fresh(suite, *command, stdin=None, binary=False):
    done = subprocess.run([os.path.join(ROOT, "script", "fresh"), suite, *command], stdin=stdin, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout if binary else done.stdout.decode()


@pytest.fixture(scope="module")
def packages():
    """All kinds, made on this machine: a function from a pattern to the path."""
    package()
    return lambda pattern: glob.glob(os.path.join(OUT, pattern))[0]


def has_looked(seen):
    assert re.search(r"^runbook \d+\.\d+\.\d+$", seen, re.M), seen
    assert "http.get http://127.0.0.1:1/" in seen and "connection refused" in seen, seen
    assert re.search("redis.info.*connection refused", seen) and re.search("no-runbook +Late", seen), seen
    assert re.search("sql.value.*[Cc]onnection refused", seen) and re.search("resolved by .Restart the API service", seen), seen


def test_a_debian_package_goes_in_works_and_goes_out_again(packages):
    """Broken by: a module in a folder where the program doesn't look; a dependency that is left out."""
    with open(packages("*.deb"), "rb") as file:
        seen = fresh(SUITE, "sh", "-c", INSTALLED, stdin=file)
    has_looked(seen)
    assert seen.endswith("left: \n"), seen


def test_the_package_of_the_other_suite_is_made_there_and_works_there(tmp_path):
    made = tmp_path / "runbook.deb"
    make = "(script/bootstrap --package && script/package deb) >&2 && cat build/packages/*.deb"
    made.write_bytes(fresh(OTHER, "sh", "-c", make, binary=True))
    depends = subprocess.run(["dpkg-deb", "-f", str(made), "Depends"], capture_output=True, text=True).stdout
    assert ("libcurl4t64" if OTHER == "trixie" else "libcurl4 ") in depends, depends
    with open(made, "rb") as file:
        has_looked(fresh(OTHER, "sh", "-c", INSTALLED, stdin=file))


def test_nothing_is_wrong_about_the_package_in_lintians_eyes(packages):
    """Broken by: a changelog that is no Debian changelog; a page without a NAME."""
    check = ["lintian", "--allow-root", "--fail-on=error,warning", packages("*.deb")]
    done = subprocess.run(check, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_manual_pages_have_no_flaw_and_say_what_spec_says(packages, tmp_path):
    subprocess.run(["dpkg-deb", "-x", packages("*.deb"), str(tmp_path)], check=True)
    pages = sorted(glob.glob(f"{tmp_path}/usr/share/man/man*/*.gz"))
    assert [os.path.basename(page) for page in pages] == [
        "runbook.1.gz", "runbook-journal.5.gz", "runbook-effects.7.gz", "runbook-escalation.7.gz", "runbook-language.7.gz",
        "runbook-scenarios.7.gz"]
    text = subprocess.run(["man", "-l", pages[0]], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "200"}).stdout
    assert "runbook - runs incident runbooks" in text and "--alert-started" in text
    assert "<!--" not in text and "| ---" not in text, "comments and tables of the chapter are no words of the page"


@pytest.mark.skipif(SUITE != "bookworm", reason="a tarball is made where the oldest glibc is")
@pytest.mark.parametrize("suite, how", [("bookworm", "bare"), ("trixie", "libraries")])
def test_the_tarball_runs_where_its_libraries_are_not(packages, suite, how):
    """Broken by: RUNPATH instead of RPATH; a library of a library that is left out."""
    with open(packages("*.tar.gz"), "rb") as file:
        seen = fresh(suite, "sh", "-c", UNPACKED, "sh", how, stdin=file)
    has_looked(seen)
    assert "not found" not in seen, seen
    for library in ("libcurl", "libpq", "libssl", "libyaml", "liblua5.4"):
        assert re.search(rf"{library}\S* => /tmp/a place/\S*lib/runbook/", seen), seen


def test_the_image_runs_without_a_shell_and_without_root(packages, docker_engine):
    loaded = docker_engine.cli("load", "-i", packages("*image.tar"))
    tag = loaded.rsplit(" ", 1)[-1]
    in_it = ["run", "--rm", "--network=none"]
    assert docker_engine.cli(*in_it, tag, "--version").startswith("runbook ")
    books = "/usr/share/runbook/runbooks"
    demo = ("run", books + "/api-down.lua", "--scenario", books + "/api-down.test.lua:demo")
    seen = docker_engine.cli(*in_it, tag, *demo, check=False)
    assert "resolved by" in seen.splitlines()[-1], seen
    dry = subprocess.run([CLIENT, "-H", docker_engine.host, *in_it, "-v", f"{ROOT}/runbooks:/books:ro", tag, "run",
                          "/books/redis-memory.lua", "--dry-run"], capture_output=True, text=True)
    assert dry.returncode == 0 and "Redis does not answer" in dry.stdout, dry
    shell = subprocess.run([CLIENT, "-H", docker_engine.host, *in_it, "--entrypoint=sh", tag], capture_output=True, text=True)
    assert shell.returncode == 127, shell
    image = json.loads(docker_engine.cli("image", "inspect", tag))[0]
    assert image["Config"]["User"] not in ("", "root", "0"), image


def test_the_bill_names_every_library_of_the_tarball_and_its_licence(packages):
    """Broken by: a library that is copied without its package being looked up."""
    with open(packages("*.spdx.json")) as file:
        bill = json.load(file)
    names = {it["name"] for it in bill["packages"]}
    with tarfile.open(packages("*.tar.gz")) as tar:
        members = [member.name for member in tar.getmembers()]
    libraries = [os.path.basename(name) for name in members if re.search(r"/lib/runbook/lib.*\.so\.", name)]
    licences = {os.path.basename(name) for name in members if "/doc/runbook/libraries/" in name}
    assert libraries and licences and licences <= names and {"libcurl4", "libpq5", "libssl3"} <= names, (licences, names)
    for library in libraries:
        owner = subprocess.run(f"dpkg-query -S '*/{library}'", shell=True, capture_output=True, text=True).stdout.split(":")[0]
        assert owner in licences, (library, owner)
    elements = {it["SPDXID"] for it in bill["packages"]} | {"SPDXRef-DOCUMENT"}
    assert all({it["spdxElementId"], it["relatedSpdxElement"]} <= elements for it in bill["relationships"])


def test_the_sums_are_right_and_the_same_tree_gives_the_same_tarball(packages):
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=OUT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 4, done.stdout + done.stderr
    first = open(packages("*.tar.gz"), "rb").read()
    package("tarball")
    assert open(packages("*.tar.gz"), "rb").read() == first
