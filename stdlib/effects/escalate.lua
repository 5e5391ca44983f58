-- escalate: telling people. Each step has a key derived from run and place, waits on disk until it is delivered, and is
-- reported as not delivered when there is nobody to tell.
local backends = require "backends"
local catalogue = require "catalogue"
local foreign = require "foreign"
local run = require "run"
local tasks = require "tasks"

local fields = { id = "string: the service's own name for it", url = "string: where it can be seen",
                 delivered = "boolean: whether the service took it",
                 answer = "string: what it answered" }

-- The same on a repetition, different for two steps of one level.
local counters = {}
local function step_key(step)
  local level = tasks.context().level or 0
  if step == "page" and level > 0 then return backends.page_key(level) end
  local name = ("%d/%s"):format(level, step)
  counters[name] = (counters[name] or 0) + 1
  return ("runbook/%s/%s/%d"):format(run.id or "scenario", name, counters[name])
end

local function tell(step, args)
  local key, told = step_key(step), nil
  local outbox = require "outbox"
  for _, it in ipairs(backends.of(step)) do
    local one = outbox.deliver(it, step, args, key)
    if not told or one.delivered then told = one end
  end
  if not told then
    outbox.keep(step, args, key)
    return { ok = false, delivered = false, why = ("not delivered: no %s is configured%s"):format(
      step == "page" and "pager" or step == "incident" and "incident backend" or "chat", backends.contacts()) }
  end
  if not told.delivered then
    told.ok, told.why = false, ("not delivered yet: %s%s"):format(told.why, backends.contacts())
  end
  return told
end

-- What people are told has no line ends but in these.
local has_lines = { text = true, details = true }

-- Foreign bytes must not keep anybody from being told, nor speak in our name. A page also says what it stands in.
local function arguments(name, call)
  local args = { source = ("runbook %s on %s"):format(run.id or "", run.host) }
  for option, value in pairs(call) do
    if option ~= "timeout" then
      local flat = type(value) == "string" and not has_lines[option]
      args[option] = flat and foreign.line(value, foreign.TEXT_MAX) or foreign.fit(value)
    end
  end
  if name == "page" then args.details = require("situation").details(args.details) end
  return args
end

local function step(name, summary, options, by_hand)
  for _, option in pairs(options) do option.binary = option[1] == "string" end -- whatever bytes: nobody is silenced by one
  options.timeout = { "duration", "45s", "The longest it may take, retries included" }
  catalogue.effect("escalate." .. name, {
    summary = summary, class = "notify", options = options, result = fields,
    run = function(call) return tell(name, arguments(name, call)) end,
    command = by_hand,
    would = function() return { delivered = true } end,
    preview = function(call)
      backends.of(name) -- a rehearsal proves that every secret is at hand
      return { text = call.summary or call.text or call.topic or call.title, size = 1 }
    end,
    specimen = { id = name .. "-1", url = "https://example.com/" .. name .. "-1", delivered = true },
  })
end

step("page", "Pages the on-call engineer", {
  summary = { "string", nil, "What happened, in a sentence", required = true },
  severity = { "string", "critical", "How bad it is", one_of = { "critical", "error", "warning", "info" } },
  details = { "any", nil, "What was found" },
})
step("notify", "Tells somebody in chat", {
  to = { "string", nil, "The channel or person, as the chat names it", required = true, what = true },
  text = { "string", nil, "The message", required = true },
})
step("channel", "Creates the incident's channel", {
  name = { "string", nil, "Its name", required = true, what = true },
  topic = { "string", nil, "Its topic" },
  invite = { "strings", nil, "Users to invite, as the chat names them" },
})
step("incident", "Declares the incident", {
  title = { "string", nil, "Its title", required = true, what = true },
  severity = { "string", "critical", "How bad it is" },
  channel = { "any", nil, "The result of escalate.channel" },
  page = { "any", nil, "The result of escalate.page" },
})
