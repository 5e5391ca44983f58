-- Live: reads are real; writes are real, and the gate lets only approved ones come this far.
local screen = require "screen"
local values = require "values"

local live = { name = "live", grace = 0.25 } -- raw modules report their own deadlines; the gate's comes just after

local function carry_out(act, plan) return act.entry.run(values.reveal_all(act.call), plan) end

function live.read(act) return carry_out(act) end
function live.write(act, plan) return carry_out(act, plan) end
function live.notify(act) return carry_out(act) end
function live.save_evidence(act, plan) return require("evidence").save(act, plan) end

-- The blast radius, and which engine, cluster or server the write goes to where the line doesn't say it.
function live.preview(act)
  local radius = act.entry.preview and act.entry.preview(values.reveal_all(act.call))
  if radius and act.entry.where then radius.where = act.entry.where() end
  return radius
end

function live.ask(question) return screen.ask(question) end

return live
