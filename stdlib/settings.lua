-- What the config and the command line settled for this run; filled by stdlib/config.lua before a script's first line and
-- read by effects. Absent settings have the defaults below.
return {
  docker = {},        -- { host = "unix:///var/run/docker.sock" | "tcp://…", ca=, cert=, key=, shell = variables of DOCKER_… }
  kubectl = {},       -- { context=, namespace=, server= }
  compose = {},       -- { project =, profiles = } of the shell's COMPOSE_PROJECT_NAME, COMPOSE_PROFILES
  hosts = {},         -- rehearsals: { ["api.conduit.im"] = "127.0.0.1:8080" }
  machines = {},      -- { name = { ssh=, sudo=, config= } }
  any_machine = nil,  -- whether every name is a machine, as in scenarios
  close_machines = nil, -- function: ends the connections to machines; there once one was begun
  ssh_agent = nil,    -- where the operator's ssh agent listens
  readers = {},       -- { { "program", "word" }, … }
  prometheus = {},    -- { url = }
  redis = {},         -- { ca=, cert=, key= }: files for rediss://
  shared_dir = nil,   -- where several people freeze and thaw for each other
  ca = nil, proxy = nil, no_proxy = nil, -- of the config; see way_out.lua
  here = false,       -- whether writes to this machine are allowed
  host_name = nil,    -- this machine's name; found out when nil
  environment = {},   -- the part of our own environment that children get: PATH HOME LANG TZ
}
