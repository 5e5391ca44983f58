"""Effects of the docker and compose families against a real engine, each carried out as the gate does it: arguments are
checked, a write is previewed, and its preview goes to its run.

The fixtures `effects` and `effect` are for test files to import."""

import json

import pytest

HOST_LUA = """
local catalogue, json, tasks, values = require "catalogue", require "raw.json", require "tasks", require "values"
local settings = require "settings"
local given = json.decode((...))
for name, value in pairs(given.docker) do settings.docker[name] = value end
settings.environment.HOME = given.home
if given.no_cgroup then require("raw.sys").cgroup = function() return nil, { kind = "missing", message = "none" } end end
settings.environment.PATH = given.path or "/usr/bin:/bin"
catalogue.family "docker"
catalogue.family "compose"

local function without_infinity(preview)
  if preview and preview.size == math.huge then preview.size = "unknown" end
  return preview
end

local function perform(step)
  local entry = catalogue.effects[step[1]]
  local ok, call = pcall(catalogue.call, entry, table.unpack(step, 2))
  if not ok then return { raised = call } end
  call = values.reveal_all(call)
  local class = type(entry.class) == "function" and entry.class(call) or entry.class
  local changes = class == "write" or class == "destructive"
  local preview = changes and entry.preview and entry.preview(call)
  local command = entry.command and entry.command(call)
  if given.meanwhile then
    local gone = require "raw.files"
    while gone.stat(given.meanwhile).state == "absent" do tasks.sleep(0.01) end
  end
  local came, fields, err
  if preview and (preview.impossible or given.only_preview) then
    came = true
  elseif given.cancel_after then
    local task = tasks.spawn(function() return entry.run(call, preview) end)
    tasks.sleep(given.cancel_after)
    tasks.cancel(task)
    came = true
    tasks.join(task)
  else
    local began = tasks.now()
    came, fields, err = pcall(entry.run, call, preview)
    if not came then fields, err = nil, { raised = tostring(fields) } end
    step.seconds = tasks.now() - began
  end
  local verified
  if fields and entry.verify then verified = entry.verify(call, preview) end
  return { fields = fields, error = err, preview = without_infinity(preview), seconds = step.seconds, class = class,
           verified = verified, would = entry.would and entry.would(call, preview) or nil, line = catalogue.line(entry, call),
           command = command and table.move(command, 1, #command, 1, {}), target = entry.target and entry.target(call) }
end

for _, step in ipairs(given.steps) do print(json.encode(perform(step))) end
"""


@pytest.fixture
def effects(docker_engine, luahost, sandbox):
    """effects(step, …) -> what came of each; a step is (name, argument, …)."""
    def run(*steps, docker=None, **given):
        given = {"docker": docker if docker is not None else {"host": docker_engine.host}, "steps": steps, "home": sandbox.folder,
                 **given}
        done = luahost(HOST_LUA, json.dumps(given))
        assert done.code == 0, done
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return run


@pytest.fixture
def effect(effects):
    return lambda *step, **given: effects(step, **given)[0]


def text_of(outcome):
    return outcome["error"]["message"]
