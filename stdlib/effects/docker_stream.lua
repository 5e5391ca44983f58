-- The framing of a container's output: {stream, 0, 0, 0, length as 4 bytes, big-endian} before each piece; a
-- container with a terminal has none.
local stream = {}

-- No piece of the engine's is longer, in bytes: it copies by 32 KB, and cuts log lines at 16 KB.
local PIECE_MAX = 1 << 20
-- Streams: standard output, standard error, and what the engine itself says of a failure.
local ERROR, SYSTEM_ERROR = 2, 3

local function header(body, at)
  if at + 7 > #body then return nil end
  local which, a, b, c, length = (">BBBBI4"):unpack(body, at)
  if which < 1 or which > SYSTEM_ERROR or a ~= 0 or b ~= 0 or c ~= 0 or length > PIECE_MAX then return nil end
  return which, length
end

-- Whether headers follow each other from `at` exactly to the end. `dead` remembers from where they don't, so
-- that a text full of imitations costs no more than one look at each.
local function chained(body, at, dead)
  local passed = {}
  while at <= #body and not dead[at] do
    passed[#passed + 1] = at
    local _, length = header(body, at)
    if not length then break end
    at = at + 8 + length
  end
  if at == #body + 1 then return true end
  for _, place in ipairs(passed) do dead[place] = true end
  return false
end

-- Where the first whole piece of a tail begins.
local function first_piece(body)
  local at, dead = 1, {}
  while true do
    at = body:find("[\1-\3]\0\0\0", at)
    if not at then return #body + 1 end
    if chained(body, at, dead) then return at end
    at = at + 1
  end
end

-- The pieces in order: { both =, stdout =, stderr = } as one text each. `is_tail`: the beginning is missing.
function stream.split(body, is_tail)
  local both, out, err = {}, {}, {}
  local at = is_tail and first_piece(body) or 1
  while true do
    local which, length = header(body, at)
    if not which then break end
    local piece = body:sub(at + 8, at + 7 + length)
    both[#both + 1] = piece
    local own = which >= ERROR and err or out
    own[#own + 1] = piece
    at = at + 8 + length
  end
  return { both = table.concat(both), stdout = table.concat(out), stderr = table.concat(err) }
end

-- The output of an answer: framed, unless its container has a terminal; what doesn't begin as a frame is none either, for
-- "no error in its log" must not be said of a log that nobody read.
function stream.read(reply, is_tty, is_tail)
  local body = reply.body or ""
  local is_cut = is_tail and reply.cut
  if is_tty or body ~= "" and not is_cut and not header(body, 1) then return { both = body, stdout = body, stderr = "" } end
  return stream.split(body, is_cut)
end

return stream
