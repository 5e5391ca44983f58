-- runbook doc FILE: the runbook as the page that people read.
local doc = require "doc"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_TOLD, EXIT_USAGE = 0, 2

return function(arguments)
  local page, why = doc.page(arguments[1])
  if not page then
    screen.complain(("doc: %s: %s"):format(arguments[1], why))
    return EXIT_USAGE
  end
  tty.write(1, page)
  return EXIT_TOLD
end
