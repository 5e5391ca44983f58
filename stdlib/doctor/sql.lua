-- sql: for each database a real SELECT: does the login work, who are we there, and may we do what the remedies do?
local look = require "doctor.look"
local settings = require "settings"
local sql_dsn = require "effects.sql_dsn"
local sql_text = require "effects.sql_text"
local sql_unseen = require "effects.sql_unseen"

-- Rights are the login's: the reader role is laid down for writes.
local RIGHTS = [[
  SELECT session_user::text AS login, pg_catalog.current_setting('server_version') AS version,
         pg_catalog.pg_is_in_recovery() AS standby, r.rolsuper AS super,
         pg_catalog.pg_has_role(session_user, 'pg_signal_backend', 'USAGE') AS signals,
         pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE') AS sees
  FROM pg_catalog.pg_roles r WHERE r.rolname = session_user]]

local function verbs_of(uses)
  local verbs = {}
  for _, it in ipairs(uses) do verbs[it.act.entry.verb] = verbs[it.act.entry.verb] or it.act.call end
  return verbs
end

local function login(what, it)
  local me = look.is_well(it) and it.row
  return look.row(what, it, {
    text = me and ("PostgreSQL %s, login %s%s%s%s"):format(me.version, me.login, me.super and " (superuser)" or "",
      settings.reader and ", reads as " .. settings.reader or "", me.standby and ", a standby" or ""),
    mend = it.error and it.error.kind == "login"
      and "put user and password right: in the connection string as a secret, or in ~/.pgpass" or nil })
end

-- Sessions of its own role a login may always end.
local function ending(what, me, call)
  if me.super or me.signals and me.sees or call.user == me.login then
    return { what = what, state = "ok", text = me.login .. " may end sessions" }
  end
  local lacks = {}
  if not me.signals then lacks[1] = "pg_signal_backend" end
  if not me.sees then lacks[#lacks + 1] = "pg_read_all_stats" end
  return { what = what, state = "stops",
           text = ("%s may not end the sessions of others: it lacks %s"):format(me.login, table.concat(lacks, " and ")),
           mend = ('GRANT %s TO "%s";'):format(table.concat(lacks, ", "), me.login:gsub('"', '""')) }
end

-- What the statements lead to that the program can't look into before they run: nothing is wrong with it, but it is said.
local function unseen(what, dsn, uses)
  local statements, changes = {}, false
  for _, use in ipairs(uses) do
    local text = use.act.call.sql
    statements[#statements + 1] = type(text) == "string" and sql_text.statement(text) or nil
    changes = changes or use.act.entry.verb == "execute"
  end
  if #statements == 0 then return nil end
  local it = look.ask("sql.rows", dsn, sql_unseen.QUERY, { params = sql_unseen.params(statements, changes) })
  local text = look.is_well(it) and sql_unseen.text(it.rows)
  return text and { what = what, state = "ok", text = "no plan shows what happens in: " .. text } or nil
end

local function look_at(dsn, uses)
  local what, verbs = sql_dsn.target(dsn), verbs_of(uses)
  local it = look.ask("sql.row", dsn, RIGHTS)
  local rows = { login(what, it) }
  local me, call = look.is_well(it) and it.row, verbs.terminate or verbs.terminate_idle
  if me and call then rows[#rows + 1] = ending(what, me, call) end
  if me then rows[#rows + 1] = unseen(what, dsn, uses) end
  if me and me.standby and verbs.execute then
    rows[#rows + 1] = { what = what, state = "stops", text = "it is a standby: nothing can be changed there",
                        mend = "give the runbook the primary's address" }
  end
  return rows
end

return function(asked, check)
  local by_dsn = look.groups(look.of(asked, "sql"), function(it) return look.known(it.act.call.dsn) end)
  for _, uses in ipairs(by_dsn) do
    local dsn = uses[1].act.call.dsn
    check(sql_dsn.target(dsn), function() return look_at(dsn, uses) end, uses)
  end
end
