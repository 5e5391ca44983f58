-- What people note about a run from other terminals: taken into its journal while it is under way, and when it is gone on with.
local foreign = require "foreign"
local journal = require "journal"
local replies = require "replies"
local tasks = require "tasks"

local remarks = {}

local LOOK_SECONDS = 1

local known = {} -- names of words that stand in the journal

journal.listen(function(name, fields)
  if name == "note" and fields.word then known[fields.word] = true end
end)

-- Takes in those that are new.
function remarks.take()
  for _, word in ipairs(replies.words "note") do
    if not known[word.name] then
      local by = replies.person(word.uid).by
      journal.event("note", { text = ("%s: %s"):format(by, foreign.line(word.text or "")), by = by, word = word.name })
    end
  end
end

-- Takes them in as they come.
function remarks.listen()
  while true do
    remarks.take()
    tasks.sleep(LOOK_SECONDS)
  end
end

return remarks
