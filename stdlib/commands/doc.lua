-- runbook doc FILE: the runbook as the page that people read.
local doc = require "doc"
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_TOLD, EXIT_USAGE = 0, 2

-- The decision graph, as `runbook explore` finds it; what its exit code says of the runbook is no matter of the page.
local function add_graph(arguments, options, host)
  tty.write(1, "\n## Every way it can go\n\n```mermaid\n")
  options.format = "mermaid"
  local code = require("commands.explore")(arguments, options, host)
  tty.write(1, "```\n")
  return code <= 1 and EXIT_TOLD or code
end

return function(arguments, options, host)
  local page, why = doc.page(arguments[1])
  if not page then
    screen.complain(("doc: %s: %s"):format(arguments[1], why))
    return EXIT_USAGE
  end
  tty.write(1, page)
  return options.graph and add_graph(arguments, options, host) or EXIT_TOLD
end
