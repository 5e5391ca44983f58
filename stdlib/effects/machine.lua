-- Which machine an effect acts on: this one, or with `on = "NAME"` one of the config, over ssh (effects/ssh.lua).
-- Families that act on machines (sysinfo, service, files, exec) register through machine.effect, so that place,
-- permissions and by-hand commands are settled here once. While such an effect runs, machine.run is on its machine;
-- what looks at this machine without it (raw.sys, raw.files) has a second way for the others.
local blame = require "blame"
local byhand = require "byhand"
local catalogue = require "catalogue"
local process = require "raw.process"
local settings = require "settings"
local ssh = require "effects.ssh"
local sys = require "raw.sys"
local tasks = require "tasks"
local text = require "raw.text"
local values = require "values"

local machine = {}

-- Kept of each output stream of a child, in bytes.
machine.OUTPUT_MAX = 1 << 20
-- Columns of a child's line that stand in a message.
machine.LINE_MAX = 200

local found_name

-- This machine's name, which stands in its effects' lines.
function machine.own_name()
  found_name = found_name or settings.host_name or sys.hostname() or "localhost"
  return settings.host_name or found_name
end

-- Whether `on` means this machine; a machine of the config goes before our own name.
function machine.is_here(on)
  if on == nil or on == "" then return true end
  return not settings.machines[on] and on == machine.own_name()
end

function machine.name(on) return machine.is_here(on) and machine.own_name() or tostring(on) end

-- A scenario has no config: with settings.any_machine every name is one.
local function check_name(effect, on)
  if values.is_placeholder(on) then
    blame.raise("%s: option 'on': the machine must be known before the run", effect)
  end
  if machine.is_here(on) or settings.machines[on] or settings.any_machine then return end
  blame.raise("%s: option 'on': the config's machines hold no '%s'%s", effect, on,
    blame.hint(on, values.keys(settings.machines)))
end

local changes = { write = true, destructive = true }

-- The same by hand: the words as they are here, over ssh elsewhere, whose shell has none of our variables.
local function by_hand(on, words, sudo)
  if machine.is_here(on) or not words then return words end
  for _, word in ipairs(words) do
    if values.is_secret(word) then return nil, "a secret goes along, which no word of a command may be" end
  end
  local line, there, destination = byhand.words(words), ssh.words(on)
  if words.quiet then line = line .. " >/dev/null" end
  there[#there + 1], there[#there + 2] = destination, sudo and "sudo -n " .. line or line
  there.stdin = words.stdin
  return there
end

local function class_of(entry, call)
  return type(entry.class) == "function" and entry.class(call) or entry.class
end

-- What a change of this machine must be allowed by, or nil: the operator's own laptop is rarely what a runbook
-- means. { name = what is typed to allow it, why = }
local function permission(entry, call)
  if settings.here or not machine.is_here(call.on) or not changes[class_of(entry, call)] then return nil end
  local allow = "allow that with --here, or with here = true in the environment"
  return { name = machine.own_name(), why = ("it changes this machine, %s: %s"):format(machine.own_name(), allow) }
end

-- Whether sudo goes in front: where the script says so, and where the config wants it, for changes and for what is mostly
-- root's to read.
local function needs_sudo(entry, call)
  local there = settings.machines[call.on]
  return call.sudo or there and there.sudo and (entry.as_root or changes[class_of(entry, call)]) or false
end

-- `f` here, `away` elsewhere, with the machine for machine.run. `acts`: it is the effect itself, not a look
-- before or after.
local function placed(entry, f, away, acts)
  return function(call, plan)
    if machine.is_here(call.on) then return f(call, plan) end
    local there = { name = call.on, sudo = needs_sudo(entry, call), changes = acts and changes[class_of(entry, call)] }
    return tasks.within({ machine = there }, away or f, call, plan)
  end
end

-- Arguments that only the run will know leave nothing to look at.
local function known_only(preview)
  return function(call)
    for name, value in pairs(call) do
      if values.is_placeholder(value) then
        return { text = ("its %s, %s, is known only in the run"):format(name, tostring(value)), size = 1 }
      end
    end
    return preview(call)
  end
end

-- catalogue.effect for an effect on a machine: adds the option `on` and all that follows from it. Further
-- fields: `away` stands in for run on other machines; without it run reaches the world by machine.run alone.
-- `as_root`: a read that sudo goes in front of too.
function machine.effect(name, entry)
  local check, command = entry.check, entry.command
  entry.options = entry.options or {}
  entry.options.on = { "string", "", "A machine of the config; empty: this one" }
  entry.place = function(call) return machine.name(call.on) end
  entry.permission = function(call) return permission(entry, call) end
  entry.check = function(call)
    check_name(name, call.on)
    if check then check(call) end
  end
  entry.command = function(call)
    local words, why = command(call)
    if not words then return nil, why end
    return by_hand(call.on, words, needs_sudo(entry, call))
  end
  entry.run = placed(entry, entry.run, entry.away, true)
  if entry.preview then entry.preview = known_only(placed(entry, entry.preview)) end
  if entry.verify then entry.verify = placed(entry, entry.verify) end
  return catalogue.effect(name, entry)
end

-- Whether the running effect acts on another machine.
function machine.is_away() return tasks.context().machine ~= nil end

-- Runs a child on the running effect's machine: here in the environment that children get, elsewhere in the
-- login's, with `spec.env` laid over it, and `spec.reading`: what makes output readable, never a secret;
-- `spec.sudo` = false: without sudo in any case. As raw.process.run.
function machine.run(spec)
  local there = tasks.context().machine
  local max_output = spec.max_output or machine.OUTPUT_MAX
  if there then
    return ssh.run(there.name, { argv = spec.argv, env = spec.env, reading = spec.reading, cwd = spec.cwd,
                                 stdin = spec.stdin, timeout = spec.timeout, keep = spec.keep,
                                 max_output = max_output, scan = spec.scan, changes = there.changes,
                                 sudo = there.sudo and spec.sudo ~= false })
  end
  local env = values.copy_shallow(settings.environment)
  for name, value in pairs(spec.reading or {}) do env[name] = value end
  for name, value in pairs(spec.env or {}) do env[name] = value end
  return process.run { argv = spec.argv, env = env, cwd = spec.cwd, stdin = spec.stdin, timeout = spec.timeout,
                       keep = spec.keep, max_output = max_output, scan = spec.scan }
end

-- The first line of a child's text that says something, for messages; cut.
function machine.first_line(output)
  return text.truncate((output or ""):match "[^\r\n]*%S[^\r\n]*" or "", machine.LINE_MAX)
end

local units = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } }

-- Seconds in words, of their largest unit: "3 days".
function machine.span(seconds)
  for _, unit in ipairs(units) do
    local count = seconds // unit[1]
    if count >= 1 then return ("%d %s%s"):format(count, unit[2], count == 1 and "" or "s") end
  end
  return "less than a second"
end

-- A time in the past in words: "3 days ago".
function machine.ago(at) return machine.span(math.max(0, tasks.wall() - at)) .. " ago" end

-- Checks a path from the root without `..`, and returns it without needless slashes and dots.
function machine.path(effect, what, path)
  if values.is_placeholder(path) then return path end
  if path:sub(1, 1) ~= "/" then
    blame.raise("%s: %s: a path from the root expected, got %q", effect, what, path)
  end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      blame.raise("%s: %s: '..' is refused: write where it leads (%s)", effect, what, path)
    end
    if part ~= "." then parts[#parts + 1] = part end
  end
  return "/" .. table.concat(parts, "/")
end

return machine
