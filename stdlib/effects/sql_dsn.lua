-- Connection strings of PostgreSQL: what of one may be shown, what the database is called, how psql is told.
local values = require "values"

local sql_dsn = {}

-- The user's password in the part before the path, and parameters whose names end in "password".
local function uri_bare(scheme, rest)
  local before, after = rest:match "^([^?]*)(.*)$"
  local place = before:match "^[^/]*"
  -- A password with a slash in it, not encoded: libpq won't take it, but it must not be shown for that.
  if not place:find "@" then place = before:match "^.*@" or place end
  local path = before:sub(#place + 1)
  local user, host = place:match "^(.*)@([^@]*)$"
  if user then place = (user:match "^[^:]*") .. "@" .. host end
  local kept = {}
  for param in after:gmatch "[^?&]+" do
    if not param:find "^%w*password=" then kept[#kept + 1] = param end
  end
  return scheme .. place .. path .. (kept[1] and "?" .. table.concat(kept, "&") or "")
end

-- keyword = value, keyword = 'a value'
local function words_bare(text)
  local words, at = {}, 1
  while true do
    local name, value_at = text:match("^%s*([%w_]+)%s*=%s*()", at)
    if not name then break end
    local after
    if text:sub(value_at, value_at) == "'" then
      after = value_at + 1
      while after <= #text and text:sub(after, after) ~= "'" do
        after = after + (text:sub(after, after) == "\\" and 2 or 1)
      end
      after = after + 1
    else
      after = text:find("%s", value_at) or #text + 1
    end
    if not name:find "password$" then words[#words + 1] = name .. "=" .. text:sub(value_at, after - 1) end
    at = after
  end
  return table.concat(words, " ")
end

-- What stands for it in lines: without its password, secrets as ***. A dry result's placeholder stays one.
function sql_dsn.shown(dsn)
  local text = values.marked(dsn)
  if type(text) ~= "string" then return dsn end
  local scheme, rest = text:match "^(postgres%a*://)(.*)$"
  local bare = scheme and uri_bare(scheme, rest) or text:find "=" and words_bare(text) or text
  return (bare:gsub("⟦.-⟧", "***"))
end

-- Why a text can't be a connection string; nil when it may be one.
function sql_dsn.problem(dsn)
  if type(dsn) ~= "string" or dsn:find "^%s*[%w_]+%s*=" then return nil end
  local rest = dsn:match "^postgres%a*://([^?]*)"
  if not rest then return "a connection string like postgresql://user@host:5432/database expected" end
  local place, path = rest:match "^([^/]*)(.*)$"
  if select(2, place:gsub("@", "")) > 1 or path:find "@" then
    return "write @ and / in a user's name or password as %40 and %2F"
  end
end

local function parsed(dsn)
  local text = values.reveal(dsn)
  if type(text) ~= "string" then return nil end
  return (require("raw.pg").parse(text))
end

-- "conduit@db1": what the operator types, and where previews say a write goes.
function sql_dsn.target(dsn)
  local place = parsed(dsn)
  return place and place.dbname .. "@" .. (place.host or "localhost") or tostring(sql_dsn.shown(dsn))
end

-- psql's arguments for a connection to the same database. It asks for the password itself.
function sql_dsn.psql(dsn, ...)
  local shown = tostring(sql_dsn.shown(dsn))
  local place = shown:find("***", 1, true) and parsed(dsn)
  if not place then return { "psql", "-X", shown, ... } end
  return { "psql", "-X", "-h", place.host or "localhost", "-p", tostring(place.port),
    "-U", place.user, "-d", place.dbname, ... }
end

return sql_dsn
