-- What a write sends, in lines for its plan: the first ones of a body, of what goes to a program's standard input, of a
-- file's change. An approval is of these, not of the effect's name alone.
local secret = require "raw.secret"
local text = require "raw.text"
local values = require "values"

local sends = {}

-- So many lines stand in a plan, and so many columns of each; what is left out is counted.
sends.LINES_MAX, sends.COLUMNS_MAX = 8, 200
-- Files whose middle part, the lines that differ, is longer than this are not compared line by line.
local COMPARED_MAX = 400

-- The lines of a text, which may be a secret, a placeholder or a number. Masked before anything is cut: half a secret would
-- not be found any more.
function sends.split(value, mark)
  local lines, masked = {}, secret.redact(values.masked(value))
  if masked ~= "" and masked:sub(-1) ~= "\n" then masked = masked .. "\n" end
  for line in masked:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = (mark or "") .. line
  end
  return lines
end

-- NAME=value of a map of variables, each a line; false removes one.
function sends.variables(env)
  local lines = {}
  for _, name in ipairs(values.keys(env or {})) do
    local value = env[name]
    lines[#lines + 1] = value == false and "removes " .. name or ("%s=%s"):format(name, secret.redact(values.masked(value)))
  end
  return lines
end

-- The first of them, as a plan shows them; nil for none.
function sends.first(lines)
  if not lines or #lines == 0 then return nil end
  local shown, count = {}, #lines <= sends.LINES_MAX + 1 and #lines or sends.LINES_MAX
  for i = 1, count do shown[i] = text.truncate(lines[i], sends.COLUMNS_MAX) end
  if count < #lines then shown[count + 1] = ("… %d more lines"):format(#lines - count) end
  return shown
end

---------------------------------------------------------------------- Diff --

-- The lengths of the longest common parts of a[i…] and b[j…].
local function common_lengths(a, b)
  local lengths = {}
  for i = #a + 1, 1, -1 do
    lengths[i] = {}
    for j = #b + 1, 1, -1 do
      if i > #a or j > #b then lengths[i][j] = 0
      elseif a[i] == b[j] then lengths[i][j] = lengths[i + 1][j + 1] + 1
      else lengths[i][j] = math.max(lengths[i + 1][j], lengths[i][j + 1]) end
    end
  end
  return lengths
end

local function compare(a, b)
  local lengths, lines, i, j = common_lengths(a, b), {}, 1, 1
  while i <= #a or j <= #b do
    if i <= #a and j <= #b and a[i] == b[j] then
      i, j = i + 1, j + 1
    elseif i <= #a and (j > #b or lengths[i + 1][j] >= lengths[i][j + 1]) then
      lines[#lines + 1], i = "-" .. a[i], i + 1
    else
      lines[#lines + 1], j = "+" .. b[j], j + 1
    end
  end
  return lines
end

local function cut_out(list, first, last) return table.move(list, first, last, 1, {}) end

local function all_of(a, b)
  local lines = {}
  for _, line in ipairs(a) do lines[#lines + 1] = "-" .. line end
  for _, line in ipairs(b) do lines[#lines + 1] = "+" .. line end
  return lines
end

-- "-old" and "+new" for the lines in which two texts differ.
function sends.diff(old, new)
  local a, b = sends.split(old), sends.split(new)
  local first, last = 1, 0
  while first <= #a and first <= #b and a[first] == b[first] do first = first + 1 end
  while last < math.min(#a, #b) - first + 1 and a[#a - last] == b[#b - last] do last = last + 1 end
  a, b = cut_out(a, first, #a - last), cut_out(b, first, #b - last)
  if #a == 0 and #b == 0 then return { "the end of the last line" } end
  if #a > COMPARED_MAX or #b > COMPARED_MAX then return all_of(a, b) end
  return compare(a, b)
end

----------------------------------------------------------------------- Act --

-- What a write about to be planned sends: as its preview saw it, else as its arguments say; where the line is cut, the
-- whole of it.
function sends.of(act)
  local lines = act.preview and act.preview.sends
  if not lines and act.entry.sends then lines = act.entry.sends(act.call) end
  if not lines and act.line ~= act.match then lines = sends.split(act.match) end
  return sends.first(lines)
end

return sends
