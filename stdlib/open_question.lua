-- The question that a run waits with, as others find it: in the run's own folder, and in the folder that several people share.
-- What is approved from there is this question alone: its hash stands in each answer.
local files = require "raw.files"
local foreign = require "foreign"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_secret = require "raw.secret"
local run = require "run"
local settings = require "settings"
local tasks = require "tasks"

local open_question = {}

-- Its file is this long at most, in bytes.
local FILE_MAX = 4 << 20
local GROUP_READS = 416 -- 0640

-- What an answer is for: lines, targets and what is sent, not the figures of the moment.
local function essence(question)
  local rows = json.list {}
  for i, effect in ipairs(question.plan and question.plan.effects or {}) do
    rows[i] = { line = effect.line, class = effect.class, command = effect.command, where = effect.where, sends = effect.sends }
  end
  return { run = run.id, kind = question.kind, label = question.label, text = question.text, options = question.options,
           type = question.type, beyond = question.beyond, effects = rows }
end

local function masked(value) return raw_secret.redact(json.encode(value)) end

-- Hexadecimal, 64 digits.
function open_question.hash(question) return raw_run.sha256(masked(essence(question))) end

local told = { "kind", "label", "text", "type", "options", "default", "warning", "why", "before", "level", "level_why", "ignorance",
               "beyond", "plan", "needed" }

local function text_of(question, hash, state)
  local it = { run = run.id, title = (run.first_about or run.about or {}).title, file = run.file, host = run.host, user = run.user,
               starter = run.starter, hash = hash, state = state, at = tasks.wall(), within = question.within,
               not_starter = run.config.starter_may_approve == false or nil }
  for _, name in ipairs(told) do it[name] = question[name] end
  return masked(foreign.fit(it)) .. "\n"
end

function open_question.name(id) return id .. ".question.json" end

local function write(text)
  raw_run.replace("question.json", text, false)
  if not settings.shared_dir then return end
  local path = settings.shared_dir .. "/" .. open_question.name(run.id)
  local ok, err = files.write { path = path, mode = GROUP_READS, text = text }
  return not ok and err.message or nil
end

-- `state`: "asked" while the run waits at a terminal, "suspended". Why those who share the folder can't see it, or nil.
function open_question.post(question, hash, state)
  if not run.path then return nil end
  return write(text_of(question, hash, state))
end

-- It is answered, or nobody waits for an answer any more; another process of this run may have posted it.
function open_question.withdraw()
  if not run.path or files.stat(run.path .. "/question.json").state ~= "file" then return end
  write(json.encode { run = run.id, state = "answered", at = tasks.wall() } .. "\n")
end

-- The question in that file; nil when nobody waits for an answer.
function open_question.read(path)
  local text = files.read { path = path, max = FILE_MAX }
  local it = text and not text.cut and json.decode(text.text)
  return type(it) == "table" and type(it.hash) == "string" and it or nil
end

return open_question
