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
        { ["\xff"] = 1 }, { ["a\0b"] = 1 }, { ["$bytes"] = "AA==" }, { ["$number"] = "nan" }, { ["$map"] = {} }, { ["$"] = { ["$"] = 1 } },
        { ["$a"] = 1, ["$b"] = 2 }, { ["$map"] = { { 1, 2 } }, x = 1 }, { { { {} } } }, json.list {}, { a = json.null },
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
      is(text.shell_quote { "docker", "exec", "a b", "it's", "", "$HOME", "x=1", "~", "#" }, [[docker exec 'a b' 'it'\''s' '' '$HOME' x=1 '~' '#']])
      is(text.slack "<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;")
      is(text.html [[<a href="x">it's & </a>]], "&lt;a href=&quot;x&quot;&gt;it&#39;s &amp; &lt;/a&gt;")
    """)


def test_text_takes_outputs_apart(host):
    host(r"""
      is(text.lines "a\r\nb\n\nc", { "a", "b", "", "c" }) is(text.lines "", {}) is(text.lines "\n", { "" })
      is(text.tail("a\nb\nc\n", 2), "b\nc\n") is(text.tail("a", 5), "a") is(text.tail("a\nb", 0), "")
      is(text.table "Filesystem Use%  Mounted\n/dev/sda1   97%  /\ntmpfs 1% /my disk\n",
        { { Filesystem = "/dev/sda1", ["Use%"] = "97%", Mounted = "/" }, { Filesystem = "tmpfs", ["Use%"] = "1%", Mounted = "/my disk" } })
      is(text.table "", {})
    """)


def test_text_reads_durations_sizes_and_times(host):
    host(r"""
      is(text.duration "1h30m", 5400.0) is(text.duration_text(90.5), "1m30.5s") is(text.size "64MB", 67108864) is(text.size_text(1536), "1.5 KB")
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
      is(secret.redact 'a tok"en/1 b tok%22en%2F1 http://u:p@h', "a ⟦TOKEN:plain⟧ b ⟦TOKEN:url⟧ http://u:⟦url⟧@h")
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
