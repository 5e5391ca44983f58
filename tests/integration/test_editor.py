"""What editors are told: the definition file of lua-language-server has all that the catalogue and the language have."""

import os
import re
import subprocess

import pytest

from lab.program import ROOT

ANNOTATION = re.compile(r"---(@meta _|@class [\w.]+(: [\w.]+)?|@field (\[string\]|\w+\??) \S.*"
                        r"|@param (\.\.\.|\w+\??) \S.*|@return \S.*|@overload fun\(.*\).*|[A-Z`].*)$")


@pytest.fixture
def definitions(runbook):
    result = runbook("effects", "--format", "luals")
    assert result.code == 0 and result.stderr == "", result
    return result.stdout


def test_every_effect_option_and_field_of_the_catalogue_stands_in_it(runbook, definitions):
    """The catalogue's own page is the other reader of the same entries. Broken by: leaving a field out."""
    page = runbook("effects").stdout
    effects = re.split(r"^### ", page, flags=re.M)[1:]
    assert len(effects) > 80
    for text in effects:
        name = text.split("\n", 1)[0]
        assert re.search(rf"^function {re.escape(name)}\(", definitions, re.M), name
        options = definitions.split(f"---@class runbook.{name}.options\n")[1].split("\n\n")[0]
        fields = definitions.split(f"---@class runbook.{name}.result: runbook.result\n")[1].split("\n\n")[0]
        for option in re.findall(r"^  - `(\w+)` \(", text, re.M):
            assert f"---@field {option}" in options, (name, option)
        assert "---@field timeout? string" in options
        for field in re.findall(r"^  - `(\w+)` \w+:", text.split("- result:\n")[-1], re.M) if "- result:\n" in text else ():
            assert f"---@field {field} " in fields, (name, field)


def test_every_word_and_option_of_the_language_stands_in_it(definitions):
    """Broken by: a word of spec/language.md that the vocabulary doesn't have."""
    with open(os.path.join(ROOT, "spec", "language.md"), encoding="utf-8") as file:
        spec = file.read()
    words = re.findall(r"^### `(\w+)", spec, re.M)
    assert {"runbook", "remedy", "check", "handover"} <= set(words)
    for word in words:
        assert re.search(rf"^function {word}\(", definitions, re.M), word
    for word, options in re.findall(r"^### `(\w+)\([^{`]*\{([\w, ]+)\}", spec, re.M):
        for option in options.split(", "):
            own = definitions.split(f"---@class runbook.{word}.options\n")[1].split("\n\n")[0]
            assert f"---@field {option}? " in own, (word, option)
    for helper in re.findall(r"^\| `(\w+)\.(\w+)\(", spec, re.M):
        if helper[0] in ("re", "json", "text", "time"):
            kind = definitions.split(f"---@class runbook.{helper[0]}\n")[1].split("\n\n")[0]
            assert re.search(rf"---@field {helper[1]} fun\(", kind), helper


def test_it_is_lua_and_every_annotation_is_one(definitions, tmp_path):
    path = tmp_path / "runbook.lua"
    path.write_text(definitions, encoding="utf-8")
    done = subprocess.run(["luac5.4", "-p", str(path)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    odd = [line for line in definitions.split("\n") if line.startswith("---") and not ANNOTATION.match(line)]
    assert odd == [] and definitions.startswith("---@meta")


def test_of_one_effect_there_is_no_definition_file(runbook):
    result = runbook("effects", "docker", "--format", "luals")
    assert result.code == 2 and "no NAME expected" in result.stderr, result


def test_the_vocabulary_has_the_words_that_there_are(luahost):
    """Broken by: a word that scripts know and `check` and editors don't, or the other way round."""
    text = """
local values, words, known = require "values", require("script").words(), require("vocabulary").words
assert(table.concat(values.keys(words), " ") == table.concat(values.keys(known), " "), table.concat(values.keys(words), " "))
require("raw.tty").write(1, "the same")
"""
    assert luahost(text).stdout == "the same"
