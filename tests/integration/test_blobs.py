"""What a run learns at length is kept once: blobs/, named by their hashes, that the journal's lines refer to."""

import copy
import glob
import hashlib
import json
import os

import pytest

from lab.kubernetes import Cluster, paths

INLINE_MAX = 16 << 10  # bytes: JOURNAL_INLINE_MAX
POLLS = 15 * 60 // 5   # of a goal within a quarter of an hour, every five seconds
MEGABYTES_10 = 10 << 20


def text_of(run_dir, name):
    """A blob's text as spec/journal.md says how it is put together."""
    path = f"{run_dir}/blobs/{name}"
    if os.path.exists(path + ".json"):
        with open(path + ".json", "rb") as file:
            text = file.read()
    else:
        with open(path + ".delta", encoding="utf-8") as file:
            delta = json.load(file)
        old = text_of(run_dir, delta["from"])
        text = b"".join(it.encode() if isinstance(it, str) else old[it[0]:it[0] + it[1]] for it in delta["parts"])
    assert hashlib.sha256(text).hexdigest() == name
    return text


def value_of(run_dir, value):
    return json.loads(text_of(run_dir, value["$blob"])) if isinstance(value, dict) and list(value) == ["$blob"] else value


def references(line):
    return [value["$blob"] for value in line.get("result", {}).values() if isinstance(value, dict) and "$blob" in value]


def costs(result, effect):
    """The bytes that each look at `effect` added to the run's folder."""
    seen, costs = set(), []
    for text, line in zip(result.journal_lines, result.journal):
        if line["event"] == "effect.outcome" and line["line"].startswith(effect):
            new = set(references(line)) - seen
            files = [name for it in new for name in glob.glob(f"{result.run_dir}/blobs/{it}.*")]
            costs.append(len(text) + sum(os.path.getsize(name) for name in files))
            seen |= new
    return costs


HEAD = 'runbook { title = "Big" }\n'


@pytest.mark.parametrize("length, is_big", [(INLINE_MAX - 2, False), (INLINE_MAX - 1, True)])  # with its quotes
def test_what_is_longer_is_kept_apart(runbook, sandbox, length, is_big):
    """Broken by: another JOURNAL_INLINE_MAX; a blob of another mode."""
    sandbox.write("text", "x" * length)
    sandbox.write("big.lua", HEAD + 'for _ = 1, 3 do files.read("%s/text") end\nreturn resolved "x"' % sandbox.folder)
    result = runbook("run", "big.lua")
    texts = [event["result"]["text"] for event in result.events("effect.outcome")]
    assert result.code == 0 and [value_of(result.run_dir, text) for text in texts] == ["x" * length] * 3, result
    files = glob.glob(result.run_dir + "/blobs/*")
    assert len(files) == is_big and all(isinstance(text, dict) == is_big for text in texts), files
    assert [os.stat(file).st_mode & 0o7777 for file in files] == [0o600] * len(files)


def test_it_is_masked_before_it_is_hashed(runbook, sandbox):
    """Broken by: lighten before redact_json_field."""
    sandbox.write("text", "the key is hunter2hunter2\n" * 1000)
    sandbox.write("big.lua", HEAD + 'local s = secret "TOKEN"\nexec({ "true" }, { env = { A = s }, reads = true })\n'
                  'files.read("%s/text")\nreturn resolved "x"' % sandbox.folder)
    sandbox.write("runbook.config.lua", 'return { secrets = { TOKEN = { file = "%s/key" } } }' % sandbox.folder)
    sandbox.write("key", "hunter2hunter2")
    os.chmod(sandbox.folder + "/key", 0o600)
    result = runbook("run", "big.lua")
    last = value_of(result.run_dir, result.events("effect.outcome")[-1]["result"]["text"])
    assert "⟦TOKEN:plain⟧" in last and "hunter2" not in last, result


def test_a_log_that_grows_is_kept_by_what_was_added(runbook, sandbox):
    """Broken by: make_changes that always says no."""
    log = sandbox.write("log", "".join(f"{n} a line of a log, of which there are many\n" for n in range(5000)))
    sandbox.write("big.lua", HEAD + """
      for i = 1, 20 do
        files.read("%s")
        exec({ "sh", "-c", "echo one more line, number " .. i .. " >> %s" }, { reads = true })
      end
      return resolved "x" """ % (log, log))
    result = runbook("run", "big.lua")
    sizes = costs(result, "files.read")
    assert result.code == 0 and len(sizes) == 20 and sizes[0] > 200_000, result
    assert max(sizes[1:]) < 2000, sizes
    for event in result.events("effect.outcome"):
        for name in references(event):
            text_of(result.run_dir, name)


class Restless(Cluster):
    """Of its pods two change at every look."""
    looks = 0

    def list(self, it, query):
        if it["kind"] == "pods":
            for _ in range(2):
                self.looks += 1
                pod = self.world["pods"][self.looks * 37 % len(self.world["pods"])]
                pod["metadata"]["resourceVersion"] = str(1000 + self.looks)
                status = pod["status"]["containerStatuses"][0]
                status.update(ready=False, restartCount=self.looks, state={"waiting": {"reason": "CrashLoopBackOff"}})
                pod["status"]["conditions"] = [{**one, "status": "False"} for one in pod["status"]["conditions"]]
        return super().list(it, query)


@pytest.fixture
def cluster():
    server = Restless()
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.limit(300)
@pytest.mark.skipif(not paths(), reason="there is no kubectl")
@pytest.mark.parametrize("ready", [True, False])
def test_a_goal_that_polls_a_thousand_pods_leaves_little(runbook, sandbox, cluster, ready):
    """Broken by: an `age` in the journal's items; values that stand in each line; blobs without their changes."""
    cluster.many_pods(1000)
    for pod in cluster.world["pods"]:
        pod["metadata"]["creationTimestamp"] = "2026-11-23T18:00:29Z"
        if not ready:
            pod["status"] = copy.deepcopy(pod["status"])
            pod["status"]["conditions"] = [{**one, "status": "False"} for one in pod["status"]["conditions"]]
    sandbox.write("kubeconfig", cluster.kubeconfig())
    config = 'return { environments = { x = { kubectl = { kubeconfig = "%s/kubeconfig" } } } }'
    sandbox.write("runbook.config.lua", config % sandbox.folder)
    sandbox.write("pods.lua", HEAD + """
      recovered("all pods are ready", { within = "25s", every = "100ms" }, function()
        local pods = kubectl.get "pods"
        return pods.total == 1000 and #pods.not_ready == 0
      end)
      wait_until("they are ready", { within = "25s", every = "100ms" }, function() return #kubectl.get("pods").not_ready == 0 end)
      return unresolved "x" """)
    result = runbook("run", "pods.lua", "--env", "x", env={"PATH": paths()[0]}, timeout=200)
    sizes = costs(result, "kubectl.get pods")
    assert len(sizes) >= 5 and sizes[0] > 1 << 20, result
    assert sizes[0] + POLLS * sum(sizes[1:]) / len(sizes[1:]) < MEGABYTES_10, sizes
    assert runbook("verify", "last").code == 0
