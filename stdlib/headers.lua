-- HTTP headers as a script or a config gives them.
local values = require "values"

local headers = {}

-- What RFC 9110 calls a token.
local TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$"

-- What is wrong with a table of headers, or nil; never a value: it may be a secret. Of a file that ends in two line ends the
-- second would begin a header of its own.
function headers.problem(map)
  for _, name in ipairs(values.keys(map)) do
    local value = map[name]
    if not name:find(TOKEN) then return ("header %s: this is no header's name"):format(values.describe(name)) end
    if not values.is_placeholder(value) then
      local text = values.reveal(value)
      if type(text) == "number" then text = tostring(text) end
      if type(text) ~= "string" then return ("header %s: a string expected, got %s"):format(name, values.describe(value)) end
      if text:find "[\r\n]" then return ("header %s: it holds a line end"):format(name) end
      if text:find "\0" then return ("header %s: it holds a NUL byte"):format(name) end
    end
  end
end

return headers
