-- A generic webhook: one JSON object a step, with an Idempotency-Key, answered by any 2xx but a web page: what takes messages
-- answers none.
local json = require "raw.json"
local post = require "backends.post"

local webhook = { name = "webhook", keys = { url = true, headers = true } }

local function request(settings, step, args, key)
  local headers = { ["Idempotency-Key"] = key }
  for name, value in pairs(settings.headers or {}) do headers[name] = value end
  local body = { step = step, key = key }
  for name, value in pairs(args) do body[name] = value end
  return post.request("webhook", settings.url, headers, body)
end

local function judge(reply)
  if (reply.headers["content-type"] or ""):lower():find "^text/html" then return post.not_its_own(reply, "the webhook's") end
  return reply
end

local function send(step)
  return function(settings, args, key)
    local reply, err = post.send(request(settings, step, args, key), judge)
    if not reply then return nil, err end
    local answer = json.decode(reply.body)
    if type(answer) ~= "table" then answer = {} end
    return { id = answer.id or key, url = answer.url, delivered = true, answer = ("HTTP %d"):format(reply.status) }
  end
end

for _, step in ipairs { "page", "notify", "channel", "incident" } do
  webhook[step] = send(step)
  webhook[step .. "_request"] = function(settings, args, key) return request(settings, step, args, key) end
end

function webhook.resolve(settings, key) return send "resolve" (settings, {}, key) end

function webhook.address(settings) return settings.url end

return webhook
