-- redis: for each server who answers, and whether its access list lets our user send the runbook's own commands: asked by
-- ACL DRYRUN, which carries nothing out (Redis 7). Not everybody may ask that.
local look = require "doctor.look"
local raw_text = require "raw.text"
local redis_server = require "effects.redis_server"

-- The words that an effect sends; what only a run knows stands there by its name.
local function words_of(it)
  local entry, call = it.act.entry, it.act.call
  if entry.verb == "ping" then return { "PING" } end
  if entry.verb == "info" then return { "INFO", call.section } end
  local words = {}
  for i, word in ipairs(call.words) do words[i] = tostring(word) end
  return words
end

-- Of a key that only a run knows the access list says nothing.
local function is_refusal(it, said) return said ~= "OK" and (not it.open or said:find "to run the" ~= nil) end

local function shown(words) return raw_text.clip(table.concat(words, " "), 60) end

local function not_known(what, why)
  return { what = what, state = "warning", text = "what its access list allows is not known: " .. why }
end

-- The commands that the server says we may not send, in words; nil and why it can't be known.
local function refused(url, user, uses)
  local list = {}
  for _, it in ipairs(uses) do
    local words = words_of(it)
    local answer = look.ask("redis.command", url, "ACL", "DRYRUN", user, table.unpack(words))
    if not look.is_well(answer) then return nil, look.why(answer) end
    if is_refusal(it, tostring(answer.value)) then list[#list + 1] = shown(words) end
  end
  return list
end

local function access(what, url, uses)
  local me = look.ask("redis.command", url, "ACL", "WHOAMI")
  if not look.is_well(me) then return not_known(what, look.why(me)) end
  local list, why = refused(url, me.value, uses)
  if not list then return not_known(what, why) end
  if #list == 0 then return { what = what, state = "ok", text = ("user %s may send all of it"):format(me.value) } end
  return { what = what, state = "stops", text = ("user %s may not send %s"):format(me.value, look.some(list, 3)),
           mend = ("ACL SETUSER %s +%s"):format(me.value, list[1]:match("^%S+"):lower()) }
end

local function look_at(what, url, uses)
  local answer = look.ask("redis.ping", url)
  if not look.is_well(answer) then
    local refused_us = answer.error and answer.error.kind == "login"
    return { look.row(what, answer, { mend = refused_us and "put user and password right: redis://USER:PASSWORD@…" }) }
  end
  local info = look.ask("redis.info", url, "server")
  local text = look.is_well(info) and (redis_server.product(info.fields) or "Redis") .. " answers" or "it answers"
  return { { what = what, state = "ok", text = text }, access(what, url, uses) }
end

return function(asked, check)
  local by_url = look.groups(look.of(asked, "redis"), function(it) return look.known(it.act.call.url) end)
  for _, uses in ipairs(by_url) do
    local url = uses[1].act.call.url
    local place = redis_server.place(url)
    local what = place and place.name or tostring(redis_server.shown(url))
    check(what, function() return look_at(what, url, uses) end, uses)
  end
end
