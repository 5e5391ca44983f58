-- The command that a person could type instead of an effect: as a shell's text, which does what the effect does and
-- nothing else. An entry gives words, with what goes to standard input; here they become the text that stands in the
-- journal, on the screen and in the report, so that all three can be pasted.
--
--   command(call) → { word, …, stdin = text, quiet = true }    quiet: what it prints is not wanted
--   nil, why                                                   no single command does it
-- Words and stdin may be secrets: they stand as "${NAME:?}", which the shell refuses to run while it isn't filled in.
local text = require "raw.text"
local values = require "values"

local byhand = {}

-- A longer one is not given, in bytes: a terminal takes no more at once.
byhand.TEXT_MAX = 64 << 10
-- A command is shown whole or not at all, for half of one does something else: so many lines, and columns of each.
byhand.LINES_MAX, byhand.COLUMNS_MAX = 30, 1000

local NONE = "no single command does this"

-- Words that a shell takes as its own where a program's name is expected.
local reserved = {}
for word in ("if then else elif fi do done case esac while until for in function select time coproc { } ! [[ ]]"):gmatch "%S+" do
  reserved[word] = true
end

-- A secret's name as a variable's.
local function variable(name) return (name:gsub("[^%w_]", "_"):gsub("^%d", "_%0")) end

-- `form`: how a secret's variable stands in it.
local function quoted(word, form)
  local pieces = {}
  for i, part in ipairs(values.parts(word)) do
    pieces[i] = part.name and form:format(variable(part.name)) or part.text ~= "" and text.shell_quote { part.text } or ""
  end
  local line = table.concat(pieces)
  return line ~= "" and line or "''"
end

local UNSET_STOPS, PLAIN = '"${%s:?}"', '"$%s"'

-- A list of words as a shell reads them.
function byhand.words(list)
  local line = {}
  for i, word in ipairs(list) do line[i] = quoted(word, UNSET_STOPS) end
  local first = tostring(list[1])
  if line[1] == first and (reserved[first] or first:find "=") then line[1] = "'" .. first .. "'" end
  return table.concat(line, " ")
end

-- The body of a here-document, and whether the shell must look into it.
local function body_of(stdin)
  if not values.is_secret(stdin) then return stdin, false end
  local pieces = {}
  for i, part in ipairs(values.parts(stdin)) do
    pieces[i] = part.name and ("${%s:?}"):format(variable(part.name)) or part.text:gsub("[\\$`]", "\\%0")
  end
  return table.concat(pieces), true
end

local function here_document(line, stdin)
  local body, expands = body_of(stdin)
  local mark, count = "EOF", 1
  while ("\n" .. body):find("\n" .. mark .. "\n", 1, true) do
    count = count + 1
    mark = "EOF" .. count
  end
  return ("%s <<%s\n%s%s"):format(line, expands and mark or "'" .. mark .. "'", body, mark)
end

-- What doesn't end with a line's end is no here-document. A variable that is not filled in must stop the whole line, not
-- only the printing of it.
local function piped(line, stdin)
  local guards = {}
  for _, part in ipairs(values.parts(stdin)) do
    if part.name then guards[#guards + 1] = (': "${%s:?}" && '):format(variable(part.name)) end
  end
  return ("%sprintf %%s %s | %s"):format(table.concat(guards), quoted(stdin, PLAIN), line)
end

local function last_text(value)
  local parts = values.parts(value)
  return parts[#parts].text or ""
end

-- What an entry's `command` gave, as a shell's text.
function byhand.text(command)
  local line, stdin = byhand.words(command), command.stdin
  if command.quiet then line = line .. " >/dev/null" end
  local through = command.through
  if through then line = ("%s%s | %s"):format(line, through.both and " 2>&1" or "", byhand.words(through)) end
  if stdin == nil then return line end
  if stdin == "" then return line .. " </dev/null" end
  if last_text(stdin):sub(-1) == "\n" then return here_document(line, stdin) end
  return piped(line, stdin)
end

-- NAME=VALUE as a word; the value may be a secret.
function byhand.assignment(name, value) return name .. "=" .. (values.is_secret(value) and value or tostring(value)) end

-- The command for an act; nil and, of a change, why there is none.
function byhand.of(act)
  local entry, call = act.entry, act.call
  if not entry.command then return nil, entry.class ~= "notify" and NONE or nil end
  local unknown = values.find_placeholder(call)
  if unknown then return nil, ("%s is known only in the run"):format(tostring(unknown)) end
  local made, command, why = pcall(entry.command, call) -- arguments that the effect itself will refuse have no command
  if not made or not command or #command == 0 then return nil, made and why or NONE end
  local line = byhand.text(command)
  if line:find "\0" then return nil, "a shell takes no NUL byte" end
  if #line > byhand.TEXT_MAX then return nil, ("it is longer than %d KB"):format(byhand.TEXT_MAX >> 10) end
  return line
end

-- The lines of one for the screen: whole and as they are; nil and why they can't be shown so.
function byhand.lines(command)
  local lines = text.lines(command)
  if text.inert(command, { lines = true }) ~= command then return nil, "in the journal: it holds control characters" end
  if #lines > byhand.LINES_MAX then return nil, ("in the journal: it has %d lines"):format(#lines) end
  for _, line in ipairs(lines) do
    if #line > byhand.COLUMNS_MAX then return nil, "in the journal: it has long lines" end
  end
  return lines
end

-- Several lines begin at the first column, for indented they are another command: "by hand:" stands on a line before them.
function byhand.shown(command, why_none)
  if not command then return "by hand: none: " .. why_none end
  local lines, why = byhand.lines(command)
  if not lines then return "by hand: " .. why end
  if #lines == 1 then return "by hand: " .. lines[1] end
  return "by hand:\n" .. table.concat(lines, "\n")
end

return byhand
