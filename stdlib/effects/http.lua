-- http: requests over HTTP and HTTPS. GET, HEAD and OPTIONS are reads; POST is one on the author's word.
local blame = require "blame"
local catalogue = require "catalogue"
local curl = require "effects.curl"
local json = require "raw.json"
local outcome = require "outcome"
local rehearsal = require "rehearsal"
local secret_json = require "secret_json"
local sends = require "sends"
local tasks = require "tasks"
local values = require "values"
local way_out = require "way_out"

-- Bodies are kept to this many bytes; a longer one is cut and says so.
local BODY_MAX = 1 << 20
-- Redirects that a read follows; one more is its answer.
local REDIRECTS_MAX = 10

local fields = {
  status = "integer: the status code", headers = "map: names in lower case", body = "string: at most 1 MB",
  json = "any: the body decoded, nil when it isn't JSON", ms = "map: dns connect tls first_byte total, milliseconds",
  tls = "map: expires_in_days, verified, subject, issuer; nil over plain HTTP", cut = "boolean: the body was longer",
  remote_address = "string: who answered", url = "string: the address that answered",
}
local head_fields = values.copy_shallow(fields)
head_fields.asked = "string: GET when the server has no HEAD for it (404, 405, 501) and was asked again so; else nil"

local function has_header(headers, wanted)
  for name in pairs(headers) do if type(name) == "string" and name:lower() == wanted then return true end end
  return false
end

local function with_tls_days(tls)
  if tls and tls.expires_at then
    tls.expires_in_days = math.floor((tls.expires_at - require("tasks").wall()) / 86400)
  end
  return tls
end

-- What goes out, for the act, the plan and the command by hand alike.
local function request_of(method, call)
  local headers, body = values.copy_shallow(call.headers or {}), call.body
  if call.json ~= nil then
    body = secret_json.encode(call.json)
    if not has_header(headers, "content-type") then headers["Content-Type"] = "application/json" end
  end
  return { method = method, url = call.url, headers = headers, body = body, follow = call.follow }
end

local function origin(url) return (url:lower():match "^%a[%w+.-]*://[^/?#]*") end

-- Follows redirects of a read. What was given for one place (headers, user and password) goes to no other.
local function send(asked, ends)
  local follow = asked.follow
  asked.follow = nil
  for hop = 0, REDIRECTS_MAX do
    asked.timeout = math.max(0.05, ends - tasks.now())
    local reply, err = way_out.request(asked)
    if not reply or not follow or not reply.redirect_url or hop == REDIRECTS_MAX then return reply, err end
    if origin(reply.redirect_url) ~= origin(asked.url) then asked.headers, asked.auth = {}, nil end
    asked.url = reply.redirect_url
  end
end

-- What nginx, Apache and Go's servers say to who speaks in clear to a port of TLS, all with HTTP 400.
local to_a_tls_port = { "plain HTTP request was sent to HTTPS port", "plain HTTP to an SSL-enabled server port",
                        "HTTP request to an HTTPS server" }

local function is_tls_port(reply)
  for _, words in ipairs(reply.status == 400 and to_a_tls_port or {}) do
    if (reply.body or ""):find(words, 1, true) then return true end
  end
  return false
end

-- Why an answer is not well, or nil.
local function unwell(reply)
  if reply.status >= 200 and reply.status <= 299 then return nil end
  local where = reply.redirect_url and (": to %s"):format(reply.redirect_url) or ""
  if is_tls_port(reply) then where = ": it speaks TLS: its address begins with https://, not http://" end
  return ("HTTP %d%s"):format(reply.status, where)
end

-- Answers to HEAD of servers that have only GET for the same address.
local no_head = { [404] = true, [405] = true, [501] = true }

-- HEAD is asked again as GET where it isn't served; of the body nothing is kept.
local function exchange(method, call)
  local ends = tasks.now() + call.timeout
  local function ask(verb, most)
    local asked = request_of(verb, call)
    asked.max_body, asked.auth, asked.connect_to = most, call.auth, rehearsal.routes()
    return send(asked, ends)
  end
  local reply, err = ask(method, BODY_MAX)
  if method ~= "HEAD" or not reply or not no_head[reply.status] then return reply, err end
  local again = ask("GET", 0)
  if not again then return reply end
  again.body, again.cut, again.asked = "", false, "GET"
  return again
end

local function request(method, call)
  local reply, err = exchange(method, call)
  if not reply then return outcome.from_error(err, { tls = with_tls_days(err.tls), ms = err.ms }) end
  with_tls_days(reply.tls)
  local why = unwell(reply)
  reply.why = why and reply.through and ("%s (through the proxy %s)"):format(why, reply.through) or why
  reply.ok = reply.why == nil
  reply.redirect_url, reply.through = nil, nil
  return reply
end

-- "https://user@api.conduit.im:8443/x" → "api.conduit.im": what an operator types to approve.
local function host_of(url)
  local authority = url:match "^%a[%w+.-]*://([^/?#]*)"
  if not authority then return url end
  local place = authority:gsub("^.*@", "")
  return place:match "^%[.-%]" or place:match "^[^:]*"
end

local function by_hand(method, call)
  local asked = request_of(method, call)
  asked.user = call.auth and (call.auth.user or "")
  return curl.words(asked)
end

-- The body, then the headers.
local function sends_of(method, call)
  local asked = request_of(method, call)
  local lines = asked.body ~= nil and sends.split(asked.body) or {}
  for _, name in ipairs(values.keys(asked.headers)) do
    lines[#lines + 1] = ("%s: %s"):format(name, values.masked(asked.headers[name]))
  end
  return lines
end

local function class_of(call) return call.destructive and "destructive" or call.reads and "declared" or "write" end

local function check_headers(name, given)
  local problem = given and not values.is_placeholder(given) and require("headers").problem(given)
  if problem then blame.raise("%s: %s", name, problem) end
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
  local function intends(call) return ("sends %s to %s"):format(method, tostring(call.url)) end
  local options = {
    headers = { "map", nil, "Header names and values", secret = true },
    auth = { "map", nil, "{ user =, password = }", secret = true },
  }
  if class == "read" then -- a change goes where it was approved, and nowhere else
    options.follow = { "boolean", false, "Follow redirects, ten at most; headers and `auth` go to no other place" }
  end
  if class ~= "read" then
    options.body = { "string", nil, "The body", binary = true, secret = true }
    options.json = { "any", nil, "The body, encoded as JSON", secret = true }
  end
  if verb == "post" then options.reads = { "boolean", false, "On your word it changes nothing: a declared read" } end
  if class == "write" then options.destructive = { "boolean", false, "What it does can't be undone: approved as such" } end
  catalogue.effect("http." .. verb, {
    summary = meaning[2],
    class = class == "write" and class_of or class,
    class_help = "write, destructive with `destructive = true`" .. (options.reads and ", declared read with `reads = true`" or ""),
    check = function(call)
      check_headers("http." .. verb, call.headers)
      if call.reads and call.destructive then
        blame.raise("http.%s: 'reads' and 'destructive' contradict each other", verb)
      end
    end,
    params = { { "url", "string", "http:// or https:// address" } },
    options = options,
    result = verb == "head" and head_fields or fields,
    run = function(call) return request(method, call) end,
    unwell = unwell,
    command = function(call) return by_hand(method, call) end,
    sends = class ~= "read" and function(call) return sends_of(method, call) end or nil,
    target = function(call) return host_of(tostring(call.url)) end,
    intends = intends,
    preview = class ~= "read" and function(call) return { text = intends(call), size = 1 } end or nil,
    would = class ~= "read" and function() return { status = 200 } end or nil,
    specimen = { status = 200, headers = {}, body = "", ms = { dns = 0, connect = 1, tls = 0, first_byte = 5, total = 5 },
                 remote_address = "192.0.2.1:443" },
    optional = { json = "body", tls = "status" },
    lazy = { json = function(reply) return reply.body and json.decode(reply.body) or nil end },
    sum_up = function(reply) return reply.status and ("HTTP %d"):format(reply.status) end,
  })
end
