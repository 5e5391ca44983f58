-- A runbook for an alert, and its scenarios, made from its rule: what the rule says stands in it already.
local init_alert = {}

-- A text as Lua has it in one line.
local function quoted(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

local function one_line(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- "APIDown" → "API Down"; "disk_full" → "disk full".
local function spaced(name)
  return one_line((name:gsub("[_%-.]+", " "):gsub("(%l%d*)(%u)", "%1 %2"):gsub("(%u)(%u%l)", "%1 %2")))
end

-- The name of its file, without the end.
local function slug(name)
  local text = spaced(name):lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  return text ~= "" and text or "alert"
end

local severities = { critical = "critical", page = "critical", high = "critical", error = "error", warning = "warning",
                     info = "info", none = "info" }

-- What the rule's author says of it; where the alert's own values would stand, nobody knows them yet.
local function impact(rule)
  local text = rule.annotations.summary or rule.annotations.description
  return text and one_line((text:gsub("{{.-}}", "…"))) or nil
end

local reserved = { prometheus = true }

-- The expression as Lua, in which what labels have to equal comes from parameters; and these, { name, value } in order.
local function expression(expr)
  local parts, params, values, from, at = {}, {}, {}, 1, 1
  while true do
    local first, last, name, value = expr:find('[{,]%s*([%a_][%w_]*)%s*=%s*"([^"\\]*)"', at)
    if not first then break end
    local is_new = values[name] == nil and not reserved[name] and load("local " .. name) ~= nil
    if is_new then params[#params + 1], values[name] = { name, value }, value end
    if values[name] == value then
      parts[#parts + 1] = quoted(expr:sub(from, last - #value - 1))
      parts[#parts + 1] = "p." .. name
      from = last
    end
    at = last
  end
  parts[#parts + 1] = quoted(expr:sub(from))
  return table.concat(parts, " .. "), params
end

local function params_text(params)
  local lines = { '  prometheus = { "", "The server\'s address; empty is the config\'s" },' }
  for _, it in ipairs(params) do
    lines[#lines + 1] = ("  %s = { %s, \"What the label %s of the alert's series is\", pattern = [[[^\"\\\\]*]] },"):format(it[1],
      quoted(it[2]), it[1])
  end
  return table.concat(lines, "\n")
end

local RUNBOOK = [==[
-- %(title): made from the alert's rule. It looks whether the alert is so; what causes it, and what is done
-- about that, is yours to add.
--
--   runbook run %(file).lua --dry-run     looks for real, changes nothing

runbook {
%(about)
}

local p = params {
%(params)
}

-- What the alert asks: a series for each thing that is wrong.
local EXPRESSION = %(expression)

local function wrong()
  return prometheus.query(EXPRESSION, { url = p.prometheus ~= "" and p.prometheus or nil }).count
end

recovered("the alert's condition holds no longer", { within = "5m", every = "15s" }, function() return wrong() == 0 end)

escalation("15m", function(run)
  escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
end)

------------------------------------------------------------------ Diagnosis --

local condition = probe("The alert's condition", function()
  check("series for which it holds", wrong(), "==", 0, { fault = "holds" })
end)

--------------------------------------------------------------- The decision --

local now = condition()
if now.holds == false then return resolved "false alarm: the alert's condition does not hold" end
if now.holds == nil then return unresolved "whether the alert's condition holds is not known" end

return unresolved "the alert's condition holds, and this runbook has no remedy yet"
]==]

local SCENARIOS = [==[
-- %(title), rehearsed: runbook test %(file).lua

world { ["prometheus.query *"] = { count = 1, samples = { { labels = {}, value = 1, at = 0, text = "1" } } } }

scenario "false alarm" {
  given  = { ["prometheus.query *"] = { count = 0, samples = {} } },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "the condition holds" {
  expect = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "it can't be looked at" {
  given  = { ["prometheus.query *"] = { error = "no way to Prometheus" } },
  expect = { outcome = "unresolved", does = {}, pages = 1 },
}
]==]

local function filled(template, fields)
  return (template:gsub("%%%((%l+)%)", function(name) return fields[name] end))
end

local function about_text(rule, title)
  local lasts = rule.lasts and " for " .. rule.lasts or ""
  local fields = { { "title", title }, { "alert", rule.alert }, { "severity", severities[rule.labels.severity] or "warning" },
                   { "condition", one_line(rule.expr) .. lasts }, { "impact", impact(rule) } }
  local lines = {}
  for _, field in ipairs(fields) do
    if field[2] then lines[#lines + 1] = ("  %-9s = %s,"):format(field[1], quoted(field[2])) end
  end
  return table.concat(lines, "\n")
end

-- { path =, text = } of the runbook and of its scenarios.
function init_alert.files(rule)
  local lua, params = expression(rule.expr)
  local fields = { title = spaced(rule.alert), file = slug(rule.alert), params = params_text(params), expression = lua }
  fields.about = about_text(rule, fields.title)
  return { { path = fields.file .. ".lua", text = filled(RUNBOOK, fields) },
           { path = fields.file .. ".test.lua", text = filled(SCENARIOS, fields) } }
end

return init_alert
