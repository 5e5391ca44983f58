-- PagerDuty Events API v2 (developer.pagerduty.com/docs/events-api-v2-overview). A 202 is acceptance by an asynchronous
-- pipeline; the deduplication key, set before the first attempt, makes repeated sending harmless.
local foreign = require "foreign"
local json = require "raw.json"
local post = require "backends.post"
local raw_text = require "raw.text"
local values = require "values"

local pagerduty = { name = "pagerduty", keys = { routing_key = true, url = true, read_token = true, api = true } }

local URL = "https://events.pagerduty.com"
local API = "https://api.pagerduty.com" -- the REST API, which the events know nothing of
local KEY_LENGTH = 32          -- characters of a routing key
local SUMMARY_MAX = 1024       -- characters
local NAME_MAX = 80            -- characters of a person's name
local PAYLOAD_MAX = 512000     -- bytes of a whole event
local severities = { critical = "critical", error = "error", warning = "warning", info = "info" }

local function event(settings, action, key, payload)
  local body = { routing_key = settings.routing_key, event_action = action, dedup_key = key, payload = payload,
                 client = "runbook" }
  return post.request("pagerduty", (settings.url or URL) .. "/v2/enqueue", {}, body)
end

-- The request that pages: args { summary, severity, details, source }.
function pagerduty.page_request(settings, args, key)
  local payload = { summary = raw_text.clip(args.summary, SUMMARY_MAX), source = args.source,
                    severity = severities[args.severity] or "critical", custom_details = args.details }
  if #json.encode(payload) > PAYLOAD_MAX then
    payload.custom_details = { error = "the details were too long for one event; see the run's journal" }
  end
  return event(settings, "trigger", key, payload)
end

-- Taken is what PagerDuty says it took: 202 and "status": "success".
local function judge(reply)
  local answer = json.decode(reply.body)
  if reply.status ~= 202 or type(answer) ~= "table" or answer.status ~= "success" then
    return post.not_its_own(reply, "PagerDuty's")
  end
  return "202 " .. answer.status
end

local function send(request, key)
  local answer, err = post.send(request, judge)
  if not answer then return nil, err end
  return { id = key, delivered = true, answer = answer }
end

function pagerduty.page(settings, args, key) return send(pagerduty.page_request(settings, args, key), key) end
function pagerduty.resolve(settings, key) return send(event(settings, "resolve", key), key) end
function pagerduty.acknowledge(settings, key) return send(event(settings, "acknowledge", key), key) end

-- What is wrong with a routing key's shape, or nil: PagerDuty would refuse every page. Whether it knows the key only a page
-- would tell.
function pagerduty.problem(settings)
  if values.is_placeholder(settings.routing_key) then return nil end
  local key = tostring(values.reveal(settings.routing_key) or "")
  if #key == KEY_LENGTH and key:find "^%w+$" then return nil end
  return ("a routing key is %d letters and digits; this one has %d characters"):format(KEY_LENGTH, #key)
end

---------------------------------------------------------------- Read token --

local function ask(settings, query, judge)
  local headers = { Authorization = "Token token=" .. settings.read_token, Accept = "application/vnd.pagerduty+json;version=2" }
  local request = post.request("pagerduty", (settings.api or API) .. "/incidents?" .. query, headers)
  request.method = "GET"
  return post.send(request, judge)
end

local function read_incidents(reply)
  local answer = json.decode(reply.body)
  local list = reply.status == 200 and type(answer) == "table" and answer.incidents
  if type(list) ~= "table" then return post.not_its_own(reply, "PagerDuty's") end
  return list
end

-- Whose word it was: of who acknowledged it, else of who resolved it.
local function by_whom(incident)
  local last = type(incident.acknowledgements) == "table" and incident.acknowledgements[#incident.acknowledgements]
  local who = type(last) == "table" and last.acknowledger or incident.last_status_change_by
  return type(who) == "table" and type(who.summary) == "string" and foreign.line(who.summary, NAME_MAX) or "somebody"
end

-- Whether a person took the page with that key, or resolved it: { by =, status = } when so, false when not, nil and an error
-- when PagerDuty doesn't say. After a resolve the same key opens another incident: the newest one counts.
function pagerduty.taken(settings, key)
  local list, err = ask(settings, "incident_key=" .. key:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end),
    read_incidents)
  if not list then return nil, err end
  local newest
  for _, incident in ipairs(list) do
    local ours = type(incident) == "table" and type(incident.created_at) == "string"
      and (type(incident.incident_key) ~= "string" or incident.incident_key == key)
    if ours and (not newest or incident.created_at > newest.created_at) then newest = incident end
  end
  if not newest or newest.status ~= "acknowledged" and newest.status ~= "resolved" then return false end
  return { by = by_whom(newest), status = newest.status }
end

-- Preflight: whether the token may read incidents; nil and an error when not.
function pagerduty.check_token(settings)
  return ask(settings, "limit=1", read_incidents)
end

-- Where events go.
function pagerduty.address(settings) return settings.url or URL end

return pagerduty
