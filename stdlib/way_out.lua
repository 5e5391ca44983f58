-- How requests leave this machine: the config's `proxy`, the names in `no_proxy` that are reached without it, and `ca`, the
-- file of authorities that are trusted beside the system's.
local config = require "config"
local run = require "run"
local settings = require "settings"
local values = require "values"

local way_out = {}

-- A run that is armed asks the proxy for so long whether it works, in seconds.
local LOOK_SECONDS = 2

-- "api.pagerduty.com" of an address.
local function host_of(url)
  local place = tostring(values.reveal(url)):match "^%a[%w+.-]*://([^/?#]*)" or ""
  place = place:gsub("^.*@", "")
  return (place:match "^%[(.-)%]" or place:gsub(":%d*$", "")):lower()
end

-- "corp.example" and ".corp.example" are all names below, too.
local function is_direct(host)
  for _, name in ipairs(settings.no_proxy or {}) do
    name = name:lower():gsub("^%.", "")
    if name == "*" or host == name or host:sub(-#name - 1) == "." .. name then return true end
  end
  return false
end

-- The proxy for an address, with its password a secret, or nil; raises when that secret can't be had.
function way_out.proxy(url)
  if not settings.proxy or is_direct(host_of(url)) then return nil end
  local proxy, why = config.reveal(settings.proxy)
  if proxy == nil then error(("config: proxy: %s"):format(why), 0) end
  return proxy
end

-- This machine, and names that a rehearsal has elsewhere: no proxy can reach what is meant.
local function is_here(host)
  return host == "localhost" or host:find "^127%." ~= nil or host == "::1" or settings.hosts[host] ~= nil
end

-- Sends a question of an effect as pages go: through the proxy, trusting the config's authorities too. raw.http's result; of a
-- proxy that stands in the way nil and an error of the kind "proxy".
function way_out.request(asked)
  local well, proxy = pcall(function() return not is_here(host_of(asked.url)) and way_out.proxy(asked.url) or nil end)
  if not well then return nil, { kind = "proxy", message = tostring(proxy) } end
  asked.proxy, asked.trust = values.reveal(proxy), settings.ca
  local reply, err = require("raw.http").request(asked)
  local problem = proxy and way_out.problem(proxy, reply, err)
  if problem then return nil, { kind = "proxy", message = problem } end
  if reply and proxy then reply.through = way_out.name(proxy) end
  return reply, err
end

-- The proxy that a person would name to curl, without user and password; nil without one, or when it is a secret.
function way_out.shown(url)
  local host = host_of(url)
  if type(settings.proxy) ~= "string" or is_here(host) or is_direct(host) then return nil end
  return (settings.proxy:match "^%a[%w+.-]*://" or "") .. way_out.name(settings.proxy)
end

-- "proxy.corp.example:3128": a proxy without what is secret in it.
function way_out.name(proxy)
  return (tostring(values.reveal(proxy)):gsub("^%a[%w+.-]*://", ""):gsub("^.*@", ""):gsub("/.*$", ""))
end

-- Whether the proxy's own answer, or that there was none, kept a request from its service: in words, or nil.
function way_out.problem(proxy, reply, err)
  local name = way_out.name(proxy)
  local message = err and err.message or ""
  if reply and reply.status == 407 or message:find "%f[%d]407%f[%D]" then
    return ("the proxy %s wants a login (407)"):format(name)
  end
  if err and err.kind ~= "tls" and err.kind ~= "trust" then
    return ("the proxy %s does not let it through: %s"):format(name, message)
  end
end

-- Asks whether the proxy works for an address; what is wrong with it, or nil.
function way_out.try(url)
  local proxy = way_out.proxy(url)
  local origin = tostring(values.reveal(url)):match "^%a[%w+.-]*://[^/?#]*"
  if not proxy or not origin then return nil end
  local reply, err = require("raw.http").request { method = "HEAD", url = origin .. "/", timeout = LOOK_SECONDS,
    proxy = values.reveal(proxy), trust = settings.ca }
  return way_out.problem(proxy, reply, err)
end

-- In words, for the run's first lines: what is wrong with the proxy that pages would take; "" for nothing.
function way_out.warning()
  if not settings.proxy then return "" end
  local backends, said, list = require "backends", {}, {}
  for _, step in ipairs { "page", "notify" } do
    for _, it in ipairs(backends.of(step)) do
      local problem = it.backend.address and way_out.try(it.backend.address(it.settings))
      if problem and not said[problem] then said[problem], list[#list + 1] = true, problem end
    end
  end
  return #list > 0 and ("; PAGES MAY NOT GET OUT: %s%s"):format(table.concat(list, "; "), run.config.contacts
    and backends.contacts() or "") or ""
end

return way_out
