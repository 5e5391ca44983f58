"""The docker family's changes against a real engine: of containers, of the room they take, of their variables."""

import os
import threading
import time

import pytest

from lab.docker import IMAGE
from lab.docker_effects import effects, text_of
from lab.process import wait_for


# Changes

def test_restart_start_stop_and_kill(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")["State"]["StartedAt"]
    quick = {"grace": "0s"}
    restart, stop, again, start, kill, dead = effects(
        ("docker.restart", "box", quick), ("docker.stop", "box", quick), ("docker.stop", "box", quick), ("docker.start", "box"),
        ("docker.kill", "box"), ("docker.kill", "box"))
    told = restart["preview"]["text"]
    assert told.startswith("restarts box (running for ") and "image conduit-api:1" in told and "1 process" in told
    assert restart["preview"]["size"] == 1
    assert restart["fields"]["state"] == "running" and restart["verified"] is True
    assert stop["fields"]["state"] == "exited" and stop["fields"]["changed"] is True and stop["verified"] is True
    assert again["fields"]["changed"] is False and "nothing to do" in again["preview"]["text"]
    assert start["fields"]["state"] == "running" and start["verified"] is True
    assert kill["class"] == "destructive" and kill["target"] == "box" and kill["fields"]["changed"] is True
    assert dead["preview"]["impossible"] == "box does not run"
    assert docker_engine.inspect("box")["State"]["StartedAt"] > before


def test_changes_to_what_is_not_there_are_impossible(effects):
    for outcome in effects(*((f"docker.{verb}", "nobody") for verb in ("restart", "start", "stop", "kill")),
                           ("docker.set_env", "nobody", {"A": "1"}), ("docker.exec", "nobody", ["touch", "x"])):
        assert outcome["preview"]["impossible"] == "there is no container nobody" and "fields" not in outcome


def test_a_container_that_ends_at_once_was_not_started(docker_engine, effects):
    docker_engine.run("broken", "sh", "-c", "echo bad; exit 7")
    wait_for(lambda: docker_engine.inspect("broken")["State"]["Status"] == "exited", "it ends")
    for outcome in effects(("docker.start", "broken"), ("docker.restart", "broken")):
        assert outcome["error"]["kind"] == "exited" and "exited (7)" in text_of(outcome)


def test_a_killed_container_is_the_one_that_was_approved(docker_engine, sandbox, effects):
    docker_engine.run("box", "sleep", "1000")
    go = os.path.join(sandbox.folder, "go")

    def replace():
        time.sleep(0.5)
        docker_engine.cli("rm", "-f", "box")
        docker_engine.run("box", "sleep", "1000")
        open(go, "w").close()
    thread = threading.Thread(target=replace)
    thread.start()
    done, = effects(("docker.kill", "box"), meanwhile=go)
    thread.join()
    assert done["error"]["kind"] == "conflict" and docker_engine.inspect("box")["State"]["Running"]


# Room

def make_image(engine, tag, text):
    """A further image on the lab's own, of one layer that holds `text`."""
    name = engine.cli("create", IMAGE, "sh", "-c", f"echo {text} > /mark")
    engine.cli("start", "-a", name)
    engine.cli("commit", name, *([tag] if tag else []))
    engine.cli("rm", name)


def images(engine):
    return set(engine.cli("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").split())


@pytest.fixture
def other_images(docker_engine):
    for tag in ("unused:1", "stopped:1", "running:1"):
        make_image(docker_engine, tag, tag)
    docker_engine.cli("tag", "unused:1", "unused:2")
    make_image(docker_engine, None, "dangling")
    docker_engine.cli("tag", IMAGE, "keep:1")
    docker_engine.cli("create", "--name", "holds", IMAGE)
    yield
    docker_engine.remove_all()
    for name in images(docker_engine) - {IMAGE}:
        if "<none>" not in name:
            docker_engine.cli("rmi", "-f", name, check=False)
    docker_engine.cli("image", "prune", "-f")


def test_prune_takes_what_nobody_uses_and_no_stopped_container(docker_engine, effects, other_images):
    docker_engine.cli("create", "--name", "asleep", "stopped:1", "true")
    docker_engine.cli("run", "-d", "--name", "awake", "--network", "none", "running:1", "sleep", "1000")
    done = effects(("docker.prune", {"images": True, "build_cache": True}))[0]
    assert done["preview"]["text"].startswith("deletes 2 unused images (") and done["preview"]["size"] == 2
    assert done["fields"]["images"] == 2 and done["fields"]["left"] == [] or done["fields"]["left"] == {}
    assert images(docker_engine) == {IMAGE, "keep:1", "stopped:1", "running:1"}
    assert len(docker_engine.containers()) == 3
    assert done["class"] == "destructive" and "command" not in done


def test_prune_of_containers_leaves_those_the_script_named(docker_engine, effects, other_images):
    docker_engine.cli("create", "--name", "named", "stopped:1", "true")
    docker_engine.cli("create", "--name", "named-before-20261123", "stopped:1", "true")
    docker_engine.cli("create", "--name", "asleep", "running:1", "true")
    *_, done = effects(("docker.inspect", "named"), ("docker.inspect", "holds"),
                       ("docker.prune", {"images": True, "containers": True}))
    assert done["fields"]["containers"] == 1, done
    names = docker_engine.cli("ps", "-a", "--format", "{{.Names}}").split()
    assert set(names) == {"named", "named-before-20261123", "holds"}
    assert "stopped:1" in images(docker_engine) and "running:1" not in images(docker_engine)


def test_prune_leaves_what_is_used_since_it_was_listed(docker_engine, sandbox, effects, other_images):
    go = os.path.join(sandbox.folder, "go")

    def use():
        time.sleep(1)
        docker_engine.cli("create", "--name", "late", "unused:1", "true")
        docker_engine.cli("tag", "stopped:1", "fresh:1")
        open(go, "w").close()
    thread = threading.Thread(target=use)
    thread.start()
    outcome, = effects(("docker.prune", {"images": True}), meanwhile=go)
    thread.join()
    assert len(outcome["fields"]["left"]) == 1, outcome
    assert docker_engine.inspect("late")["Image"]


# A container's variables

def set_env(effects, name, env, **given):
    options = {"steady": "1s", "grace": "0s", **given.pop("options", {})}
    return effects(("docker.set_env", name, env, options), **given)[0]


def same_but_for_env(before, after):
    for which in (before, after):
        which["Config"].pop("Env")
    assert after["Config"] == before["Config"]
    before["HostConfig"].pop("Binds"), after["HostConfig"].pop("Binds")
    assert after["HostConfig"] == before["HostConfig"]
    assert after["Image"] == before["Image"] and after["Name"] == before["Name"]


@pytest.fixture
def two_networks(docker_engine):
    names = ("front", "back")
    for i, name in enumerate(names):
        docker_engine.cli("network", "create", "--subnet", f"10.78.{i}.0/24", name)
    yield
    docker_engine.remove_all()
    docker_engine.cli("network", "rm", *names)


def test_set_env_makes_the_same_container_with_other_variables(docker_engine, effects, two_networks):
    docker_engine.cli("run", "-d", "--name", "api", "--hostname", "apihost", "--network", "front", "--ip", "10.78.0.9",
                      "--network-alias", "web", "-v", "/anon", "-v", "named:/data", "--mount", "type=tmpfs,target=/t", "-m", "64m",
                      "--restart", "unless-stopped", "--label", "a=b", "--cap-add", "NET_ADMIN", "--ulimit", "nofile=100:200",
                      "--dns", "192.0.2.1", "--log-opt", "max-size=10m", "-e", "A=1", "-e", "B=2",
                      IMAGE, "sh", "-c", "echo x >> /anon/f; echo x >> /data/f; exec sleep 1000")
    docker_engine.cli("network", "connect", "--alias", "second", "back", "api")
    before = docker_engine.inspect("api")
    done = set_env(effects, "api", {"B": "3", "C": "x y"}, options={"unset": ["A"]})
    assert "makes api anew with B, C, A changed" in done["preview"]["text"], done
    assert done["fields"]["changed"] is True and done["fields"]["state"] == "running" and done["verified"] is True
    after = docker_engine.inspect("api")
    assert set(after["Config"]["Env"]) == {"PATH=/bin", "B=3", "C=x y"}
    networks = after["NetworkSettings"]["Networks"]
    assert networks["front"]["IPAddress"] == "10.78.0.9" and "web" in networks["front"]["Aliases"]
    assert "second" in networks["back"]["Aliases"] and set(networks) == {"front", "back"}
    assert docker_engine.cli("exec", "api", "cat", "/anon/f", "/data/f") == "x\nx\nx\nx"  # the volumes of before
    same_but_for_env(before, after)
    assert len(docker_engine.containers()) == 1


def test_set_env_with_the_same_value_changes_nothing(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("-e", "A=1"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"A": "1"})
    assert "has these variables already" in done["preview"]["text"] and done["preview"]["size"] == 0
    assert done["fields"]["changed"] is False and docker_engine.inspect("box") == before


FRAGILE = '[ "$BAD" = exit ] && { echo FATAL no such level; exit 3; }; [ "$BAD" = late ] && { sleep 0.7; exit 4; }; exec sleep 1000'


@pytest.mark.parametrize("how, words", [("exit", "exited (3) "), ("late", "exited (4) ")])
def test_set_env_goes_back_when_the_new_one_does_not_stay_up(docker_engine, effects, how, words):
    docker_engine.run("box", "sh", "-c", FRAGILE, options=("--restart", "always"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"BAD": how}, options={"steady": "2s"})
    assert done["error"]["kind"] == "rolled_back" and "rolled back: box is as it was and runs" in text_of(done), done
    assert how != "exit" or "FATAL no such level" in text_of(done)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["Name"] == "/box" and after["State"]["Running"]
    assert len(docker_engine.containers()) == 1


def test_set_env_goes_back_when_the_new_one_is_unhealthy(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("--health-cmd", '[ "$BAD" != 1 ]', "--health-interval", "300ms",
                                                       "--health-retries", "2"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"BAD": "1"}, options={"steady": "10s"})
    assert done["error"]["kind"] == "rolled_back" and "unhealthy" in text_of(done)
    assert docker_engine.inspect("box")["Id"] == before["Id"] and len(docker_engine.containers()) == 1


def test_set_env_goes_back_when_the_new_one_does_not_start(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"PATH": "/nowhere"})
    assert done["error"]["kind"] == "rolled_back" and "executable file not found" in text_of(done)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["State"]["Running"] and len(docker_engine.containers()) == 1


def test_set_env_says_when_there_is_no_way_back(docker_engine, effects):
    folder = os.path.join(docker_engine.folder, "mounted")
    os.mkdir(folder)
    docker_engine.run("box", "sleep", "1000", options=("-v", f"{folder}:/tmp"))
    os.rmdir(folder)
    open(folder, "w").close()  # a file can't be mounted on a folder: neither of them starts
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"A": "1"})
    os.remove(folder)
    assert "the way back failed" in text_of(done) and "docker start box" in text_of(done)
    assert docker_engine.inspect("box")["Id"] == before["Id"] and len(docker_engine.containers()) == 1


def test_set_env_interrupted_goes_back(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")
    set_env(effects, "box", {"A": "1"}, options={"steady": "30s"}, cancel_after=1.5)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["State"]["Running"] and len(docker_engine.containers()) == 1


def test_set_env_keeps_the_image_when_its_name_has_moved_on(docker_engine, effects, other_images):
    docker_engine.cli("tag", "unused:1", "app:1")
    docker_engine.cli("run", "-d", "--name", "box", "--network", "none", "app:1", "sleep", "1000")
    before = docker_engine.inspect("box")
    docker_engine.cli("tag", "running:1", "app:1")
    done = set_env(effects, "box", {"A": "1"})
    assert "app:1 names another image now: the running one is kept" in done["preview"]["text"]
    assert docker_engine.inspect("box")["Image"] == before["Image"]


def test_set_env_starts_one_that_had_ended(docker_engine, effects):
    docker_engine.run("box", "sh", "-c", '[ "$GOOD" = 1 ] || exit 3; exec sleep 1000')
    wait_for(lambda: docker_engine.inspect("box")["State"]["Status"] == "exited", "it ends")
    bad, good = (set_env(effects, "box", {"GOOD": value}) for value in ("0", "1"))
    assert bad["error"]["kind"] == "rolled_back" and good["fields"]["state"] == "running"


def test_set_env_is_impossible_without_a_way_back(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("--rm",))
    docker_engine.run("lodger", "sleep", "1000", options=())
    rm, = effects(("docker.set_env", "box", {"A": "1"}))
    assert "--rm" in rm["preview"]["impossible"]
    path, = effects(("docker.set_env", "lodger", {"B": "1"}, {"unset": ["PATH"]}))
    assert "comes from the image" in path["preview"]["impossible"]
