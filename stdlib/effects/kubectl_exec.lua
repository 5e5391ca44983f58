-- kubectl.exec: runs a program inside a pod's container. A read only on the author's word (`reads = true`).
local blame = require "blame"
local client = require "effects.kubectl_client"
local json = require "raw.json"
local outcome = require "outcome"
local write = require "effects.kubectl_write"

local function words(call)
  local list = { "exec", call.pod }
  if call.container then list[3] = "--container=" .. call.container end
  if call.stdin then list[#list + 1] = "--stdin" end
  list[#list + 1] = "--"
  return table.move(call.argv, 1, #call.argv, #list + 1, list)
end

local function run(call)
  local it = client.open(call, not call.reads)
  local done, err = it:start(words(call), { stdin = call.stdin })
  if not done then
    if err.lost then return nil, { kind = "timeout", message = err.message } end -- the program may still run
    return nil, err
  end
  local code, stderr = client.inner_code(done)
  if not code then
    err = client.understand(done)
    local lost = err.lost and not call.reads
    return nil, { kind = lost and "timeout" or err.kind, message = err.message }
  end
  local fields = { code = code, stdout = done.stdout, stderr = stderr or done.stderr, cut = done.cut }
  if code == call.expect then return fields end
  local said = client.first_line(fields.stderr)
  return outcome.not_well(("exit code %d%s"):format(code, said ~= "" and ": " .. said or ""), fields)
end

write.effect("exec", {
  summary = "Runs a program in a pod's container; `reads = true` says that it changes nothing",
  class = function(call)
    return call.destructive and "destructive" or call.reads and "declared" or "write"
  end,
  params = { { "pod", "string", "Name of the pod" }, { "argv", "strings", "The program and its arguments" } },
  options = {
    reads = { "boolean", false, "On your word it changes nothing: a declared read" },
    destructive = { "boolean", false, "What it changes can't be had back" },
    container = { "string", nil, "Which container; needed when the pod has several", what = true },
    expect = { "integer", 0, "The exit code that is well" },
    stdin = { "string", nil, "Its standard input", secret = true },
    timeout = { "duration", "10s", "The longest it may take; the program may go on after it" },
  },
  result = { code = "integer: exit code", stdout = "string: the first 1 MB",
             stderr = "string: the first 1 MB",
             cut = "boolean: an end is missing", json = "any: stdout as JSON, nil when it is none" },
  lazy = { json = function(it) return it.stdout and (json.decode(it.stdout)) or nil end },
  check = function(call)
    if #call.argv == 0 or call.argv[1] == "" then
      blame.raise "kubectl.exec: argument 2 (argv): a program is needed"
    end
    if call.reads and call.destructive then
      blame.raise "kubectl.exec: 'reads' and 'destructive' contradict each other"
    end
  end,
  words = words,
  by_hand = function(call)
    local list = words(call)
    list.stdin = call.stdin
    return list
  end,
  may = function() return { "create", "pods", "--subresource=exec" } end,
  radius = write.object_radius(function(call)
    return ("runs %s in pod %s"):format(call.argv[1], call.pod)
  end),
  run = run,
  would = function() return { code = 0, cut = false } end,
  specimen = { code = 0, stdout = "", stderr = "", cut = false },
})
