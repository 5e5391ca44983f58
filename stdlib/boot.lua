-- The program's entry from C: one function per command.
local boot = {}

local commands = { run = "commands.run", _escalate = "commands.escalate", _deliver = "commands.escalate",
                   effects = "commands.effects", ack = "commands.inbox", abort = "commands.inbox" }

-- `host`: what only C knows: { getenv =, program =, libdir =, folder =, version =, secrets = }. Returns the exit code.
function boot.main(command, arguments, options, host)
  return require(commands[command])(arguments, options, host, command)
end

return boot
