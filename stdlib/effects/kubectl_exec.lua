-- kubectl.exec: runs a program inside a pod's container.
local client = require "effects.kubectl_client"
local program = require "effects.program"
local stdin_env = require "effects.stdin_env"
local values = require "values"
local write = require "effects.kubectl_write"

local function flags(call)
  local list = { "exec", call.pod }
  if call.container then list[3] = "--container=" .. call.container end
  return list
end

-- kubectl has no option for variables: they go in by its standard input, where nobody reads them from a list of words.
local function vector(call, argv)
  local list, stdin = flags(call), call.stdin
  if next(call.env or {}) then argv, stdin = stdin_env.wrapped(argv), stdin_env.line(call.env) .. (stdin or "") end
  if stdin then list[#list + 1] = "--stdin" end
  list[#list + 1] = "--"
  return table.move(argv, 1, #argv, #list + 1, list), stdin
end

local function by_hand(call)
  local list = flags(call)
  if call.stdin then list[#list + 1] = "--stdin" end
  list[#list + 1] = "--"
  return program.by_hand(call, list)
end

-- How it ended in the container; nil and an error, `lost` when it may still run.
local function carry_out(it, call, argv)
  local words, stdin = vector(call, argv)
  local done, err = it:start(words, { stdin = stdin })
  if not done then return nil, err end
  local code, stderr = client.inner_code(done)
  if not code then return nil, client.understand(done) end
  return { code = code, stdout = done.stdout, stderr = stderr or done.stderr, cut = done.cut }
end

local function run(call)
  local looks = program.looks(call)
  local ended, err = carry_out(client.open(call, not looks), call, call.argv)
  if ended then return program.judge(call, ended) end
  return nil, { kind = err.lost and not looks and "timeout" or err.kind, message = err.message }
end

local function intends(call) return ("runs %s in pod %s"):format(tostring(call.argv[1]), call.pod) end

local pod_radius = write.object_radius(intends)

local function radius(it, call)
  local plan, err = pod_radius(it, call)
  if not plan then return nil, err end
  local own = program.own_preview(call, function(argv, seconds)
    return carry_out(client.open(call, false, seconds), call, argv)
  end)
  if not own then return plan end
  own.text, own.uid = plan.text .. "; " .. own.text, plan.uid
  return own
end

local result = values.copy_shallow(program.result)

write.effect("exec", {
  summary = "Runs a program in a pod's container",
  class = program.class,
  class_help = program.class_help,
  reader = true,
  params = { { "pod", "string", "Name of the pod" }, { "argv", "strings", "The program and its arguments" } },
  options = program.options {
    container = { "string", nil, "Which container; needed when the pod has several", what = true },
    timeout = { "duration", "10s", "The longest it may take; the program may go on after it" },
  },
  result = result,
  optional = program.optional,
  check = function(call) program.check("kubectl.exec", 2, call) end,
  words = flags,
  by_hand = by_hand,
  sends = program.sends,
  may = function() return { "create", "pods", "--subresource=exec" } end,
  intends = intends,
  radius = radius,
  run = run,
  would = program.would,
  unwell = program.unwell,
  specimen = program.specimen,
  lazy = program.lazy,
  sum_up = program.sum_up,
})
