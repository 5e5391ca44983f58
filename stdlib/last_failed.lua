-- Which scenarios failed when they were last carried out: tests.json in this program's state folder, by the real path of
-- their file. What can't be kept there is kept nowhere: it is a convenience.
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"

local last_failed = {}

-- The list is this long at most, in bytes.
local SIZE_MAX = 4 << 20

local function place()
  local folder = raw_run.state_folder()
  return folder and folder .. "/tests.json"
end

local function read()
  local path = place()
  local text = path and files.read { path = path, max = SIZE_MAX, owned = true }
  local list = text and json.decode(text.text)
  return type(list) == "table" and list or {}
end

local function key_of(job) return raw_run.real_path(job.suite.path) or job.suite.path end

-- known()(job): whether that one did.
function last_failed.known()
  local list = read()
  return function(job)
    local names = list[key_of(job)]
    return type(names) == "table" and names[job.name] == true
  end
end

-- What these jobs have shown is kept; what is known of others stays.
function last_failed.keep(jobs)
  local list = read()
  for _, job in ipairs(jobs) do
    local key = key_of(job)
    list[key] = type(list[key]) == "table" and list[key] or {}
    list[key][job.name] = not job.record.held or nil
  end
  for key, names in pairs(list) do if next(names) == nil then list[key] = nil end end
  local path = place()
  if path then files.write { path = path, text = json.encode(list), mode = 384 } end -- 0600
end

return last_failed
