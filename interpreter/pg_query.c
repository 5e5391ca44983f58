#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "offload.h"
#include "pg.h"
#include "runtime.h"

/* ---- Stopping the server ---- */

struct cancellation {
  struct offload job; /* first */
  PGcancel *cancel;
};

static void cancellation_run(struct offload *job) {
  char words[256];
  PQcancel(((struct cancellation *)job)->cancel, words, sizeof words);
}

static void cancellation_destroy(struct offload *job) {
  PQfreeCancel(((struct cancellation *)job)->cancel);
  free(job);
}

/* PQcancel blocks, for ever with a stopped server, so it has a thread of its own that nobody waits for. It
 * may hit a later query of the same session: the caller closes the connection. */
static void ask_to_stop(PGconn *pg) {
  struct error error;
  struct cancellation *request = xcalloc(1, sizeof *request);
  request->job = (struct offload){
      .run = cancellation_run, .done = cancellation_destroy, .destroy = cancellation_destroy};
  request->cancel = PQgetCancel(pg);
  if (!request->cancel || !offload_start(runtime_loop(), &request->job, &error))
    cancellation_destroy(&request->job);
  else
    offload_abandon(&request->job);
}

static void conn_drop(struct pg_conn *conn) {
  pg_wait_stop(&conn->wait);
  if (conn->pg) PQfinish(conn->pg);
  conn->pg = NULL;
}

/* The query leaves its connection, which stays usable only if `intact`. */
static void query_leave(struct pg_query *query, bool intact) {
  struct pg_conn *conn = query->conn;
  query->conn = NULL;
  if (!conn) return;
  conn->query = NULL;
  pg_wait_stop(&conn->wait);
  if (!intact) conn_drop(conn);
}

static void query_abort(struct pg_query *query) {
  if (!query->conn) return;
  ask_to_stop(query->conn->pg);
  query_leave(query, false);
}

void pg_query_cancel(struct op *op) {
  if (op->done) return;
  query_abort((struct pg_query *)op);
  error_set(&op->error, "cancelled", "the query was cancelled");
  op_complete(op);
}

void pg_conn_close(struct pg_conn *conn) {
  if (conn->query) pg_query_cancel(&conn->query->op);
  conn_drop(conn);
}

/* Also of a query whose task was dropped while it waited. */
void pg_query_release(struct op *op) {
  struct pg_query *query = (struct pg_query *)op;
  query_abort(query);
  PQclear(query->shape);
  query->shape = NULL;
  buffer_free(&query->cells);
}

/* ---- Rows ---- */

static void add_cell(struct buffer *cells, const PGresult *row, int column) {
  int len = PQgetisnull(row, 0, column) ? -1 : PQgetlength(row, 0, column);
  buffer_append(cells, &len, sizeof len);
  if (len > 0) buffer_append(cells, PQgetvalue(row, 0, column), (size_t)len);
}

static size_t row_size(const PGresult *row) {
  size_t size = 0;
  for (int column = 0; column < PQnfields(row); column++)
    size += sizeof(int) + (size_t)PQgetlength(row, 0, column);
  return size;
}

/* Once a row didn't fit none is taken any more: what is shown is the beginning, not a selection. */
static void take_row(struct pg_query *query, const PGresult *row) {
  query->cut |= query->rows >= query->max_rows || query->cells.len + row_size(row) > query->max_bytes;
  if (query->cut) return;
  for (int column = 0; column < PQnfields(row); column++) add_cell(&query->cells, row, column);
  query->rows++;
}

/* ---- Results ---- */

static bool is_copy(ExecStatusType status) {
  return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Takes over the result. False: the connection is of no more use. */
static bool take_result(struct pg_query *query, PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  bool is_row = status == PGRES_SINGLE_TUPLE;
  if (is_row) take_row(query, result);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
    snprintf(query->command, sizeof query->command, "%s", PQcmdStatus(result));
  else if (is_copy(status))
    error_set(&query->failure.error, "usage", "COPY does not work here");
  else if (!is_row && status != PGRES_EMPTY_QUERY &&
           !query->failure.error.kind[0]) { /* the first has the reason */
    pg_failure_of_result(&query->failure, result, query->conn->pg);
    query->failed = query->step;
  }
  if (!query->shape)
    query->shape = result;
  else
    PQclear(result);
  return !is_copy(status);
}

static void query_end(struct pg_query *query) {
  PGconn *pg = query->conn->pg;
  query_leave(query, PQstatus(pg) == CONNECTION_OK && (!query->is_tree || PQexitPipelineMode(pg)));
  op_complete(&query->op);
}

static void query_broken(struct pg_query *query) {
  if (!query->failure.error.kind[0]) pg_failure_of_result(&query->failure, NULL, query->conn->pg);
  query_leave(query, false);
  op_complete(&query->op);
}

/* The end is no result or, of several messages that are sent together, the answer to the last. */
static bool is_end(const struct pg_query *query, const PGresult *result) {
  return query->is_tree ? PQresultStatus(result) == PGRES_PIPELINE_SYNC : !result;
}

/* What has arrived. True while more is to come. */
static bool take_results(struct pg_query *query) {
  PGconn *pg = query->conn->pg;
  while (!PQisBusy(pg)) {
    PGresult *result = PQgetResult(pg);
    if (is_end(query, result)) return PQclear(result), query_end(query), false;
    if (!result && PQstatus(pg) == CONNECTION_BAD) return query_broken(query), false;
    if (!result) {
      query->step++;
      continue;
    }
    if (!take_result(query, result)) return query_broken(query), false;
    if (query->cut && query->stop_at_cut) {
      query_abort(query);
      op_complete(&query->op);
      return false;
    }
  }
  return true;
}

/* While there is something to send, the server may want to be listened to first. */
static void await(struct pg_query *query) {
  PGconn *pg = query->conn->pg;
  int unsent = PQflush(pg);
  int events = UV_READABLE | (unsent == 1 ? UV_WRITABLE : 0);
  if (!pg_wait_start(&query->conn->wait, PQsocket(pg), events)) query_broken(query);
}

static void on_ready(struct pg_wait *wait) {
  struct pg_conn *conn = (struct pg_conn *)((char *)wait - offsetof(struct pg_conn, wait));
  struct pg_query *query = conn->query;
  bool alive = PQconsumeInput(conn->pg);
  if (!take_results(query)) return; /* what came before the end counts: it may hold the reason */
  if (alive)
    await(query);
  else
    query_broken(query);
}

/* Waits for the answer to what was sent. */
static void listen_to(struct pg_query *query, bool sent) {
  if (sent)
    await(query);
  else
    query_broken(query);
}

static void enter(struct pg_query *query, struct pg_conn *conn) {
  query->conn = conn;
  conn->query = query;
  conn->wait.ready = on_ready;
}

void pg_query_start(struct pg_query *query, struct pg_conn *conn, const char *sql, int count,
                    const char *const *values) {
  enter(query, conn);
  bool sent = PQsendQueryParams(conn->pg, sql, count, NULL, values, NULL, NULL, 0);
  if (sent) PQsetSingleRowMode(conn->pg); /* a result of any size passes through; we keep its beginning */
  listen_to(query, sent);
}

void pg_query_start_simple(struct pg_query *query, struct pg_conn *conn, const char *sql) {
  enter(query, conn);
  bool sent = PQsendQuery(conn->pg, sql);
  if (sent) PQsetSingleRowMode(conn->pg);
  listen_to(query, sent);
}

void pg_tree_start(struct pg_query *query, struct pg_conn *conn, const char *sql) {
  enter(query, conn);
  query->is_tree = true;
  query->failed = PG_TREE_PREPARE; /* unless the server says something else */
  listen_to(query, pg_tree_send(conn, sql));
}
