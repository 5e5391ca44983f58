"""Lua values on their way to a Python test: `ask(luahost, lua)` runs Lua that calls show(…), and returns what it showed."""

import json

PRELUDE = r"""
local function quote(s)
  return '"' .. s:gsub('[%c"\\\x7f-\xff]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end
local function encode(v)
  if type(v) == "string" then return quote(v) end
  if v == nil then return "null" end
  if type(v) ~= "table" then return tostring(v) end
  local parts, is_list = {}, #v > 0
  for key, value in pairs(v) do
    parts[#parts + 1] = is_list and encode(value) or quote(tostring(key)) .. ":" .. encode(value)
  end
  return (is_list and "[" or "{") .. table.concat(parts, ",") .. (is_list and "]" or "}")
end
local function show(...)
  local values = {}
  for i = 1, select("#", ...) do values[i] = encode((select(i, ...))) end
  print("[" .. table.concat(values, ",") .. "]")
end
"""


def lua(value):
    """A Python value as Lua source."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nil"}[value]
    if isinstance(value, (bytes, str)):
        data = value if isinstance(value, bytes) else value.encode()
        return '"' + "".join(f"\\x{byte:02x}" if byte < 32 or byte > 126 or byte in b'"\\' else chr(byte) for byte in data) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{lua(key)}] = {lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(map(lua, value)) + "}"
    return repr(value)


def ask(luahost, text, **options):
    """What each show(…) in `text` showed, as lists of values; strings are Latin-1: a character for each byte."""
    result = luahost(PRELUDE + text, **options)
    assert result.code == 0, result
    return [json.loads(line) for line in result.stdout.splitlines()]
