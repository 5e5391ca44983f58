-- Findings that a rehearsal makes up: what a level says of them must not depend on there being none, nor on what they hold.
local run = require "run"
local story = require "story"

local made_up = {}

-- Bytes as a container's log may have them: no text, terminal and chat commands, a very long line.
local FOREIGN = "\xff\0\27[31m <!channel> \u{202e} " .. ("x"):rep(2000)

-- The labels of the checks in the script's text; one that is computed is not seen.
local function labels()
  local list = {}
  for _, text in pairs(run.kept_sources) do
    for label in text:gmatch 'check%s*%(%s*"([^"\n]+)"' do list[#list + 1] = label end
  end
  if #list == 0 then list[1] = "a check of the script's" end
  return list
end

-- Every check of the script failed once, and a probe is not known.
function made_up.findings()
  for _, label in ipairs(labels()) do
    story.learn("check", { probe = "Rehearsal", label = label, passed = false, fault = "rehearsed", detail = FOREIGN })
  end
  story.learn("probe.ended", { probe = "Rehearsed", state = "unknown", why = FOREIGN })
end

return made_up
