-- runbook approve|deny|answer|note RUN: what another process has to say to a question that a run waits with, or about the run. Each
-- word is a file of its own, in the run's inbox or, for a run of somebody else, in the folder that several people share.
local config = require "config"
local duration = require "duration"
local files = require "raw.files"
local json = require "raw.json"
local open_question = require "open_question"
local raw_run = require "raw.run"
local replies = require "replies"
local run = require "run"
local screen = require "screen"
local settings = require "settings"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_DONE, EXIT_WRONG, EXIT_USAGE = 0, 1, 2
local HASH_SHOWN, HASH_MIN = 12, 8 -- digits of a plan's hash
local TEXT_MAX = 1000 -- characters of an answer or a note
-- An answer counts for so long, in seconds.
local VALID, VALID_MIN, VALID_MAX = 3600, 1, 86400
local ASK_SECONDS = 300 -- for a yes at this terminal
local OWN_MODE, SHARED_MODE = 420, 416 -- 0644 in a folder of 0700; 0640

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

local function fail(code, text, ...) error({ code = code, text = text:format(...) }, 0) end

-------------------------------------------------------------------- Where --

-- Of somebody else's runs those whose question lies in the shared folder; the newest for "last".
local function find_shared(reference, why)
  local list, folder = {}, settings.shared_dir
  local walked = folder and files.walk { under = folder, name = "*.question.json", flat = true }
  for _, file in ipairs(walked and walked.files or {}) do
    local id = file.path:match "([^/]+)%.question%.json$"
    if reference == "last" or id:sub(1, #reference) == reference then list[#list + 1] = id end
  end
  table.sort(list)
  if #list == 0 then fail(EXIT_USAGE, "%s%s", why, folder and "; nor does one ask anything in " .. folder or "") end
  if #list > 1 and reference ~= "last" then fail(EXIT_USAGE, "%s: %d runs begin so", reference, #list) end
  return { id = list[#list], folder = folder, shared = true, question = folder .. "/" .. open_question.name(list[#list]) }
end

local function find(reference)
  local found, err = raw_run.find(reference)
  if not found then return find_shared(reference, err.message) end
  if found.id:find "^dry%-" then fail(EXIT_USAGE, "%s is a dry run: it asks nobody", found.id) end
  return { id = found.id, folder = found.path .. "/inbox", path = found.path, question = found.path .. "/question.json" }
end

local function question_of(place)
  local question = open_question.read(place.question)
  if not question then fail(EXIT_WRONG, "%s asks nothing now", place.id) end
  if question.not_starter and question.starter == run.uid and question.kind == "approve" then
    fail(EXIT_WRONG, "%s: you started it, and the config says that another must approve it", place.id)
  end
  return question
end

local function say(place, word, kind)
  word.at, word.by = tasks.wall(), run.user
  local stamp = math.floor(word.at * 1000)
  local name = place.shared and ("%d-%s-%s.json"):format(stamp, place.id, kind) or ("%d-%s.json"):format(stamp, kind)
  local unsafe = place.shared and replies.unsafe(place.folder)
  if unsafe then fail(EXIT_WRONG, "no word counts there: %s", unsafe) end
  local ok, err = files.write { path = place.folder .. "/" .. name, mode = place.shared and SHARED_MODE or OWN_MODE,
                                text = json.encode(word) .. "\n" }
  if not ok then fail(EXIT_WRONG, "%s could not be told: %s", place.id, err.message) end
end

-- What happens with it next.
local function hears(place, question)
  local waits = place.path and raw_run.holder(place.path .. "/journal.jsonl") or not place.path and question.state == "asked"
  return waits and "it hears it within a second" or ("go on with it: runbook resume %s"):format(place.id)
end

------------------------------------------------------------------- Answer --

-- The seconds of --for.
local function valid(options)
  if not options["for"] then return VALID end
  local seconds, why = duration.parse(options["for"])
  if not seconds then fail(EXIT_USAGE, "--for %s: %s", options["for"], why) end
  if seconds < VALID_MIN or seconds > VALID_MAX then
    fail(EXIT_USAGE, "--for %s: %s to %s expected", options["for"], duration.text(VALID_MIN), duration.text(VALID_MAX))
  end
  return seconds
end

local function sizes_of(question)
  local list = json.list {}
  for i, effect in ipairs(question.plan and question.plan.effects or {}) do list[i] = effect.size or false end
  return list
end

local function answer(place, question, text, options, why)
  say(place, { action = "answer", question = question.hash, answer = text, typed = options.typed, why = why,
               ends = tasks.wall() + valid(options), sizes = sizes_of(question) }, "answer")
  put("%s: %s is answered: %s; %s", place.id, screen.inert(question.label), screen.inert(text), hears(place, question))
end

-- All that decides, as the run itself shows it.
local function show(place, question)
  put("run %s of %s, started by %s on %s", place.id, screen.inert(question.title or question.file), screen.inert(question.user),
    screen.inert(question.host))
  put("%s", screen.inert(question.text, TEXT_MAX))
  for _, why in ipairs(question.why or {}) do put("  because: %s", screen.inert(why)) end
  for _, it in ipairs(question.before or {}) do put("  before: “%s” %s", screen.inert(it.remedy), screen.inert(it.state)) end
  for _, finding in ipairs(question.ignorance or {}) do put("  decided without knowing %s", screen.inert(finding)) end
  if question.warning then put("  warning: %s", screen.inert(question.warning)) end
  if question.beyond then put "  this write is not in the plan that was approved" end
  for _, line in ipairs(question.plan and screen.plan_lines(question.plan) or {}) do put("%s", line) end
  if question.level then put("risk %s%s", question.level, question.level_why and ": " .. screen.inert(question.level_why) or "") end
  if (question.needed or 0) > 1 then put("%d people must say yes", question.needed) end
  put("plan %s", question.hash:sub(1, HASH_SHOWN))
end

local function ask(text)
  local line = tty.ask { prompt = text, timeout = ASK_SECONDS }
  return line and line:match "^%s*(.-)%s*$"
end

-- Whoever says yes has seen what to: on a terminal now, else its hash says so.
local function check_seen(question, options)
  local hash = options.plan
  if hash then
    if #hash >= HASH_MIN and question.hash:sub(1, #hash) == hash then return end
    fail(EXIT_WRONG, "nothing is approved: the plan is %s now", question.hash:sub(1, HASH_SHOWN))
  end
  if not tty.interactive() then
    fail(EXIT_USAGE, "nothing is approved: --plan %s approves what stands above", question.hash:sub(1, HASH_SHOWN))
  end
  if question.type and not options.typed then
    options.typed = ask(("? type %q to approve "):format(screen.inert(question.type, 60)))
    return
  end
  if (ask "? approve it? yes or no " or ""):lower():sub(1, 1) ~= "y" then fail(EXIT_WRONG, "nothing is approved") end
end

local takes = { approve = true, confirm = true }

local function check_takes(question)
  if takes[question.kind] then return end
  fail(EXIT_WRONG, "it is no question of yes or no: %s (runbook answer)", screen.inert(question.text))
end

local commands = {}

function commands.approve(place, _, options)
  local question = question_of(place)
  check_takes(question)
  show(place, question)
  check_seen(question, options)
  if question.type and options.typed ~= question.type then
    fail(EXIT_WRONG, "nothing is approved: --typed %q expected", screen.inert(question.type))
  end
  answer(place, question, "yes", options)
end

function commands.deny(place, text, options)
  local question = question_of(place)
  check_takes(question)
  answer(place, question, "no", options, text ~= "" and text or nil)
end

-- The option that it names.
local function option_of(question, text)
  for i, option in ipairs(question.options) do
    if tostring(option) == text or tostring(i) == text then return option end
  end
  fail(EXIT_USAGE, "%s: one of %s expected", text, screen.inert(table.concat(question.options, ", ")))
end

function commands.answer(place, text, options)
  local question = question_of(place)
  if question.kind == "approve" then fail(EXIT_WRONG, "it asks for an approval: runbook approve or deny %s", place.id) end
  if question.kind == "confirm" and text ~= "yes" and text ~= "no" then fail(EXIT_USAGE, "yes or no expected") end
  if text == "" then fail(EXIT_USAGE, "an answer expected to: %s", screen.inert(question.text)) end
  answer(place, question, question.options and option_of(question, text) or text, options)
end

function commands.note(place, text)
  if text == "" then fail(EXIT_USAGE, "a text expected: what is to be noted?") end
  say(place, { action = "note", text = text, ends = tasks.wall() + VALID_MAX }, "note")
  local waits = not place.path or raw_run.holder(place.path .. "/journal.jsonl")
  if place.path and not waits then require("afterwards").add(place.path, ("%s noted: %s"):format(run.user, text)) end
  put("%s: noted%s", place.id, waits and "" or ", in its report")
end

return function(arguments, options, host, command)
  run.options, run.uid = {}, host.uid
  run.user = require("origin").user(host.getenv, host.uid)
  local found, it = pcall(config.find, host.folder or ".", host.getenv)
  settings.shared_dir = found and it.shared_dir or nil
  local text = table.concat(arguments, " ", 2)
  local ok, err = pcall(function()
    if #text > TEXT_MAX then fail(EXIT_USAGE, "a text of %d characters expected at most", TEXT_MAX) end
    commands[command](find(arguments[1]), text, options)
  end)
  if ok then return EXIT_DONE end
  if type(err) ~= "table" or not err.code then error(err, 0) end
  screen.complain(err.text)
  return err.code
end
