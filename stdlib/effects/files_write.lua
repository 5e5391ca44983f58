-- files.write: replaces a file as a whole, or makes it.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local remote = require "effects.files_remote"
local sends = require "sends"
local values = require "values"

-- Text that a runbook may write, in bytes: what is longer belongs into a file beside it.
local WRITE_MAX = 1 << 20
-- The longest that a look at what is there may take, in seconds.
local LOOK_TIMEOUT = 10

-- raw.files, or the same on another machine.
local function there() return machine.is_away() and remote or files end

local function text_of(path)
  local now = there().read { path = path, max = WRITE_MAX + 1, timeout = LOOK_TIMEOUT }
  return now and now.text
end

-- What is there now: pinned, so that a file somebody changed meanwhile isn't overwritten unseen.
local function preview(call)
  local now, err = there().stat(call.path)
  if not now then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  local new = duration.size_text(#call.text)
  if now.state == "absent" then
    return { text = ("makes %s, %s"):format(call.path, new), size = 1, now = now }
  elseif now.state ~= "file" then
    local why = ("%s is a %s, not a regular file"):format(call.path, now.state)
    return { text = why, size = 0, impossible = why }
  end
  local old = text_of(call.path)
  if old == call.text then
    return { text = ("changes nothing: %s holds this text already"):format(call.path), size = 1, now = now,
             sends = {} }
  end
  return { text = ("replaces %s, %s, changed %s, by %s"):format(call.path, duration.size_text(now.bytes),
    machine.ago(now.modified), new), size = 1, now = now, sends = old and sends.diff(old, call.text) }
end

local function unchanged(before, now)
  return before.state == now.state and before.bytes == now.bytes and before.modified == now.modified
end

local function write(call, plan)
  local before = plan and plan.now
  if before then
    local now, err = there().stat(call.path)
    if not now then return nil, err end
    if not unchanged(before, now) then
      return outcome.failed("io", "%s was changed since the plan was made: it was left as it is", call.path)
    end
  end
  local asked = { path = call.path, text = call.text, mode = call.mode and tonumber(call.mode, 8), timeout = call.timeout }
  if not machine.is_away() then return files.write(asked) end
  if not before then
    local err
    before, err = remote.stat(call.path)
    if not before then return nil, err end
  end
  asked.before = before
  return remote.write(asked)
end

-- tee keeps the permissions that are there; install sets them.
local function by_hand(call)
  if call.mode then return { "install", "-m", call.mode, "--", "/dev/stdin", call.path, stdin = call.text } end
  return { "tee", "--", call.path, stdin = call.text, quiet = true }
end

local function check(call)
  call.path = machine.path("files.write", "argument 1 (path)", call.path)
  if type(call.text) == "string" and #call.text > WRITE_MAX then
    blame.raise("files.write: argument 2 (text): at most %s", duration.size_text(WRITE_MAX))
  end
  if call.mode and not values.is_placeholder(call.mode) and not call.mode:find "^0?[0-7][0-7][0-7]$" then
    blame.raise("files.write: option 'mode': three octal digits like \"0644\" expected, got %q", call.mode)
  end
end

machine.effect("files.write", {
  summary = "Writes a regular file as a whole: a new one, synced, takes its place; links are not followed",
  class = "write",
  params = { { "path", "string", "From the root" },
             { "text", "string", "Its new text, at most 1 MB", binary = true,
               show = function() return nil end } },
  options = { mode = { "string", nil, "Permissions in octal; else as they were, 0644 for a new file" } },
  result = { bytes = "integer: its size now" },
  check = check,
  run = write,
  command = by_hand,
  sends = function(call) return sends.split(call.text, "+") end,
  target = function(call) return tostring(call.path) end,
  intends = function(call)
    return ("writes %s%s"):format(tostring(call.path), type(call.text) == "string" and ", " .. duration.size_text(#call.text) or "")
  end,
  preview = preview,
  evidence = function(save, call, plan)
    local now = plan and plan.now
    if now and now.state == "file" then save("files.read", call.path, { on = call.on, keep = "tail" }) end
  end,
  would = function(call) return { bytes = type(call.text) == "string" and #call.text or nil } end,
  verify = function(call) return text_of(call.path) == call.text end,
  specimen = function(call) return { bytes = call and type(call.text) == "string" and #call.text or 0 } end,
  sum_up = function(it) return duration.size_text(it.bytes) .. " written" end,
})
