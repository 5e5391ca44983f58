-- One JSON request to a service that tells people. Its failures in the shapes that decide about trying again.
local foreign = require "foreign"
local json = require "raw.json"
local rehearsal = require "rehearsal"
local settings = require "settings"
local values = require "values"
local way_out = require "way_out"

local post = {}

-- One attempt waits this long for an answer, in seconds.
post.TIMEOUT = 10
-- Characters of a service's answer that are told.
post.ANSWER_MAX = 200

-- The Content-Type among given headers, in small letters; nil without one.
function post.content_type(headers)
  for name, value in pairs(headers or {}) do
    if name:lower() == "content-type" then return tostring(values.reveal(value)):lower() end
  end
end

-- The request as plain data, with secrets as values of their own: what the outbox and the built-in page keep.
function post.request(backend, url, headers, body)
  local problem = require("headers").problem(headers)
  if problem then error({ usage = ("config: %s: %s"):format(backend, problem) }, 0) end
  return { backend = backend, url = url, headers = headers, body = body, timeout = post.TIMEOUT,
           connect_to = rehearsal.route(url), proxy = way_out.proxy(url), ca_file = settings.ca }
end

-- A redirect, a proxy's or a busy server's answer: what stands behind it may take the message later.
local function is_passing(status)
  return status < 400 or status == 407 or status == 408 or status == 429 or status >= 500
end

-- An attempt's failure; `after`: the seconds that the service asks to wait. One of the kind "rejected" no other will mend.
local function failure(kind, message, after) return nil, { kind = kind, message = message, after = after } end

-- The words of an answer that is not the service's own: a login page of a network, a proxy's, answers 200 to everything.
function post.not_its_own(reply, whose)
  return failure("protocol", ("HTTP %d, but the answer is not %s: %s"):format(reply.status, whose,
    foreign.line(reply.body, post.ANSWER_MAX)))
end

local function encoded(body)
  if body == nil then return nil end
  local plain = values.reveal_all(body)
  return type(plain) == "string" and plain or json.encode(plain)
end

-- Sends it, once: who tries again, and when, is the outbox's business. `judge(reply)` says whether a 2xx is the service's own
-- word that it is done: what it gives, or nil and { kind=, message=, after= }, is returned.
function post.send(request, judge)
  local headers = values.reveal_all(request.headers)
  if request.body ~= nil and not post.content_type(headers) then headers["Content-Type"] = "application/json; charset=utf-8" end
  local reply, err = require("raw.http").request {
    method = request.method or "POST", url = values.reveal(request.url), headers = headers, timeout = request.timeout,
    body = encoded(request.body), connect_to = rehearsal.routes(), proxy = values.reveal(request.proxy),
    trust = request.ca_file,
  }
  local problem = request.proxy and way_out.problem(request.proxy, reply, err)
  if problem then return failure("proxy", problem) end
  if not reply then return failure(err.kind, err.message) end
  if reply.status >= 200 and reply.status <= 299 then return judge(reply) end
  local said = reply.redirect_url and "to " .. reply.redirect_url or reply.body
  local text = ("HTTP %d: %s"):format(reply.status, foreign.line(said, post.ANSWER_MAX))
  if is_passing(reply.status) then return failure("busy", text, tonumber(reply.headers["retry-after"] or "")) end
  return failure("rejected", text)
end

return post
