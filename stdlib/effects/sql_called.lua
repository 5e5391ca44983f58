-- Which functions a read calls, and whether it may. READ ONLY lets functions through that change something all the same
-- (pg_terminate_backend, pg_reload_conf, lo_import, advisory locks …). Those that the text names are looked up by name, with
-- what they are made of; those behind views, policies, operators, casts, field notation and domains only the server knows:
-- it tells them in the statement's tree (pg_tree.c).
--
-- The server writes the tree into its own log too, so it is asked only where there is a reason: a view or a table with
-- policies that somebody made, an operator or a cast over a VOLATILE function, a domain with a check, a function in field
-- notation. A function of pg_catalog or of an extension must be in the list of those that only look, or STABLE or IMMUTABLE;
-- any other STABLE or IMMUTABLE. What no tree shows: the bodies of functions, foreign tables, and the checks of a domain in a
-- literal of a composite or array type.
local lookers = require "effects.sql_lookers"
local sql_answer = require "effects.sql_answer"

local sql_called = {}

-- A list of strings or numbers as PostgreSQL writes an array.
function sql_called.array(list)
  local quoted = {}
  for i, item in ipairs(list) do quoted[i] = '"' .. tostring(item):gsub('["\\]', "\\%0") .. '"' end
  return "{" .. table.concat(quoted, ",") .. "}"
end

-- The fields of a tree's nodes that name a function, an operator or a type whose checks are made.
local function_fields = "funcid opfuncid aggfnoid winfnoid tsmhandler startInRangeFunc endInRangeFunc"
local operator_fields = "opno eqop sortop cycle_mark_neop"
local type_fields = "resulttype funcresulttype paramtype"

local kind_of = {}
for kind, fields in pairs { functions = function_fields, operators = operator_fields, types = type_fields } do
  for field in fields:gmatch "%S+" do kind_of[field] = kind end
end

local function sorted(set)
  local list = {}
  for id in pairs(set) do if id ~= "0" then list[#list + 1] = id end end
  table.sort(list)
  return list
end

-- { functions =, operators =, types = } by their numbers, as digits.
function sql_called.ids(tree)
  local found = { functions = {}, operators = {}, types = {} }
  for field, id in tree:gmatch ":([%a_]+)%s+(%d+)" do
    if kind_of[field] then found[kind_of[field]][id] = true end
  end
  -- (a, b) < (c, d): a list of operators.
  for list in tree:gmatch ":opnos%s+%(o([%s%d]+)%)" do
    for id in list:gmatch "%d+" do found.operators[id] = true end
  end
  return { functions = sorted(found.functions), operators = sorted(found.operators), types = sorted(found.types) }
end

-- What of all that is called is not plainly harmless. $1 functions, $2 operators, $3 types; $4 names and $5 their
-- schemas, found as the text has them; $6 names that are told whatever they were declared. A row without a name:
-- whether the server must be asked what is behind the words $7; what has an oid from 16384 on was not made by initdb.
-- One leads to others: an operator to its function, an aggregate to what it is made of, a function to its arguments'
-- defaults, a type to its parts and checks.
local LOOK_UP = [[
  WITH RECURSIVE called (kind, oid) AS (
    SELECT given.* FROM (
      SELECT 'function' AS kind, pg_catalog.unnest($1::oid[])
      UNION ALL SELECT 'operator', pg_catalog.unnest($2::oid[])
      UNION ALL SELECT 'type', pg_catalog.unnest($3::oid[])
      UNION ALL SELECT 'function', p.oid
        FROM ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[])) AS call (name, schema)
        JOIN pg_catalog.pg_proc p ON p.proname = call.name JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = call.schema OR call.schema = '' AND pg_catalog.pg_function_is_visible(p.oid)) AS given
    UNION SELECT part.* FROM called CROSS JOIN LATERAL (
      SELECT 'function', o.oprcode::oid FROM pg_catalog.pg_operator o
        WHERE called.kind = 'operator' AND o.oid = called.oid
      UNION ALL SELECT 'function', its.oid FROM pg_catalog.pg_aggregate a CROSS JOIN LATERAL (VALUES
          (a.aggtransfn::oid), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn),
          (a.aggmtransfn), (a.aggminvtransfn), (a.aggmfinalfn)) AS its (oid)
        WHERE called.kind = 'function' AND a.aggfnoid = called.oid
      UNION ALL SELECT 'type', its.oid FROM pg_catalog.pg_type t CROSS JOIN LATERAL (
          VALUES (t.typbasetype), (t.typelem)
          UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0
          UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid) AS its (oid)
        WHERE called.kind = 'type' AND t.oid = called.oid
      UNION ALL SELECT CASE its.found[1] WHEN 'funcid' THEN 'function' WHEN 'opno' THEN 'operator' ELSE 'type' END,
          its.found[2]::oid
        FROM (SELECT c.conbin::text FROM pg_catalog.pg_constraint c
                WHERE called.kind = 'type' AND c.contypid = called.oid AND called.oid <> 0
              UNION ALL SELECT p.proargdefaults::text FROM pg_catalog.pg_proc p
                WHERE called.kind = 'function' AND p.oid = called.oid) AS kept (tree),
             pg_catalog.regexp_matches(kept.tree, ':(funcid|opno|resulttype) ([0-9]+)', 'g') AS its (found)) AS part
  )
  SELECT p.proname AS name, n.nspname AS schema, p.provolatile = 'v' AS volatile, e.extname AS extension,
         pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '('
           || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS signature
  FROM called JOIN pg_catalog.pg_proc p ON called.kind = 'function' AND p.oid = called.oid
       JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
         AND d.deptype = 'e'
       LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE p.provolatile = 'v' OR p.proname = ANY ($6::text[])
  UNION ALL SELECT '', '', EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = ANY ($7::text[]) AND c.oid >= 16384
      AND (c.relkind = 'v' OR c.relrowsecurity) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))
    OR EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
      WHERE o.oid >= 16384 AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
      WHERE c.oid >= 16384 AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid >= 16384)
    OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
      WHERE p.proname = ANY ($7::text[]) AND p.pronargs = 1 AND p.provolatile = 'v' AND t.typtype IN ('c', 'p')),
    NULL, NULL ORDER BY signature]]

local FOUND = { name = "string", schema = "string", volatile = "boolean", extension = "string?", signature = "string?" }

local function may_call(found)
  local from = found.schema == "pg_catalog" and "pg_catalog" or found.extension
  if lookers.changes(from, found.name) then return false end
  return not found.volatile or lookers.look(from, found.name)
end

local function is_named(found, calls)
  for _, call in ipairs(calls) do if call.name == found.name then return true end end
  return false
end

local function refusal(found, calls)
  local is_builtin = found.schema == "pg_catalog"
  local what = is_builtin and ("%s.%s()"):format(found.schema, found.name) or found.signature
  local way = is_named(found, calls) and ""
    or " (it is behind a view, policy, operator, cast, aggregate, default or domain of this statement)"
  local mark = found.volatile and not is_builtin
    and ("if it only looks, ALTER FUNCTION %s STABLE says so; else "):format(found.signature) or ""
  return { kind = "permission", message = ("refused: %s may change something%s, and a read only looks: %ssql.execute, in "
    .. "a remedy, runs it"):format(what, way, mark) }
end

local function split(calls)
  local names, schemas = {}, {}
  for i, call in ipairs(calls) do names[i], schemas[i] = call.name, call.schema or "" end
  return names, schemas
end

-- nil, or the error that refuses a read which calls these, or what they are made of; and whether the server must be asked
-- what is behind `words`. `named` as of sql_text.calls: what the message need not explain.
local function refused(conn, called, seconds)
  local array, ids, names, schemas = sql_called.array, called.ids, split(called.calls)
  local params = { array(ids.functions), array(ids.operators), array(ids.types), array(names), array(schemas),
    array(lookers.suspects()), array(called.words) }
  local found, err = conn:query(LOOK_UP, params, { timeout = seconds })
  err = err or sql_answer.problem(found, FOUND, 1)
  if err then return err end
  local asks = false
  for _, row in ipairs(found.rows) do
    if row.name == "" then
      asks = row.volatile
    elseif not may_call(row) then
      return refusal(row, called.named)
    end
  end
  return nil, asks
end

-- For what stands in the text: `calls` as of sql_text.calls, `words` as of sql_text.names.
function sql_called.text_refused(conn, calls, words, seconds)
  return refused(conn, { ids = sql_called.ids "", calls = calls, words = words, named = calls }, seconds)
end

-- For what stands in the statement's tree.
function sql_called.tree_refused(conn, tree, calls, seconds)
  return (refused(conn, { ids = sql_called.ids(tree), calls = {}, words = {}, named = calls }, seconds))
end

return sql_called
