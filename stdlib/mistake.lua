-- A mistake of the runbook's author that was met on the way: told as one, with its line, and never as a fact about the incident
-- (law 4). The run goes on; a rehearsal with one ends as a wrong runbook does.
local blame = require "blame"
local journal = require "journal"
local raw_secret = require "raw.secret"
local story = require "story"

local mistake = {}

-- Lua gives no line to an error in a function of its own that `fn` returned a call of: then the one where `fn` begins.
local function located(text, fn)
  if text:find "^[^\n]-:%d+: " then return text end
  local info = debug.getinfo(fn, "S")
  return ("%s:%d: %s"):format(info.source:sub(2), info.linedefined, text)
end

-- What `fn` raised as text; a mistake is told, once. `what`: probe, prevention, remedy or recovered, called `title`.
function mistake.text(what, title, fn, err)
  if not blame.is_mistake(err) then return blame.text(err) end
  local text = raw_secret.redact(located(err, fn))
  for _, known in ipairs(story.mistakes) do if known.text == text then return text end end
  journal.event("mistake", { what = what, title = title, text = text })
  return text
end

return mistake
