-- The programs whose runs are reads, for exec, docker.exec and kubectl.exec alike. A run is one when its program, its
-- verb and every one of its options stand in the list (effects/readers_list.lua), or when the config's `readers` begin it;
-- anything else is a write unless its author says `reads = true`. So an option that nobody thought of, an abbreviated
-- one, or a second verb is a write, and not a way for a probe to change something.
--
-- What stands before a program is looked through: `sudo -n [-u USER]`, `env NAME=VALUE`. Variables are taken by a list of
-- allowed ones, for others make another program of it, or have it start one.
local lists = require "effects.readers_list"
local settings = require "settings"

local readers = {}

-- Wrappers in front of one program, at most.
local WRAPPERS_MAX = 4
-- Where programs of these names are the ones meant; elsewhere it is any file.
local folders = { "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/" }

-- A program's name as the list knows it, or nil.
local function program_name(path)
  if not path:find "/" then return path end
  for _, folder in ipairs(folders) do
    local name = path:sub(1, #folder) == folder and path:sub(#folder + 1)
    if name and not name:find "/" then return name end
  end
end

--------------------------------------------------------------- Variables --

-- The list's pattern for a variable's value; nil when it isn't allowed.
local function allowed_value(name)
  if lists.variables[name] then return lists.variables[name] end
  return name:find "^LC_%u+$" and ".*" or nil
end

-- Values that are no strings are secrets, whose text nobody knows here.
local function is_harmless(name, value)
  local pattern = allowed_value(name)
  return pattern == ".*" or pattern ~= nil and type(value) == "string" and value:find(pattern) ~= nil
end

local function are_harmless(env)
  for name, value in pairs(env or {}) do if not is_harmless(name, value) then return false end end
  return true
end

---------------------------------------------------------------- Wrappers --

-- The words after assignments; nil when one isn't allowed.
local function after_assignments(argv, at)
  while argv[at] and argv[at]:find "^[%a_][%w_]*=" do
    local name, value = argv[at]:match "^([%w_]+)=(.*)$"
    if not is_harmless(name, value) then return nil end
    at = at + 1
  end
  return at
end

local unwrap = {}

function unwrap.env(argv) return after_assignments(argv, 2) end

-- A password would be waited for without -n.
function unwrap.sudo(argv)
  local at, asks = 2, true
  while argv[at] and argv[at]:find "^%-" do
    local word = argv[at]
    at = at + 1
    if word == "-n" or word == "--non-interactive" then asks = false
    elseif word == "-u" then at = at + 1
    elseif word == "--" then break
    elseif not (word:find "^%-u[%w_]" or word:find "^%-%-user=[%w_]") then return nil end
  end
  return not asks and after_assignments(argv, at) or nil
end

-- The vector without what stands before its program; nil when that is more than a wrapper.
local function unwrapped(argv)
  for _ = 1, WRAPPERS_MAX do
    local f = unwrap[program_name(argv[1]) or ""]
    if not f then return argv end
    local at = f(argv)
    if not at then return nil end
    if not argv[at] then return f == unwrap.env and argv or nil end -- env alone prints the environment
    argv = table.move(argv, at, #argv, 1, {})
  end
end

----------------------------------------------------------------- Options --

-- "-n= -q --since= --color? …": what may stand among a program's words. `-x` takes nothing, `-x=` a value of its own,
-- `-x?` one that is attached to it, `-5` stands for a number; `…` lets any other word stand there, `-*` any option.
local function parsed(text)
  local allowed = { kinds = {} }
  for token in text:gmatch "%S+" do
    local name, kind = token:match "^(%-.-)([=?]?)$"
    if token == "…" then allowed.operands = true
    elseif token == "-*" then allowed.any = true
    elseif token == "-5" then allowed.numbers = true
    elseif name then allowed.kinds[name] = kind == "" and "flag" or kind
    else error("a reader's option is no option: " .. token) end
  end
  return allowed
end

local parsed_of = {}

local function allowed_of(text)
  if not parsed_of[text] then parsed_of[text] = parsed(text) end
  return parsed_of[text]
end

-- One walk over the words after the program: what is given, where it is, what was seen.
local walk = {}
walk.__index = walk

local function note(self, name, value)
  self.seen[name] = self.seen[name] or {}
  table.insert(self.seen[name], value or "")
  local pattern = self.entry.values and self.entry.values[name]
  return not pattern or (value or ""):find(pattern) ~= nil
end

-- A value that begins with a dash could be an option that the program takes for itself.
local function next_value(self)
  self.at = self.at + 1
  local value = self.argv[self.at]
  return value and (not value:find "^%-" or value:find "^%-%d") and value or nil
end

-- After the verb its own options go before the program's of the same letter.
local function kind_of(self, name)
  local own = #self.operands >= self.verb_from and allowed_of(self.entry.of_verb or "").kinds[name]
  return own or allowed_of(self.entry.options).kinds[name]
end

-- A word that is one option as a whole: --name, --name=value; -name where the program has such.
local function take_whole(self, word)
  local name, value = word:match "^(%-[^=]+)=(.*)$"
  local kind = kind_of(self, name or word)
  if not kind then
    local own = self.entry.own
    return own ~= nil and own(name or word, self.operands) and note(self, name or word, value)
  end
  if name then return kind ~= "flag" and note(self, name, value) end
  if kind ~= "=" then return note(self, word) end
  value = next_value(self)
  return value ~= nil and note(self, word, value)
end

-- -tln: letters up to one that takes a value, which is the rest or the next word.
local function take_letters(self, word)
  local at = 2
  while at <= #word do
    local name, rest = "-" .. word:sub(at, at), word:sub(at + 1)
    local kind = kind_of(self, name)
    if not kind then return false end
    if kind == "flag" then
      if not note(self, name) then return false end
    else
      local value = rest ~= "" and rest or kind == "=" and next_value(self) or kind == "?" and ""
      return value and note(self, name, value)
    end
    at = at + 1
  end
  return true
end

local function take_option(self, word)
  local general = allowed_of(self.entry.options)
  local own = #self.operands >= self.verb_from and allowed_of(self.entry.of_verb or "") or {}
  if general.any or own.any then return true end
  if word:find "^%-%d+$" and (general.numbers or own.numbers) then return true end
  if self.entry.whole or word:find "^%-%-" then return take_whole(self, word) end
  return take_letters(self, word)
end

function walk:words()
  local argv = self.argv
  while self.at <= #argv do
    local word = argv[self.at]
    if self.ended or not word:find "^%-." then
      self.operands[#self.operands + 1] = word
    elseif word == "--" then
      self.ended = true
    elseif not take_option(self, word) then
      return false
    end
    self.at = self.at + 1
  end
  return true
end

-- Whether the words after the verb may be there.
local function operands_fit(entry, operands, from)
  local any = allowed_of(entry.options).operands or allowed_of(entry.of_verb or "").operands
  for i = from, #operands do
    if not (any or entry.operand) or entry.operand and not operands[i]:find(entry.operand) then return false end
  end
  return true
end

local function begins_with(operands, verb)
  for i, word in ipairs(verb) do if operands[i] ~= word then return false end end
  return true
end

-- One of the alternatives "-q --query" must have been given.
local function has_needed(entry, seen)
  for _, alternatives in ipairs(entry.needs or {}) do
    local given = false
    for name in alternatives:gmatch "%S+" do given = given or seen[name] ~= nil end
    if not given then return false end
  end
  return true
end

local function fits(entry, argv)
  local it = setmetatable({ entry = entry, argv = argv, at = 2, operands = {}, seen = {}, verb_from = math.min(1, #entry.verb) },
    walk)
  return it:words() and begins_with(it.operands, entry.verb) and operands_fit(entry, it.operands, #entry.verb + 1)
    and has_needed(entry, it.seen) and (not entry.check or entry.check(it.seen, it.operands, argv))
end

----------------------------------------------------------------- Answers --

local function listed(argv)
  for _, entry in ipairs(lists.programs[program_name(argv[1]) or ""] or {}) do
    if fits(entry, argv) then return true end
  end
  return false
end

-- The config's readers: leading words, of a program as it is written there.
local function configured(argv)
  for _, words in ipairs(settings.readers) do
    local leads = words[1] == argv[1] or words[1] == program_name(argv[1])
    for i = 2, #words do leads = leads and argv[i] == words[i] end
    if leads then return true end
  end
  return false
end

-- Whether this run is a read: all arguments known, on the list, and nothing given to it that could make it another thing.
function readers.reads(argv, env, has_input)
  for _, word in ipairs(argv) do if type(word) ~= "string" then return false end end
  if #argv == 0 or has_input or not are_harmless(env) then return false end
  if configured(argv) then return true end
  argv = unwrapped(argv)
  return argv ~= nil and (configured(argv) or listed(argv))
end

-- The list in words, for the reference: "ip addr show", each once.
function readers.describe()
  local names, seen = {}, {}
  for _, program in ipairs(lists.order) do
    for _, entry in ipairs(lists.programs[program]) do
      local name = table.concat({ program, table.unpack(entry.verb) }, " ")
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  return names
end

return readers
