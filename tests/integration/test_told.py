"""What is told of API Down on the real thing: a page and a chat message for each cause, read back from an imitated PagerDuty and
Slack. The cause stands in the headline with its figure, and no wish is told as a fact."""

import json
import os
import re
import shutil

import pytest

from lab.people import people  # noqa: F401 (a fixture)
from lab.process import wait_for
from test_api_down import RUNBOOK, api, world  # noqa: F401 (fixtures)


def stop(api, **_):
    api.stop()


def deaf(api, **_):
    api.break_with(503)


def redis_full(api, redis_server, **_):
    api.break_with(503)
    redis_server.cli("CONFIG", "SET", "maxmemory", "3mb")
    redis_server.cli("EVAL", "for i = 1, 4000 do redis.pcall('SET', 'k' .. i, string.rep('x', 1000)) end", "0")


CAUSES = {
    "container stopped": (stop, r"exited|stopped"),
    "API deaf": (deaf, r"503"),
    "Redis full": (redis_full, r"Redis memory \d+(\.\d+)? %, should be < \d+ %"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_page_and_chat_name_the_cause(runbook, sandbox, people, slack, world, api, redis_server, cause):
    bring, words = CAUSES[cause]
    bring(api=api, redis_server=redis_server)
    sandbox.write("answers.lua", 'return { ["*"] = "no" }')
    shutil.copytree(os.path.dirname(RUNBOOK), os.path.join(sandbox.folder, "runbooks")) # beside this config
    result = runbook("run", "runbooks/api-down.lua", *world, "--answers", "answers.lua", timeout=120)
    wait_for(lambda: people.events and slack.messages, "page and chat", 30)
    page, chat = people.events[0]["payload"], slack.messages[0]["text"].replace("&lt;", "<").replace("&gt;", ">")
    assert re.search(words, page["summary"]) and re.search(words, chat), (page, chat, result)
    assert "declined" in json.dumps(page) and page["custom_details"]["ack"].startswith("runbook ack "), page
    told = [line for text in (page["summary"], chat, *page["custom_details"]["findings"]) for line in re.split("\n|; ", text)]
    for check in result.events("check"):
        if not check["passed"] and "figure" not in check:
            assert all("not so: " in line for line in told if check["label"] in line), (check, told)
