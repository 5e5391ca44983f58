-- runbook runs: past runs and those under way, the newest first, and what each is at.
local duration = require "duration"
local files = require "raw.files"
local foreign = require "foreign"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_text = require "raw.text"
local screen = require "screen"
local script = require "script"
local tasks = require "tasks"
local tty = require "raw.tty"

local EXIT_FOUND, EXIT_NONE = 0, 1
local SHOWN = 30          -- runs, unless --all
local TAIL_MAX = 256 << 10 -- bytes of a journal's end in which its last line stands whole
local TEXT_MAX = 120      -- characters
local ROW = "%-36s  %-11s  %8s  %s"

local function put(text, ...) tty.write(1, text:format(...) .. "\n") end

-- The last line of a journal that is one, as an event.
local function last_event(path)
  local read = files.read { path = path .. "/journal.jsonl", max = TAIL_MAX, keep = "tail" }
  -- from its beginning on: unanchored the pattern would begin anew at each byte of a long line
  local line = read and ("\n" .. read.text):match "^.*\n([^\n]+)\n[^\n]*$"
  local event = line and json.decode(line)
  return type(event) == "table" and event or nil
end

-- "20261123-174005-api-down-7f3k" → seconds since 1970.
local function began_at(id)
  local y, mo, d, h, mi, s = id:gsub("^dry%-", ""):match "^(%d%d%d%d)(%d%d)(%d%d)%-(%d%d)(%d%d)(%d%d)"
  return y and raw_text.time(("%s-%s-%sT%s:%s:%sZ"):format(y, mo, d, h, mi, s)) or nil
end

local function of_end(event)
  local by = event.by and (" by “%s”"):format(event.by) or ""
  return event.outcome, (event.text or "") .. by, raw_text.time(event.at)
end

-- What a run that has no end is at: under way as long as somebody holds its journal.
local function of_open(path, event)
  local holder = raw_run.holder(path .. "/journal.jsonl")
  if not holder then return "interrupted", "its process is gone: runbook resume goes on with it", raw_text.time(event.at) end
  local state = holder.stopped and "stopped" or "under way"
  if event.event == "question" then return state, "waits for an answer: " .. (event.text or ""), tasks.wall() end
  return state, ("process %d"):format(holder.pid), tasks.wall()
end

-- { id =, state =, text =, began =, seconds = } of one run of raw_run.list.
local function look(it)
  local event, began = last_event(it.path), began_at(it.id)
  if not event then
    return { id = it.id, state = "unknown", text = "the end of its journal can't be read: runbook show", began = began }
  end
  local state, text, at
  if event.event == "run.ended" then state, text, at = of_end(event) else state, text, at = of_open(it.path, event) end
  return { id = it.id, state = state, text = text, began = began, seconds = began and at and math.max(0, at - began) or nil }
end

-- Whether a run is one of the runbook `file`, by the name that its id was made of.
local function is_of(id, file)
  local _, base = script.split(file)
  local slug = base:gsub("%.lua$", ""):lower():gsub("[^a-z0-9]+", "-")
  return id:gsub("^dry%-", ""):match "^%d+%-%d+%-(.*)%-%w+$" == slug
end

local function chosen(options)
  local list, all = {}, raw_run.list()
  for i = #all, 1, -1 do
    if not options.of or is_of(all[i].id, options.of) then list[#list + 1] = all[i] end
    if #list >= SHOWN and not options.all then return list, i - 1 end
  end
  return list, 0
end

local formats = {}

function formats.text(list, more)
  for _, it in ipairs(list) do
    put(ROW, it.id, it.state, it.seconds and duration.clock(it.seconds) or "-", foreign.line(it.text, TEXT_MAX))
  end
  if more > 0 then put("… %d older: --all", more) end
end

function formats.json(list) put("%s", json.encode(json.list(list))) end

return function(_, options)
  local list, more = chosen(options)
  for i, it in ipairs(list) do list[i] = look(it) end
  if #list == 0 and options.format ~= "json" then
    screen.complain(options.of and "no run of that runbook is kept" or "no run is kept")
    return EXIT_NONE
  end
  formats[options.format or "text"](list, more)
  return EXIT_FOUND
end
