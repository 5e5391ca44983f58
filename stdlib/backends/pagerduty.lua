-- PagerDuty Events API v2 (developer.pagerduty.com/docs/events-api-v2-overview). A 202 is acceptance by an asynchronous
-- pipeline; the deduplication key, set before the first attempt, makes repeated sending harmless.
local json = require "raw.json"
local post = require "backends.post"
local raw_text = require "raw.text"
local values = require "values"

local pagerduty = { name = "pagerduty", keys = { routing_key = true, url = true } }

local URL = "https://events.pagerduty.com"
local KEY_LENGTH = 32          -- characters of a routing key
local SUMMARY_MAX = 1024       -- characters
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

-- Preflight: what is wrong with a routing key's shape, or nil. Whether it is known to PagerDuty only a page would tell.
function pagerduty.key_problem(settings)
  local key = tostring(values.reveal(settings.routing_key) or "")
  if #key == KEY_LENGTH and key:find "^%w+$" then return nil end
  return ("a routing key is %d letters and digits; this one has %d characters"):format(KEY_LENGTH, #key)
end

-- Where events go.
function pagerduty.address(settings) return settings.url or URL end

return pagerduty
