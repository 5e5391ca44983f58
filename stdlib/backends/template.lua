-- Templates of a webhook's address and body: {{name}} stands for a piece of what is told, {{name:130}} for so many characters
-- of it at the most. A body is a table that becomes JSON, so whatever a piece holds is escaped; a string that is one
-- placeholder and nothing else becomes the piece itself, which of details is a table.
local blame = require "blame"
local raw_text = require "raw.text"
local run = require "run"
local values = require "values"

local template = {}

-- Tables of a body are nested so deep at most.
local DEPTH_MAX = 32
local PLACEHOLDER = "{{(%l+):?(%d*)}}"

-- Name → whether it may stand in an address: what is short, and ours.
template.names = { step = true, key = true, run = true, severity = true, priority = true, to = true, summary = false, text = false,
                   details = false, title = false, host = false, user = false, environment = false, ack = false, began = false }
local priorities = { critical = "P1", error = "P2", warning = "P3", info = "P5" }

-- An error of one string, or nil.
local function problem_of_text(text, in_address)
  local rest = text:gsub(PLACEHOLDER, function(name) return template.names[name] ~= nil and "" or nil end)
  local odd = rest:match "{{[^}]*}?}?"
  if odd then
    local name = odd:match "^{{%s*([%w_]*)" or ""
    return ("%s is no placeholder%s"):format(odd, blame.hint(name, values.keys(template.names)))
  end
  for name in text:gmatch(PLACEHOLDER) do
    if in_address and not template.names[name] then return ("{{%s}} can't stand in an address"):format(name) end
  end
end

-- What is wrong with the placeholders of a template, a string or a table of them, in words; nil when all are known.
function template.problem(value, in_address, depth)
  depth = depth or 0
  if type(value) == "string" then return problem_of_text(value, in_address) end
  if type(value) ~= "table" then return nil end
  if depth > DEPTH_MAX then return ("it is nested deeper than %d tables"):format(DEPTH_MAX) end
  for _, item in pairs(value) do
    local problem = template.problem(item, in_address, depth + 1)
    if problem then return problem end
  end
end

-- Whether a text, which may have a secret in it, has what looks like a placeholder.
function template.holds(value)
  if type(value) == "string" then return value:find("{{", 1, true) ~= nil end
  for _, item in pairs(value) do if template.holds(item) then return true end end
  return false
end

--------------------------------------------------------------------- Pieces --

local function as_text(value)
  if type(value) ~= "table" then return value == nil and "" or tostring(value) end
  local lines = {}
  for _, item in ipairs(value) do lines[#lines + 1] = as_text(item) end
  for _, name in ipairs(values.keys(value)) do
    if not math.tointeger(tonumber(name)) and name ~= "findings" then
      lines[#lines + 1] = ("%s: %s"):format(name, (as_text(value[name]):gsub("\n", "; ")))
    end
  end
  if value.findings ~= nil then table.insert(lines, 1, as_text(value.findings)) end
  return table.concat(lines, "\n")
end

local function title() return (run.first_about or run.about or {}).title or run.manifest and run.manifest.title or run.file end

-- What a step tells, by placeholder. A key is made of letters, digits and dashes here: some services take no slash in an address.
function template.pieces(step, args, key)
  local standing = require("situation").standing()
  local severity = args.severity or "critical"
  local first_line = args.text and args.text:match "[^\n]+"
  local summary = args.summary or args.title or first_line or "Resolved: " .. title()
  return {
    step = step, key = key:gsub("[^%w]", "-"), summary = summary, details = args.details or {}, severity = severity,
    text = args.text or args.details and summary .. "\n" .. as_text(args.details) or summary, to = args.to or "",
    priority = priorities[severity] or "P1", title = title(), run = run.id or "", host = run.host or "", user = run.user or "",
    environment = run.environment or "", ack = standing.ack, began = standing.began or "",
  }
end

-------------------------------------------------------------------- Filling --

-- The built-in page's ⟦headline⟧ and ⟦findings⟧ are known when it goes out: what is left beside the other words is theirs.
local MARK = "⟦(%l+)⟧"

local function clip(text, max)
  local words, marks = text:gsub(MARK, "")
  local room = max - (utf8.len(words) or #words)
  if marks == 0 or room < marks then return raw_text.clip(words, max) end
  return (text:gsub(MARK, function(name) return ("⟦%s:%d⟧"):format(name, room // marks) end))
end

local function fill_text(text, pieces, escape)
  return (text:gsub(PLACEHOLDER, function(name, max)
    local piece = as_text(pieces[name])
    if max ~= "" then piece = clip(piece, math.tointeger(max)) end
    return escape and escape(piece) or piece
  end))
end

local function percent(text) return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)) end

-- An address, which may be a secret or hold one.
function template.fill_address(address, pieces)
  local function fill(text) return fill_text(text, pieces, percent) end
  return values.is_secret(address) and values.map_text(address, fill) or fill(address)
end

-- A body with its placeholders filled, however deep.
function template.fill(value, pieces)
  if values.is_secret(value) then return values.map_text(value, function(text) return fill_text(text, pieces) end) end
  if type(value) == "string" then
    local alone = value:match "^{{(%l+)}}$"
    if alone then return pieces[alone] end
    return fill_text(value, pieces)
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  if getmetatable(value) == "list" then debug.setmetatable(copy, debug.getmetatable(value)) end -- an empty one stays a list
  for key, item in pairs(value) do copy[key] = template.fill(item, pieces) end
  return copy
end

-- The same where a body is text: every piece is.
function template.fill_as_text(text, pieces)
  if values.is_secret(text) then return values.map_text(text, function(part) return fill_text(part, pieces) end) end
  return fill_text(text, pieces)
end

return template
