"""Reading a journal that another process wrote: in flat memory, and as far as it can be read."""

import json
import os

import pytest

from lab.watchdog import journal
from test_raw_core import host  # noqa: F401 (a fixture)
from test_watchdog import sanitized

MANY = 200_000  # events
KILOBYTES = 13_000
KEPT = 500  # findings at least: FINDINGS_MAX of stdlib/story.lua


def test_a_damaged_journal_is_refused_for_writing_and_read_as_far_as_it_goes(host, sandbox):
    host("""
      local made = run.create { title_slug = "x" }
      run.open_journal(made.path .. "/journal.jsonl")
      for i = 1, 4 do run.event(i == 3 and "check" or "note", { i = i }) end
    """)
    path = os.path.join(sandbox.runs()[0], "journal.jsonl")
    text = open(path).read()
    read = f"""
      local function read(names)
        local seen = {{}}
        local events = assert(require "raw.journal".events({json.dumps(path)}, names))
        for event in events do seen[#seen + 1] = event.i end
        return table.concat(seen, " "), events:damage()
      end
    """
    host(read + """
      is({ read { note = true, check = true } }, { "1 2 3 4" }) is({ read { check = true } }, { "3" })
      is({ read { note = { "none", '"i":4' } } }, { "4" }) is({ read {} }, { "" })
    """)
    for number, damaged, left in [(2, text.replace('"i":2', '"i":7'), "1 7 3 4"), (3, text.replace('"i":3', '"i":"'), "1 2 4"),
                                  (1, text[1:], "2 3 4"), (2, text.replace('{"seq":2', 'seq":2'), "1 3 4")]:
        open(path, "w").write(damaged)
        host(read + f"""
          local seen, damage = read {{ note = true, check = true }}
          is(damage.line, {number}) is(seen, "{left}")
          local nothing, err = run.open_journal {json.dumps(path)}
          assert(nothing == nil and err.kind == "protocol" and err.message:find "line {number} of the journal", err.message)
        """)
    open(path, "w").write(text + '{"seq":5,"at')
    host(read + 'is({ read { note = true, check = true } }, { "1 2 3 4" })')


POLL = {"event": "effect.outcome", "key": "goal:1", "line": "http.get x", "class": "read", "status": "not_well"}
LOOK = {"event": "check", "label": "it answers", "passed": False, "says": "it answers: refused"}


def stories():
    """What a long run is made of, and how many findings are kept of it."""
    yield [POLL] * 9 * (MANY // 10) + [LOOK] * (MANY // 10), (1, 1)
    yield ({**LOOK, "label": f"{n} answers"} for n in range(MANY)), (KEPT, 2 * KEPT)
    yield ({**LOOK, "label": f"{n} answers", "passed": n % 1000 > 0} for n in range(MANY)), (200, 200)
    yield ({"event": "probe.ended", "probe": f"{n}", "state": "unknown", "why": f"{n}"} for n in range(MANY)), (KEPT, 2 * KEPT)
    yield ({"event": "note", "text": f"{n} looks"} for n in range(MANY)), (0, 0)


@pytest.mark.limit(300)
@pytest.mark.parametrize("kind", range(5), ids=["polls", "checks", "passing", "unknown", "notes"])
def test_two_hundred_thousand_events_take_little_memory(host, sandbox, kind):
    """Broken by: a list of the events in lib_journal.c; story.lua that keeps each finding, or drops one that failed before one
    that passed."""
    events, (least, most) = list(stories())[kind]
    path = sandbox.write("journal.jsonl", journal(*events))
    out = host(f"""
      local story, count = require "story", 0
      for event in assert(require "raw.journal".events({json.dumps(path)}, story.events)) do
        story.learn(event.event, event)
        count = count + 1
      end
      assert(collectgarbage "count" < {KILOBYTES})
      is(count, {MANY})
      local found = #story.findings() - (story.dropped > 0 and 1 or 0)
      assert(found >= {least} and found <= {most}, found)
      if found >= {KEPT} then is(story.dropped, {MANY} - found) end
      print(require "raw.files".read {{ path = "/proc/self/status" }}.text:match "VmHWM:%s*(%d+)")
    """)
    assert sanitized() or int(out) < KILOBYTES, out
