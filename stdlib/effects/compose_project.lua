-- As what a Compose file runs: project, files, folder and environment files of its containers stand in their labels. They
-- are what is scaled or stopped; a name or files of our own would make a second project beside it.
local files = require "raw.files"
local outcome = require "outcome"
local settings = require "settings"

local project = {}

local LABEL = "com.docker.compose."

local settled = {} -- file and project's name → what was found for them last

local function key(call) return call.file .. "\0" .. (call.project or settings.compose.project or "") end

local function joined(folder, path)
  if path:sub(1, 1) == "/" or not folder or folder == "" then return path end
  return folder .. "/" .. path
end

-- docker-compose writes the paths as it was given them, the plugin from the root.
local function paths_of(labels, name)
  local list, folder = {}, labels[LABEL .. "project.working_dir"]
  for path in (labels[LABEL .. name] or ""):gmatch "[^,]+" do
    list[#list + 1] = joined(folder, path)
  end
  return list
end

-- Whether a file of the labels is the one that the script names, which may be given from the working folder.
local function names(list, file)
  local plain = file:gsub("^%./", "")
  for _, path in ipairs(list) do
    if path == file or plain:sub(1, 1) ~= "/" and path:sub(-#plain - 1) == "/" .. plain then return true end
  end
  return false
end

-- The projects that run from a file, by their names.
local function running(list, call)
  local found, only = {}, call.project or settings.compose.project
  for _, container in ipairs(list) do
    local labels = type(container.Labels) == "table" and container.Labels or {}
    local name, from = labels[LABEL .. "project"], paths_of(labels, "project.config_files")
    if name and (not only or only == name) and names(from, call.file) then
      found[name] = { name = name, files = from, folder = labels[LABEL .. "project.working_dir"],
                      env_files = paths_of(labels, "project.environment_file") }
    end
  end
  return found
end

local function missing(it)
  for _, path in ipairs(it.files) do
    if files.stat(path).state ~= "file" then return path end
  end
end

local function choose(found, call)
  local names_of = {}
  for name in pairs(found) do names_of[#names_of + 1] = name end
  table.sort(names_of)
  if #names_of > 1 then
    return outcome.failed("usage", "%s runs as several projects: %s (option 'project' says which)", call.file,
      table.concat(names_of, ", "))
  end
  local it = found[names_of[1]]
  local gone = it and missing(it)
  if gone then
    return outcome.failed("missing", "project %s runs from %s too: there is no such Compose file", it.name, gone)
  end
  return it
end

-- Looks as what the call's file runs: project.of knows it from then on. nil and an error where that can't be said.
function project.settle(it, call)
  settled[key(call)] = nil
  if #(call.overrides or {}) > 0 then return true end
  local list, err = it:get("/containers/json", { query = { all = true } })
  if not list then
    if err then return nil, err end
    return true
  end
  local found
  found, err = choose(running(list, call), call)
  if err then return nil, err end
  settled[key(call)] = found
  return true
end

-- { name, files, folder, env_files } of the containers of the call's file; nil when there are none, or nobody looked.
function project.of(call) return settled[key(call)] end

return project
