-- Slack's Web API (docs.slack.dev): a failure arrives as { ok = false, error = … } in a 200. Names of channels are taken for
-- ever; a name that carries the run's id and is taken was taken by our own earlier attempt.
local foreign = require "foreign"
local json = require "raw.json"
local post = require "backends.post"
local raw_text = require "raw.text"

local slack = { name = "slack", keys = { token = true, url = true, invite = true } }

local URL = "https://slack.com/api"
local TEXT_MAX = 12000       -- characters of a message; Slack cuts at 40,000
local CHANNEL_NAME_MAX = 80
local TOPIC_MAX = 250

-- Slack says that some aspect of the operation may have succeeded.
local perhaps = { request_timeout = true, fatal_error = true, internal_error = true, ratelimited = true,
                  rate_limited = true, service_unavailable = true }

-- Cut so that it fits when its &, < and > are escaped, which Slack reads as markup: one becomes five characters at most.
local function fit(text, max)
  local keep, over = max, 0
  repeat
    keep = keep - over
    local escaped = raw_text.slack(raw_text.clip(text, keep))
    over = (utf8.len(escaped) - max + 4) // 5
    if over <= 0 then return escaped end
  until keep <= over
  return ""
end

local function request(settings, method, body)
  return post.request("slack", (settings.url or URL) .. "/" .. method, { Authorization = "Bearer " .. settings.token }, body)
end

-- What Slack says in a reply: the decoded answer, or nil and { kind=, message= }.
local function read(reply)
  local answer = json.decode(reply.body)
  if type(answer) ~= "table" or type(answer.ok) ~= "boolean" then return post.not_its_own(reply, "Slack's") end
  if answer.ok then return answer end
  return nil, { kind = perhaps[answer.error] and "busy" or "rejected", error = answer.error,
                message = ("Slack says %s"):format(foreign.line(answer.error)) }
end

local function call(settings, method, body) return post.send(request(settings, method, body), read) end

-- args { to, text }; a link in it is not followed by Slack to show what is behind it.
function slack.notify_request(settings, args)
  return request(settings, "chat.postMessage", { channel = args.to, text = fit(args.text, TEXT_MAX), unfurl_links = false,
                                                 unfurl_media = false })
end

function slack.notify(settings, args)
  local answer, err = post.send(slack.notify_request(settings, args), read)
  return answer and { id = answer.ts, delivered = true, answer = "ok" }, err
end

local function clean_name(name)
  return (name:lower():gsub("[^%l%d_%-]", "-"):sub(1, CHANNEL_NAME_MAX))
end

-- Looks a channel up by name, page after page; nil when it isn't there.
local function find(settings, name)
  local cursor
  repeat
    local answer, err = call(settings, "conversations.list", { limit = 1000, exclude_archived = true, cursor = cursor })
    if not answer then return nil, err end
    for _, channel in ipairs(answer.channels or {}) do if channel.name == name then return channel end end
    cursor = answer.response_metadata and answer.response_metadata.next_cursor
  until not cursor or cursor == ""
  return nil, { kind = "rejected", message = ("the channel name %s is taken and the channel can't be seen"):format(name) }
end

-- args { name, topic, invite }: the channel exists afterwards; a taken name that is ours is found again.
function slack.channel(settings, args)
  local name = clean_name(args.name)
  local answer, err = call(settings, "conversations.create", { name = name, is_private = false })
  local channel = answer and answer.channel
  if not channel then
    if err.error ~= "name_taken" and err.kind ~= "busy" then return nil, err end
    local found, why = find(settings, name)
    if not found then return nil, err.error == "name_taken" and why or err end
    channel = found
  end
  if args.topic then call(settings, "conversations.setTopic", { channel = channel.id, topic = fit(args.topic, TOPIC_MAX) }) end
  local invited = args.invite or settings.invite
  if invited then call(settings, "conversations.invite", { channel = channel.id, users = table.concat(invited, ",") }) end
  return { id = channel.id, name = channel.name, url = ("https://slack.com/app_redirect?channel=%s"):format(channel.id),
           delivered = true, answer = "ok" }
end

-- Where messages go.
function slack.address(settings) return settings.url or URL end

-- What a step's calls need; of a user's token channels:manage is called channels:write.
slack.needs = { notify = { "chat:write" }, channel = { "channels:manage", "channels:read" } }

-- Preflight: who the token belongs to (user, team, url), and its `scopes` as Slack tells them, nil when it doesn't.
function slack.check(settings)
  return post.send(request(settings, "auth.test", {}), function(reply)
    local answer, err = read(reply)
    if answer then answer.scopes = reply.headers["x-oauth-scopes"] end
    return answer, err
  end)
end

return slack
