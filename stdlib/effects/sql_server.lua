-- Connections to PostgreSQL and what reads do on them: one READ ONLY transaction, with limits of its own, rolled back.
local sql_answer = require "effects.sql_answer"
local sql_called = require "effects.sql_called"
local settings = require "settings"
local tasks = require "tasks"

local sql_server = {}

-- A connection waits this long for the next read of the same database, in seconds; then it is closed.
local LINGER_SECONDS = 1
-- A read waits no longer than this for somebody's lock, in seconds.
local LOCK_SECONDS = 3
-- What our side waits longer than the server, so that its word comes first, in seconds.
local GRACE_SECONDS = 0.1
-- A read's rows take this much memory at most, in bytes; what is beyond is cut.
sql_server.BYTES_MAX = 4 << 20

-------------------------------------------------------------- Connections --

local waiting = {} -- dsn → { conn = } that waits for its next read
local own = {}     -- pids of every session this process had: none of them is ever ended by it

function sql_server.own_pids()
  local pids = {}
  for pid in pairs(own) do pids[#pids + 1] = pid end
  table.sort(pids)
  return pids
end

local function left(due) return math.max(0.001, due - tasks.now()) end

-- A new connection; nil and the error, in which `connecting` says that nothing was asked of the server.
local function connect(dsn, due)
  local conn, err = require("raw.pg").connect { dsn = dsn, timeout = left(due), hosts = settings.hosts }
  if not conn then
    err.connecting = true
    return nil, err
  end
  local info = conn:info()
  if info then own[info.pid] = true end
  return conn
end

-- Closes a connection when its scope ends, unless it was kept for the next read.
local lease_type = { __close = function(lease) if lease.conn then lease.conn:close() end end }

local function linger(dsn, lease)
  local conn = lease.conn
  lease.conn = nil
  if waiting[dsn] then return conn:close() end
  local place = { conn = conn }
  waiting[dsn] = place
  tasks.spawn(function()
    pcall(tasks.sleep, LINGER_SECONDS)
    if waiting[dsn] ~= place then return end
    waiting[dsn] = nil
    conn:close()
  end)
end

-- The connection that waits for this database, if any.
local function take(dsn)
  local place = waiting[dsn]
  waiting[dsn] = nil
  return place and place.conn
end

------------------------------------------------------------------- Reads --

-- A database without an encoding gives out its bytes as they are only to a client without one.
local SETTINGS = [[
  SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('lock_timeout', $2, true),
         pg_catalog.set_config('standard_conforming_strings', 'on', true),
         CASE WHEN pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'
           THEN pg_catalog.set_config('client_encoding', 'SQL_ASCII', true) END]]

local function milliseconds(seconds) return math.max(1, math.floor(seconds * 1000)) end

-- PgBouncer's console is no database: one statement at a time, in the simple protocol, outside a transaction.
local function is_console(conn)
  local info = conn:info()
  return info ~= nil and tostring(info.server_version):find("/bouncer$") ~= nil
end

-- Begins the transaction; nil and the error when it can't be.
local function begin(conn, role, due)
  local done, err = conn:query("BEGIN READ ONLY", nil, { timeout = left(due) })
  if not done then return nil, err end
  if done.command ~= "BEGIN" then return nil, sql_answer.error("BEGIN", done.command or "nothing") end
  local params = { milliseconds(left(due)), milliseconds(math.min(LOCK_SECONDS, left(due))), role }
  local text = role and SETTINGS .. ", pg_catalog.set_config('role', $3, true)" or SETTINGS
  return conn:query(text, params, { timeout = left(due) })
end

local function start(lease, role, due)
  lease.is_console = is_console(lease.conn)
  if lease.is_console then return true end
  return begin(lease.conn, role, due)
end

-- A connection with a transaction begun, or to a console. One that waited may have been closed by the server meanwhile:
-- then a new one.
local function open(lease, dsn, role, due)
  lease.conn = take(dsn)
  if lease.conn then
    local begun, err = start(lease, role, due)
    if begun or err.kind ~= "reset" then return begun, err end
    lease.conn:close()
  end
  local err
  lease.conn, err = connect(dsn, due)
  if not lease.conn then return nil, err end
  return start(lease, role, due)
end

local function ask_console(lease, sql, max_rows, due)
  local answer, err = lease.conn:query(sql, nil, { timeout = left(due), max_rows = max_rows, max_bytes = sql_server.BYTES_MAX,
    simple = true })
  if err and err.sqlstate then err.kind = "sqlstate" end -- it has one code for all that it refuses
  return answer, err
end

local function read_console(lease, read, due)
  if read.calls and not read.carried_out then return ask_console(lease, read.sql, read.max_rows, due) end
  return nil, { kind = "usage", message = "this is PgBouncer's console, which answers SHOW only: name a database of the "
    .. "server's" }
end

---------------------------------------------------------------- Judgment --

-- The statements of this process that were found to only look, by database, role and text: a poll asks once.
local harmless = {}
-- Why a server can't be asked what it makes of a statement, by connection string.
local unasked = {}

local function key_of(dsn, read) return ("%s\0%s\0%s"):format(dsn, read.role or "", read.sql) end

-- A server that knows no trees has ended the transaction with its refusal: then a new one.
local function begin_again(lease, dsn, read, due)
  lease.conn:query("ROLLBACK", nil, { timeout = left(due) })
  return begin(lease.conn, read.role, due)
end

-- What the server makes of a read; nil where it can't say; nil and the error of a read that can't be.
local function tree_of(lease, dsn, read, due)
  if unasked[dsn] then return nil end
  local tree, err = lease.conn:tree(read.carried_out, { timeout = left(due) })
  if tree and tree ~= "" then return tree end
  if err and not err.unknown then return nil, err end
  unasked[dsn] = err and err.message or "nothing came back: a pooler before the server may hold back what it says"
  if not err then return nil end
  local begun, failure = begin_again(lease, dsn, read, due)
  return nil, not begun and failure or nil
end

-- nil, or the error that keeps a read from being sent.
local function look_behind(lease, dsn, read, due)
  local tree, err = tree_of(lease, dsn, read, due)
  if tree then return sql_called.tree_refused(lease.conn, tree, read.calls, left(due)) end
  if not err or err.kind ~= "limit" then return err end
  return { kind = "permission", message = ("refused: %s, so it is not known what is called behind it: name the tables "
    .. "themselves"):format(err.message) }
end

local function judge(lease, dsn, read, due)
  if not read.carried_out or harmless[key_of(dsn, read)] then return nil end
  local err, asks = sql_called.text_refused(lease.conn, read.calls, read.names, left(due))
  if not err and asks then err = look_behind(lease, dsn, read, due) end
  if err then return err end
  harmless[key_of(dsn, read)] = true
end

-- One read: { sql =, params =, max_rows =, role =, carried_out = what of its text is carried out, calls = the functions and
-- names = all that it names }; without `carried_out` it is our own, or calls nothing, and is not judged. expects = the columns of
-- our own and least = the fewest rows, as of sql_answer.problem. The rows as raw.pg
-- gives them, and `unasked`, why the server could not be asked what it calls; nil and the error otherwise.
function sql_server.read(dsn, seconds, read)
  local due = tasks.now() + seconds
  local lease <close> = setmetatable({}, lease_type)
  local begun, err = open(lease, dsn, read.role, due)
  if not begun then return nil, err end
  if lease.is_console then return read_console(lease, read, due) end
  local refused = judge(lease, dsn, read, due)
  if refused then return nil, refused end
  local limits = { timeout = left(due) + GRACE_SECONDS, max_rows = read.max_rows, max_bytes = sql_server.BYTES_MAX,
    stop_at_cut = true }
  local answer
  answer, err = lease.conn:query(read.sql, read.params, limits)
  if not answer then return nil, err end
  err = read.expects and sql_answer.problem(answer, read.expects, read.least)
  if err then return nil, err end
  if not answer.cut and lease.conn:query("ROLLBACK", nil, { timeout = left(due) }) then linger(dsn, lease) end
  answer.unasked = read.carried_out and unasked[dsn]
  return answer
end

-- Connects, is told about the server, and leaves the connection to the read that follows.
function sql_server.look(dsn, seconds)
  local lease <close> = setmetatable({}, lease_type)
  local err
  lease.conn, err = connect(dsn, tasks.now() + seconds)
  if not lease.conn then return nil, err end
  local info = lease.conn:info()
  linger(dsn, lease)
  return info
end

------------------------------------------------------------------ Writes --

-- One statement on a connection of its own, committed by itself. `lock_seconds` bounds how long it waits for a lock.
function sql_server.write(dsn, seconds, sql, params, lock_seconds, max_rows)
  local due = tasks.now() + seconds
  harmless = {} -- it may define what a read calls
  local lease <close> = setmetatable({}, lease_type)
  local err
  lease.conn, err = connect(dsn, due)
  if not lease.conn then return nil, err end
  if is_console(lease.conn) then return ask_console(lease, sql, max_rows, due) end
  local set
  set, err = lease.conn:query([[SELECT pg_catalog.set_config('statement_timeout', $1, false),
    pg_catalog.set_config('lock_timeout', $2, false)]],
    { milliseconds(left(due)), milliseconds(math.min(lock_seconds or seconds, left(due))) }, { timeout = left(due) })
  if not set then
    err.connecting = true
    return nil, err
  end
  return lease.conn:query(sql, params,
    { timeout = left(due) + GRACE_SECONDS, max_rows = max_rows, max_bytes = sql_server.BYTES_MAX })
end

return sql_server
