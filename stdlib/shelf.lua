-- The runbooks of a folder and what each says of itself in runbook{…}, read without running them.
local facts = require "check.facts"
local files = require "raw.files"
local parser = require "syntax.parser"
local walk = require "syntax.walk"

local shelf = {}

-- Files below a folder that are looked at, at most, and each one's length in bytes.
shelf.FILES_MAX = 10000
local SIZE_MAX = 1 << 20

-- What a runbook may say of itself that is told here, where it is written out.
local told = { "title", "alert", "severity", "impact" }

-- The table of the first runbook{…} of a tree, as a node.
local function about_node(tree)
  local found
  walk.each(tree.body, function(node)
    if not found and facts.word(node) == "runbook" then found = node.arguments[1] end
    return not found
  end)
  return found
end

-- { file =, title =, alert =, severity =, impact = } of a file that is a runbook; nil of another. Of one that can't be read as
-- Lua, `why`.
local function read(path)
  local text = files.read { path = path, max = SIZE_MAX }
  if not text or text.cut or not text.text:find("runbook", 1, true) then return nil end
  local tree, line, message = parser.parse(text.text)
  if not tree and not text.text:find "^%s*runbook%s*[{(]" then return nil end
  if not tree then return { file = path, why = ("line %d: %s"):format(line, message) } end
  walk.names(tree)
  local about = about_node(tree)
  if not about then return nil end
  local it = { file = path }
  for _, name in ipairs(told) do
    local value = facts.field(about, name)
    it[name] = value and value.type == "string" and value.value or nil
  end
  return it
end

-- All runbooks below a folder, in the order of their paths; nil and why.
function shelf.below(folder)
  local walked, err = files.walk { under = folder, name = "*.lua", max = shelf.FILES_MAX }
  if not walked then return nil, err.message end
  if walked.errors.count > 0 then return nil, "not all of this folder can be looked into: " .. walked.errors.first end
  if walked.cut then return nil, ("more than %d Lua files: go to the folder of the runbooks"):format(shelf.FILES_MAX) end
  local list = {}
  for _, file in ipairs(walked.files) do
    local path = file.path:gsub("^%./", "")
    list[#list + 1] = not path:find "%.test%.lua$" and read(path) or nil
  end
  return list
end

return shelf
