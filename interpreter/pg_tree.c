/* What the server makes of a statement. debug_print_rewritten has it send, as messages of level LOG, the tree into which a
 * statement was rewritten: every function, operator and type in it by its number, those behind views and policies too. A
 * statement that is only prepared is rewritten but neither planned nor carried out, so no function of it is called. */
#include <string.h>
#include "pg.h"

static const char on[] = "SELECT pg_catalog.set_config('client_min_messages', 'log', true),"
                         " pg_catalog.set_config('debug_pretty_print', 'off', true),"
                         " pg_catalog.set_config('debug_print_rewritten', 'on', true)";
/* A tree of its own is sent for it, before it is carried out: as a SET it names no function. */
static const char off[] = "SET LOCAL debug_print_rewritten = off";

static void take_tree(struct pg_query *query, const char *tree) {
  size_t len = strlen(tree);
  if (query->cells.len + len <= PG_TREE_MAX) return buffer_append(&query->cells, tree, len);
  error_set(&query->failure.error, "limit", "what the server makes of the statement is larger than %ld MB",
            PG_TREE_MAX >> 20);
}

static void take_notice(void *data, const PGresult *notice) {
  struct pg_query *query = ((struct pg_conn *)data)->query;
  const char *title = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  const char *tree = PQresultErrorField(notice, PG_DIAG_MESSAGE_DETAIL);
  bool is_asked = query && query->is_tree;
  if (is_asked && title && tree && strncmp(title, "rewritten parse tree", 20) == 0) take_tree(query, tree);
}

static bool send_query(PGconn *pg, const char *sql) {
  return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

bool pg_tree_send(struct pg_conn *conn, const char *sql) {
  PGconn *pg = conn->pg;
  PQsetNoticeReceiver(pg, take_notice, conn);
  return PQenterPipelineMode(pg) && send_query(pg, on) && PQsendPrepare(pg, "", sql, 0, NULL) &&
         send_query(pg, off) && PQpipelineSync(pg);
}

bool pg_tree_is_unknown(const struct pg_query *query) {
  return query->failure.error.kind[0] && query->failed != PG_TREE_PREPARE;
}
