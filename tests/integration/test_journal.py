"""Reading a journal that another process wrote: in flat memory, and as far as it can be read."""

import json
import os

from lab.watchdog import journal
from test_raw_core import host  # noqa: F401 (a fixture)
from test_watchdog import sanitized

MANY = 200_000  # events
KILOBYTES = 20_000


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


def test_two_hundred_thousand_events_take_little_memory(host, sandbox):
    """Broken by: a list of the events in lib_journal.c."""
    poll = {"event": "effect.outcome", "key": "goal:1", "line": "http.get x", "class": "read", "status": "not_well"}
    look = {"event": "check", "label": "it answers", "passed": False, "says": "it answers: refused"}
    path = sandbox.write("journal.jsonl", journal(*([poll] * 9 + [look]) * (MANY // 10)))
    out = host(f"""
      local story, count = require "story", 0
      for event in assert(require "raw.journal".events({json.dumps(path)}, story.events)) do
        story.learn(event.event, event)
        count = count + 1
      end
      assert(collectgarbage "count" < {KILOBYTES})
      is(count, {MANY}) is(#story.findings(), 1)
      print(require "raw.files".read {{ path = "/proc/self/status" }}.text:match "VmHWM:%s*(%d+)")
    """)
    assert sanitized() or int(out) < KILOBYTES, out
