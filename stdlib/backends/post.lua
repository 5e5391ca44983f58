-- One JSON request to a service that tells people. Its failures in the shapes that decide about trying again.
local json = require "raw.json"
local raw_text = require "raw.text"
local rehearsal = require "rehearsal"
local tasks = require "tasks"

local post = {}

-- One attempt waits this long for an answer, in seconds.
post.TIMEOUT = 10
-- Within one delivery a 429 is waited out this long at most, a failed attempt is repeated so many times.
post.RETRY_AFTER_MAX = 30
post.ATTEMPTS = 3

-- The request as plain data, with secrets as values of their own: what the outbox and the built-in page keep.
function post.request(backend, url, headers, body)
  local problem = require("headers").problem(headers)
  if problem then error({ usage = ("config: %s: %s"):format(backend, problem) }, 0) end
  return { backend = backend, url = url, headers = headers, body = body, timeout = post.TIMEOUT,
           connect_to = rehearsal.route(url) }
end

local function once(request)
  local values = require "values"
  local headers = values.reveal_all(request.headers)
  headers["Content-Type"] = "application/json; charset=utf-8"
  local reply, err = require("raw.http").request {
    method = "POST", url = values.reveal(request.url), headers = headers, timeout = request.timeout,
    body = json.encode(values.reveal_all(request.body)), connect_to = rehearsal.routes(),
  }
  if not reply then return nil, { kind = err.kind, message = err.message, again = 1 } end
  if reply.status == 429 or reply.status >= 500 then
    return nil, { kind = "busy", message = ("HTTP %d"):format(reply.status),
                  again = tonumber(reply.headers["retry-after"] or "") or 1 }
  end
  if reply.status < 200 or reply.status > 299 then
    return nil, { kind = "rejected", message = ("HTTP %d: %s"):format(reply.status, raw_text.clip(reply.body, 200)) }
  end
  return reply
end

-- Sends, and again when the service was busy or didn't answer: with a deduplication key that is harmless. The reply, or
-- nil and { kind=, message= }.
function post.send(request)
  local reply, err
  for attempt = 1, post.ATTEMPTS do
    reply, err = once(request)
    if reply or not err.again then break end
    if attempt < post.ATTEMPTS then tasks.sleep(math.min(err.again, post.RETRY_AFTER_MAX)) end
  end
  return reply, err
end

return post
