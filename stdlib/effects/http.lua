-- http: requests over HTTP and HTTPS. GET, HEAD and OPTIONS are reads; POST is one on the author's word.
local catalogue = require "catalogue"
local json = require "raw.json"
local outcome = require "outcome"
local rehearsal = require "rehearsal"

-- Bodies are kept to this many bytes; a longer one is cut and says so.
local BODY_MAX = 1 << 20

local fields = {
  status = "integer: the status code", headers = "map: names in lower case", body = "string: at most 1 MB",
  json = "any: the body decoded, nil when it isn't JSON", ms = "map: dns connect tls first_byte total, milliseconds",
  tls = "map: expires_in_days, verified, subject, issuer; nil over plain HTTP", cut = "boolean: the body was longer",
  remote_address = "string: who answered", url = "string: the address that answered",
}

local function with_tls_days(tls)
  if tls and tls.expires_at then
    tls.expires_in_days = math.floor((tls.expires_at - require("tasks").wall()) / 86400)
  end
  return tls
end

local function request(method, call)
  local http = require "raw.http"
  local headers, body = call.headers or {}, call.body
  if call.json ~= nil then
    body = json.encode(call.json)
    headers = setmetatable({ ["Content-Type"] = "application/json" }, nil)
    for name, value in pairs(call.headers or {}) do headers[name] = value end
  end
  local reply, err = http.request {
    method = method, url = call.url, headers = headers, body = body, timeout = call.timeout, follow = call.follow,
    max_body = BODY_MAX, auth = call.auth, connect_to = rehearsal.routes(),
  }
  if not reply then return outcome.from_error(err, { tls = with_tls_days(err.tls), ms = err.ms }) end
  with_tls_days(reply.tls)
  reply.ok = reply.status >= 200 and reply.status <= 299
  if not reply.ok then reply.why = ("HTTP %d"):format(reply.status) end
  return reply
end

-- "https://user@api.conduit.im:8443/x" → "api.conduit.im": what an operator types to approve.
local function host_of(url)
  local authority = url:match "^%a[%w+.-]*://([^/?#]*)"
  if not authority then return url end
  local place = authority:gsub("^.*@", "")
  return place:match "^%[.-%]" or place:match "^[^:]*"
end

local function curl(method, call)
  local words = { "curl", "-sS" }
  if method == "HEAD" then words[#words + 1] = "-I" elseif method ~= "GET" then
    words[#words + 1], words[#words + 2] = "-X", method
  end
  if call.follow then words[#words + 1] = "-L" end
  words[#words + 1] = call.url
  return words
end

local verbs = {
  get = { "read", "Fetches an address" }, head = { "read", "Asks for an address's headers" },
  options = { "read", "Asks what an address allows" },
  post = { "write", "Posts to an address; `reads = true` says that it changes nothing" },
  put = { "write", "Puts a body at an address" }, patch = { "write", "Changes what is at an address" },
  delete = { "destructive", "Deletes what is at an address" },
}

for verb, meaning in pairs(verbs) do
  local method, class = verb:upper(), meaning[1]
  local options = {
    headers = { "map", nil, "Header names and values", secret = true },
    auth = { "map", nil, "{ user =, password = }", secret = true },
    follow = { "boolean", false, "Follow redirects, ten at most" },
  }
  if class ~= "read" then
    options.body = { "string", nil, "The body", binary = true, secret = true }
    options.json = { "any", nil, "The body, encoded as JSON", secret = true }
  end
  if verb == "post" then options.reads = { "boolean", false, "On your word it changes nothing: a declared read" } end
  catalogue.effect("http." .. verb, {
    summary = meaning[2],
    class = verb == "post" and function(call) return call.reads and "declared" or "write" end or class,
    params = { { "url", "string", "http:// or https:// address" } },
    options = options,
    result = fields,
    run = function(call) return request(method, call) end,
    command = function(call) return curl(method, call) end,
    target = function(call) return host_of(tostring(call.url)) end,
    preview = class ~= "read" and function(call) return { text = ("sends %s to %s"):format(method, call.url), size = 1 } end
      or nil,
    would = class ~= "read" and function() return { status = 200, headers = {}, body = "" } end or nil,
    specimen = { status = 200, headers = {}, body = "", ms = { dns = 0, connect = 1, tls = 0, first_byte = 5, total = 5 },
                 remote_address = "192.0.2.1:443" },
    lazy = { json = function(reply) return reply.body and json.decode(reply.body) or nil end },
    sum_up = function(reply) return reply.status and ("HTTP %d"):format(reply.status) end,
  })
end
