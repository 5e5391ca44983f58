-- Which locals of a script can still be read at a line: what nothing reads any more tells no two states apart.
local parser = require "syntax.parser"
local script = require "script"
local walk = require "syntax.walk"

local live = {}

local loops = { ["while"] = true, ["repeat"] = true, ["for"] = true, for_in = true }

-- Names → the field that is taken of them; where loops are; whether the text jumps.
local function survey(tree)
  local it = { field = {}, loops = {}, jumps = false }
  walk.each(tree.body, function(node)
    if node.type == "index" and node.key.type == "string" then it.field[node.object] = node.key.value end
    if loops[node.type] then it.loops[#it.loops + 1] = node end
    if node.type == "goto" then it.jumps = true end
  end)
  return it
end

-- What of an expression stands in registers while a part of it is read decides nothing later.
local plain = { name = true, index = true, string = true, number = true, ["nil"] = true, ["true"] = true, ["false"] = true,
                paren = true }
local function is_constant(node) return node.type == "nil" or node.type == "true" or node.type == "false" or node.type == "string"
  or node.type == "number" end

local function is_plain(node)
  if node.type == "unary" then return node.operator == "not" and is_plain(node.operand) end
  if node.type == "paren" then return is_plain(node.value) end
  if node.type == "binary" then
    local junction = node.operator == "and" or node.operator == "or"
    local compared = (node.operator == "==" or node.operator == "~=") and (is_constant(node.right) or is_constant(node.left))
    return (junction or compared) and is_plain(node.left) and is_plain(node.right)
  end
  if node.type == "index" then return plain[node.object.type] and is_plain(node.object) and node.key.type == "string" end
  return plain[node.type] or false
end

-- Lines on which findings are read in conditions of `if` alone, where no register holds what matters later.
local function plain_lines(tree)
  local good, bad = {}, {}
  walk.each(tree.body, function(node, above)
    if node.type == "if" then
      for _, clause in ipairs(node.clauses) do
        local kept = is_plain(clause.condition)
        walk.each(clause.condition, function(part) (kept and good or bad)[part.line] = true end)
      end
    elseif node.type == "index" and (above[#above] or {}).type ~= "if" then
      local inside_if = false
      for _, outer in ipairs(above) do inside_if = inside_if or outer.type == "if" end
      if not inside_if then bad[node.line] = true end
    end
  end)
  for line in pairs(bad) do good[line] = nil end
  return good
end

-- What a function that is made already uses is reached through that function.
local function of_binding(it, surveyed)
  local uses = {}
  for i, use in ipairs(it.uses) do uses[i] = { line = use.line, field = surveyed.field[use] } end
  return { uses = uses }
end

local files = {}

local function of_file(path)
  if files[path] ~= nil then return files[path] end
  local text = script.text(path)
  local tree = text and parser.parse(text:sub(1, 1) == "#" and "--" .. text or text, path)
  if not tree then
    files[path] = false
    return false
  end
  local surveyed, names = survey(tree), {}
  for _, it in ipairs(walk.names(tree).locals) do
    if names[it.name] ~= nil or surveyed.jumps then
      names[it.name] = false -- several are called so: which one is meant is not told by its name
    else
      names[it.name] = of_binding(it, surveyed)
    end
  end
  files[path] = { names = names, loops = surveyed.loops, plain = plain_lines(tree), text = tree.text }
  return files[path]
end

local function lines_of(file, node)
  if node.last_line then return node.line, node.last_line end
  local _, count = file.text:sub(node.from, node.to):gsub("\n", "")
  node.last_line = node.line + count
  return node.line, node.last_line
end

-- The uses of the local called `name` that may still come when the script stands at `line`; nil when that can't be told.
local function uses_ahead(path, name, line)
  local file = of_file(path)
  local it = file and file.names[name]
  if not it then return nil end
  local from = line
  for _, loop in ipairs(file.loops) do
    local first, last = lines_of(file, loop)
    if line >= first and line <= last then from = math.min(from, first) end
  end
  local ahead = {}
  for _, use in ipairs(it.uses) do if use.line >= from then ahead[#ahead + 1] = use end end
  return ahead
end

local function fields_of(ahead)
  if not ahead then return nil end
  local fields, known = {}, {}
  for _, use in ipairs(ahead) do
    if not use.field then return nil end
    if not known[use.field] then fields[#fields + 1] = use.field end
    known[use.field] = true
  end
  table.sort(fields)
  return fields
end

local told = {} -- path, line → name → { is =, fields = }

local function tell(path, name, line)
  local place = path .. ":" .. line
  told[place] = told[place] or {}
  local it = told[place][name]
  if not it then
    local ahead = uses_ahead(path, name, line)
    it = { is = ahead == nil or #ahead > 0, fields = fields_of(ahead) }
    told[place][name] = it
  end
  return it
end

-- Whether that local can be read once more.
function live.is(path, name, line) return tell(path, name, line).is end

-- The fields of it that may still be read, in order; nil when it may be used otherwise.
function live.fields(path, name, line) return tell(path, name, line).fields end

-- Whether a finding that is read at this line is part of a condition alone.
function live.is_plain(path, line)
  local file = of_file(path)
  return file and file.plain[line] or false
end

return live
