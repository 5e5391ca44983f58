"""Masking a hostile text takes time by its length, not by the square of it: a server that we look at can't stop a run."""

import json

import pytest

from test_raw_core import host  # noqa: a fixture

# What the redactor's anchors begin with, on and on: none may cost the square of the text's length.
REPEATED = [":", "://", "://a", ":a@", "a:", "@", "=", "'", "\"", "password=", "password%3D", "%3D", "oracle:thin:",
            "Authorization: ", "Bearer ", "eyJ", "a.", "-----BEGIN", "-----BEGIN RSA PRIVATE KEY", "{\"a\":", "<a>", "a=1&",
            " -p ", "mysql -p ", "curl -u ", " -u", "\\\\", "/", "⟦", "⟦a:", "aB3", "key: ", "k:\"", "#", " #", " >", "sk-",
            "AKIA", "ghp_", "IDENTIFIED BY ", "token", "secret ", "pwd;", "setuser >", "password ", "password: ",
            "password=\"", "a b=", "--password ", "}", "\x1b[1m"]


@pytest.mark.limit(240)
@pytest.mark.parametrize("number", range(0, len(REPEATED), 6))
def test_masking_takes_time_by_the_texts_length(host, number):
    """Broken by: a search from each anchor to the end of its line, or back to its beginning."""
    for shape in REPEATED[number:number + 6]:
        host("""
          local now = require "raw.task".now
          local function seconds(bytes)
            local text = (%s):rep(bytes // %d)
            local began = now()
            secret.redact(text)
            return now() - began
          end
          local short, long = seconds(4096), seconds(65536)
          assert(long < 0.5 or long < short * 60, ("16 times as much takes %%d times as long"):format(long // short))
        """ % (json.dumps(shape, ensure_ascii=False).replace("\\u001b", "\\27"), len(shape.encode())))


def test_the_end_of_a_text(host):
    host(r"""
      is(text.trimmed(" a b \t\r\n\v\f "), " a b") is(text.trimmed(" \n"), "") is(text.trimmed(""), "")
      is(text.last_line("one\ntwo  \n \n"), "two") is(text.last_line("one"), "one") is(text.last_line("\n \n"), "")
      local long = ("x"):rep(1 << 20) .. (" "):rep(1 << 20) .. "\0"
      is(#text.trimmed(long .. (" "):rep(1 << 20)), #long) is(text.last_line(long), long)
    """)
