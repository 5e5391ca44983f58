-- A defect of this program, told to somebody who has an incident to handle: that it is one, what to do now, and where its makers
-- find what they need. Positions in our own files go there and not to the screen.
local blame = require "blame"
local run = require "run"
local screen = require "screen"
local tasks = require "tasks"

local defect = {}

-- What ended the program instead: { err =, trace = }.
function defect.traced(err) return { err = err, trace = debug.traceback(blame.is_defect(err) and err or blame.text(err), 2) } end

function defect.what_to_do(file)
  local where = file and ("send %s to its makers"):format(file) or "its makers need what RUNBOOK_TRACE=1 shows besides"
  return ("go on by hand; an escalation that was armed stays armed; %s"):format(where)
end

-- Where the trace is kept, or nil where there is no run.
local function keep(trace)
  if not run.path then return nil end
  local kept, saved = pcall(require("raw.run").replace, "defect.txt", trace)
  return kept and saved and run.path .. "/defect.txt" or nil
end

-- Tells what ended the program; its exit code.
function defect.tell(it, host)
  local err = type(it) == "table" and it.err or it
  if tasks.is_interrupt(err) == "cancel" then return 128 + (tasks.signal() or 0) end
  local trace = type(it) == "table" and it.trace or tostring(it)
  local kept = keep(trace)
  screen.complain(blame.is_defect(err) and blame.text(err) or "a defect of this program: " .. blame.text(err))
  screen.say("  " .. defect.what_to_do(kept))
  if host.getenv "RUNBOOK_TRACE" then screen.say(trace) end
  return 70
end

return defect
