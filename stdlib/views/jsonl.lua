-- --format jsonl: the journal's own lines on standard output, one event each.
local json = require "raw.json"
local tty = require "raw.tty"

local jsonl = {}

function jsonl.open() end

-- Events that the journal didn't write (scenarios have none) are printed in its form, without the chain.
local unwritten = { ["effect.begun"] = true, ["goal.waiting"] = true, ["goal.missed"] = true, ["poll.started"] = true,
                    ["poll.looked"] = true, ["poll.ended"] = true, answered = true, runbook = true }

function jsonl.event(name, fields, line)
  if line then return tty.write(1, line .. "\n") end
  if unwritten[name] then return end
  local event = { event = name }
  for key, value in pairs(fields) do event[key] = value end
  tty.write(1, json.encode(event, { exact = true }) .. "\n")
end

return jsonl
