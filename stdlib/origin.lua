-- Who started this run, where and how: whoever is woken looks for them there.
local origin = {}

-- The name of this machine. Scenarios play on one called "here".
function origin.host(options)
  return options.scenario and "here" or require("settings").host_name or require("raw.sys").hostname() or "this machine"
end

-- "root (sudo by ada)". Of the environment: a directory service that is down must not hold up the start.
function origin.user(getenv, uid)
  local user = getenv "USER" or getenv "LOGNAME" or uid == 0 and "root" or ("uid %d"):format(uid)
  local by = getenv "SUDO_USER"
  return by and by ~= user and ("%s (sudo by %s)"):format(user, by) or user
end

-- The words of the command line, -p's without their values: a secret could stand there before anybody knows that it is one.
-- What parameters there are is told by events of their own.
function origin.command_line(words)
  local list = { "runbook" }
  for i = 2, #words do
    local of_param = words[i - 1] == "-p" or words[i - 1] == "--param"
    local name = words[i]:match(of_param and "^([%w_]+=)" or "^(%-p[%w_]+=)") or words[i]:match "^(%-%-param=[%w_]+=)"
    list[i] = name and name .. "…" or words[i]
  end
  return list
end

return origin
