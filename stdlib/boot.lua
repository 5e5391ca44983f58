-- The program's entry from C: one function per command.
local boot = {}

local commands = { run = "commands.run", _escalate = "commands.escalate", _deliver = "commands.escalate",
                   _rehearse = "commands.escalate",
                   effects = "commands.effects", ack = "commands.inbox", abort = "commands.inbox",
                   verify = "commands.verify", test = "commands.test", check = "commands.check", list = "commands.list",
                   explore = "commands.explore", mutate = "commands.mutate", doc = "commands.doc", coverage = "commands.coverage",
                   init = "commands.init",
                   runs = "commands.runs", show = "commands.show", approve = "commands.reply",
                   deny = "commands.reply", answer = "commands.reply", note = "commands.reply",
                   freeze = "commands.freeze", thaw = "commands.freeze",
                   audit = "commands.run", resume = "commands.run",
                   doctor = "commands.run", trust = "commands.trust",
                   completion = "commands.completion", _complete = "commands.complete" }

-- `host`: what only C knows: { commands =, getenv =, program =, libdir =, folder =, version =, command_line =, uid =,
-- secrets = }. Returns the exit code.
function boot.main(command, arguments, options, host)
  collectgarbage "stop" -- what is loaded now stays
  local carry_out = require(commands[command])
  collectgarbage "restart"
  local ok, result = xpcall(carry_out, function(err) return require("defect").traced(err) end, arguments, options, host, command)
  if ok then return result end
  return require("defect").tell(result, host)
end

return boot
