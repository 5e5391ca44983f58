-- What a scenario file may say: keys, types, effects and their fields. What could never come true is refused while the file is
-- read, in the words of its author's line, so that no test passes on a world that nobody described.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local values = require "values"

local shape = {}

-- raise(where…, message): where is "scenario "x": given: "docker.inspect *"".
local function raise(where, message, ...) blame.raise("%s", where .. ": " .. message:format(...)) end

-- A key as it was written.
local function key_text(key) return type(key) == "string" and ("'%s'"):format(key) or values.describe(key) end

local function expected(where, wanted, value)
  raise(where, "%s %s expected, got %s", wanted:find "^[aeiou]" and "an" or "a", wanted, values.describe(value))
end

local function expect_type(where, value, wanted)
  if type(value) ~= wanted then expected(where, wanted, value) end
end

local function expect_duration(where, value)
  local seconds, why = duration.parse(value)
  if seconds then return end
  raise(where, "%s", type(value) == "string" and why or ("%s, got %s"):format(why, values.describe(value)))
end

local function expect_known(where, map, known)
  for key in pairs(map) do
    if not known[key] then
      raise(where, "unknown key %s%s", key_text(key), blame.hint(tostring(key), values.keys(known)))
    end
  end
end

local function expect_strings(where, list)
  if type(list) ~= "table" then raise(where, "a list of patterns expected, got %s", values.describe(list)) end
  for key, value in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      raise(where, "a list of patterns expected, it has the key %s", key_text(key))
    end
    if type(value) ~= "string" then raise(where, "entry %d: a pattern expected, got %s", key, values.describe(value)) end
  end
end

-- Patterns → values; `check(where, value, pattern)` looks at each.
local function expect_patterns(where, map, check, what)
  expect_type(where, map, "table")
  for pattern, value in pairs(map) do
    if type(pattern) ~= "string" then raise(where, "%s are strings, got %s", what or "patterns", values.describe(pattern)) end
    check(("%s: %q"):format(where, pattern), value, pattern)
  end
end

-------------------------------------------------------------- Effects meant --

-- The families that a pattern's literal beginning may mean.
local function families_of(head, whole)
  local family, list = head:match "^[^.]*", {}
  for _, name in ipairs(catalogue.families) do
    local open = not whole and family == head and name:sub(1, #head) == head
    if name == family or open then list[#list + 1] = name end
  end
  return list
end

-- Where the family is misspelt too, the nearest one's effects are what was meant.
local function hint_of(head, names)
  local near = #names == 0 and blame.nearest(head:match "^[^.]*", catalogue.families)
  for _, entry in pairs(near and catalogue.family(near) or {}) do names[#names + 1] = entry.name end
  return blame.hint(head, #names > 0 and names or values.copy(catalogue.families))
end

-- The effects that a pattern can be about, told by what stands before its first blank or star; nil when that is nothing.
-- One that can be about none is a mistake.
local function effects_of(where, pattern)
  local head, after = pattern:match "^%s*([^%s*]*)(.?)"
  if head == "" then return nil end
  local whole, found, names = after ~= "*", {}, {}
  for _, family in ipairs(families_of(head, whole)) do
    for _, entry in pairs(catalogue.family(family)) do
      names[#names + 1] = entry.name
      if entry.name == head or not whole and entry.name:sub(1, #head) == head then found[#found + 1] = entry end
    end
  end
  if #found == 0 then raise(where, "there is no effect %s%s", head, hint_of(head, names)) end
  return found
end

local changes = { write = true, destructive = true }

-- Patterns over writes: `does`, `never`, `after`. A class that arguments decide may be one.
local function expect_writes(where, pattern)
  if pattern == "…" then return end
  local effects = effects_of(where, pattern)
  if not effects then return end
  for _, entry in ipairs(effects) do
    if changes[entry.class] or type(entry.class) == "function" then return end
  end
  raise(where, "%s changes nothing: this looks at writes alone", effects[1].name)
end

--------------------------------------------------------------------- Replies --

local special = {}
function special.ok(where, value) expect_type(where, value, "boolean") end
function special.why(where, value) expect_type(where, value, "string") end
function special.takes(where, value) expect_duration(where, value) end
function special.never(where, value) expect_type(where, value, "boolean") end
function special.radius(where, value) expect_type(where, value, "string") end
function special.error(where, value)
  if type(value) == "string" then return end
  if type(value) ~= "table" then raise(where, "text or { kind =, message = } expected, got %s", values.describe(value)) end
  expect_known(where, value, { kind = true, message = true })
  for key, item in pairs(value) do expect_type(where .. "." .. key, item, "string") end
  if not value.kind and not value.message then raise(where, "text or { kind =, message = } expected, got neither") end
end

-- By the first word of what the catalogue says of a field.
local kinds = {
  boolean = function(value) return type(value) == "boolean" end,
  integer = function(value) return math.type(value) == "integer" or type(value) == "number" and value % 1 == 0 end,
  number = function(value) return type(value) == "number" end,
  string = function(value) return type(value) == "string" end,
  list = function(value) return type(value) == "table" end,
  map = function(value) return type(value) == "table" end,
}

local function field_fits(effects, name, value)
  local known, wanted = false, nil
  for _, entry in ipairs(effects) do
    local told = entry.result[name]
    local fits = told and kinds[told:match "^%l+"]
    if entry.open_fields or told then known = true end
    if entry.open_fields and not told or told and (not fits or fits(value)) then return true end
    wanted = wanted or told and told:match "^%l+"
  end
  return false, known and wanted
end

local function fields_of(effects)
  local names = {}
  for _, entry in ipairs(effects) do for name in pairs(entry.result) do names[name] = true end end
  for name in pairs(special) do names[name] = true end
  return values.keys(names)
end

local function check_one_reply(where, reply, effects)
  expect_type(where, reply, "table")
  for name, value in pairs(reply) do
    if special[name] then
      special[name](where .. ": " .. name, value)
    elseif effects then
      local fits, wanted = field_fits(effects, name, value)
      if not fits and wanted then expected(("%s: %s"):format(where, name), wanted, value) end
      if not fits then
        raise(where, "a result of %s has no field %s%s", effects[1].name, key_text(name),
          blame.hint(tostring(name), fields_of(effects)))
      end
    end
  end
end

local function is_list(value) return type(value) == "table" and value[1] ~= nil end

-- A reply, or a list of them given in turn.
local function check_reply(where, reply, pattern)
  local effects = effects_of(where, pattern)
  if not is_list(reply) then return check_one_reply(where, reply, effects) end
  for key, one in pairs(reply) do
    if math.type(key) ~= "integer" then
      raise(where, "a reply or a list of replies expected, this is both: it has the key %s", key_text(key))
    end
    check_one_reply(("%s: reply %d"):format(where, key), one, effects)
  end
end

-- What changes once a write was made; `reply` is what the write itself answers.
local function check_after(where, change, pattern)
  expect_writes(where, pattern)
  expect_type(where, change, "table")
  local world = values.copy_shallow(change)
  if world.reply ~= nil then check_one_reply(where .. ": reply", world.reply, effects_of(where, pattern)) end
  world.reply = nil
  expect_patterns(where, world, check_reply)
end

-------------------------------------------------------------------- Answers --

local answers = { string = true, number = true, boolean = true }

-- An answer, a list of them given in turn, or { "yes", takes = "40s" }.
local function check_answer(where, value)
  if answers[type(value)] then return end
  if not is_list(value) then
    raise(where, "an answer, a list of answers or { \"yes\", takes = \"40s\" } expected, got %s", values.describe(value))
  end
  for key, item in pairs(value) do
    if key == "takes" then
      expect_duration(where .. ": takes", item)
    elseif math.type(key) ~= "integer" then
      raise(where, "unknown key %s%s", key_text(key), blame.hint(tostring(key), { "takes" }))
    elseif not answers[type(item)] then
      raise(("%s: entry %d"):format(where, key), "an answer expected, got %s", values.describe(item))
    end
  end
  if value.takes and #value > 1 then raise(where, "one answer expected beside takes, got %d", #value) end
end

----------------------------------------------------------------- Expectations --

local outcomes = { "resolved", "unresolved", "failed", "aborted", "suspended", "refused", "usage" }

local function count(where, value)
  if math.type(value) ~= "integer" or value < 0 then
    raise(where, "a whole number, 0 or more, expected, got %s", values.describe(value))
  end
end

local function count_or_patterns(where, value)
  if type(value) == "number" then return count(where, value) end
  expect_strings(where, value)
end

local function write_patterns(where, value)
  expect_strings(where, value)
  for _, pattern in ipairs(value) do expect_writes(("%s: %q"):format(where, pattern), pattern) end
end

local expectations = {
  outcome = function(where, value)
    for _, name in ipairs(outcomes) do if name == value then return end end
    raise(where, "one of %s expected, got %s", table.concat(outcomes, ", "), values.describe(value))
  end,
  by = function(where, value) expect_type(where, value, "string") end,
  says = function(where, value) expect_type(where, value, "string") end,
  exit = count, pages = count,
  within = expect_duration,
  does = write_patterns, never = write_patterns,
  owed = count_or_patterns, left = count_or_patterns, unknown = count_or_patterns,
  told = expect_strings,
}

local function check_expect(where, expect)
  expect_type(where, expect, "table")
  expect_known(where, expect, expectations)
  for key, value in pairs(expect) do expectations[key](where .. ": " .. key, value) end
end

-- Of a check, the goal or a wait_until, by its label: what is so, or a list of it given in turn.
local function check_decision(where, value)
  if type(value) == "boolean" then return end
  if not is_list(value) then raise(where, "true, false or a list of them expected, got %s", values.describe(value)) end
  for key, item in pairs(value) do
    if math.type(key) ~= "integer" or type(item) ~= "boolean" then
      raise(where, "true, false or a list of them expected, entry %s is %s", tostring(key), values.describe(item))
    end
  end
end

---------------------------------------------------------------------- Whole --

local keys = {
  given = function(where, value) expect_patterns(where, value, check_reply) end,
  answers = function(where, value) expect_patterns(where, value, check_answer) end,
  checks = function(where, value) expect_patterns(where, value, check_decision, "labels") end,
  after = function(where, value) expect_patterns(where, value, check_after) end,
  params = function(where, value) expect_patterns(where, value, function() end, "names") end,
  expect = check_expect,
}

-- world { … }; raises at the script's line.
function shape.check_world(given) expect_patterns("world", given, check_reply) end

-- scenario "name" { … }; raises at the script's line.
function shape.check(name, description)
  local where = ("scenario %q"):format(name)
  expect_type(where, description, "table")
  expect_known(where, description, keys)
  for key, value in pairs(description) do keys[key](where .. ": " .. key, value) end
end

return shape
