-- machine: each machine that effects act on. The others: does ssh get in, does sudo work where changes need it, are the
-- programs there? This one: are the programs there, and may it be changed?
local doctor_mode = require "modes.doctor"
local look = require "doctor.look"
local machine = require "effects.machine"
local settings = require "settings"

-- Names the programs that a shell doesn't find.
local FIND = 'for p do command -v -- "$p" >/dev/null 2>&1 || printf "%s\\n" "$p"; done'

local function programs_of(uses)
  local list, seen = {}, {}
  local function add(name)
    if type(name) == "string" and not seen[name] then seen[name], list[#list + 1] = true, name end
  end
  for _, it in ipairs(uses) do
    local entry = it.act.entry
    if entry.family == "service" then add(entry.verb == "logs" and "journalctl" or "systemctl") end
    if entry.family == "exec" then add(it.act.call.argv[1]) end
  end
  return list
end

local function missing_row(what, missing)
  return { what = what, state = "stops", text = "not there: " .. table.concat(missing, ", "),
           mend = "install what is missing, or say on = \"MACHINE\" where it is" }
end

-- Rows of what the shell said about the programs: one alone when it could not be asked.
local function find_programs(what, on, uses, well)
  local programs = programs_of(uses)
  local it = look.ask("exec", { "sh", "-c", FIND, "sh", table.unpack(programs) }, { on = on, reads = true })
  if not look.is_well(it) then return { look.row(what, it) }, false end
  local missing = {}
  for name in it.stdout:gmatch "[^\n]+" do missing[#missing + 1] = name end
  local parts = { well }
  if #programs > 0 and #missing == 0 then parts[#parts + 1] = "has " .. look.some(programs, 6) end
  local rows = {}
  if #parts > 0 then rows[1] = { what = what, state = "ok", text = table.concat(parts, ", ") } end
  if #missing > 0 then rows[#rows + 1] = missing_row(what, missing) end
  return rows, true
end

local function needs_sudo(on, uses)
  local wanted = settings.machines[on] and settings.machines[on].sudo
  for _, it in ipairs(uses) do if wanted and (look.is_change(it) or it.act.entry.as_root) then return true end end
  return false
end

-- A user who may run some programs only is not let run this one, which proves nothing.
local function sudo(what, on)
  local it = look.ask("exec", { "sudo", "-n", "true" }, { on = on, reads = true })
  if look.is_well(it) then return { what = what, state = "ok", text = "sudo works" } end
  if it.error then return look.row(what, it, { mend = "install sudo there, or say sudo = false in the config" }) end
  if it.stderr:find("not allowed to execute", 1, true) then
    return { what = what, state = "warning", text = "sudo is allowed for some programs only; which is not known" }
  end
  return { what = what, state = "stops", text = it.why, mend = "allow sudo there without a password (NOPASSWD)" }
end

local function look_there(on, uses)
  if doctor_mode.is_nowhere(uses[1].act) then
    return { { what = on, state = "stops", text = "the config's machines hold no such name",
               mend = ("machines = { %s = { ssh = … } } in the config"):format(on) } }
  end
  local what = ("%s (%s)"):format(on, settings.machines[on].ssh)
  local rows, reached = find_programs(what, on, uses, "ssh works")
  if reached and needs_sudo(on, uses) then rows[#rows + 1] = sudo(what, on) end
  return rows
end

local function may_change(what, uses)
  local lines = {}
  for _, it in ipairs(uses) do if look.is_change(it) then lines[#lines + 1] = it.act.line end end
  if #lines == 0 then return nil end
  if doctor_mode.here then return { what = what, state = "ok", text = "may be changed" } end
  return { what = what, state = "warning", text = "remedies change it, which nobody allowed: " .. look.some(lines, 3),
           mend = "run with --here, or say here = true in the environment, or name the machine that is meant: else a run asks for "
             .. "its name at the remedy, and without a terminal it is suspended there" }
end

local function look_here(uses)
  local what = ("%s (this machine)"):format(machine.own_name())
  local rows = {}
  if #programs_of(uses) > 0 then rows = find_programs(what, "", uses) end
  rows[#rows + 1] = may_change(what, uses)
  return rows
end

return function(asked, check)
  local by_machine = look.groups(asked, function(it)
    if not it.act.entry.options.on then return nil end
    return machine.is_here(it.act.call.on) and "" or it.act.call.on
  end)
  for _, uses in ipairs(by_machine) do
    local on = uses.key
    check(machine.name(on), function() return on == "" and look_here(uses) or look_there(on, uses) end, uses)
  end
end
