-- What other processes answer to a question that a run asks: words in its inbox, and in the folder that several people share. Who
-- says it is whom the file belongs to; what stands in it says nothing of that.
local files = require "raw.files"
local foreign = require "foreign"
local journal = require "journal"
local json = require "raw.json"
local run = require "run"
local settings = require "settings"
local sys = require "raw.sys"
local tasks = require "tasks"

local replies = {}

-- A word is this long at most, in bytes; so many are read.
local WORD_MAX, WORDS_MAX = 1 << 16, 10000
-- Clocks of two machines that share a folder differ by this much, in seconds.
local CLOCKS_DIFFER = 300
-- Who may write into a folder of words: its owner and its group; without the sticky bit one could remove another's.
local OTHERS_WRITE, GROUP_WRITES, STICKY = 2, 16, 512

local used = {} -- names of words that decided something

journal.listen(function(name, fields)
  if name ~= "answer" then return end
  for _, word in ipairs(fields.words or {}) do used[word] = true end
end)

-- Why nobody's word counts that lies in the shared folder; nil when it does.
function replies.unsafe(folder)
  local there = files.stat(folder)
  if there.state ~= "directory" then return ("%s is no folder"):format(folder) end
  if there.mode & OTHERS_WRITE ~= 0 then return ("%s can be written by everybody"):format(folder) end
  if there.mode & GROUP_WRITES ~= 0 and there.mode & STICKY == 0 then
    return ("in %s one can remove what another has written: chmod +t"):format(folder)
  end
end

-- "ada" of an owner's number.
function replies.person(uid) return { uid = uid, by = sys.user { uid = uid } or ("uid %d"):format(uid) } end

-- One file as a word; nil for what is none. In the run's own inbox its owner and root speak.
local function read(path, is_own)
  local there = files.stat(path)
  if there.state ~= "file" or is_own and there.uid ~= run.uid and there.uid ~= 0 then return nil end
  local text = files.read { path = path, max = WORD_MAX }
  local it = text and not text.cut and json.decode(text.text)
  if type(it) ~= "table" or type(it.at) ~= "number" or type(it.ends) ~= "number" then return nil end
  it.name, it.uid = path:match "[^/]+$", there.uid
  return it
end

local function add(list, folder, pattern, is_own)
  local walked = files.walk { under = folder, name = "*.json", flat = true, max = WORDS_MAX }
  for _, file in ipairs(walked and walked.files or {}) do
    local name = file.path:match "[^/]+$"
    local it = name:find(pattern) and not used[name] and read(folder .. "/" .. name, is_own)
    if it then list[#list + 1] = it end
  end
end

-- The words of a kind, "answer" or "note", in the order in which they were said.
function replies.words(kind)
  local list = {}
  add(list, run.path .. "/inbox", "^%d+%-" .. kind .. "%.json$", true)
  local shared = settings.shared_dir
  if shared and not replies.unsafe(shared) then
    add(list, shared, "^%d+%-" .. run.id:gsub("%p", "%%%0") .. "%-" .. kind .. "%.json$", false)
  end
  table.sort(list, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.name < b.name
  end)
  return list
end

-- Whether the plan hits no more now than when the word was said.
local function covers(word, question)
  for i, effect in ipairs(question.plan and question.plan.effects or {}) do
    local size = type(word.sizes) == "table" and word.sizes[i] or nil
    if effect.size and type(size) == "number" and effect.size > size then return false end
  end
  return true
end

local function counts(word, question, hash)
  local now = tasks.wall()
  if word.question ~= hash or word.at > now + CLOCKS_DIFFER or word.ends < now then return false end
  if word.answer == "yes" and question.type and word.typed ~= question.type then return false end
  return covers(word, question)
end

-- With a no also why.
local function person_of(word)
  local who = replies.person(word.uid)
  if type(word.why) == "string" then who.by = ("%s: %s"):format(who.by, foreign.line(word.why)) end
  return who
end

-- The answers to this question, whose hash is given: a list of { answer =, who = { uid =, by = }, name = }.
function replies.to(question, hash)
  local list = {}
  if not run.path then return list end
  for _, word in ipairs(replies.words "answer") do
    if counts(word, question, hash) then
      list[#list + 1] = { answer = word.answer, who = person_of(word), name = word.name }
    end
  end
  return list
end

return replies
