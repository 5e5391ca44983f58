-- curl's words for a request, for people: the same request, with its headers and body.
local rehearsal = require "rehearsal"
local values = require "values"
local way_out = require "way_out"

local curl = {}

-- Of a body, so many bytes stand among the words; more goes to curl's standard input.
local WORD_MAX = 1000

local function append(words, ...)
  for _, word in ipairs { ... } do words[#words + 1] = word end
end

-- The address without user and password, and the user: curl asks for a password itself.
local function bare(url)
  if type(url) ~= "string" then return url end
  local scheme, user_info, rest = url:match "^(%a[%w+.-]*://)([^/?#]*)@(.*)$"
  if not scheme then return url end
  local user = user_info:match "^[^:]*":gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return scheme .. rest, user
end

local function add_headers(words, headers)
  local has_type = false
  for _, name in ipairs(values.keys(headers or {})) do
    has_type = has_type or name:lower() == "content-type"
    local value = headers[name]
    append(words, "-H", value == "" and name .. ";" or name .. ": " .. value)
  end
  return has_type
end

-- Without a type given curl calls a body a form's; the effect sends none.
local function add_body(words, body, has_type)
  if not has_type then append(words, "-H", "Content-Type:") end
  if type(body) == "string" and #body <= WORD_MAX and not body:find "\n" then
    append(words, "--data-raw", body)
  else
    append(words, "--data-binary", "@-")
    words.stdin = body
  end
end

local function add_route(words, url)
  local name = tostring(url):match "^%a+://([^/:?#]+)"
  for _, route in ipairs(rehearsal.routes()) do
    if name and route:sub(1, #name + 2) == name .. "::" then append(words, "--connect-to", route) end
  end
end

-- request: url, method (GET), headers, body, follow, user. `-g`: braces and brackets are no list of addresses.
function curl.words(request)
  local words, method = { "curl", "-sS" }, request.method or "GET"
  local url, user = bare(request.url)
  if tostring(url):find "[%[%]{}\\]" then words[2] = "-gsS" end
  local sends = request.body ~= nil or method == "POST" or method == "PUT" or method == "PATCH"
  if method == "HEAD" then append(words, "-I")
  elseif method ~= (sends and "POST" or "GET") then append(words, "-X", method) end
  if request.follow then append(words, "-L", "--max-redirs", "10") end
  user = request.user or user
  if user then append(words, "-u", user) end
  local has_type = add_headers(words, request.headers)
  if sends then add_body(words, request.body or "", has_type) end
  add_route(words, url)
  local proxy = type(url) == "string" and way_out.shown(url)
  if proxy then append(words, "-x", proxy) end
  append(words, url)
  return words
end

return curl
