-- An unresolved end saves what the next person needs before it is gone: logs, inspect, sessions of what the failed looks looked
-- at and of what the remedies would have touched. Within evidence.lua's caps, and within seconds: the page is out already.
local aftermath = {}

-- All of it is looked at within so many seconds.
aftermath.SECONDS = 10
-- Acts of one look, and of a run, that are remembered.
local ACTS_MAX = 50
-- Of a list so many members in trouble are saved.
local MEMBERS_MAX = 5

local looks = {}   -- instance of a probe → { acts =, wrong = } of its present look
local failed = {}  -- the same of its last look that found something wrong or broke off
local planned = {} -- writes of plans that say what they would destroy

-------------------------------------------------------------- What was seen --

local function instance_of(fields) return (fields.probe or "") .. "\0" .. tostring(fields.args or fields.probe_args or "") end

local function remember(list, it) if #list < ACTS_MAX then list[#list + 1] = it end end

-- A read of a script's, with its result's fields.
function aftermath.read(act, fields)
  local look = looks[instance_of(act)]
  if look then remember(look.acts, { act = act, fields = fields }) end
end

-- A write of a plan.
function aftermath.planned(act) if act.entry.evidence then remember(planned, act) end end

local on = {}

on["probe.started"] = function(fields) looks[instance_of(fields)] = { acts = {} } end

function on.check(fields)
  local look = looks[instance_of(fields)]
  if look and not fields.passed then look.wrong = true end
end

on["probe.ended"] = function(fields)
  local instance = instance_of(fields)
  local look = looks[instance]
  looks[instance] = nil
  failed[instance] = look and (look.wrong or fields.state == "unknown") and look.acts or nil
end

-- What was saved before its write was made needs not be saved again.
function on.evidence(fields)
  for i = #planned, 1, -1 do if planned[i].line == fields.line then table.remove(planned, i) end end
end

function aftermath.hear(name, fields) if on[name] then on[name](fields) end end

------------------------------------------------------------- What tells more --

-- Family → what beside a read's own result, which the journal has, tells why it looks as it does.
local more = {}

function more.docker(save, call)
  if call.container then require("effects.docker_change").evidence(save, call) end
end

function more.service(save, call)
  save("service.status", call.unit, { on = call.on })
  save("service.logs", call.unit, { on = call.on, tail = 1000 })
end

function more.sql(save, call) if call.dsn then save("sql.activity", call.dsn) end end
function more.redis(save, call) if call.url then save("redis.info", call.url) end end

-- Of many those in trouble.
function more.kubectl(save, call, fields)
  local write, count = require "effects.kubectl_write", 0
  local name = call.name or call.pod
  if name then return write.evidence(save, { kind = call.kind or "pod", name = name, namespace = call.namespace }) end
  for _, item in ipairs(fields and fields.items or {}) do
    if not item.ready and count < MEMBERS_MAX and call.kind then
      count = count + 1
      write.evidence(save, { kind = call.kind, name = item.name, namespace = item.namespace or call.namespace })
    end
  end
end

local function jobs()
  local list = {}
  for _, act in ipairs(planned) do
    list[#list + 1] = function(save) act.entry.evidence(save, act.call, act.preview) end
  end
  local values = require "values"
  for _, instance in ipairs(values.keys(failed)) do
    for _, it in ipairs(failed[instance]) do
      local tells_more = more[it.act.entry.name:match "^%l+"]
      if tells_more then list[#list + 1] = function(save) tells_more(save, it.act.call, it.fields) end end
    end
  end
  return list
end

-- Saves it at the end of a run that did not help.
function aftermath.collect(it)
  if it.outcome ~= "unresolved" and it.outcome ~= "failed" then return end
  local list = jobs()
  if #list > 0 then require("evidence").gather(list, aftermath.SECONDS) end
end

return aftermath
