-- docker: the engine, by whatever way the config or the environment names. What it holds is told by the plans.
local look = require "doctor.look"

local advice = {
  missing = "start Docker, or say where its engine is: docker.host in the config, or DOCKER_HOST",
  permission = "sudo usermod -aG docker USER, then log in again",
}

return function(asked, check)
  local uses = look.of(asked, "docker", "compose")
  if #uses == 0 then return end
  check("engine", function()
    local it = look.ask "docker.version"
    return { look.row("engine", it, { mend = it.error and advice[it.error.kind],
      text = look.is_well(it) and ("%s, API %s at %s"):format(it.version, it.api, it.host) }) }
  end, uses)
end
