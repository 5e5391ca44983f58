-- What happened to a run after its report was written: its levels, who took it in hand, which run goes on with it. A line each at
-- the report's end, so that the report of a run that was suspended does not go on saying what is no longer so.
local files = require "raw.files"
local foreign = require "foreign"
local taken = require "taken"
local tasks = require "tasks"

local afterwards = {}

local REPORT_MAX = 4 << 20
local HEAD = "\n## Since this report was written\n\n"
local MODE = 384 -- 0600

-- Adds `text` to the report of the run in `folder`, once; a run that has no report yet will tell it itself.
function afterwards.add(folder, text)
  local path = folder .. "/report.md"
  local read = files.read { path = path, max = REPORT_MAX }
  if not read or read.cut then return end
  local line = foreign.line(text):gsub("[\\`*_%[%]<>|#~]", "\\%0")
  if read.text:find(line, 1, true) then return end
  local head = read.text:find(HEAD, 1, true) and "" or HEAD
  files.write { path = path, mode = MODE, text = ("%s%s- %s %s\n"):format(read.text, head, taken.clock(tasks.wall()), line) }
end

return afterwards
