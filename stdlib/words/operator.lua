-- confirm, choose, ask: the operator's word. Every question has a deadline and a default, and the default is no.
local blame = require "blame"
local duration = require "duration"
local gate = require "gate"
local values = require "values"

local words = {}

-- How long a question waits when the script doesn't say.
local WITHIN = "5m"

local function read(word, text, options, known)
  if type(text) ~= "string" then blame.raise("%s: a question expected, got %s", word, values.describe(text)) end
  options = options or {}
  if type(options) ~= "table" then blame.raise("%s: a table of options expected, got %s", word, values.describe(options)) end
  for name in pairs(options) do
    if not known[name] then blame.no_such("%s: unknown option '%s'%s", word, tostring(name),
      blame.hint(tostring(name), values.keys(known))) end
  end
  local seconds, why = duration.parse(options.within or WITHIN)
  if not seconds then blame.raise("%s: within: %s", word, why) end
  return options, seconds
end

-- confirm(question, {within, default}) → boolean
function words.confirm(text, options)
  local read_options, seconds = read("confirm", text, options, { within = true, default = true })
  local default = read_options.default
  if default ~= nil and type(default) ~= "boolean" and default ~= "yes" and default ~= "no" then
    blame.raise("confirm: default: true or false expected, got %s", values.describe(default))
  end
  default = default == true or default == "yes"
  local answer = gate.ask { kind = "confirm", of_script = true, text = text, label = text, default = default and "yes" or "no",
                            within = seconds, planned = "yes" }
  if answer == nil then return default end
  return answer == "yes" or answer == true
end

-- The option that an answer names; nil when it names none.
local function option_of(choices, answer)
  for _, option in ipairs(choices) do if option == answer or tostring(option) == tostring(answer) then return option end end
end

local function check_choices(choices)
  if type(choices) ~= "table" or values.is_host(choices) or #choices == 0 then
    blame.raise("choose: a list of options expected, got %s", values.describe(choices))
  end
  for i, option in ipairs(choices) do
    if type(option) ~= "string" and type(option) ~= "number" then
      blame.raise("choose: option %d: text expected, got %s", i, values.describe(option))
    end
  end
end

-- choose(question, options, {within, default}) → the chosen option; without an answer the default, else nil
function words.choose(text, choices, options)
  check_choices(choices)
  local read_options, seconds = read("choose", text, options, { within = true, default = true })
  if read_options.default ~= nil and option_of(choices, read_options.default) == nil then
    blame.raise("choose: default: one of the options expected, got %s", values.describe(read_options.default))
  end
  local answer = gate.ask { kind = "choose", of_script = true, text = text, label = text, options = choices, within = seconds,
                            default = read_options.default, planned = choices[1] }
  if answer == nil then return read_options.default end
  local chosen = option_of(choices, answer)
  if chosen == nil then blame.raise("choose: the answer %s is none of the options", values.describe(answer)) end
  return chosen
end

-- ask(question, {within, default}) → text; without an answer the default, else nil
function words.ask(text, options)
  local read_options, seconds = read("ask", text, options, { within = true, default = true })
  if read_options.default ~= nil and type(read_options.default) ~= "string" then
    blame.raise("ask: default: text expected, got %s", values.describe(read_options.default))
  end
  local answer = gate.ask { kind = "ask", of_script = true, text = text, label = text, within = seconds,
                            default = read_options.default, planned = read_options.default }
  if answer == nil then return read_options.default end
  return answer
end

return words
