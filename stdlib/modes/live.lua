-- Live: reads are real; writes are real, and the gate lets only approved ones come this far.
local screen = require "screen"
local tasks = require "tasks"
local values = require "values"

local live = { name = "live", grace = 0.25 } -- raw modules report their own deadlines; the gate's comes just after

-- An answer of a shape that nobody expected makes our own Lua fail: for the operator that is a look that failed, or a change
-- that may have been made, and no trace into this program. The journal's `where` says which line did not understand it.
local function not_understood(err)
  if type(err) ~= "string" then error(err, 0) end
  local where, why = err:match "^(stdlib/[^:]+:%d+): (.*)$"
  if not where and err:find "^[^:\n]+:%d+: " then error(err, 0) end -- it says a place of the script's
  why = why or err -- one of Lua's own functions failed: it says no place
  return nil, { kind = "answer", message = "what came is not understood: " .. why, where = where }
end

local function carry_out(act, plan)
  local ok, fields, err = pcall(act.entry.run, values.reveal_all(act.call), plan)
  if ok then return fields, err end
  if tasks.is_interrupt(fields) then error(fields, 0) end
  return not_understood(fields)
end

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
