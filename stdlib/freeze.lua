-- Writes are frozen: somebody said that nothing is to be changed on this machine for now, and why. Each such word, and each that
-- lifts it, is a file of its own, so that who said what and when can be read later. The newest counts.
local files = require "raw.files"
local foreign = require "foreign"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_text = require "raw.text"
local run = require "run"
local settings = require "settings"
local tasks = require "tasks"

local freeze = {}

-- A word is this long at most, in bytes; so many are read.
local WORD_MAX, WORDS_MAX = 1 << 16, 10000

-- Where words are kept: this user's own, and where the config says so one that several share.
local function folders()
  return { raw_run.state_folder(), settings.shared_dir }
end

local function is_word(name) return name:find "^%d+%-freeze%.json$" or name:find "^%d+%-thaw%.json$" end

local function read(folder, name)
  local text = files.read { path = folder .. "/" .. name, max = WORD_MAX }
  local it = text and json.decode(text.text)
  if type(it) ~= "table" or type(it.at) ~= "number" then it = { at = 0, by = "somebody", why = "a word that can't be read" } end
  it.id, it.freezes = folder .. "/" .. name, name:find "%-freeze%.json$" ~= nil
  return it
end

-- The newest word of a folder, by its name, which begins with its time.
local function newest(folder)
  local walked = files.walk { under = folder, name = "*.json", flat = true, max = WORDS_MAX }
  local last
  for _, file in ipairs(walked and walked.files or {}) do
    local name = file.path:match "[^/]+$"
    if is_word(name) and (not last or name > last) then last = name end
  end
  return last and read(folder, last)
end

-- The freeze that counts now: { by =, why =, at =, ends = or nil, id = }; nil when writes are free.
function freeze.now()
  if run.options.scenario then return nil end
  for _, folder in ipairs(folders()) do
    local it = newest(folder)
    if it and it.freezes and not (it.ends and it.ends <= tasks.wall()) then return it end
  end
end

-- "ada, 19:04:11 UTC, until 20:00:00 UTC: the migration"
function freeze.text(it)
  local function clock(at) return raw_text.time_text(at):sub(12, 19) .. " UTC" end
  return foreign.line(("%s, %s%s: %s"):format(tostring(it.by), clock(it.at), it.ends and ", until " .. clock(it.ends) or "",
    tostring(it.why)))
end

-- A word is laid down: "freeze" or "thaw", { by =, why =, ends = }. True, or nil and why not.
function freeze.say(word, fields, shared)
  local folder = folders()[shared and 2 or 1]
  if not folder then return nil, shared and "the config names no shared_dir" or "there is no state folder" end
  local at = tasks.wall()
  fields.at = at
  local ok, err = files.write { path = ("%s/%013d-%s.json"):format(folder, math.floor(at * 1000), word), mode = 420,
                                text = json.encode(fields) .. "\n" }
  return ok and true or nil, err and err.message
end

-- All words, the oldest first: lines for people.
function freeze.history()
  local list = {}
  for _, folder in ipairs(folders()) do
    local walked = files.walk { under = folder, name = "*.json", flat = true, max = WORDS_MAX }
    for _, file in ipairs(walked and walked.files or {}) do
      local name = file.path:match "[^/]+$"
      if is_word(name) then list[#list + 1] = read(folder, name) end
    end
  end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

return freeze
