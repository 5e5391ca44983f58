-- escalation: would those be told who must be? Nobody is, but with --page.
-- Slack says who a token is and what it may; PagerDuty and webhooks
-- have no way to be tried without telling somebody, so their addresses are asked for, and a key's shape is looked at.
local backends = require "backends"
local look = require "doctor.look"
local run = require "run"
local values = require "values"
local way_out = require "way_out"

-- Step → the config's entry that serves it.
local entries = { page = "pager", notify = "chat", channel = "chat", incident = "incident" }
local order = { "page", "notify", "channel", "incident" }

-- Of a user's token the scope has another name.
local also = { ["channels:manage"] = "channels:write" }

local function lacking(step_needs, scopes)
  local has, list = {}, {}
  for scope in scopes:gmatch "[^,%s]+" do has[scope] = true end
  for _, scope in ipairs(step_needs) do if not has[scope] and not has[also[scope]] then list[#list + 1] = scope end end
  return list
end

local tries = {}

function tries.slack(what, it, steps)
  local answer, err = it.backend.check(it.settings)
  if not answer then
    local rejected = err.kind == "rejected"
    return { what = what, state = rejected and "stops" or look.state(err.kind == "busy" and "limit" or err.kind),
             text = "Slack: " .. err.message, mend = "give a token that auth.test takes" }
  end
  local text = ("Slack: %s in %s"):format(answer.user or "a token of nobody named", answer.team or "no named workspace")
  if not answer.scopes then
    return { what = what, state = "ok", text = text .. "; its scopes are not told" }
  end
  local list = {}
  for _, step in ipairs(steps) do
    for _, scope in ipairs(lacking(it.backend.needs[step] or {}, answer.scopes)) do list[#list + 1] = scope end
  end
  if #list == 0 then return { what = what, state = "ok", text = text } end
  return { what = what, state = "stops", text = ("%s lacks the scope %s"):format(text, table.concat(list, ", ")),
           mend = "add it to the Slack app, and install that anew" }
end

-- The origin alone is asked: what stands at a hook's path may take any request for a message.
local function address(what, it, name)
  local origin = look.origin(it.backend.address(it.settings))
  if not origin then
    return { what = what, state = "stops", text = name .. ": its url is no address", mend = look.mend "usage" }
  end
  local proxy = way_out.proxy(origin)
  local problem = proxy and way_out.try(origin)
  if problem then
    return { what = what, state = "stops", text = ("%s: %s"):format(name, problem), mend = "put proxy right in the config" }
  end
  if proxy then
    return { what = what, state = "ok", text = ("%s: %s, through the proxy %s"):format(name, origin, way_out.name(proxy)) }
  end
  local row = look.address(what, origin)
  row.text = name .. ": " .. row.text
  return row
end

-- Without it no page is held back: who took one in the pager goes on being told.
local function read_token(it)
  local what = "pager, its read token"
  local known, err = it.backend.check_token(it.settings)
  if known then return { what = what, state = "ok", text = "PagerDuty: incidents can be read" } end
  return { what = what, state = "warning", mend = "give read_token a key of the REST API that may read incidents",
           text = "PagerDuty: an acknowledgement made in the pager would not be seen: " .. err.message }
end

function tries.pagerduty(what, it)
  local row = address(what, it, "PagerDuty")
  if row.state == "ok" then row.text = row.text .. "; the key has the right shape, only a page would prove it" end
  return row, it.settings.read_token and read_token(it)
end

function tries.webhook(what, it) return address(what, it, "webhook") end

------------------------------------------------------------------- For real --

local MARK = "TEST, nobody has to do anything: "

local function sent(what, name, fields, err)
  if fields then return { what = what, state = "ok", text = ("%s took it (%s)"):format(name, fields.answer or "delivered") } end
  return { what = what, state = "stops", text = ("%s did not take it: %s"):format(name, err.message),
           mend = "put " .. what:match "^%l+" .. " right in the config" }
end

-- A page and its end: who is on call sees both.
local function send_page(it)
  local key = ("runbook/doctor/%s/%d"):format(run.id or "x", it.instance)
  local args = { summary = MARK .. "runbook doctor tries the pager", severity = "info", source = "runbook doctor" }
  local rows = { sent("pager, a test page", it.name, it.backend.page(it.settings, args, key)) }
  if rows[1].state == "ok" and it.backend.resolve then
    rows[2] = sent("pager, its end", it.name, it.backend.resolve(it.settings, key))
  end
  return rows
end

-- Where the levels tell somebody; of a place that only a real run knows nothing is tried.
local function send_messages(it, asked)
  local rows, known = {}, {}
  for _, one in ipairs(look.of(asked, "escalate")) do
    local to = one.act.entry.verb == "notify" and one.act.call.to
    if type(to) == "string" and not known[to] then
      known[to] = true
      local text = MARK .. "runbook doctor tries the chat"
      local key = ("runbook/doctor/%s/%s"):format(run.id or "x", to)
      local fields, err = it.backend.notify(it.settings, { to = to, text = text }, key)
      rows[#rows + 1] = sent("chat, a test message to " .. to, it.name, fields, err)
    end
  end
  return rows
end

------------------------------------------------------------------------ Rows --

local function not_configured(what, steps)
  local told = { page = "a page", notify = "a message", channel = "a channel", incident = "an incident" }
  local list = {}
  for i, step in ipairs(steps) do list[i] = told[step] end
  return { what = what, state = "warning",
           text = ("none is configured: %s would not be delivered%s"):format(table.concat(list, ", "), backends.contacts()),
           mend = ("%s = { … } in the config"):format(what) }
end

-- The backends of an entry's steps, each once, as backends.of gives them.
local function backends_of(steps)
  local list, by_name = {}, {}
  for _, step in ipairs(steps) do
    for _, it in ipairs(backends.of(step)) do
      if not by_name[it.name] then by_name[it.name], list[#list + 1] = it, it end
    end
  end
  return list
end

local function is_known(settings)
  for _, value in pairs(settings) do if values.is_placeholder(value) then return false end end
  return true
end

local function look_at(what, steps)
  if not run.config[what] then return { not_configured(what, steps) } end
  local ok, list = pcall(backends_of, steps)
  if not ok then
    return { { what = what, state = "stops", text = type(list) == "table" and list.usage or tostring(list),
               mend = ("put %s right in the config"):format(what) } }
  end
  if #list == 0 then
    return { { what = what, state = "warning", text = ("what is configured serves no %s"):format(table.concat(steps, ", ")) } }
  end
  local rows = {}
  for _, it in ipairs(list) do
    if is_known(it.settings) then
      for _, row in ipairs { tries[it.name](what, it, steps) } do rows[#rows + 1] = row or nil end
    end
  end
  return rows
end

-- What can't be had is told by the rows of the entry itself.
local function send_for_real(asked, check)
  for _, it in ipairs { { "page", send_page }, { "notify", send_messages } } do
    local ok, list = pcall(backends.of, it[1])
    for _, one in ipairs(ok and list or {}) do
      if is_known(one.settings) then check(entries[it[1]] .. ", for real", function() return it[2](one, asked) end) end
    end
  end
end

-- A page is always prepared; the other steps count when a level takes them.
return function(asked, check)
  local used = { page = true }
  for _, it in ipairs(look.of(asked, "escalate")) do used[it.act.entry.verb] = true end
  local steps = {}
  for _, step in ipairs(order) do if used[step] then steps[#steps + 1] = step end end
  for _, group in ipairs(look.groups(steps, function(step) return entries[step] end)) do
    check(group.key, function() return look_at(group.key, group) end)
  end
  if run.options.page then send_for_real(asked, check) end
end
