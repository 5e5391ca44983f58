-- Who is told, through what: the config's pager, chat and incident backends, and the keys that make telling twice harmless.
local blame = require "blame"
local config = require "config"
local run = require "run"
local values = require "values"

local backends = {}

local known = { "pagerduty", "slack", "webhook" }
-- Which config entry answers which step.
local entry_of = { page = "pager", notify = "chat", channel = "chat", incident = "incident" }

local function one(path, given)
  local name = type(given) == "table" and given[1]
  local found
  for _, other in ipairs(known) do found = found or other == name end
  if not found then
    error({ usage = ("config: %s: unknown backend %s%s"):format(path, values.describe(name),
      blame.hint(tostring(name), values.copy(known))) }, 0)
  end
  local backend = require("backends." .. name)
  for key in pairs(given) do
    if key ~= 1 and not backend.keys[key] then
      error({ usage = ("config: %s: %s takes no '%s'%s"):format(path, name, tostring(key),
        blame.hint(tostring(key), values.keys(backend.keys))) }, 0)
    end
  end
  local problem = backend.config_problem and backend.config_problem(given)
  if problem then error({ usage = ("config: %s: %s: %s"):format(path, name, problem) }, 0) end
  return backend
end

-- What the config's entry gives, always as a list.
local function descriptions(given)
  if given and (type(given[1]) ~= "table") then given = { given } end
  return given or {}
end

-- Raises what is wrong with whom a config tells; secrets are not fetched for it.
function backends.check(given)
  for _, path in ipairs { "pager", "chat", "incident" } do
    for _, description in ipairs(descriptions(given[path])) do one(path, description) end
  end
end

-- The backends for a step: { { backend =, name =, instance = its place in the config's list, settings = with secrets fetched },
-- … }; raises what makes one unusable.
function backends.of(step)
  local path = entry_of[step]
  local list = {}
  for instance, description in ipairs(descriptions(run.config[path])) do
    local backend = one(path, description)
    local settings, why = config.reveal(description)
    if not settings then error(("config: %s: %s"):format(path, why), 0) end
    local problem = backend.problem and backend.problem(settings)
    if problem then error({ usage = ("config: %s: %s: %s"):format(path, backend.name, problem) }, 0) end
    if backend[step] and (not backend.serves or backend.serves(settings, step)) then
      list[#list + 1] = { backend = backend, settings = settings, name = backend.name, instance = instance }
    end
  end
  return list
end

-- The key of a level's page, the same for the script's page and the built-in one.
function backends.page_key(level, id) return ("runbook/%s/%d"):format(id or run.id or "scenario", level or 0) end

-- Phone numbers and the like, for when paging fails.
function backends.contacts()
  local list = run.config.contacts
  return list and #list > 0 and "; call: " .. table.concat(list, ", ") or ""
end

-- Whether the config has an entry for a step.
function backends.is_configured(step) return run.config[entry_of[step]] ~= nil end

function backends.can_page() return run.config.pager ~= nil end

-- What the operator must know before relying on the escalation.
function backends.warning()
  if not run.config.pager then
    return "; NO PAGER IS CONFIGURED: a page would stay on this screen and on disk" .. backends.contacts()
  end
  return ""
end

-- What the built-in page and message tell; ⟦…⟧ is what the journal says when they go out.
local function built_in_args()
  local details = require("situation").standing()
  details.findings = "⟦findings⟧"
  local summary = ("%s: ⟦headline⟧"):format(run.about.title or run.file)
  local page = { summary = summary, severity = run.about.severity or "critical", details = details,
                 source = ("runbook %s on %s"):format(run.id or "", run.host) }
  local text = ("%s\n⟦findings⟧\nThe run's own escalation could not be carried out. Run %s, on %s by %s\nTo own it: %s"):format(
    summary, run.id or "", run.host, run.user, details.ack)
  return page, text
end

-- Where the level itself tells somebody in chat: what its rehearsal met. Nowhere yet: the channel that every workspace has.
local met = {}
local ANYWHERE = "#general"

-- Hears in a rehearsal where a level would tell somebody.
function backends.meet(level, to)
  met[level] = met[level] or {}
  for _, other in ipairs(met[level]) do if other == to then return end end
  table.insert(met[level], to)
end

local function chat_requests(level, text, key)
  local requests = {}
  for _, it in ipairs(backends.of "notify") do
    for number, to in ipairs(it.backend.notify_request and (met[level] or { ANYWHERE }) or {}) do
      local own_key = number == 1 and key or ("%s/%d"):format(key, number)
      requests[#requests + 1] = it.backend.notify_request(it.settings, { to = to, text = text }, own_key)
    end
  end
  return requests
end

local function incident_requests(page, text, key)
  local requests = {}
  for _, it in ipairs(backends.of "incident") do
    local args = { title = page.summary, severity = page.severity, text = text, source = page.source }
    requests[#requests + 1] = it.backend.incident_request and it.backend.incident_request(it.settings, args, key)
  end
  return requests
end

-- The built-in page of a level, as requests with secrets by name: what C sends when the script's level fails. To the pager;
-- without one where the level tells somebody in chat; without that to whom incidents are declared.
function backends.built_in_requests(level)
  local requests, page, text = {}, built_in_args()
  local key = backends.page_key(level)
  for _, it in ipairs(backends.of "page") do requests[#requests + 1] = it.backend.page_request(it.settings, page, key) end
  if #requests == 0 then requests = chat_requests(level, text, key) end
  if #requests == 0 then requests = incident_requests(page, text, key) end
  return backends.marked(requests)
end

-- A request with its secrets as marks, however deep.
function backends.marked(value)
  if values.is_secret(value) or type(value) ~= "table" then return values.marked(value) end
  local copy = {}
  for key, item in pairs(value) do copy[key] = backends.marked(item) end
  return copy
end

return backends
