-- compose: one of the two programs that understand a Compose file.
local look = require "doctor.look"

return function(asked, check)
  local used = look.of(asked, "compose")
  if #used == 0 then return end
  check("program", function()
    local words, version = require("effects.compose").program(used[1].act.call)
    if not words then
      return { { what = "program", state = "stops", text = version.message,
                 mend = "install docker-compose, or Docker's compose plugin" } }
    end
    return { { what = "program", state = "ok", text = ("%s %s"):format(table.concat(words, " "), version or "") } }
  end, used)
end
