-- approval: where others than who starts the run must say yes, could they?
local consent = require "consent"
local files = require "raw.files"
local replies = require "replies"
local run = require "run"
local settings = require "settings"
local sys = require "raw.sys"

local function row(state, text, mend) return { { what = "others", state = state, text = text, mend = mend } } end

-- Who may write there beside its owner: the group's members but who starts the run.
local function others_in(folder)
  local group = sys.group { gid = files.stat(folder).gid }
  local me, names = replies.person(run.uid).by, {}
  for _, name in ipairs(group and group.members or {}) do if name ~= me then names[#names + 1] = name end end
  return names, group and group.name
end

local function others(count) return count == 1 and "another" or ("%d others"):format(count) end

local function look(count)
  local folder = settings.shared_dir
  local mend = "name a folder of a group's as shared_dir, with the mode 3770"
  local why = folder and replies.unsafe(folder) or not folder and "the config names no shared_dir"
  if why then return row("stops", ("%s must approve, and nobody else could: %s"):format(others(count), why), mend) end
  local names, group = others_in(folder)
  if #names >= count then
    return row("ok", ("%s must approve; these can: %s"):format(others(count), table.concat(names, ", ")))
  end
  return row("stops", ("%s must approve; of the group %s %d can"):format(others(count), group or "of " .. folder, #names),
    ("put more people into the group of %s"):format(folder))
end

return function(_, check)
  local count = consent.others()
  if count > 0 then check("others", function() return look(count) end) end
end
