-- kubectl.logs: what a pod's container wrote.
local blame = require "blame"
local client = require "effects.kubectl_client"
local scanned = require "effects.scanned"

-- Lines of a log unless the script says otherwise, and the most it may ask for.
local TAIL, TAIL_MAX = 100, 10000

local function logs_words(call)
  local tail = call.tail or scanned.is_wanted(call) and -1 or TAIL
  local words = { "logs", call.pod, "--tail=" .. tostring(tail) }
  if call.container then words[#words + 1] = "--container=" .. call.container end
  if call.previous then words[#words + 1] = "--previous" end
  if call.since then words[#words + 1] = ("--since=%ds"):format(math.ceil(call.since)) end
  return words
end

-- A container that has written nothing yet, or whose earlier life is not kept, is a fact.
local function no_log(err)
  if err.kind == "absent" then return { state = "absent", summary = err.message, cut = false } end
  local waiting = err.message:match "is waiting to start: .*" or err.message:match "is terminated$"
  if waiting then
    return { state = "present", text = "", summary = "no log: the container " .. waiting, cut = false }
  end
  if err.message:find "^Error from server %(BadRequest%): previous terminated container" then
    return { state = "absent", summary = "no earlier container's log is kept", cut = false }
  end
  return client.failed(err)
end

local function logs(call)
  local scan = scanned.is_wanted(call) and scanned.spec(call) or nil
  local done, err = client.open(call):carry_out(logs_words(call), { keep = not scan and "tail" or nil, scan = scan })
  local fields
  if not done then
    fields, err = no_log(err)
    return fields and scanned.none(call, fields), err
  end
  if done.stdout:find "^unable to retrieve container logs for %S+$" then -- the kubelet's words, with code 0
    return scanned.none(call, { state = "absent", summary = "the node no longer keeps this container's log", cut = false })
  end
  if not scan then
    local _, lines = done.stdout:gsub("\n", "")
    return { state = "present", text = done.stdout, cut = done.cut, summary = ("%d lines"):format(lines) }
  end
  fields, err = scanned.fields(call, done)
  if fields then fields.state, fields.summary = "present", scanned.sum_up(fields) end
  return fields, err
end

return function(read) read("kubectl.logs", {
  summary = "Reads the last lines of the log of a pod's container",
  params = { { "pod", "string", "Name of the pod" } },
  options = {
    tail = { "integer", nil, ("How many lines, at most %d; %d, with `match` and `count` all"):format(TAIL_MAX, TAIL) },
    match = scanned.options.match, count = scanned.options.count,
    previous = { "boolean", false, "Of the container before its last restart", what = true },
    container = { "string", nil, "Which container; needed when the pod has several", what = true },
    since = { "duration", nil, "Only lines younger than this" },
  },
  result = { text = "string: the lines; the last 1 MB; nil when there is no such log, and with `count`",
             lines = scanned.result.lines, matched = scanned.result.matched,
             cut = "boolean: the beginning is missing",
             state = "string: present; absent: no such pod, or no container before this one",
             summary = "string: why there is no text" },
  check = function(call)
    if type(call.tail) == "number" and (call.tail < 1 or call.tail > TAIL_MAX) then
      blame.raise("kubectl.logs: option 'tail': 1 to %d expected", TAIL_MAX)
    end
    scanned.check("kubectl.logs", call)
  end,
  words = logs_words,
  through = scanned.command,
  run = logs,
  specimen = scanned.specimen { state = "present", text = "", cut = false, summary = "0 lines" },
}) end
