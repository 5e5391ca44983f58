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
    if not known[name] then blame.raise("%s: unknown option '%s'%s", word, tostring(name),
      blame.hint(tostring(name), values.keys(known))) end
  end
  local seconds, why = duration.parse(options.within or WITHIN)
  if not seconds then blame.raise("%s: within: %s", word, why) end
  return options, seconds
end

-- confirm(question, {within, default}) → boolean
function words.confirm(text, options)
  local read_options, seconds = read("confirm", text, options, { within = true, default = true })
  local default = read_options.default == true or read_options.default == "yes"
  local answer = gate.ask { kind = "confirm", text = text, label = text, default = default and "yes" or "no",
                            within = seconds, planned = "yes" }
  if answer == nil then return default end
  return answer == "yes"
end

-- choose(question, options, {within, default}) → the chosen option; without an answer the default, else nil
function words.choose(text, choices, options)
  if type(choices) ~= "table" or #choices == 0 then
    blame.raise("choose: a list of options expected, got %s", values.describe(choices))
  end
  local read_options, seconds = read("choose", text, options, { within = true, default = true })
  local answer = gate.ask { kind = "choose", text = text, label = text, options = choices, within = seconds,
                            default = read_options.default, planned = choices[1] }
  if answer == nil then return read_options.default end
  return answer
end

-- ask(question, {within, default}) → text; without an answer the default, else nil
function words.ask(text, options)
  local read_options, seconds = read("ask", text, options, { within = true, default = true })
  local answer = gate.ask { kind = "ask", text = text, label = text, within = seconds, default = read_options.default,
                            planned = read_options.default }
  if answer == nil then return read_options.default end
  return answer
end

return words
