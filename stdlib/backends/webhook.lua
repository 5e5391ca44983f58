-- A generic webhook: one request a step, with an Idempotency-Key; its address and body may be templates (template.lua). Without
-- one it is a JSON object of the step's own words. Done is any 2xx but a web page: what takes messages answers none; or an
-- answer that holds what the config says it must.
local json = require "raw.json"
local post = require "backends.post"
local template = require "backends.template"
local values = require "values"

local webhook = { name = "webhook", keys = { url = true, headers = true, body = true, accepted = true, resolve = true } }

local resolve_keys = { url = true, headers = true, body = true, accepted = true, method = true }
local methods = { POST = true, PUT = true, PATCH = true, DELETE = true }

-- Whether a body goes out as JSON: what the Content-Type says, JSON without one.
local function is_json(headers)
  local type_of = post.content_type(headers)
  return not type_of or type_of:find "^application/json" ~= nil or type_of:find "^[%w.+-]+/[%w.+-]+%+json" ~= nil
end

------------------------------------------------------------------ As given --

local function is_text(value) return type(value) == "string" or require("config").is_secret(value) end

local function body_problem(body, headers)
  if type(body) == "string" and is_json(headers) then
    local decoded, why = json.decode(body)
    if decoded == nil then return "body: it is no JSON: " .. why.message end
    body = decoded
  elseif require("config").is_secret(body) and is_json(headers) then
    return "body: JSON with a secret in it is given as a table"
  elseif type(body) == "table" and not require("config").is_secret(body) and not is_json(headers) then
    return "body: a table goes out as JSON, but the Content-Type says otherwise"
  end
  local problem = template.problem(body)
  return problem and "body: " .. problem
end

local function headers_problem(headers)
  if type(headers) ~= "table" then return "headers: a table expected, got " .. values.describe(headers) end
  for _, name in ipairs(values.keys(headers)) do
    local value = headers[name]
    if not is_text(value) then return ("headers: %s: a text expected, got %s"):format(name, values.describe(value)) end
    if template.holds(value) then return ("headers: %s: placeholders stand in url and body only"):format(name) end
  end
end

local function part_problem(part, headers)
  local problem = part.headers ~= nil and headers_problem(part.headers)
  if problem then return problem end
  if part.url ~= nil then
    if not is_text(part.url) then return "url: an address expected, got " .. values.describe(part.url) end
    problem = template.problem(part.url, true)
    if problem then return "url: " .. problem end
  end
  if part.accepted ~= nil and (type(part.accepted) ~= "string" or part.accepted == "") then
    return "accepted: what an answer must hold expected, got " .. values.describe(part.accepted)
  end
  if part.body == nil then return nil end
  if type(part.body) ~= "string" and type(part.body) ~= "table" then
    return "body: a table or a text expected, got " .. values.describe(part.body)
  end
  return body_problem(part.body, headers)
end

local function resolve_problem(given)
  local part = given.resolve
  if type(part) ~= "table" then return "resolve: a table expected, got " .. values.describe(part) end
  for key in pairs(part) do if not resolve_keys[key] then return ("resolve: there is no '%s'"):format(tostring(key)) end end
  if part.method ~= nil and not methods[part.method] then
    return "resolve: method: POST, PUT, PATCH or DELETE expected, got " .. values.describe(part.method)
  end
  local problem = part_problem(part, part.headers or given.headers)
  return problem and "resolve: " .. problem
end

-- What is wrong with it as the config gives it, in words; no secret is fetched for it.
function webhook.config_problem(given)
  if given.url == nil then return "url is missing" end
  return part_problem(given, given.headers) or given.resolve ~= nil and resolve_problem(given) or nil
end

------------------------------------------------------------------- Requests --

-- A template is of messages: none makes a channel.
function webhook.serves(settings, step) return step ~= "channel" or settings.body == nil end

local function object(step, args, key)
  local body = { step = step, key = key }
  for name, value in pairs(args) do body[name] = value end
  return body
end

local function body_of(body, headers, pieces)
  if not is_json(headers) then return template.fill_as_text(body, pieces) end
  return template.fill(type(body) == "string" and json.decode(body) or body, pieces)
end

local function request(settings, step, args, key)
  local part = step == "resolve" and settings.resolve or {}
  local headers, body = { ["Idempotency-Key"] = key }, part.body or settings.body
  for name, value in pairs(part.headers or settings.headers or {}) do headers[name] = value end
  local pieces = template.pieces(step, args, key)
  body = body == nil and object(step, args, key) or body_of(body, headers, pieces)
  local it = post.request("webhook", template.fill_address(part.url or settings.url, pieces), headers, body)
  it.method, it.accepted = part.method, part.accepted or settings.accepted
  return it
end

-- Whether each piece of a pattern stands in the text, one behind the other; * is anything.
local function holds(text, pattern)
  local from = 1
  for piece in pattern:gmatch "[^*]+" do
    local _, last = text:find(piece, from, true)
    if not last then return false end
    from = last + 1
  end
  return true
end

local function judge_by(accepted)
  return function(reply)
    local page = (reply.headers["content-type"] or ""):lower():find "^text/html"
    if accepted and not holds(reply.body, accepted) or page and not accepted then
      return post.not_its_own(reply, "the webhook's")
    end
    return reply
  end
end

local function send(step)
  return function(settings, args, key)
    local it = request(settings, step, args, key)
    local reply, err = post.send(it, judge_by(it.accepted))
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
function webhook.resolve_request(settings, key) return request(settings, "resolve", {}, key) end

function webhook.address(settings) return settings.url end

return webhook
