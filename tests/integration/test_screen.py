"""What is to be seen on a real terminal (tmux draws it). At a question the cause and its figure are in view, whatever the size.

Each world is a probe's body: no server is needed to look at a screen."""

import os
import re

import pytest

from lab.process import wait_for

HEAD = """runbook { title = "API Down", severity = "critical" }
local function many(name, count) return probe(name, function()
  for i = 1, count do check(name .. " value " .. i, 40 + i, "<", 99, { unit = "%" }) end
  note(name .. " is measured") note("and one thing more about " .. name)
end) end
local resources, others = many("Resources", 40), many("Others", 30)
local nothing = probe("Configuration", function() error("conduit-api does not run", 0) end)
"""

TAIL = """
local restart = remedy("Restart the API service", { risk = "low", warning = "requests under way are lost" }, function()
  exec { "touch", "restarted" }
end)
local found, _ = together(look, resources, others, nothing)
note "what the script says by itself"
"""

DEAF = "".join(f'check("{path} answers", false, {{ detail = "no answer within 5 s" }}) '
               for path in ("/health", "/health/ready", "/health/live"))
LOG = r"""
  local log = exec({ "sh", "-c", "for i in $(seq 90); do echo INFO request $i; done; "
    .. "echo 03:01:44 Fatal error. System.OutOfMemoryException; echo bye" }, { reads = true })
  note(log)"""

# What is found, and what must be in view when somebody is asked about a remedy.
WORLDS = {
    "the container is stopped": (
        'check("the container runs", false, { fault = "stopped", detail = "exited (0) 5 min ago" })',
        [r"WRONG .*the container runs: exited \(0\) 5 min ago"]),
    "it was killed for memory": (
        'check("the container runs", false, { fault = "stopped", detail = "exited (137) 5 min ago, out of memory (limit 512 MB)" })'
        + LOG, [r"exited \(137\) 5 min\s+ago, out of memory \(limit 512\s+MB\)", r"its log +03:01:44 Fatal error"]),
    "Redis is full": (
        'check("Redis memory", 105, "<", 90, { unit = "%", fault = "full" })' + DEAF,
        [r"WRONG +Redis memory 105 %, should be < 90 %", r"/health/live.*no answer"]),
    "the pool is full": (
        'check("PostgreSQL accepts connections", false, { fault = "pool_exhausted", detail = '
        '"FATAL: sorry, too many clients already (97 of 97 slots are taken)" })',
        [r"too many clients already\s+\(97 of 97\s+slots are taken\)"]),
    "a disk is full": (
        'check("fullest disk /var", 97, "<", 90, { unit = "%", fault = "disk_full" })' + DEAF,
        [r"WRONG +fullest disk /var 97 %, should be < 90 %"]),
    "the API is deaf": (DEAF, [r"WRONG +/health", r"/health/live", r"no answer within\s+5 s"]),
    "no permission on the socket": (
        'error("x.lua:9: docker.inspect conduit-api failed: permission denied: /var/run/docker.sock is root:docker 0660", 0)',
        [r"UNKNOWN +", r"Look: docker.inspect conduit-api failed: permission denied:", r"Configuration: conduit-api does not run"]),
}
SIZES = [(80, 24), (120, 40), (200, 50)]


def runbook_of(sandbox, world, tail, head=""):
    sandbox.write("x.lua", HEAD + head + 'local look = probe("Look", function() %s end)' % world + TAIL + tail)


def in_view(text, patterns):
    """The patterns that are not on the screen; a finding may go on below its beginning."""
    flat = re.sub(r"\s*\n\s+", " ", text)
    return [pattern for pattern in patterns if not re.search(pattern, text) and not re.search(pattern, flat)]


def check_question(text, columns, rows, patterns):
    """All that decides is in view, nothing is cut without a mark, what is well takes a line."""
    lines = text.split("\n")
    assert not in_view(text, patterns), text
    assert len(lines) <= rows and max(map(len, lines)) < columns, text
    assert re.search(r"API Down · critical · began \d\d:\d\d:\d\d, \d+ s ago +live", text), text
    assert re.search(r"^Restart the API service +risk low$", text, re.M), text
    assert re.search(r"^  does +exec touch restarted", text, re.M) and "by hand   touch restarted" in text, text
    assert "warning   requests under way are lost" in text and len(re.findall("^WELL ", text, re.M)) == 1, text
    assert re.search(r"\d+ more$", next(line for line in lines if line.startswith("WELL"))), text
    assert re.search(r"^\? Apply it\?  yes or no\? \(d: details\) .*(4:5\d|5:00)", lines[-1]), text


@pytest.mark.parametrize("columns, rows", SIZES, ids=lambda size: str(size))
@pytest.mark.parametrize("world", WORLDS)
def test_at_a_question_the_cause_is_in_view(screen, sandbox, world, columns, rows):
    """Broken by: found.lines whose well ones come first; views.fit that cuts at the right; a block of more lines than rows."""
    body, patterns = WORLDS[world]
    runbook_of(sandbox, body, 'restart()\nreturn unresolved "x"')
    terminal = screen("run", "x.lua", "--here", columns=columns, rows=rows)
    text = terminal.at_question()
    check_question(text, columns, rows, patterns)
    terminal.answer("no")
    assert terminal.ended() == 1 and not os.path.exists(os.path.join(sandbox.folder, "restarted"))


@pytest.mark.parametrize("columns, rows", SIZES, ids=lambda size: str(size))
def test_when_everything_is_declined(screen, sandbox, columns, rows):
    body, patterns = WORLDS["it was killed for memory"]
    other = 'remedy("Clear the cache %d", { risk = "medium" }, function() exec { "touch", "cleared" } end)()\n'
    runbook_of(sandbox, body, other % 1 + other % 2 + 'restart()\nreturn unresolved "x"')
    terminal = screen("run", "x.lua", "--here", columns=columns, rows=rows)
    for title in ("Clear the cache 1", "Clear the cache 2"):
        text = terminal.wait_for(rf"(?m)^{title} +risk medium(.|\n)*yes or no\? ")
        assert not in_view(text, patterns), text
        terminal.answer("no")
    text = terminal.wait_for(r"(?m)^Restart the API service +risk low(.|\n)*yes or no\? ")
    check_question(text[text.rindex("API Down ·"):], columns, rows, patterns)
    terminal.answer("no")
    assert terminal.ended() == 1


# ---- The prompt ----

def asked(screen, sandbox, tail='restart()\nreturn unresolved "x"', world="the container is stopped", **options):
    runbook_of(sandbox, WORLDS[world][0], tail)
    terminal = screen("run", "x.lua", "--here", **options)
    terminal.at_question()
    return terminal


def clock_of(text):
    return re.search(r"silence for ([\d:]+) = no · page in ([\d:]+)", text.split("\n")[-1])


def test_the_clock_ticks_and_nothing_typed_is_lost(screen, sandbox):
    """Broken by: a prompt that is drawn once; typed_draw that leaves out what was typed."""
    terminal = asked(screen, sandbox)
    terminal.type("yez")
    first = clock_of(terminal.wait_for(r"yez +silence"))
    terminal.key("BSpace")
    wait_for(lambda: clock_of(terminal.text)[1] < first[1] and clock_of(terminal.text)[2] < first[2], "it ticks")
    assert re.search(r"\(d: details\) ye +silence for 4:5\d = no", terminal.text)
    terminal.answer("s")
    assert terminal.ended() == 1 and os.path.exists(os.path.join(sandbox.folder, "restarted"))
    shown = terminal.history()
    assert re.search(r"UNRESOLVED  x, \d+ s after the start\n +open: not so: the container runs: exited \(0\)", shown), shown
    assert "changed 1 · report: " + sandbox.runs()[0] + "/report.md" in shown.replace("\n          /", " /"), shown
    assert "? Apply it?  yes or no? (d: details) yes\n" in shown and "Restart the API service: applied" in shown


def test_a_terminal_that_is_resized(screen, sandbox):
    """Everything that decides is drawn anew for the size there is. Broken by: block.draw without block.was_resized."""
    terminal = asked(screen, sandbox, world="it was killed for memory", columns=120, rows=40)
    terminal.type("n")
    decides = [r"exited \(137\)", "out of\\s+memory", r"exec touch restarted", r"\) n( |$)"]

    def drawn():  # the terminal itself cuts what was there before
        lines = terminal.lines()
        return lines[0].startswith("API Down") and lines[-1].startswith("? Apply it?") and not in_view("\n".join(lines), decides)
    for columns, rows in ((60, 20), (40, 16), (100, 30)):
        terminal.resize(columns, rows)
        wait_for(drawn, "drawn anew")
        text = terminal.text
        assert len(terminal.lines()) <= rows and max(map(len, terminal.lines())) < columns, text
        assert all(word in "exited (137) 5 min ago, out of memory (limit 512 MB)".split() + ["the", "container", "runs:"]
                   for word in re.search(r"WRONG +(.*)", text)[1].split()), text


def test_details_are_one_key_away(screen, sandbox):
    terminal = asked(screen, sandbox, world="it was killed for memory", rows=40)
    terminal.answer("d")
    terminal.wait_for(r"How it was looked at\n(.|\n)*\? Apply it\?")
    shown = terminal.history()
    for line in ("The plan of “Restart the API service”", "  exec touch restarted", "Resources value 40 80 % [Resources]",
                 "INFO request 90", "Others is measured [Others]", "exec sh -c"):
        assert line in shown, shown
    terminal.answer("no")
    assert terminal.ended() == 1 and "declined" in terminal.history()


def test_wide_characters_and_foreign_ones(screen, sandbox):
    sandbox.write("x.lua", """runbook { title = "日本" }
      probe("見る", function() check("状態", false, { detail = ("東京サーバー"):rep(20) .. " 終わり" }) end)()
      probe("Foreign", function() check("x", false, { detail = "\\27[2J\\27[31m\\u{202E}evil" }) end)()
      remedy("直す", {}, function() exec { "touch", "x" } end)()
      return unresolved "x" """)
    terminal = screen("run", "x.lua", "--here")
    text = terminal.at_question()
    assert "終わり" in text and "…" in text and r"\x1b[2J\x1b[31m\u{202E}evil" in text and "日本 · began" in text, text
    assert all(len(line) + sum(ord(c) > 0x2E80 for c in line) < 80 for line in text.split("\n")), text


def test_a_short_question_and_its_reasons_above_it(screen, sandbox):
    """Broken by: a prompt of the whole text."""
    reason = "There is no Docker engine (" + "/a/rather/long/path" * 12 + "/docker.sock does not exist)"
    sandbox.write("x.lua", f"""runbook {{ title = "Platform" }}
      local where = choose("{reason}, and no cluster answers: where does the API run?", {{ "docker", "kubernetes" }})
      return unresolved(where or "no")""")
    terminal = screen("run", "x.lua")
    text = terminal.at_question(r"(?m)^\? ")
    assert re.match(r"\? Where does the API run\?  1 docker  2 kubernetes  1-2\? +\d:\d\d", text.split("\n")[-1]), text
    assert "no cluster answers" in text and "does not exist)" in text, text
    terminal.answer("3")
    terminal.wait_for("type one of the numbers, 1 to 2")
    terminal.answer("2")
    terminal.wait_for(r"unresolved:\s+kubernetes")


def test_every_destructive_write_is_shown(screen, sandbox):
    """Broken by: shown_of that counts them as the others."""
    sandbox.write("x.lua", """runbook { title = "Many" }
      remedy("Clean up", {}, function()
        for i = 1, 20 do exec { "touch", "file" .. i } end
        for i = 1, 3 do exec({ "rm", "-f", "gone" .. i }, { destructive = true }) end
      end)()
      remedy("Everything", {}, function() for i = 1, 40 do exec({ "rm", "-f", "gone" .. i }, { destructive = true }) end end)()
      return unresolved "x" """)
    terminal = screen("run", "x.lua", "--here")
    text = terminal.at_question()
    assert all(f"rm -f gone{i} " in text for i in (1, 2, 3)) and "risk high" in text, text
    assert re.search(r"… \d+ more exec, d shows them", text) and len(text.split("\n")) <= 24, text
    terminal.answer("no")
    terminal.wait_for(r"Everything(.|\n)*yes or no\?")
    shown = terminal.history()
    assert all(re.search(rf"rm -f gone{i} .*\(destructive\)", shown) for i in range(1, 41)), shown


def test_a_page_that_goes_out_meanwhile(screen, sandbox, pagerduty):
    """Broken by: a live.ask whose block hears nothing."""
    pager = f'"pagerduty", routing_key = secret "KEY", url = "{pagerduty.url}"'
    sandbox.write("runbook.config.lua", f"return {{ pager = {{ {pager} }} }}")
    sandbox.env["KEY"] = pagerduty.routing_key
    runbook_of(sandbox, WORLDS["Redis is full"][0], 'restart()\nreturn unresolved "x"',
               'escalation("3s", function(run) escalate.page { summary = run.headline } end)\n')
    terminal = screen("run", "x.lua", "--here")
    terminal.at_question()
    terminal.type("n")
    text = terminal.wait_for(r"\d\d:\d\d:\d\d  the on-call engineer was paged(.|\n)*\) n +.* = no · paged \d\d:\d\d:\d\d")
    assert text.startswith("API Down ·") or "\nAPI Down ·" in text
    assert not in_view(text, WORLDS["Redis is full"][1]) and pagerduty.alerts, text
    assert "Redis memory 105 %" in str(next(iter(pagerduty.alerts.values()))["events"]), pagerduty.alerts
    terminal.answer("o")
    assert terminal.ended() == 1 and "UNRESOLVED, PAGED  x, " in terminal.history()


def test_interrupted_at_the_question(screen, sandbox):
    """The terminal is given back as it was. Broken by: ask_close without tty_end."""
    terminal = asked(screen, sandbox)
    terminal.type("ye")
    terminal.key("C-c")
    assert terminal.ended() == 4
    shown = terminal.history()
    assert "ABORTED  interrupted by the operator" in shown and "stays armed" in shown, shown


def test_what_a_command_does_is_whole_or_not_there(screen, sandbox):
    """Half a command does something else. Broken by: add_by_hand that cuts."""
    sandbox.write("x.lua", """runbook { title = "Long" }
      remedy("Do it", {}, function() exec { "touch", ("a"):rep(60), ("b"):rep(60) } end)()
      return unresolved "x" """)
    terminal = screen("run", "x.lua", "--here")
    text = terminal.at_question()
    assert "by hand   too long for this line, d shows it" in text and "b" * 20 in text, text
    terminal.answer("d")
    terminal.wait_for(r"by hand: touch a+ ?b*")
    assert "by hand: touch " + "a" * 60 + " " + "b" * 60 in terminal.history()
    terminal.answer("no")
    assert terminal.ended() == 1


# ---- While something runs ----

def test_what_is_under_way(screen, sandbox):
    """What was found stays in view while others still look; each of those has its seconds."""
    sandbox.write("x.lua", HEAD + """
      local quick = probe("Quick", function() check("fullest disk /var", 97, "<", 90, { unit = "%" }) end)
      local slow = probe("Slow", function(name) exec({ "sleep", "3" }, { reads = true }) check(name .. " is well", true) end)
      together(quick, resources, function() return slow "a" end, function() return slow "b" end)
      return unresolved "x" """)
    terminal = screen("run", "x.lua")
    text = terminal.wait_for(r"Slow \(a\): exec sleep 3 .*, 1 s(.|\n)*Slow \(b\): exec sleep 3 .*, 1 s")
    assert "WRONG    fullest disk /var 97 %, should be < 90 %" in text and len(re.findall("WELL ", text)) == 1, text
    assert re.search(r"0:0\d · page in 14:5\d", text), text
    terminal.ended()
    shown = terminal.history()
    assert shown.count("WRONG    fullest disk /var 97 %") == 1 and "Slow (a): exec" not in shown, shown
    assert re.search(r"UNRESOLVED  x, 3 s after the start\n +open: fullest disk /var 97 %", shown), shown


# ---- Stopped and gone on with ----

def test_stopped_at_the_question_and_gone_on_with(screen, sandbox):
    """The shell had the terminal meanwhile. Broken by: tty_reclaim that always says false."""
    terminal = asked(screen, sandbox, shell=True)
    terminal.type("ye")
    terminal.wait_for(r"yes or no\? \(d: details\) ye ")
    terminal.key("C-z")
    terminal.wait_for(r"Stopped")
    terminal.answer("stty -a")
    terminal.wait_for(r" icanon (.|\n)* echo ")
    terminal.answer("fg")
    terminal.wait_for(r"fg\n(.|\n)*API Down ·(.|\n)*\n\? Apply it\?  yes or no\? \(d: details\) ye +(silence|4:)")
    terminal.answer("s")
    terminal.wait_for(r"unresolved: x\n")
    assert os.path.exists(os.path.join(sandbox.folder, "restarted"))
