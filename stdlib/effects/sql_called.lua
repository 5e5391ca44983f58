-- What a read calls. A READ ONLY transaction lets functions through that change something all the same (pg_terminate_backend,
-- pg_reload_conf, lo_import, advisory locks …). Those that the text names are looked up by name; those behind views,
-- operators, casts, aggregates, policies and domains only the server knows: it says so when it prints the statement as it
-- rewrote it (debug_print_rewritten), which it does on parsing, before anything is planned or carried out.
--
-- The server writes what it prints into its own log too, so it is asked only where there is a reason: a view or a table with
-- policies that somebody made, an operator, cast or aggregate over a VOLATILE function, a domain with a check, a function in
-- field notation (row.f). What this can't see: functions that were declared wrongly, what STABLE ones do inside, and what
-- foreign tables do on their own server.
local lookers = require "effects.sql_lookers"
local sql_text = require "effects.sql_text"
local tasks = require "tasks"

local sql_called = {}

-- Of what the server prints of a statement so much is read, in bytes.
local TREE_MAX = 4 << 20
-- Functions behind functions (an aggregate's, a domain's of a domain's) are followed so far.
local DEPTH_MAX = 10

-- A list of strings or numbers as PostgreSQL writes an array.
function sql_called.array(list)
  local quoted = {}
  for i, item in ipairs(list) do quoted[i] = '"' .. tostring(item):gsub('["\\]', "\\%0") .. '"' end
  return "{" .. table.concat(quoted, ",") .. "}"
end

local array = sql_called.array

local OF_EXTENSION = [[EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = '%s'::pg_catalog.regclass
    AND d.objid = %s.oid AND d.deptype = 'e')]]

-- Functions by name; and a row without a name, whether the server must be asked what is behind the names ($2). What has an
-- oid from 16384 on was not made by initdb.
local LOOK_UP = ([[
  SELECT p.proname AS name, n.nspname AS schema, pg_catalog.pg_function_is_visible(p.oid) AS visible,
         pg_catalog.bool_or(p.provolatile = 'v') AS volatile, pg_catalog.bool_or(%s) AS of_extension
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.proname = ANY ($1::pg_catalog.name[]) GROUP BY 1, 2, 3
  UNION ALL SELECT '', '', false,
    EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = ANY ($2::pg_catalog.name[]) AND c.oid >= 16384
            AND (c.relkind = 'v' OR c.relrowsecurity) AND NOT %s)
    OR EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
               WHERE o.oid >= 16384 AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
               WHERE c.oid >= 16384 AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p
               ON p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
               WHERE a.aggfnoid >= 16384 AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid >= 16384)
    OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
               WHERE p.proname = ANY ($2::pg_catalog.name[]) AND p.pronargs = 1 AND p.provolatile = 'v'
               AND t.typtype IN ('c', 'p')),
    false]]):format(OF_EXTENSION:format("pg_catalog.pg_proc", "p"), OF_EXTENSION:format("pg_catalog.pg_class", "c"))

-- Functions by their ids, with those behind an aggregate; and the checks of domains among the types $2, as the server keeps
-- them: both in the form of a printed statement.
local BEHIND = ([[
  SELECT p.proname AS name, n.nspname AS schema, p.provolatile = 'v' AS volatile, %s AS of_extension,
         CASE WHEN a.aggfnoid IS NOT NULL THEN pg_catalog.format(
           ':funcid %%1$s :funcid %%2$s :funcid %%3$s :funcid %%4$s :funcid %%5$s :funcid %%6$s',
           a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid,
           a.aggmfinalfn::oid) END AS tree
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid WHERE p.oid = ANY ($1::oid[])
  UNION ALL SELECT NULL, NULL, false, false, pg_catalog.concat(k.conbin::text, ' :resulttype ', t.typbasetype)
  FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid
  WHERE t.oid = ANY ($2::oid[]) AND t.typtype = 'd']]):format((OF_EXTENSION:format("pg_catalog.pg_proc", "p"):gsub("%%", "%%%%")))

local function may_call(found)
  if not found.volatile then return not (found.schema == "pg_catalog" and lookers.changes[found.name]) end
  if found.schema == "pg_catalog" then return lookers.look(found.name) end
  return found.of_extension and lookers.of_extensions[found.name] or false
end

local function names_it(call, found)
  if call.schema then return call.name == found.name and call.schema == found.schema end
  return call.name == found.name and found.visible
end

local function left(due) return math.max(0.001, due - tasks.now()) end

local function refusal(how, found)
  local mend = found.schema ~= "pg_catalog" and " (it is VOLATILE; ALTER FUNCTION … STABLE if it only looks)" or ""
  return { kind = "permission", message = ("refused: %s.%s()%s may change something%s, and a read only looks: sql.execute, "
    .. "in a remedy, runs it"):format(found.schema, found.name, how, mend) }
end

------------------------------------------------------------- As rewritten --

local of_functions = { funcid = true, opfuncid = true, aggfnoid = true, winfnoid = true }

-- Adds the ids in a printed statement: functions' to `functions`, types' that something is made into to `types`.
local function collect(tree, functions, types)
  for key, id in tree:gmatch ":(%l+)%s+(%d+)" do
    if of_functions[key] then functions[id] = true elseif key == "resulttype" then types[id] = true end
  end
end

local function fresh(ids, known)
  local list = {}
  for id in pairs(ids) do
    if id ~= "0" and not known[id] then list[#list + 1], known[id] = id, true end
  end
  return list
end

-- nil, or the error that refuses what stands in a printed statement, and behind it.
local function refuse_tree(conn, tree, due)
  local known_functions, known_types = {}, {}
  for _ = 1, DEPTH_MAX do
    local functions, types = {}, {}
    collect(tree, functions, types)
    local new_functions, new_types = fresh(functions, known_functions), fresh(types, known_types)
    if #new_functions + #new_types == 0 then return nil end
    local found, err = conn:query(BEHIND, { array(new_functions), array(new_types) }, { timeout = left(due) })
    if not found then return err end
    local behind = {}
    for _, row in ipairs(found.rows) do
      if row.name and not may_call(row) then return refusal(", which is called behind what it names,", row) end
      behind[#behind + 1] = row.tree
    end
    tree = table.concat(behind, "\n")
  end
  return { kind = "permission", message = "refused: what it calls is nested too deeply to be looked at" }
end

local ASK = [[SELECT pg_catalog.set_config('client_min_messages', 'log', true),
  pg_catalog.set_config('debug_pretty_print', 'off', true), pg_catalog.set_config('debug_print_rewritten', 'on', true)]]

-- The statement as the server rewrote it: with views, policies and all that it calls; nil and the error.
local function rewritten(conn, text, due)
  local asked, err = conn:query(ASK, nil, { timeout = left(due) })
  if not asked then return nil, err end
  local parsed
  parsed, err = conn:parse(text, { timeout = left(due), max_bytes = TREE_MAX })
  if not parsed then return nil, err end
  local quiet
  quiet, err = conn:query("SET LOCAL debug_print_rewritten = off", nil, { timeout = left(due) })
  if not quiet then return nil, err end
  if not parsed.notices:find("{QUERY", 1, true) then
    return nil, { kind = "permission", message = "refused: the server does not say what is called by the views, operators, "
      .. "casts or policies behind this statement; name the tables themselves" }
  end
  return parsed.notices
end

------------------------------------------------------------------- Judging --

-- nil, or the error that refuses a statement as a read. It is asked within the read's transaction.
function sql_called.refuse(conn, text, due)
  local tokens = sql_text.statement(text)
  local carried_out = tokens and sql_text.carried_out(text, tokens)
  if not carried_out then return nil end
  local calls, names = sql_text.calls(tokens), {}
  for i, call in ipairs(calls) do names[i] = call.name end
  local found, err = conn:query(LOOK_UP, { array(names), array(sql_text.names(tokens)) }, { timeout = left(due) })
  if not found then return err end
  local asks = false
  for _, row in ipairs(found.rows) do
    if row.name == "" then asks = row.volatile end
    for _, call in ipairs(calls) do
      if names_it(call, row) and not may_call(row) then return refusal("", row) end
    end
  end
  if not asks then return nil end
  local tree
  tree, err = rewritten(conn, carried_out, due)
  if not tree then return err end
  return refuse_tree(conn, tree, due)
end

return sql_called
