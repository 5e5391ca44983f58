-- evidence.lua at its limits: luahost tests/stdlib/evidence_test.lua
local catalogue = require "catalogue"
local evidence = require "evidence"
local gate = require "gate"
local journal = require "journal"
local raw_run = require "raw.run"
local tasks = require "tasks"

assert(raw_run.create { title_slug = "evidence" })
local text, asked, answer, told -- what a look gives; the last question, what is answered to it; the last event
gate.open {
  name = "live", ask = function(question) asked = question return answer, answer == nil and "silence" or nil end,
  read = function(act)
    if act.call.container == "slow" then tasks.sleep(60) end
    if act.call.container == "bad" then return nil, { kind = "engine", message = "no log" } end
    return { ok = true, text = text }
  end,
}
require("run").about, require("run").acted = { title = "x" }, true
journal.listen(function(name, fields) if name == "evidence" then told = fields end end)

local function save(...)
  local containers = { ... }
  asked, told = nil, nil
  catalogue.family "docker"
  local entry = { evidence = function(keep) for _, name in ipairs(containers) do keep("docker.logs", name) end end }
  return evidence.save({ entry = entry, line = "docker.restart box", call = {} })
end

-- A piece: up to the limit whole, beyond it its end.
text = ("a"):rep(evidence.PIECE_MAX)
assert(save "box" and told.saved[1].bytes == evidence.PIECE_MAX and not told.saved[1].cut)
text = text .. "b"
assert(save "box" and told.saved[1].bytes == evidence.PIECE_MAX + 1 and told.saved[1].cut)

-- A run: exactly its share is kept, a byte more is asked about; nobody's word and a no end the write.
evidence.RUN_MAX = 2 * evidence.PIECE_MAX + 10
text = ("c"):rep(10)
assert(save "box" and #told.saved == 1 and not asked)
text = "d"
assert(not save "box" and told.unsaved[1].why:find "a run keeps 2 MB of evidence" and asked.in_person)
answer = "no"
assert(not save "box" and asked)
answer = "yes"
assert(save "box" and asked)

-- What can't be looked at is told, and asks nobody.
evidence.RUN_MAX = 64 << 20
assert(save("bad", "box") and not asked and told.unread[1].why == "no log" and #told.saved == 1)
evidence.SECONDS = 0.05
assert(save("box", "slow", "box") and not asked and #told.saved == 1 and told.unread[1].why:find "not within")

-- For who goes on after an unresolved end: what the failed looks looked at and what the plans would have touched, each once, in
-- little time; nothing of what was well.
local aftermath = require "aftermath"
evidence.SECONDS, text = 20, "words"
catalogue.family "docker"
local function read(probe, container, fields)
  aftermath.read({ probe = probe, entry = catalogue.effects["docker.inspect"], call = { container = container } }, fields)
end
local function look(probe, container, passed, state)
  journal.event("probe.started", { probe = probe })
  read(probe, container, {})
  journal.event("check", { probe = probe, label = "it runs", passed = passed })
  journal.event("probe.ended", { probe = probe, state = state or "known" })
end
local function saved()
  local lines = {}
  for _, piece in ipairs(told and told.saved or {}) do lines[#lines + 1] = piece.line end
  return table.concat(lines, ", ")
end
look("A", "wrong", false) look("B", "well", true) look("C", "unknown", true, "unknown") look("D", "mended", false)
look("D", "mended", true)
for _, name in ipairs { "wrong", "planned", "saved" } do
  aftermath.planned { entry = catalogue.effects["docker.restart"], call = { container = name }, line = "docker.restart " .. name }
end
journal.event("evidence", { line = "docker.restart saved", saved = {}, unsaved = {}, unread = {} })
told = nil
aftermath.collect { outcome = "resolved" }
assert(not told)
aftermath.collect { outcome = "unresolved" }
assert(saved() == "docker.inspect wrong, docker.logs wrong, docker.inspect planned, docker.logs planned, "
  .. "docker.inspect unknown, docker.logs unknown", saved())
assert(told.line == nil)
aftermath.SECONDS = 0.05
look("A", "slow", false)
aftermath.collect { outcome = "failed" }
assert(told.unread[1].why:find "not within" and saved():find "docker.logs wrong", saved())
print "evidence: well"
