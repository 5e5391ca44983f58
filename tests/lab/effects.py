"""Effects carried out one by one as the gate does it: arguments are checked, a write is previewed, and its preview goes
to its run."""

import json

LUA = """
local catalogue, json, values = require "catalogue", require "raw.json", require "values"
local settings, given = require "settings", json.decode((...))
for name, value in pairs(given.settings) do settings[name] = value end
for _, family in ipairs(given.families) do catalogue.family(family) end

local function perform(step)
  local entry = catalogue.effects[step[1]]
  local ok, call = pcall(catalogue.call, entry, table.unpack(step, 2))
  if not ok then return { raised = call } end
  local line = catalogue.line(entry, call)
  call = values.reveal_all(call)
  local class = type(entry.class) == "function" and entry.class(call) or entry.class
  local changes = class == "write" or class == "destructive"
  local preview = changes and entry.preview(call) or nil
  local command = entry.command and entry.command(call)
  local done = { class = class, line = line, command = command and table.move(command, 1, #command, 1, {}), preview = preview }
  if not given.only_preview and not (preview and preview.impossible) then
    done.fields, done.error = entry.run(call, preview)
    if changes and done.fields and entry.verify then done.verified = entry.verify(call) end
    if done.fields and done.fields.ok ~= false and entry.sum_up then done.said = entry.sum_up(done.fields) end
  end
  if preview and preview.size == math.huge then preview.size = "unknown" end
  if preview then preview.files = nil end
  return done
end

for _, step in ipairs(given.steps) do print(json.encode(perform(step))) end
"""

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def performer(luahost, *families):
    """perform((name, argument, …), …) -> what came of each: fields or error, class, line, command, preview, raised."""
    def perform(*steps, path=PATH, only_preview=False, **settings):
        settings = {"environment": {"PATH": path, "LANG": "C.UTF-8"}, "host_name": "here", "here": True, **settings}
        given = {"families": families, "steps": steps, "settings": settings, "only_preview": only_preview}
        done = luahost(LUA, json.dumps(given))
        assert done.code == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]
    return perform
