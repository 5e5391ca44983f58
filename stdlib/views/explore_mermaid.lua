-- The decision graph in Mermaid's language, as a page in Markdown shows it.
local screen = require "screen"
local tty = require "raw.tty"

local view = {}

local TEXT_MAX = 80

-- Within quotes Mermaid takes entities alone.
local entities = { ['"'] = "#quot;", ["#"] = "#35;", ["<"] = "#lt;", [">"] = "#gt;", ["|"] = "#124;", ["`"] = "#96;" }
local function quoted(text) return '"' .. screen.inert(text, TEXT_MAX):gsub('["#<>|`]', entities) .. '"' end

local classes = { resolved = "resolved", unresolved = "unresolved", failed = "failed" }

function view.tell(record)
  local nodes = record.graph()
  local parts = { "flowchart TD\n" }
  for _, node in ipairs(nodes) do
    local shape = node.ended and "  n%d[%s]\n" or "  n%d{%s}\n"
    parts[#parts + 1] = shape:format(node.number, quoted(node.ended or node.label))
    local class = node.ended and classes[node.ended:match "^%a+"]
    if class then parts[#parts + 1] = ("  class n%d %s\n"):format(node.number, class) end
  end
  for _, node in ipairs(nodes) do
    for _, arm in ipairs(node.arms or {}) do
      parts[#parts + 1] = ("  n%d -->|%s| n%d\n"):format(node.number, quoted(arm.name), arm.to)
    end
  end
  parts[#parts + 1] = "  classDef resolved fill:#cfc\n  classDef unresolved fill:#ffc\n  classDef failed fill:#fcc\n"
  tty.write(1, table.concat(parts))
end

return view
