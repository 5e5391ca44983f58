"""The compose family against a real engine, with the real docker-compose and with an imitation of it."""

import os
import shutil
import subprocess

import pytest

from lab.docker import CLIENT, IMAGE
from lab.docker_effects import effects

COMPOSE = """version: "3"
services:
  api:
    image: conduit-api:1
    command: ["sleep", "1000"]
    network_mode: none
    environment: ["LEVEL=${LEVEL:-Info}"]
  idle:
    image: conduit-api:1
    command: ["sleep", "1000"]
    network_mode: none
"""

# The words of docker-compose that the family uses, over Docker's client: for machines without the real one.
IMITATION = f"""#!/usr/bin/python3
import os, re, subprocess, sys
words = sys.argv[1:]
def docker(*arguments):
    return subprocess.run(["{CLIENT}", *arguments], check=True, capture_output=True, text=True).stdout.split()
def containers(service):
    return docker("ps", "-a", "-q", *(f"--filter=label=com.docker.compose.{{key}}={{value}}" for key, value in
                                      (("project", "lab"), ("service", service))))
if words == ["version", "--short"]:
    sys.exit(print("1.0"))
assert words.pop(0) == "-f", words
services = re.findall("^  ([a-z]+):$", open(words.pop(0)).read(), re.M)
verb, scale = words.pop(0), {{}}
while "--scale" in words:
    at = words.index("--scale")
    name, count = words[at + 1].split("=")
    scale[name] = int(count)
    del words[at:at + 2]
wanted = [word for word in words if word[0] != "-"] or services
if verb == "config":
    print(*services, sep="\\n")
elif verb == "ps":
    print(*(id for service in services for id in containers(service)), sep="\\n")
elif verb == "up":
    for service in wanted:
        for _ in range(len(containers(service)), scale.get(service, 1)):
            docker("run", "-d", "--network=none", "-l", "com.docker.compose.project=lab",
                   "-l", "com.docker.compose.service=" + service, "-e", "LEVEL=" + os.environ.get("LEVEL", "Info"),
                   "{IMAGE}", "sleep", "99")
elif verb == "stop":
    docker("stop", "-t", "0", *(id for service in wanted for id in containers(service)))
else:
    sys.exit("unknown: " + verb)
"""


@pytest.fixture(params=["imitation", "docker-compose"])
def compose_path(request, sandbox):
    """A PATH with a docker-compose on it."""
    if request.param == "imitation":
        os.chmod(sandbox.write("bin/docker-compose", IMITATION), 0o755)
        return os.path.join(sandbox.folder, "bin") + ":/usr/bin:/bin"
    if not shutil.which("docker-compose", path="/usr/bin"):
        pytest.skip("docker-compose is not installed")
    return "/usr/bin:/bin"


def test_compose(docker_engine, effects, sandbox, compose_path):
    file = sandbox.write("docker-compose.yml", COMPOSE)
    nothing, up, scale, ps, stop, unknown = effects(
        ("compose.ps", file), ("compose.up", file, {"services": ["api"], "env": {"LEVEL": "Debug"}}),
        ("compose.scale", file, {"api": 3}), ("compose.ps", file), ("compose.stop", file, {"services": ["api"]}),
        ("compose.scale", file, {"apy": 3}), path=compose_path)
    assert nothing["fields"]["count"] == 0
    assert up["preview"]["text"] == "brings up api (0 of 0 containers run)" and up["fields"]["services"]["api"]["running"] == 1
    assert scale["preview"]["text"].startswith("scales api from 1 to 3") and scale["preview"]["size"] == 2
    assert scale["fields"]["services"]["api"] == {"count": 3, "running": 3} and "idle" not in scale["fields"]["services"]
    variables = [docker_engine.inspect(it["id"])["Config"]["Env"] for it in ps["fields"]["containers"]]
    assert ps["fields"]["running"] == 3 and sum("LEVEL=Debug" in it for it in variables) == 1
    assert stop["preview"]["text"].startswith("stops 3 running containers of api") and stop["fields"]["running"] == 0
    assert "has no service 'apy' (did you mean 'api'?)" in unknown["preview"]["impossible"]


def test_compose_refuses_what_it_can_not_mean(effects, sandbox):
    file = sandbox.write("docker-compose.yml", COMPOSE)
    missing, option, many = effects(("compose.up", "/nonexistent.yml"), ("compose.stop", file, {"services": ["--rmi=all"]}),
                                    ("compose.scale", file, {"api": 100000}))
    assert "no such Compose file" in missing["preview"]["impossible"]
    assert "is no service's name" in option["raised"] and "from 0 to 1000" in many["raised"]


RECORDER = """#!/bin/sh
echo "$*" >> {log}
case "$*" in *version*) echo 1.29.2;; *--services*) echo api;; esac
"""


@pytest.mark.parametrize("file, override", [("docker-compose.yml", "docker-compose.override.yml"),
                                            ("compose.yaml", "compose.override.yaml"), ("api.yml", None)])
def test_no_less_than_what_runs(runbook, sandbox, docker_engine, file, override):
    """Compose's own override and the shell's project count in the plan, in what is run and by hand."""
    os.chmod(sandbox.write("bin/docker-compose", RECORDER.format(log=sandbox.folder + "/log")), 0o755)
    os.chmod(sandbox.write("bin/docker", "#!/bin/sh\nexit 1\n"), 0o755)
    sandbox.env.update(PATH=sandbox.folder + "/bin:/usr/bin:/bin", COMPOSE_PROJECT_NAME="prod",
                       DOCKER_HOST=docker_engine.host)
    path = sandbox.write(file, COMPOSE)
    words = "-f " + path
    for other in ("docker-compose.override.yml", "compose.override.yaml", "api.override.yml"):
        sandbox.write(other, COMPOSE)
    if override:
        words += f" -f {sandbox.folder}/{override}"
    sandbox.write("a.lua", f'''runbook {{ title = "Scale" }}
remedy("Scale", {{}}, function() compose.scale("{path}", {{ api = 3 }}) end)()
return unresolved "x"
''')
    result = runbook("run", "a.lua", "--here", "--answers", sandbox.write("yes.lua", "return { ['*'] = 'yes' }"))
    with open(sandbox.folder + "/log", encoding="utf-8") as log:
        calls = [line for line in log.read().splitlines() if "version" not in line]
    assert all(call.startswith(words + " -p prod ") for call in calls) and any(" up -d " in call for call in calls), calls
    by_hand = "docker-compose " + words + " -p prod up -d"
    assert by_hand in " ".join(result.stdout.split()), result


# As it runs

@pytest.fixture
def compose(docker_engine):
    """compose(words…): the real docker-compose, as somebody called it by hand before."""
    if not shutil.which("docker-compose", path="/usr/bin"):
        pytest.skip("docker-compose is not installed")

    def run(*words, folder=None, **env):
        env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "DOCKER_HOST": docker_engine.host, **env}
        subprocess.run(["/usr/bin/docker-compose", *words], check=True, capture_output=True, env=env, cwd=folder)
    return run


MORE = """version: "3"
services:
  api:
    environment: ["MORE=yes"]
"""
REAL = "/usr/bin:/bin"


def test_what_runs_is_scaled(docker_engine, effects, sandbox, compose):
    """Project and files of its containers. Broken by: project.of that answers nil: a second project comes beside it."""
    one, two = sandbox.write("stack/a.yml", COMPOSE), sandbox.write("stack/b.yml", MORE)
    compose("-f", "a.yml", "-f", "b.yml", "-p", "shop", "up", "-d", "api", folder=os.path.dirname(one))
    scale, ps, down = effects(("compose.scale", one, {"api": 2}), ("compose.ps", one),
                              ("compose.stop", one, {"services": ["api"]}), path=REAL)
    assert scale["preview"]["text"] == f"scales api from 1 to 2 (project shop: {one}, {two})"
    assert scale["fields"]["services"]["api"] == {"count": 2, "running": 2} and ps["fields"]["running"] == 2
    made = [docker_engine.inspect(it["id"])["Config"] for it in ps["fields"]["containers"]]
    assert all("MORE=yes" in it["Env"] and it["Labels"]["com.docker.compose.project"] == "shop" for it in made)
    assert down["fields"]["running"] == 0
    os.unlink(two)
    gone, = effects(("compose.scale", one, {"api": 1}), path=REAL)
    assert gone["preview"]["impossible"] == f"project shop runs from {two} too: there is no such Compose file"


def test_new_containers_that_would_differ(docker_engine, effects, sandbox, compose):
    """Broken by: changed that answers an empty list."""
    file = sandbox.write("differ/docker-compose.yml", COMPOSE)
    compose("-f", file, "up", "-d", "api", LEVEL="Debug")
    same, other, up = effects(("compose.scale", file, {"api": 2}, {"env": {"LEVEL": "Debug"}}), ("compose.scale", file, {"api": 3}),
                              ("compose.up", file, {"services": ["api"]}), path=REAL, only_preview=True)
    assert same["preview"]["text"] == "scales api from 1 to 2 (project differ)"
    assert "new ones of api get other settings than those that run" in other["preview"]["text"]
    assert "other settings than they were made with: api" in up["preview"]["text"]


def test_a_file_that_runs_as_two_projects(effects, sandbox, compose):
    """Broken by: choose that takes the first."""
    file = sandbox.write("twice/docker-compose.yml", COMPOSE)
    for name in ("blue", "green"):
        compose("-f", file, "-p", name, "up", "-d", "api")
    both, one = effects(("compose.scale", file, {"api": 2}), ("compose.scale", file, {"api": 2}, {"project": "green"}), path=REAL,
                        only_preview=True)
    assert both["preview"]["impossible"] == f"{file} runs as several projects: blue, green (option 'project' says which)"
    assert one["preview"]["text"] == "scales api from 1 to 2 (project green)"


def test_files_laid_over_it(docker_engine, effects, sandbox):
    """Broken by: arguments without call.overrides."""
    if not shutil.which("docker-compose", path="/usr/bin"):
        pytest.skip("docker-compose is not installed")
    one, two = sandbox.write("over/a.yml", COMPOSE), sandbox.write("over/b.yml", MORE)
    up, = effects(("compose.up", one, {"services": ["api"], "overrides": [two]}), path=REAL)
    assert "MORE=yes" in docker_engine.inspect(up["fields"]["containers"][0]["id"])["Config"]["Env"]
    assert f"docker-compose -f {one} -f {two} up" in " ".join(up["command"])
