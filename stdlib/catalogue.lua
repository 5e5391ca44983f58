-- The catalogue of effects: everything that can touch the outside world, each described once. From an entry come argument
-- validation, the effect's line, its results, `runbook effects`, the default world of scenarios.
--
-- An entry (`catalogue.effect(name, entry)`):
--   summary    one sentence
--   class      "read", "declared", "notify", "write", "destructive", or function(call) → class
--   params     positional: { { name, type, help }, … }
--   options    { name = { type, default, help, what=, required=, one_of=, secret= } }
--              types: string integer number boolean duration size strings map any. `what` options choose what is touched and
--              stand in the line; `secret` ones take a secret, however deep. A duration reaches the entry as seconds, a
--              size as bytes.
--              `show = function(value)` of a param is what stands for it in the line.
--   rest       { name, help }: all further positional arguments, strings and numbers, as a list of strings
--   result     { field = "type: meaning", … }; `ok` and `why` are always there
--   optional   { field = witness }: where `witness` was learned, nil says that there is no such thing. Of a result that is not
--              well every other field that is nil raises
--   open_fields  true: names that `result` doesn't list are fields too, nil when the target didn't send them
--   instrument the name of what we look with: when it doesn't answer the look has failed, and nothing was found
--   run(call, plan) → fields {ok=true|false, why=, …}, or nil, {kind=, message=}
--   command(call)  → words a person could type instead, or nil and why no single command does it (stdlib/byhand.lua)
--   target(call)   → what an operator must name to approve it
--   permission(call)  → { name =, why = }: who may change this at all must type its name; nil when it is allowed
--   match(call)    → list: what the plan pins beyond the line (full SQL, body)
--   preview(call)  → { text=, size=, detail= and sends= lists of lines, … } by reads alone; the apply pass gives it to run
--                    as `plan`; `loses` when it takes away for good what its class doesn't tell
--   intends(call)  → what it is meant to do, in words, told by its arguments alone: what a scenario's plan shows
--   would(call)    → fields of the dry result; what only a real run can know is left out
--   verify(call)   → true, false or nil: did it happen?
--   evidence(save, call, plan)  what a write would destroy, as reads: save("docker.logs", call.container) (stdlib/evidence.lua)
--   leaves(call, result, known)  what it leaves changed, and the way back (stdlib/left.lua)
--   specimen       fields of a healthy result, or function(call) → fields
--   sends(call)    → lines: what goes out with it (a body, standard input), for the plan (stdlib/sends.lua)
--   pins(plan)     → list: what exactly goes, for the journal
--   reader         true: the config's `readers` can say that a run of it only looks
--   ending         seconds that its program may take to end after its deadline: it is heard until then
--   unwell(fields, call)  why such an answer is not well, or nil: what a scenario's reply is judged by, too
--   kept(fields)   → the fields as the journal keeps them: without what another kept field tells and is new at every look
--   lazy           { field = function(fields) → value }: computed when first read
local blame = require "blame"
local duration = require "duration"
local raw_text = require "raw.text"
local secrets = require "secrets"
local values = require "values"

local catalogue = { effects = {}, names = {} }

-- Every effect's deadline unless its entry says otherwise, in seconds.
catalogue.DEADLINE = 10
-- The longest deadline an effect can be given, in seconds.
catalogue.DEADLINE_MAX = 86400
-- SQL and other long arguments are cut to this many characters in a line; they are matched in full.
catalogue.LINE_ARGUMENT = 120

local classes = { read = true, declared = true, notify = true, write = true, destructive = true }

-- The families, loaded when a script first names one.
catalogue.families = { "http", "docker", "compose", "sql", "redis", "sysinfo", "service", "files", "exec", "kubectl",
                       "prometheus", "escalate" }

-- The names of the options that stand in a line, in order.
local function in_line(options)
  local names = {}
  for name, option in pairs(options) do if option.what then names[#names + 1] = name end end
  table.sort(names)
  return names
end

function catalogue.effect(name, entry)
  local family, verb = name:match "^(%l+)%.([%l_]+)$"
  if not family then family, verb = name, nil end
  assert(entry.run and entry.summary and entry.result, name .. ": an entry needs summary, result and run")
  assert(type(entry.class) == "function" or classes[entry.class], name .. ": unknown class")
  entry.name, entry.family, entry.verb = name, family, verb
  entry.params, entry.options = entry.params or {}, entry.options or {}
  entry.options.timeout = entry.options.timeout or { "duration", "10s", "The longest it may take" }
  entry.in_line = in_line(entry.options)
  catalogue.effects[name] = entry
  catalogue.names[#catalogue.names + 1] = name
  return entry
end

-- How an author says that a run of a write only looks; "" where nothing can be said.
function catalogue.way_to_look(entry)
  if not entry.options.reads then return "" end
  return "; if it only looks, say reads = true" .. (entry.reader and ", or name its first words in the config's readers" or "")
end

-- Loads a family; its effects in a table: verb → entry (the one under `true` when the family itself is an effect).
function catalogue.family(name)
  require("effects." .. name)
  local verbs = {}
  for _, entry in pairs(catalogue.effects) do
    if entry.family == name then verbs[entry.verb or true] = entry end
  end
  return verbs
end

------------------------------------------------------------------ Arguments --

local function wrong(entry, what, expected, found)
  blame.raise("%s: %s: %s expected, got %s", entry.name, what, expected, values.describe(found))
end

local readers = {}
function readers.string(value) return type(value) == "string" and value or nil, "a string" end
function readers.boolean(value) if type(value) == "boolean" then return value end return nil, "true or false" end
function readers.number(value) return type(value) == "number" and value or nil, "a number" end
function readers.integer(value) return math.type(value) == "integer" and value or nil, "an integer" end
function readers.any(value) return value end
function readers.map(value) return type(value) == "table" and value or nil, "a table" end

function readers.duration(value) return duration.parse(value), 'a duration like "15m", "5s" or "250ms"' end
function readers.size(value) return duration.size(value), 'a size like "64MB"' end

-- Options written into the list would be lost silently: `exec { "rm", "x", destructive = true }`.
local function stray_key(list)
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then return key end
  end
end

function readers.strings(value)
  if type(value) == "string" then return nil, 'a list of strings like { "df", "-h" }' end
  if type(value) ~= "table" then return nil, "a list of strings" end
  local stray, list = stray_key(value), {}
  if stray ~= nil then
    return nil, ("a list of strings alone (%s has no place in it; options are a table of their own)"):format(values.describe(stray))
  end
  for i, item in ipairs(value) do
    if type(item) == "number" then item = tostring(item) end
    if type(item) ~= "string" and not values.is_placeholder(item) and not values.is_secret(item) then
      return nil, ("a list of strings (entry %d is %s)"):format(i, values.describe(item))
    end
    if type(item) == "string" and item:find "\0" then
      return nil, ("a list of strings without NUL bytes (entry %d has one)"):format(i)
    end
    list[i] = item
  end
  return list
end

-- Which word of a list is a secret.
local function secret_word(list)
  for i, item in ipairs(list) do if values.is_secret(item) then return i end end
end

-- Results where plain values are wanted, and secrets where none may go, are the two mistakes worth their own words.
local function read_value(entry, what, spec, value)
  local kind = spec.type or spec[1]
  if spec.secret and values.is_secret(value) then return value end
  if not spec.secret and values.holds_secret(value) then
    local place = type(value) == "table" and not values.is_secret(value) and secret_word(value)
    if place then what = ("%s: word %d is a secret"):format(what, place) end
    blame.raise("%s: %s: a secret may not go here: it would be shown. Secrets are accepted in headers, auth, body, "
      .. "json, a DSN, env and stdin", entry.name, what)
  end
  if values.is_placeholder(value) then return value end
  local read, expected = readers[kind](value)
  if read == nil then wrong(entry, what, expected, value) end
  if type(read) == "string" then secrets.spot(read) end
  if type(read) == "string" and read:find "\0" and not spec.binary then
    blame.raise("%s: %s: the string holds a NUL byte", entry.name, what)
  end
  if spec.one_of then
    for _, allowed in ipairs(spec.one_of) do if allowed == read then return read end end
    blame.raise("%s: %s: one of %s expected, got %s", entry.name, what, table.concat(spec.one_of, ", "),
      values.describe(value))
  end
  return read
end

local function read_options(entry, call, given)
  for name in pairs(given) do
    if not entry.options[name] then
      blame.no_such("%s: unknown option '%s'%s", entry.name, tostring(name), blame.hint(name, values.keys(entry.options)))
    end
  end
  for name, option in pairs(entry.options) do
    local value = given[name]
    if value == nil then value = option[2] end
    if value == nil and option.required then blame.raise("%s: option '%s' is required", entry.name, name) end
    if value ~= nil then call[name] = read_value(entry, "option '" .. name .. "'", option, value) end
  end
  if type(call.timeout) == "number" and (call.timeout <= 0 or call.timeout > catalogue.DEADLINE_MAX) then
    blame.raise("%s: option 'timeout': more than 0s, at most 24h expected, got %s", entry.name, duration.text(call.timeout))
  end
end

-- The positional arguments from `first` on, up to the options: `redis.command(url, "GET", "key")`.
local function read_rest(entry, arguments, first)
  local words = {}
  for i = first, arguments.n do
    local word = arguments[i]
    if type(word) == "table" and not values.is_placeholder(word) and not values.is_secret(word) then break end
    if type(word) == "number" then word = tostring(word) end
    local what = ("argument %d (%s)"):format(i, entry.rest[1])
    words[#words + 1] = read_value(entry, what, { type = "string", binary = true }, word)
  end
  if #words == 0 then blame.raise("%s: argument %d (%s) is missing", entry.name, first, entry.rest[1]) end
  return words
end

-- Where an optional name is left out, the options follow at once: `kubectl.get("pods", { selector = "app=api" })`.
local function left_out(param, value)
  return param.optional and param[2] == "string" and type(value) == "table" and not values.is_host(value)
end

-- Checks a script's arguments and returns the call: { name = value } with defaults filled in and types read.
function catalogue.call(entry, ...)
  local arguments, call, taken = table.pack(...), {}, 0
  for i, param in ipairs(entry.params) do
    local value = arguments[i]
    if left_out(param, value) then break end
    taken = i
    if value == nil then
      if not param.optional then blame.raise("%s: argument %d (%s) is missing", entry.name, i, param[1]) end
    else
      call[param[1]] = read_value(entry, ("argument %d (%s)"):format(i, param[1]),
        { type = param[2], one_of = param.one_of, secret = param.secret, binary = param.binary }, value)
    end
  end
  if entry.rest then
    call[entry.rest[1]] = read_rest(entry, arguments, taken + 1)
    taken = taken + #call[entry.rest[1]]
  end
  local options = arguments[taken + 1]
  if options ~= nil and (type(options) ~= "table" or values.is_host(options)) then
    wrong(entry, ("argument %d (the options)"):format(taken + 1), "a table", options)
  end
  if arguments.n > taken + 1 then
    blame.raise("%s takes at most %d arguments, got %d", entry.name, taken + 1, arguments.n)
  end
  read_options(entry, call, options or {})
  if entry.check then entry.check(call) end
  return call
end

----------------------------------------------------------------------- Line --

local function squeeze(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

local function shown(value)
  if type(value) == "table" and not values.is_placeholder(value) and not values.is_secret(value) then
    if value[1] ~= nil then
      local words = {}
      for i, item in ipairs(value) do words[i] = shown(item) end
      return table.concat(words, " ")
    end
    local pairs_shown = {}
    for _, key in ipairs(values.keys(value)) do
      pairs_shown[#pairs_shown + 1] = key .. "=" .. shown(value[key])
    end
    return table.concat(pairs_shown, ",")
  end
  local text = type(value) == "userdata" and "null" or squeeze(tostring(value)) -- json.null
  if text == "" then return '""' end
  return text
end

local function quoted(text) return text:find " " and '"' .. text .. '"' or text end

local function cut(text, limit) return limit and #text > limit and raw_text.clip(text, limit) or text end

-- Durations as people write them: older_than=5m.
local function as_written(option, value)
  if option[1] == "duration" and type(value) == "number" then return duration.text(value) end
  return value
end

-- The effect's line: family.verb, positional arguments, then the options that choose what is touched, then the machine.
-- `limit` cuts each argument; without it the line is the one that patterns and plans match.
function catalogue.line(entry, call, limit)
  local words = { entry.name }
  for _, param in ipairs(entry.params) do
    local value = call[param[1]]
    if value ~= nil and param.show then value = param.show(value) end
    if value ~= nil then
      local text = shown(value)
      if type(value) ~= "table" then text = quoted(text) end
      words[#words + 1] = cut(text, limit)
    end
  end
  for _, word in ipairs(entry.rest and call[entry.rest[1]] or {}) do
    words[#words + 1] = cut(quoted(shown(word)), limit)
  end
  for _, name in ipairs(entry.in_line) do
    local option = entry.options[name]
    local value = as_written(option, call[name])
    if value ~= nil and value ~= option[2] then words[#words + 1] = name .. "=" .. cut(quoted(shown(value)), limit) end
  end
  if entry.place then
    local place = entry.place(call)
    if place then words[#words + 1] = "@" .. place end
  end
  return table.concat(words, " ")
end

-- The fields of a healthy result of an effect that nobody carries out; `plan` as preview gave it.
function catalogue.specimen(entry, call, plan)
  local value = entry.specimen
  if type(value) == "function" then value = value(call) end
  if value == nil and entry.would then value = entry.would(call, plan) end
  return values.copy(value or {})
end

return catalogue
