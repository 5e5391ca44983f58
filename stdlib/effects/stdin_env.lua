-- Variables that reach a program as the first line of its standard input: no list of words shows them, and sudo, which drops
-- those of its caller, passes them on.
local text = require "raw.text"
local values = require "values"

local stdin_env = {}

local SCRIPT = "rb_nl='\n'\nIFS= read -r rb_env || exit 1\neval \"$rb_env\"\nexec \"$@\""

-- One line of assignments: a newline in a value stands in it as a variable.
function stdin_env.line(env)
  local parts = {}
  for _, name in ipairs(values.keys(env or {})) do
    local quoted = text.shell_quote { env[name] }:gsub("\n", "'\"$rb_nl\"'")
    parts[#parts + 1] = ("export %s=%s;"):format(name, quoted)
  end
  return table.concat(parts) .. "\n"
end

-- The vector that takes that line, and then is the given one.
function stdin_env.wrapped(argv)
  return table.move(argv, 1, #argv, 5, { "/bin/sh", "-c", SCRIPT, "sh" })
end

return stdin_env
