"""What tests of effects on another machine share: the machine `db`, reached over ssh, and one effect at a time on it."""

import json

import pytest

from .effects import LUA, PATH

ODD = ["new\nline", "it's", 'say "x"', "$(touch pwned)", "-n", "`id`", "*", "back\\slash", " ", "", "höhe"]


@pytest.fixture
def machines(sshd):
    sshd.start()
    return {"db": {"ssh": sshd.name, "config": sshd.config}}


@pytest.fixture
def perform(luahost, machines):
    """perform((name, argument, …), …) as lab.effects.performer's, with the connections closed at the end."""
    def run(*steps, **settings):
        families = sorted({step[0].split(".")[0] for step in steps})
        settings = {"environment": {"PATH": PATH, "LANG": "C.UTF-8"}, "host_name": "here", "machines": machines, **settings}
        only_preview = settings.pop("only_preview", False)
        given = {"families": families, "steps": steps, "settings": settings, "only_preview": only_preview}
        done = luahost(LUA + "\nrequire('effects.ssh').close()", json.dumps(given))
        assert done.code == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]
    return run


@pytest.fixture
def one(perform):
    return lambda *step, **settings: perform(step, **settings)[0]


def on(**options):
    return {"on": "db", **options}
