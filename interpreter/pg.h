/* PostgreSQL over libpq's non-blocking interface, on the runtime's loop.
 *
 *   pg_dsn.c      connection strings; what of the environment libpq may see
 *   pg_wait.c     waiting for a socket of libpq's
 *   pg_lookup.c   host names, off the loop
 *   pg_connect.c  one connection attempt per address until one succeeds
 *   pg_query.c    one statement and its rows
 *   pg_tree.c     what the server makes of a statement before it is carried out
 *   pg_failure.c  libpq's texts and SQLSTATEs as kinds and words
 *   pg_rows.c     rows as Lua values
 *   lib_pg.c      Lua's options, the connection object
 *
 * Passwords are in no message: libpq's texts about connection strings, which quote them, are not passed on.
 */
#ifndef PG_H
#define PG_H
#include <stdbool.h>
#include <stddef.h>
#include <libpq-fe.h>
#include <uv.h>
#include "buffer.h"
#include "op.h"

/* ---- Limits ---- */
#define PG_TIMEOUT_SECONDS 10.0    /* to connect; of a query; unless `timeout` says otherwise */
#define PG_ROWS_MAX 10000          /* kept of a result, unless max_rows says otherwise */
#define PG_ROWS_LIMIT 1000000      /* the most max_rows may say */
#define PG_BYTES_MAX (8L << 20)    /* kept of a result, unless max_bytes says otherwise */
#define PG_BYTES_LIMIT (64L << 20) /* the most max_bytes may say */
#define PG_TREE_MAX (4L << 20)     /* bytes of a statement's trees */
#define PG_PARAMS_MAX 1000         /* of a query */
#define PG_HOSTS_MAX 16            /* in a connection string */
#define PG_ADDRESSES_MAX 16        /* tried of a name */
/* Without a host; Debian's and Red Hat's libpq have the same built in. */
#define PG_SOCKET_FOLDER "/var/run/postgresql"
#define PG_PORT "5432"

/* An error with the server's code, when the server gave one. */
struct pg_failure {
  struct error error;
  char sqlstate[6];
};

/* ---- Connection strings ---- */
/* From now on libpq sees none of its environment variables but those that name files (PGPASSFILE, PGSERVICEFILE and
 * PGSYSCONFDIR) and PGPASSWORD: where a runbook connects must be written in the runbook. */
void pg_environment_clear(void);
/* A service is looked up in its file. NULL with `error` (kind usage) filled. host, port, user and dbname have values afterwards; free with
 * PQconninfoFree. */
PQconninfoOption *pg_dsn_parse(const char *text, struct error *error);
const char *pg_dsn_get(const PQconninfoOption *dsn, const char *keyword); /* NULL when not given */
/* Whether there is a password file, named in `path`, that libpq does not use because others may read it. */
bool pg_passfile_is_passed_over(const PQconninfoOption *dsn, char *path, size_t size);

/* ---- Waiting ---- */
/* One wait at a time for one of libpq's sockets. Every wait has a poll handle of its own, closed before libpq
 * is called again: libpq replaces its socket as it likes, even by one of the same number. */
struct pg_wait {
  uv_poll_t *poll;
  void (*ready)(struct pg_wait *wait); /* also when the socket broke: libpq finds out */
};
bool pg_wait_start(struct pg_wait *wait, int fd, int events);
void pg_wait_stop(struct pg_wait *wait);

/* ---- Names ---- */
struct pg_lookup;
/* Calls `done` once unless abandoned; `addresses` (numeric, PG_ADDRESSES_MAX at most) are the callee's; none:
 * `error`. */
typedef void pg_lookup_done(void *data, char **addresses, size_t count, const struct error *error);
struct pg_lookup *pg_lookup_start(const char *host, pg_lookup_done *done, void *data, struct error *error);
void pg_lookup_abandon(struct pg_lookup *lookup);

/* ---- Connecting ---- */
/* A place to connect to; strings are owned. Without an address: a socket's folder, or a name to look up. */
struct pg_place {
  char *host, *address, *port;
};

struct pg_connect {
  struct op op;
  PQconninfoOption *dsn; /* owned */
  struct buffer options; /* settings besides the DSN's: "-c name=value …" */
  double timeout, deadline;
  struct pg_place places[PG_HOSTS_MAX];
  size_t place_count, place; /* which is tried */
  const char *attrs;         /* target_session_attrs of this pass over the places; NULL: as the DSN says */
  char **addresses;          /* of the place; owned */
  size_t address_count, address;
  struct pg_lookup *lookup;
  struct pg_wait wait;
  struct timer *timer; /* of the step under way */
  PGconn *pg;          /* the result; owned until it is taken */
  struct pg_failure failure;
};

/* Sends it to `target` ("address:port", "[v6]:port" or an address alone) under its own name. */
void pg_place_redirect(struct pg_place *place, const char *target);
/* Splits the DSN's hosts, addresses and ports; false with failure.error filled. */
bool pg_connect_places(struct pg_connect *connect);
void pg_connect_start(struct pg_connect *connect);
void pg_connect_cancel(struct op *op);
void pg_connect_release(struct op *op);

/* ---- Queries ---- */
struct pg_query;
struct pg_conn {
  PGconn *pg; /* NULL: closed */
  struct pg_wait wait;
  struct pg_query *query; /* under way */
};

struct pg_query {
  struct op op;
  struct pg_conn *conn; /* NULL once over */
  size_t max_rows, max_bytes;
  bool stop_at_cut;
  PGresult *shape;     /* names and types of the columns */
  struct buffer cells; /* row by row, for each cell its length as int (-1: NULL) and its bytes */
  size_t rows;
  bool cut;
  char command[64]; /* "SELECT 3" */
  bool is_tree;     /* asks for trees, which become the cells; see pg_tree.c */
  int step, failed; /* with is_tree: which of its messages is being answered, and which one failed */
  struct pg_failure failure;
};

/* Sends one statement; its end completes the op. */
void pg_query_start(struct pg_query *query, struct pg_conn *conn, const char *sql, int count,
                    const char *const *values);
/* The same in the simple protocol, which is all that a pooler's console speaks: it has no parameters, and `sql` must be known
 * to be one statement. */
void pg_query_start_simple(struct pg_query *query, struct pg_conn *conn, const char *sql);
/* Sends a statement to be understood, not carried out: the trees into which the server's rewriter turned it, with views
 * and policies put in their places, are in `cells` at the end. Needs a transaction, whose settings it changes. */
void pg_tree_start(struct pg_query *query, struct pg_conn *conn, const char *sql);
/* Whether a failed pg_tree_start says nothing of the statement: the server doesn't know how to show trees. */
bool pg_tree_is_unknown(const struct pg_query *query);
/* The messages of pg_tree_start, which are answered in turn; false when they can't be sent. */
enum { PG_TREE_ON, PG_TREE_PREPARE, PG_TREE_OFF };
bool pg_tree_send(struct pg_conn *conn, const char *sql);
void pg_query_cancel(struct op *op);
void pg_query_release(struct op *op);
/* Closes; a query under way ends with "cancelled" and the server is asked to stop it. */
void pg_conn_close(struct pg_conn *conn);
/* Pushes the table a successful query is. [-0, +1, m] */
void pg_rows_push(lua_State *L, const struct pg_query *query);

/* ---- Failures ---- */
/* From PQerrorMessage of a failed connection, which must have been set to PQERRORS_VERBOSE. `target` for
 * people. */
void pg_failure_of_connection(struct pg_failure *failure, PGconn *pg, const char *target);
void pg_failure_of_result(struct pg_failure *failure, const PGresult *result, PGconn *pg);
/* Would another address of the same server give another answer? */
bool pg_failure_is_final(const struct pg_failure *failure);

#endif
