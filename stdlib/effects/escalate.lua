-- escalate: telling people. Each step has a key derived from run and place, waits on disk (stdlib/outbox.lua) until it is
-- delivered, and is reported as not delivered when there is nobody to tell.
local backends = require "backends"
local catalogue = require "catalogue"
local foreign = require "foreign"
local run = require "run"
local tasks = require "tasks"
local values = require "values"

local function outbox() return require "outbox" end

local fields = { queued = "string: in a level, where it waits on disk until the service took it",
                 id = "string: the service's own name for it", url = "string: where it can be seen",
                 delivered = "boolean: whether the service took it", answer = "string: what it answered" }

-- The same on a repetition, different for two steps of one level.
local counters = {}
local function step_key(step)
  local level = tasks.context().level or 0
  if step == "page" and level > 0 then return backends.page_key(level) end
  local name = ("%d/%s"):format(level, step)
  counters[name] = (counters[name] or 0) + 1
  return ("runbook/%s/%s/%d"):format(run.id or "scenario", name, counters[name])
end

local entry_names = { page = "pager", notify = "chat", channel = "chat", incident = "incident backend" }

local function nobody(step, args, key)
  outbox().keep(step, args, key)
  local none = backends.is_configured(step) and "what is configured serves no " .. step
    or ("no %s is configured"):format(entry_names[step])
  return { ok = false, delivered = false, why = ("not delivered: %s%s"):format(none, backends.contacts()) }
end

-- In a level all steps are written down before the first is tried; what a script wants to know of one, it waits for.
local function queue(step, args, key)
  local entries = outbox().queue(step, args, key)
  if #entries == 0 then return nobody(step, args, key) end
  return { queued = entries[1].name }
end

-- In a run it is tried at once; what nobody took yet is the watchdog's from here on.
local function tell(step, args, key)
  local entries, told = outbox().queue(step, args, key), nil
  if #entries == 0 then return nobody(step, args, key) end
  outbox().attempt(entries)
  for _, entry in ipairs(entries) do
    if not entry.done then require("arming").retry() end
    if entry.done and entry.done.delivered then told = told or entry.done end
  end
  if told then return values.copy(told) end
  local last = entries[1]
  return { ok = false, delivered = false, why = ("not delivered%s: %s%s"):format(last.done and "" or " yet",
    last.done and last.done.rejected or last.record.why, backends.contacts()) }
end

local function lazily(name, otherwise)
  return function(fields)
    local done = fields.queued and outbox().answer(fields.queued)
    if done then return done[name] end
    return otherwise
  end
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

-- A rehearsal proves that every secret is at hand, and that what would be sent can be made up of what is told.
local function try_out(name, call)
  local level = tasks.context().level
  if name == "notify" and level and type(call.to) == "string" then backends.meet(level, call.to) end
  for _, it in ipairs(backends.of(name)) do
    local build = it.backend[name .. "_request"]
    if build and not values.find_placeholder(call) then build(it.settings, arguments(name, call), "rehearsal") end
  end
end

local function step(name, summary, options, by_hand)
  for _, option in pairs(options) do option.binary = option[1] == "string" end -- whatever bytes: nobody is silenced by one
  options.timeout = { "duration", "45s", "The longest it may take" }
  catalogue.effect("escalate." .. name, {
    summary = summary, class = "notify", options = options, result = fields,
    lazy = { id = lazily "id", url = lazily "url", delivered = lazily("delivered", false),
             answer = lazily "answer" },
    run = function(call)
      local how = tasks.context().level and queue or tell
      return how(name, arguments(name, call), step_key(name))
    end,
    passed = function() step_key(name) end, -- a resumed run has told it before: what comes next has the next number
    command = by_hand,
    would = function() return { delivered = true } end,
    preview = function(call)
      try_out(name, call)
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
