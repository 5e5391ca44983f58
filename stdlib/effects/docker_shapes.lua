-- The shapes of the engine's answers, as far as they are looked into (the Engine API's reference, v1.41). Engines, proxies and
-- podman's imitation leave parts out, or null; a part of another type is no answer.
local shape = require "shape"

local shapes = {}

local function list(spec) return { list = spec } end
local function map(spec) return { map = spec } end
local function fields(spec) return { fields = spec } end

local health = fields { Status = "string" }
local inspect = fields {
  Id = "string", Name = "string", Created = "string", Image = "string", RestartCount = "number", Path = "string",
  State = fields { Status = "string", Running = "boolean", Restarting = "boolean", OOMKilled = "boolean", Pid = "number",
                   ExitCode = "number", Error = "string", StartedAt = "string", FinishedAt = "string", Health = health },
  Config = fields { Image = "string", Env = list "string", Labels = map "string", Tty = "boolean", ExposedPorts = map(map "string"),
                    WorkingDir = "string", Hostname = "string", Volumes = map(map "string") },
  HostConfig = fields { Memory = "number", NanoCpus = "number", CpuQuota = "number", CpuPeriod = "number", NetworkMode = "string",
                        RestartPolicy = fields { Name = "string" }, LogConfig = fields { Type = "string" }, Binds = list "string",
                        AutoRemove = "boolean", Links = list "string" },
  NetworkSettings = fields { Networks = map(fields { IPAddress = "string", Aliases = list "string", NetworkID = "string" }) },
  Mounts = list(fields { Type = "string", Source = "string", Destination = "string", Name = "string", RW = "boolean" }),
}
local container = fields { Id = "string", Names = list "string", Image = "string", ImageID = "string", State = "string",
                           Status = "string", Created = "number", Labels = map "string" }
local stats = fields {
  pids_stats = fields { current = "number" }, cpu_stats = fields { cpu_usage = fields { total_usage = "number" } },
  memory_stats = fields { usage = "number", limit = "number",
                          stats = fields { inactive_file = "number", total_inactive_file = "number" } },
}
local usage = fields {
  LayersSize = "number", Images = list(fields { Id = "string", Size = "number", SharedSize = "number" }),
  Containers = list(fields { ImageID = "string", SizeRw = "number", State = "string" }),
  Volumes = list(fields { Name = "string", UsageData = fields { Size = "number", RefCount = "number" } }),
  BuildCache = list(fields { Size = "number", Shared = "boolean", InUse = "boolean" }),
}
local image = fields { Id = "string", RepoTags = list "string", Size = "number", Config = fields { Env = list "string" } }
local version = fields { Version = "string", ApiVersion = "string", MinAPIVersion = "string", Os = "string", Arch = "string",
                         KernelVersion = "string" }
local top = fields { Titles = list "string", Processes = list(list "string") }

-- In order: the first that matches counts.
local by_path = {
  { "^/containers/json$", list(container) }, { "^/containers/[^/]+/json$", inspect }, { "^/containers/[^/]+/stats$", stats },
  { "^/containers/[^/]+/top$", top }, { "^/system/df$", usage }, { "^/images/[^/]+/json$", image }, { "^/version$", version },
}

-- What is wrong with the answer to a GET of `path`, in words, or nil.
function shapes.problem(path, value)
  for _, it in ipairs(by_path) do
    if path:find(it[1]) then return shape.problem(value, it[2]) end
  end
end

return shapes
