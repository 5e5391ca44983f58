-- What a run keeps of itself in source/, put back in another process of it: a level that is carried out, a run that is resumed.
local config = require "config"
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_secret = require "raw.secret"
local run = require "run"
local secrets = require "secrets"

local kept = {}

local FILE_MAX = 16 << 20

local function read(path)
  local text, err = files.read { path = path, max = FILE_MAX }
  if not text then error(path .. ": " .. err.message, 0) end
  return text.text
end

local function manifest_of(folder) return assert(json.decode(read(folder .. "/source/manifest.json"))) end

-- A secret that stood in clear in the config or in the runbook is no part of what was kept. Where the file is still as it was, it
-- is known from there.
local function learn_from(path, sha256, name, kind)
  local now = path and sha256 and files.read { path = path, max = FILE_MAX, owned = true }
  if now and raw_run.sha256(now.text) == sha256 then secrets.learn(name, now.text, kind) end
end

-- Knows again what the files of the run in `folder` hold in clear, before they are restored.
function kept.learn(folder)
  local manifest = manifest_of(folder)
  learn_from(manifest.config_path, manifest.config_sha256, "config", "config")
  for i, source in ipairs(manifest.sources) do
    local path = source.path
    if path:sub(1, 1) ~= "/" and manifest.folder then path = manifest.folder .. "/" .. path end
    learn_from(path, source.sha256, "source." .. i, "script")
  end
end

-- The name of a kept file that still holds a mark for a secret; nil when all are whole.
function kept.masked(folder)
  local names = { "config.lua" }
  for i, source in ipairs(manifest_of(folder).sources) do names[i + 1] = source.file:match "[^/]+$" end
  for _, name in ipairs(names) do
    local there = files.stat(folder .. "/source/" .. name).state == "file"
    if there and not select(2, raw_secret.restore(read(folder .. "/source/" .. name))) then return name end
  end
end

-- Of the run in `folder`: config, environment, parameters, the texts of its files. `options`: of this process's command line.
function kept.restore(folder, options, host)
  run.path, run.id = folder, folder:match "([^/]+)$"
  raw_run.adopt(folder)
  run.manifest = manifest_of(folder)
  run.config_path, run.config_sha256 = run.manifest.config_path, run.manifest.config_sha256
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
