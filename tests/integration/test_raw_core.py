"""The raw modules of the core, tried from host Lua: raw.json, raw.re, raw.text, raw.secret, raw.run, raw.tty."""

import concurrent.futures
import hashlib
import json
import os
import re
import stat
import time

import pytest

# same(a, b): deep equality that tells integers from floats and takes NaN for itself.
PRELUDE = """
local json, re, text = require "raw.json", require "raw.re", require "raw.text"
local secret, run, tty = require "raw.secret", require "raw.run", require "raw.tty"
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return math.type(a) == math.type(b) and (a == b or (a ~= a and b ~= b))
  end
  for key, value in pairs(a) do if not same(value, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end
local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "nothing was raised")
  assert(tostring(message):find(pattern, 1, true), message)
end
local function is(a, b)
  if not same(a, b) then error(("%s is not %s"):format(json.encode(a, { exact = true }), json.encode(b, { exact = true })), 2) end
end
"""


@pytest.fixture
def host(luahost):
    def run(text, *arguments, **options):
        result = luahost(PRELUDE + text, *arguments, **options)
        assert result.code == 0, result
        return result.stdout
    return run


# raw.json

def test_json_keeps_kinds_and_order(host):
    out = host("""
      print(json.encode { b = 1, a = 1.0, c = { 1, 2.5, "x" }, d = {}, e = json.list {}, f = json.null, g = 2^53, h = 1e100 })
      print(json.encode({ 1, { a = {} } }, { pretty = true }))
      local t = json.decode '{"i": 1, "f": 1.0, "big": 12345678901234567890, "n": null, "l": [], "o": {}}'
      assert(math.type(t.i) == "integer" and math.type(t.f) == "float" and math.type(t.big) == "float")
      assert(t.n == json.null and #t.l == 0)
      is(json.encode(t.l), "[]") is(json.encode(t.o), "{}")
    """)
    assert out == ('{"a":1.0,"b":1,"c":[1,2.5,"x"],"d":{},"e":[],"f":null,"g":9007199254740992.0,"h":1e+100}\n'
                   '[\n  1,\n  {\n    "a": {}\n  }\n]\n')


def test_json_refuses_what_it_cannot_hold(host):
    host(r"""
      raises("UTF-8", json.encode, "\xff")
      raises("UTF-8", json.encode, { ["\xff"] = 1 })
      raises("finite", json.encode, 0/0)
      raises("finite", json.encode, { 1/0 })
      raises("mixed keys", json.encode, { 1, 2, x = 3 })
      raises("mixed keys", json.encode, { [1] = 1, [3] = 3 })
      raises("function", json.encode, { print })
      local cycle = {} cycle.me = cycle
      raises("a cycle", json.encode, cycle)
      raises("a cycle", json.encode, { [cycle] = 1, [true] = 2 }, { exact = true })
      local deep = 1
      for _ = 1, 200 do deep = { deep } end
      is(#json.encode(deep), 401)
      raises("200 deep", json.encode, { deep })
    """)


def test_json_says_where_a_text_is_wrong(host):
    host(r"""
      local value, err = json.decode '{"a": 1,\n "b": x}'
      assert(value == nil and err.kind == "protocol" and err.message:find "line 2 column", err.message)
      for _, wrong in ipairs { "", "{", "nul", "[1,]", '"\xff"', '{"a" 1}', "[1] x", ("["):rep(300), ("["):rep(1e6) } do
        local nothing, why = json.decode(wrong)
        assert(nothing == nil and why.kind == "protocol", wrong)
      end
    """)


def test_json_exact_gives_every_value_back(host):
    host(r"""
      local values = {
        1, 1.0, -0.0, math.maxinteger, math.mininteger, 1/0, -1/0, 0/0, 0.1, 2^63, "", "a\0b", "\xff\xfe", "ö", true, false,
        {}, { 1, 2 }, { [1] = 1, [3] = 3 }, { [0] = 1 }, { x = 1, [1] = 2 }, { [true] = false, [1.5] = "x" },
        { ["\xff"] = 1 }, { ["a\0b"] = 1 }, { ["$bytes"] = "AA==" }, { ["$number"] = "nan" }, { ["$map"] = {} },
        { ["$"] = { ["$"] = 1 } }, { ["$a"] = 1, ["$b"] = 2 }, { ["$map"] = { { 1, 2 } }, x = 1 },
        { { { {} } } }, json.list {}, { a = json.null },
      }
      for i, value in ipairs(values) do
        local written = json.encode(value, { exact = true })
        local back, err = json.decode(written, { exact = true })
        assert(err == nil and same(value, back), i .. ": " .. written)
        is(json.encode(back, { exact = true }), written)
      end
      is(json.encode(json.decode("[]", { exact = true }), { exact = true }), "[]")
    """)


def test_json_exact_of_random_values(host):
    host(r"""
      math.randomseed(17)
      local strings = { "", "a", "$bytes", "$map", "$number", "\xff", "\0", "ö", "k" }
      local function scalar()
        local pick = math.random(6)
        if pick == 1 then return strings[math.random(#strings)] end
        if pick == 2 then return math.random(-3, 3) end
        if pick == 3 then return (math.random(0)) / 2^math.random(40) end
        if pick == 4 then return math.random(2) == 1 end
        if pick == 5 then return string.unpack("<d", string.pack("<i8", math.random(0))) end
        return math.random(0)
      end
      local function value(depth)
        if depth == 0 or math.random(2) == 1 then return scalar() end
        local t = {}
        for i = 1, math.random(0, 4) do
          local key = math.random(3) == 1 and scalar() or math.random(2) == 1 and i or strings[math.random(#strings)]
          if key ~= key then key = "nan" end
          t[key] = value(depth - 1)
        end
        return t
      end
      for _ = 1, 3000 do
        local v = value(4)
        local written = json.encode(v, { exact = true })
        local back, err = json.decode(written, { exact = true })
        assert(not err, err and err.message)
        assert(same(v, back), written)
        is(json.encode(back, { exact = true }), written)
      end
    """)


def test_json_forged_exact_forms_do_no_harm(host):
    host(r"""
      for _, forged in ipairs { '{"$map":[[1]]}', '{"$map":[1,"x",null,[null,1],[{"$number":"nan"},1],[1,2,3]]}', '{"$map":{}}',
          '{"$bytes":"!"}', '{"$bytes":1}', '{"$number":"one"}', '{"$number":{}}', '{"$map":[[[],[]]]}' } do
        local value, err = json.decode(forged, { exact = true })
        assert(type(value) == "table" and err == nil, forged)
        json.encode(value, { exact = true })
      end
    """)


# raw.re

def test_re_finds_and_captures(host):
    host(r"""
      assert(re.find("abc", "b") == true and re.find("abc", "x") == false)
      is(re.match("k=v", "(?<key>\\w+)=(\\w+)(x)?"), { [0] = "k=v", "k", "v", false, key = "k" })
      assert(re.match("abc", "x") == nil)
      is(re.all("a1 b22", "[a-z](\\d+)"), { { [0] = "a1", "1" }, { [0] = "b22", "22" } })
      is(re.all("ab", "x*"), { { [0] = "" }, { [0] = "" }, { [0] = "" } })
      is(re.count("öäö", "ö"), 2) is(re.count("", ""), 1) is(re.count("öx", ""), 3)
      is(re.lines("ERROR one\r\nfine\nlast ERROR", "^ERROR|ERROR$"), { "ERROR one", "last ERROR" })
      is(re.lines("a\n\nb\n", "^$"), { "" })
    """)


def test_re_replaces(host):
    host(r"""
      local function gsub(...) local text, count = re.gsub(...) return { text, count } end
      is(gsub("a1 b2", "([a-z])(?<n>\\d)", "${n}$1-$0"), { "1a-a1 2b-b2", 2 })
      is(gsub("abc", "", "-"), { "-a-b-c-", 4 })
      is(gsub("öä", "", "-"), { "-ö-ä-", 3 })
      is(gsub("abc", "b", "$$1${0}$"), { "a$1b$c", 1 })
      is(gsub("ac", "a(b)?c", "[$1${1}]"), { "[]", 1 })
      is(gsub("abc", "x", "y"), { "abc", 0 })
      raises("no group 'z'", re.gsub, "a", "a", "${z}")
      raises("no group '3'", re.gsub, "a", "(a)", "$3")
    """)


def test_re_takes_bytes_that_are_no_text(host):
    host(r"""
      assert(re.find("\xff\0abc", "abc") and re.find("a\0b", "\\x00b"))
      is(re.match("\xffö", "."), { [0] = "ö" })
      is(re.count("a\xffa", "a"), 2)
    """)


def test_re_raises_on_wrong_patterns_and_endless_work(host):
    host(r"""
      raises("wrong pattern at character 5", re.find, "x", "abc(")
      raises("wrong pattern", re.find, "x", "\xff")
      raises("65536 bytes", re.find, "x", ("x"):rep(65537))
      raises("too much work", re.find, ("a"):rep(40) .. "b", "^(a+)+$")
      raises("more than 100000 matches", re.all, ("a"):rep(100001), "a")
      is(re.count(("a"):rep(100001), "a"), 100001)
      assert(re.find(("ab"):rep(50000), "^(a|b)*$"))   -- needs more stack than the JIT begins with
      for i = 1, 200 do assert(re.find("x" .. i, "^x" .. i .. "$")) end
      assert(re.find("x1", "^x1$"))
    """)


@pytest.mark.parametrize("function", ["lines", "all", "count", "gsub"])
def test_re_has_one_budget_for_a_call(host, function):
    """Broken by: a limit on each match alone, of which 3,000 take a minute."""
    host(f"""
      local clock = require "raw.task".now
      local text, began = (("a"):rep(20) .. "!\\n"):rep(3000), clock()
      raises("too much work", re.{function}, text, "(?m)^(a+)+$|!", "")
      assert(clock() - began < 20, clock() - began)
    """)


def test_a_deadline_is_heard_between_matches(host):
    host(r"""
      local tasks = require "tasks"
      local text, finished = (("a"):rep(20) .. "!\n"):rep(3000), false
      local in_time = tasks.deadline(0.1, function() re.lines(text, "^(a+)+$") finished = true end)
      assert(not in_time and not finished)
    """)


def test_re_is_quick_on_long_texts(host):
    host(r"""
      local clock = require "raw.task".now
      local text, began = ("2026-11-23 ERROR ö connection 12345 refused\n"):rep(25000), clock()
      is(re.count(text, "ERROR"), 25000)
      is(#re.lines(text, "(?i)error"), 25000)
      is(#re.all(text, "connection (\\d+)"), 25000)
      is(select(2, re.gsub(text, "\\d{5}", "#")), 25000)
      assert(clock() - began < 5, clock() - began)
    """)


# raw.text

def test_text_is_made_inert(host):
    host(r"""
      is(text.inert("a\27[31mb\0\r\n\t\127"), "a\\x1b[31mb\\x00\\x0d\\x0a\\x09\\x7f")
      is(text.inert("a\n\tb\r", { lines = true }), "a\n\tb\\x0d")
      is(text.inert("x\u{202E}y\u{200B}\u{2066}\u{61C}\u{FEFF}\u{9b}\u{E0041}"),
        "x\\u{202E}y\\u{200B}\\u{2066}\\u{061C}\\u{FEFF}\\u{009B}\\u{E0041}")
      is(text.inert("\xff\xc0\x80\xed\xa0\x80é"), "\\xff\\xc0\\x80\\xed\\xa0\\x80é")
      is(text.inert("a\n\tb\r", { flat = true }), "a  b\\x0d")
      is(text.inert("<!here> <@U1> <#C1|x> <https://x|y> <mailto:a> @here (@Channel) @all", { people = true }),
        "‹!here> ‹@U1> ‹#C1|x> ‹https://x|y> ‹mailto:a> ＠here (＠Channel) ＠all")
      local plain = "a < b <= 90 % <div class='a:b'> x@here @hereafter ada@example.com @db-1 <"
      is(text.inert(plain, { people = true }), plain)
      is(text.inert("<!here> @here"), "<!here> @here")
      is(text.inert("öäü", { max = 2 }), "öä… (cut)") is(text.inert("öä", { max = 2 }), "öä")
    """)


def test_text_knows_columns(host):
    host(r"""
      is(text.width "abc", 3) is(text.width "öä", 2) is(text.width "日本", 4) is(text.width "e\u{301}", 1) is(text.width "\27", 4)
      is(text.truncate("abcdef", 6), "abcdef") is(text.truncate("abcdef", 5), "abcd…") is(text.truncate("日本語", 4), "日…")
      is(text.truncate("abc", 1), "…") is(text.truncate("abc", 0), "")
    """)


def test_text_quotes_for_shell_slack_and_html(host, tmp_path):
    host(r"""
      is(text.shell_quote { "docker", "exec", "a b", "it's", "", "$HOME", "x=1", "~", "#" },
        [[docker exec 'a b' 'it'\''s' '' '$HOME' x=1 '~' '#']])
      is(text.slack "<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;")
      is(text.html [[<a href="x">it's & </a>]], "&lt;a href=&quot;x&quot;&gt;it&#39;s &amp; &lt;/a&gt;")
    """)


def test_text_takes_outputs_apart(host):
    host(r"""
      is(text.lines "a\r\nb\n\nc", { "a", "b", "", "c" }) is(text.lines "", {}) is(text.lines "\n", { "" })
      is(text.tail("a\nb\nc\n", 2), "b\nc\n") is(text.tail("a", 5), "a") is(text.tail("a\nb", 0), "")
      is(text.table "Filesystem Use%  Mounted\n/dev/sda1   97%  /\ntmpfs 1% /my disk\n",
        { { Filesystem = "/dev/sda1", ["Use%"] = "97%", Mounted = "/" },
          { Filesystem = "tmpfs", ["Use%"] = "1%", Mounted = "/my disk" } })
      is(text.table "", {})
    """)


def test_text_reads_durations_sizes_and_times(host):
    host(r"""
      is(text.duration "1h30m", 5400.0) is(text.duration_text(90.5), "1m30.5s")
      is(text.size "64MB", 67108864) is(text.size_text(1536), "1.5 KB")
      is(text.time "2026-11-23T17:40:05.5Z", 1795455605.5) is(text.time_text(1795455605), "2026-11-23T17:40:05.000000Z")
      local nothing, err = text.duration "15"
      assert(nothing == nil and err.kind == "usage" and err.message:find "a unit is missing")
    """)


# raw.secret

def test_secrets_are_redacted_and_put_back(host):
    host(r"""
      assert(secret.add("TOKEN", 'tok"en/1'))
      local nothing, err = secret.add("PIN", "123")
      assert(nothing == nil and err.kind == "usage")
      is(secret.redact 'a tok"en/1 b tok%22en%2F1 http://u:p@h', "a ⟦TOKEN:plain⟧ b ⟦TOKEN:url⟧ http://u:⟦password:undeclared⟧@h")
      is({ secret.restore "a ⟦TOKEN:plain⟧ ⟦TOKEN:url⟧" }, { 'a tok"en/1 tok%22en%2F1', true })
      is({ secret.restore "⟦OTHER:plain⟧" }, { "⟦OTHER:plain⟧", false })
      is(secret.restore(secret.quote "⟦TOKEN:plain⟧"), "⟦TOKEN:plain⟧")
      local hash = secret.hash "TOKEN"
      assert(secret.matches("TOKEN", hash) and not secret.matches("TOKEN", hash:upper() .. "0") and secret.hash "NONE" == nil)
      secret.add("TOKEN", "another")
      assert(not secret.matches("TOKEN", hash))
    """)


def test_secret_files(host, sandbox):
    sandbox.write("plain", b"s3cret\x00\xff\n")
    sandbox.write("dos", b"s3cret\r\n")
    sandbox.write("large", b"x" * (64 * 1024 + 1))
    os.mkfifo(os.path.join(sandbox.folder, "pipe"))
    host(r"""
      is(secret.file "plain", "s3cret\0\xff") is(secret.file "dos", "s3cret")
      local function kind(path) return select(2, secret.file(path)).kind end
      is(kind "large", "limit") is(kind "pipe", "usage") is(kind ".", "usage") is(kind "none", "missing")
    """)


# raw.run

def test_a_run_is_made_written_and_read_back(host, sandbox):
    out = host(r"""
      local made = assert(run.create { title_slug = "api-down.lua" })
      assert(made.id:find "^%d+%-%d+%-api%-down%-lua%-%w%w%w%w$" and made.path:find(made.id, 1, true) and made.fallback == false)
      local ok, cut = run.open_journal(made.path .. "/journal.jsonl")
      assert(ok and cut == 0)
      secret.add("PW", "hunter22")
      local fields = { result = { bytes = "\xff", f = 1.0, i = 1, map = { [2] = "x" } },
        text = "pw=hunter22", z = 1, a = json.list {} }
      local seq, err, line = run.event("note", fields, { sync = true })
      assert(seq == 1 and err == nil)
      print(line)
      is((run.event("note", {})), 2)
      local events = {}
      for event in require "raw.journal".events(made.path .. "/journal.jsonl", { note = true }) do events[#events + 1] = event end
      is(#events, 2) is(events[1].result, fields.result) is(events[1].text, "pw=⟦PW:plain⟧") is(events[2].seq, 2)
      local nothing, why = run.event("note", { seq = 5 })
      assert(nothing == nil and why.kind == "usage")
      nothing, why = run.event("note", { f = print })
      assert(nothing == nil and why.kind == "usage" and why.message:find "function")
      local here = {}  -- a fallback is any suite's of this machine
      for _, it in ipairs(run.list()) do here[#here + 1] = not it.fallback and it or nil end
      is(run.find "last", made) is(run.find(made.id:sub(1, -2)), made) is(here, { made })
      is(run.find("zzz"), nil)
    """)
    line = json.loads(out)
    assert list(line) == ["seq", "at", "event", "a", "result", "text", "z", "prev"]
    assert line["result"] == {"bytes": {"$bytes": "/w=="}, "f": 1.0, "i": 1, "map": {"$map": [[2, "x"]]}}
    assert abs(time.time() - time.mktime(time.strptime(line["at"][:19], "%Y-%m-%dT%H:%M:%S"))) < 60
    path = os.path.join(sandbox.runs()[0], "journal.jsonl")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    lines = open(path, "rb").read().split(b"\n")
    assert lines[0].decode() == out.rstrip("\n")
    assert json.loads(lines[1])["prev"] == hashlib.sha256(lines[0]).hexdigest()


def test_files_of_a_run(host, sandbox):
    host(r"""
      raises("no run directory", run.save, "x", "y")
      local made = run.create { title_slug = "x", dry = true }
      assert(made.id:find "^dry%-")
      secret.add("PW", "hunter22")
      assert(run.save("source/001.lua", "a\0hunter22"))
      local nothing, err = run.save("source/001.lua", "again")
      assert(nothing == nil and err.kind == "io", err.kind)
      assert(run.replace("outbox/1.json", "one") and run.replace("outbox/1.json", "two"))
      nothing, err = run.replace("none/1.json", "x")
      assert(nothing == nil and err.kind == "missing")
      for _, bad in ipairs { "", "/etc/x", "../x", "a/../b", "a//b", "a/", ".", "..", "a/.", "a b", "a\nb", "ä", "~x" } do
        raises("inside the run directory", run.save, bad, "x")
      end
      is(run.sha256 "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
      assert(#run.random(16) == 16 and run.random(16) ~= run.random(16))
    """)
    folder = sandbox.runs()[0]
    assert open(os.path.join(folder, "source/001.lua"), "rb").read() == "a\0⟦PW:plain⟧".encode()
    assert open(os.path.join(folder, "outbox/1.json")).read() == "two"
    assert sorted(os.listdir(os.path.join(folder, "outbox"))) == ["1.json"]


def test_a_second_writer_is_refused(host, sandbox):
    host("""
      local made = run.create { title_slug = "x" }
      assert(run.open_journal(made.path .. "/journal.jsonl"))
      assert(run.open_journal(made.path .. "/journal.jsonl"))   -- the same process may begin anew
    """)
    path = os.path.join(sandbox.runs()[0], "journal.jsonl")
    import fcntl
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        host(f"""
          local nothing, err = run.open_journal {json.dumps(path)}
          assert(nothing == nil and err.kind == "usage" and err.message:find "another process")
        """)


# raw.tty

ASK = PRELUDE + r"""
local line, err = tty.ask { prompt = "name? ", timeout = TIMEOUT, secret = SECRET }
print(line and "got <" .. line .. ">" or err.kind)
"""


def terminal(sandbox, timeout=20, secret="false", text=ASK):
    file = sandbox.write("ask.lua", text.replace("TIMEOUT", str(timeout)).replace("SECRET", secret))
    return sandbox.tty("luahost", file, timeout=30)


def test_a_line_is_asked_for(sandbox):
    term = terminal(sandbox)
    term.expect_exact("name? ")
    term.sendline("Ada Ö")
    term.expect_exact("got <Ada Ö>")
    assert term.finish().code == 0


def test_a_secret_is_not_echoed(sandbox):
    term = terminal(sandbox, secret="true")
    term.expect_exact("name? ")
    term.sendline("xyzzy")
    term.expect_exact("got <xyzzy>")
    result = term.finish()
    assert "\r\n" in result.stdout.split("got")[0] and "xyzzy" not in result.stdout.split("got")[0]


def test_silence_has_an_end_and_the_terminal_is_put_back(sandbox):
    term = terminal(sandbox, timeout=0.3, secret="true")
    term.expect_exact("timeout")
    assert term.child.getecho()
    assert term.finish().code == 0


def test_what_was_typed_before_the_question_is_dropped(sandbox):
    term = terminal(sandbox, timeout=1, text="require('raw.task').sleep(0.5)\n" + ASK)
    term.sendline("yes")
    term.expect_exact("timeout")
    assert "got" not in term.finish().stdout


def test_a_question_ends_with_the_terminal(sandbox):
    term = terminal(sandbox)
    term.expect_exact("name? ")
    term.child.sendeof()
    term.expect_exact("eof")
    assert term.finish().code == 0


def test_an_interrupted_question_puts_the_terminal_back(sandbox):
    term = terminal(sandbox, secret="true")
    term.expect_exact("name? ")
    assert not term.child.getecho()
    term.interrupt()
    for _ in range(50):
        if term.child.getecho():
            break
        time.sleep(0.1)
    assert term.child.getecho()
    assert term.finish().code == 1


def test_without_a_terminal_nobody_is_asked(host):
    out = host(r"""
      local line, err = tty.ask { prompt = "name? ", timeout = 5 }
      assert(line == nil) print(err.kind, tty.interactive(), tty.is_tty(0), tty.is_tty(1), tty.size().columns > 0)
    """)
    assert out == "no_tty\tfalse\tfalse\tfalse\ttrue\n"


def test_what_is_written_is_redacted(host):
    out = host(r"""
      secret.add("PW", "hunter22")
      tty.write(1, "a hunter22 b\0\n")
    """)
    assert out == "a ⟦PW:plain⟧ b\0\n"


def test_one_question_at_a_time(sandbox):
    term = terminal(sandbox, text=PRELUDE + """
local task = require "raw.task"
local first = task.spawn(function() return tty.ask { prompt = "one? ", timeout = TIMEOUT, secret = SECRET } end)
task.sleep(0.2)
local line, err = tty.ask { prompt = "two? ", timeout = 5 }
print(err.kind, err.message)
""")
    term.expect_exact("one? ")
    term.expect_exact("usage")
    term.expect_exact("another question is open")
    term.finish()
    assert term.screen.count("two? ") == 0
