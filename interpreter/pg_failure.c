#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "pg.h"
#include "text.h"

/* SQLSTATEs and classes of them (appendix A of PostgreSQL's manual) that say more than "sqlstate". The first
 * that fits counts. */
static const struct {
  const char *prefix, *kind;
} kinds[] = {
    {"57P03", "starting"},   /* cannot_connect_now: starting up, shutting down, recovering */
    {"57014", "timeout"},    /* query_canceled: statement_timeout, or somebody's pg_cancel_backend */
    {"57P", "reset"},        /* admin_shutdown, crash_shutdown, database_dropped, idle_session_timeout */
    {"08P01", "protocol"},   /* protocol_violation */
    {"08", "reset"},         /* connection_exception */
    {"28", "login"},         /* invalid authorization */
    {"42501", "permission"}, /* insufficient_privilege */
    {"3D000", "missing"},    /* no such database */
    {"53300", "limit"},      /* too_many_connections */
};

static const char *kind_of(const char *sqlstate) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strncmp(sqlstate, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) return kinds[i].kind;
  return "sqlstate";
}

/* Files of our own that TLS needs: what is wrong with them says nothing of the server, so they come before the codes of the
 * system, of which their words may hold one. */
static const char *kind_of_own_file(const char *text) {
  static const struct {
    const char *words, *kind;
  } known[] = {{"root certificate file", "trust"},     /* missing */
               {"certificate verify failed", "trust"}, /* an issuer that we don't know */
               {"private key file", "usage"},
               {"certificate file", "usage"},
               {"load certificate", "usage"},
               {"read certificate", "usage"},
               {"certificate revocation list", "usage"},
               {"invalid SSL protocol version", "usage"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(text, known[i].words)) return known[i].kind;
  return NULL;
}

/* What libpq says without the server having said anything; English, as this program sets no locale. */
static const char *kind_of_text(const char *text) {
  static const int codes[] = {ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH,
                              ENETUNREACH,  EACCES,     ENOENT,    EPIPE};
  static const struct {
    const char *words, *kind;
  } known[] = {{"expected authentication", "protocol"}, /* not a PostgreSQL server */
               {"received invalid", "protocol"},
               {"closed the connection", "reset"},
               {"no password supplied", "login"},
               {"channel binding", "login"},
               {"SCRAM", "login"},
               {"authentication", "login"},
               {"SSL", "tls"},
               {"certificate", "tls"},
               {"session is", "unreachable"}, /* target_session_attrs: none of the role that is wanted */
               {"server is", "unreachable"},
               {"invalid", "usage"},
               {"must be", "usage"}};
  const char *own = kind_of_own_file(text);
  if (own) return own;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strstr(text, strerror(codes[i]))) return error_kind_of(codes[i]);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(text, known[i].words)) return known[i].kind;
  return "protocol";
}

static bool is_sqlstate(const char *text) {
  size_t len = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return len == 5 && text[5] == ':' && text[6] == ' ';
}

/* The last "FATAL:  28P01: words" in a verbose text: with sslmode=prefer there is one for each way tried.
 * Returns the words, NULL without. */
static const char *find_sqlstate(const char *text, char sqlstate[6]) {
  const char *words = NULL;
  for (const char *at = strstr(text, ":  "); at; at = strstr(at + 1, ":  ")) {
    if (!is_sqlstate(at + 3)) continue;
    memcpy(sqlstate, at + 3, 5);
    sqlstate[5] = '\0';
    words = at + 10;
  }
  return words;
}

static int line_length(const char *text) { return (int)strcspn(text, "\r\n"); }

/* "…; DETAIL: …; HINT: …" as far as the text has them. */
static void append_notes(char *out, size_t size, const char *text) {
  static const char *const labels[] = {"DETAIL:  ", "HINT:  "};
  for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
    const char *found = strstr(text, labels[i]);
    size_t len = strlen(out);
    if (!found) continue;
    found += strlen(labels[i]);
    snprintf(out + len, size - len, "; %.*s", line_length(found), found);
  }
}

/* Of the texts "connection to server at … failed: words", one for each way tried, the words of the last. */
static const char *last_words(const char *text) {
  static const char mark[] = " failed: ";
  for (const char *at = strstr(text, mark); at; at = strstr(text, mark)) text = at + sizeof mark - 1;
  return text;
}

/* A server's words may be in any bytes; those of a protocol gone wrong are. */
static void make_readable(struct error *error) {
  struct buffer text = {0};
  text_inert(&text, error->message, strlen(error->message), 0, TEXT_FLAT);
  snprintf(error->message, sizeof error->message, "%s", text.data ? text.data : "");
  buffer_free(&text);
}

void pg_failure_of_connection(struct pg_failure *failure, PGconn *pg, const char *target) {
  const char *text = pg ? PQerrorMessage(pg) : "out of memory";
  const char *words = find_sqlstate(text, failure->sqlstate);
  const char *kind = words ? kind_of(failure->sqlstate) : NULL;
  char notes[400] = "";
  if (words) {
    append_notes(notes, sizeof notes, words);
  } else {
    words = last_words(text);
    kind = kind_of_text(words);
  }
  error_set(&failure->error, kind, "%s: %.*s%s", target, line_length(words), words, notes);
  make_readable(&failure->error);
}

static const char *field_of(const PGresult *result, int field) {
  const char *text = PQresultErrorField(result, field);
  return text ? text : "";
}

static void take_result_failure(struct pg_failure *failure, const PGresult *result, PGconn *pg) {
  const char *sqlstate = result ? field_of(result, PG_DIAG_SQLSTATE) : "";
  if (!*sqlstate) { /* libpq's own: the connection broke */
    const char *text = PQerrorMessage(pg);
    error_set(&failure->error, PQstatus(pg) == CONNECTION_BAD ? "reset" : kind_of_text(text), "%.*s",
              line_length(text), text);
    return;
  }
  const char *detail = field_of(result, PG_DIAG_MESSAGE_DETAIL),
             *hint = field_of(result, PG_DIAG_MESSAGE_HINT);
  snprintf(failure->sqlstate, sizeof failure->sqlstate, "%s", sqlstate);
  error_set(&failure->error, kind_of(sqlstate), "%s%s%s%s%s", field_of(result, PG_DIAG_MESSAGE_PRIMARY),
            *detail ? "; " : "", detail, *hint ? "; " : "", hint);
}

void pg_failure_of_result(struct pg_failure *failure, const PGresult *result, PGconn *pg) {
  take_result_failure(failure, result, pg);
  make_readable(&failure->error);
}

bool pg_failure_is_final(const struct pg_failure *failure) {
  return failure->sqlstate[0] && strcmp(failure->error.kind, "starting") != 0;
}
