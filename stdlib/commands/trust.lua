-- runbook trust [DIR]: config, runbooks and modules in DIR count although other people can change them. The list stands beside
-- the user's own config, outside any tree that somebody else could bring along.
local files = require "raw.files"
local raw_run = require "raw.run"
local screen = require "screen"
local tty = require "raw.tty"

-- The list is this long at most, in bytes.
local LIST_MAX = 1 << 20
local EXIT_USAGE, EXIT_FAILED = 2, 70

local function fail(code, err)
  screen.complain("trust: " .. err.message)
  return code
end

local function show()
  local path, err = raw_run.trust_file()
  if not path then return fail(EXIT_USAGE, err) end
  local read
  read, err = files.read { path = path, max = LIST_MAX, owned = true }
  if not read and err.kind ~= "missing" then return fail(EXIT_FAILED, err) end
  local count = 0
  for uid, folder in (read and read.text or ""):gmatch "(%d+) ([^\n]+)" do
    tty.write(1, ("%s  (of uid %s)\n"):format(screen.inert(folder), uid))
    count = count + 1
  end
  if count == 0 then tty.write(1, "no folder of others is trusted\n") end
  return 0
end

return function(arguments)
  if not arguments[1] then return show() end
  local it, err = raw_run.trust(arguments[1])
  if not it then return fail(EXIT_USAGE, err) end
  tty.write(1, ("%s is trusted: what uid %d and its groups keep there counts as yours\n"):format(screen.inert(it.path), it.uid))
  return 0
end
