-- What of a statement neither its tree nor its plan shows: the bodies of functions, what another server does behind a foreign
-- table, triggers. They are named to who decides, for the planner counts none of what they do.
local sql_called = require "effects.sql_called"
local sql_text = require "effects.sql_text"

local sql_unseen = {}

-- Named at most; one more tells that there are others.
local NAMED = 5

-- $1 names of functions, $2 of whatever stands in the text, $3 whether rows are changed, so that triggers are called. Views
-- lead to what they are made of, partitioned tables to their parts. What has an oid below 16384 was made by initdb.
sql_unseen.QUERY = ([[
  WITH RECURSIVE named (class, oid) AS (
    SELECT given.* FROM (
      SELECT 'pg_class'::pg_catalog.regclass::oid AS class, c.oid FROM pg_catalog.pg_class c WHERE c.relname = ANY ($2::text[])
      UNION ALL SELECT 'pg_proc'::pg_catalog.regclass::oid, p.oid FROM pg_catalog.pg_proc p
        WHERE p.proname = ANY ($1::text[])) AS given
    WHERE given.oid >= 16384
    UNION SELECT part.* FROM named CROSS JOIN LATERAL (
      SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
          ON d.classid = 'pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
        WHERE named.class = 'pg_class'::pg_catalog.regclass AND r.ev_class = named.oid AND d.refobjid >= 16384
      UNION ALL SELECT named.class, i.inhrelid FROM pg_catalog.pg_inherits i
        WHERE named.class = 'pg_class'::pg_catalog.regclass AND i.inhparent = named.oid) AS part
  )
  SELECT 'function ' || p.oid::pg_catalog.regprocedure::text AS unseen
    FROM named JOIN pg_catalog.pg_proc p ON named.class = 'pg_proc'::pg_catalog.regclass AND p.oid = named.oid
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE l.lanname NOT IN ('internal', 'c')
  UNION SELECT 'foreign table ' || c.oid::pg_catalog.regclass::text
    FROM named JOIN pg_catalog.pg_class c ON named.class = 'pg_class'::pg_catalog.regclass AND c.oid = named.oid
    WHERE c.relkind = 'f'
  UNION SELECT 'trigger ' || pg_catalog.quote_ident(t.tgname) || ' on ' || t.tgrelid::pg_catalog.regclass::text
    FROM named JOIN pg_catalog.pg_trigger t ON named.class = 'pg_class'::pg_catalog.regclass AND t.tgrelid = named.oid
    WHERE $3::boolean AND NOT t.tgisinternal AND t.tgenabled <> 'D'
  ORDER BY 1 LIMIT %d]]):format(NAMED + 1)

-- The query's values for statements, as tokens.
function sql_unseen.params(statements, changes)
  local names, words = {}, {}
  for _, tokens in ipairs(statements) do
    for _, call in ipairs(sql_text.calls(tokens)) do names[#names + 1] = call.name end
    for _, word in ipairs(sql_text.names(tokens)) do words[#words + 1] = word end
  end
  return { sql_called.array(names), sql_called.array(words), changes and "true" or "false" }
end

-- "function f(integer), foreign table orders", or nil when there is nothing.
function sql_unseen.text(rows)
  local list = {}
  for i = 1, math.min(#rows, NAMED) do list[i] = rows[i].unseen end
  if #rows > NAMED then list[#list + 1] = "others" end
  return list[1] and table.concat(list, ", ") or nil
end

return sql_unseen
