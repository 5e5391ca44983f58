-- What a run keeps of itself in source/, put back in another process of it: a level that is carried out, a run that is resumed.
local config = require "config"
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local run = require "run"
local secrets = require "secrets"

local kept = {}

local FILE_MAX = 16 << 20

local function read(path)
  local text, err = files.read { path = path, max = FILE_MAX }
  if not text then error(path .. ": " .. err.message, 0) end
  return text.text
end

-- Of the run in `folder`: config, environment, parameters, the texts of its files. `options`: of this process's command line.
function kept.restore(folder, options, host)
  run.path, run.id = folder, folder:match "([^/]+)$"
  raw_run.adopt(folder)
  run.manifest = assert(json.decode(read(folder .. "/source/manifest.json")))
  run.file = run.manifest.file
  run.config = {}
  if files.stat(folder .. "/source/config.lua").state == "file" then
    run.config = config.from_text(read(folder .. "/source/config.lua"))
  end
  local environment
  environment, run.environment = config.environment(run.config, run.manifest.environment)
  config.apply(run.config, environment, options, host.getenv)
  run.given_params = secrets.restored(run.manifest.params_given or {})
  for _, source in ipairs(run.given_params) do
    if source.name == "config" then source.values = environment.params or {} end -- its secrets are known by name there alone
  end
  run.kept_sources = {}
  for _, source in ipairs(run.manifest.sources) do
    run.kept_sources[source.path] = secrets.restored(read(folder .. "/" .. source.file))
  end
end

return kept
