#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pg.h"
#include "runtime.h"

/* ---- Where to ---- */

static char *slice(const char *text, size_t len) {
  char *copy = xmalloc(len + 1);
  memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

/* The n-th of a comma-separated list, malloc'ed; the only one serves all; NULL when there is none or it is
 * empty. */
static char *nth_of(const char *list, size_t n) {
  if (!list) return NULL;
  if (!strchr(list, ',')) n = 0;
  for (; n > 0; n--) {
    list = strchr(list, ',');
    if (!list++) return NULL;
  }
  size_t len = strcspn(list, ",");
  return len ? slice(list, len) : NULL;
}

static size_t count_of(const char *list) {
  size_t count = 1;
  if (!list) return 0;
  while ((list = strchr(list, ','))) list++, count++;
  return count;
}

static bool is_port(const char *text) {
  size_t len = strspn(text, "0123456789");
  return len > 0 && len < 6 && !text[len] && atoi(text) > 0 && atoi(text) < 65536;
}

static bool is_numeric(const char *host) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, NULL, &hints, &found) != 0) return false;
  freeaddrinfo(found);
  return true;
}

static void place_fill(struct pg_place *place, const char *host, const char *hostaddr, const char *port,
                       size_t n) {
  place->host = n > 0 && count_of(host) == 1 ? NULL : nth_of(host, n);
  place->address = n > 0 && count_of(hostaddr) == 1 ? NULL : nth_of(hostaddr, n);
  place->port = nth_of(port, n);
  if (!place->port) place->port = xstrdup(PG_PORT);
  if (!place->host) place->host = xstrdup(place->address ? place->address : PG_SOCKET_FOLDER);
  if (!place->address && is_numeric(place->host)) place->address = xstrdup(place->host);
}

void pg_place_redirect(struct pg_place *place, const char *target) {
  bool in_brackets = *target == '[' && strchr(target, ']');
  const char *end = in_brackets ? strchr(target, ']') : target, *port = strchr(end, ':');
  if (!in_brackets && port && strchr(port + 1, ':')) port = NULL; /* a v6 address alone */
  if (in_brackets) target++;
  size_t len = in_brackets ? (size_t)(end - target) : port ? (size_t)(port - target) : strlen(target);
  free(place->address);
  place->address = slice(target, len);
  if (!port) return;
  free(place->port);
  place->port = xstrdup(port + 1);
}

bool pg_connect_places(struct pg_connect *connect) {
  const char *host = pg_dsn_get(connect->dsn, "host"), *hostaddr = pg_dsn_get(connect->dsn, "hostaddr");
  const char *port = pg_dsn_get(connect->dsn, "port");
  struct error *error = &connect->failure.error;
  size_t hosts = count_of(host), addresses = count_of(hostaddr),
         count = hosts > addresses ? hosts : addresses;
  if (count > PG_HOSTS_MAX) return error_set(error, "usage", "more than %d hosts", PG_HOSTS_MAX);
  if (hosts && addresses && hosts != addresses)
    return error_set(error, "usage", "%zu hosts, but %zu addresses", hosts, addresses);
  if (count_of(port) != 1 && count_of(port) != count)
    return error_set(error, "usage", "%zu ports for %zu hosts", count_of(port), count);
  for (connect->place_count = 0; connect->place_count < count;) {
    struct pg_place *place = &connect->places[connect->place_count];
    place_fill(place, host, hostaddr, port, connect->place_count++);
    if (!is_port(place->port)) return error_set(error, "usage", "'%s' is not a port", place->port);
  }
  return true;
}

static bool is_folder(const struct pg_place *place) { return *place->host == '/' || *place->host == '@'; }

/* "db1:5432", "db1:5432 (10.0.0.7)", "/run/postgresql/.s.PGSQL.5432"; for buffer_free. */
static struct buffer target_of(const struct pg_connect *connect) {
  const struct pg_place *place = &connect->places[connect->place];
  const char *address =
      connect->address < connect->address_count ? connect->addresses[connect->address] : NULL;
  struct buffer text = {0};
  buffer_printf(&text, is_folder(place) ? "%s/.s.PGSQL.%s" : "%s:%s", place->host, place->port);
  if (address && strcmp(address, place->host) != 0) buffer_printf(&text, " (%s)", address);
  return text;
}

/* ---- Steps ---- */

static void try_place(struct pg_connect *connect);
static void try_address(struct pg_connect *connect);

static void drop_addresses(struct pg_connect *connect) {
  for (size_t i = 0; i < connect->address_count; i++) free(connect->addresses[i]);
  free(connect->addresses);
  connect->addresses = NULL;
  connect->address = connect->address_count = 0;
}

/* Everything of the step under way; libpq's socket is closed last. */
static void drop_step(struct pg_connect *connect) {
  timer_stop(connect->timer);
  connect->timer = NULL;
  pg_lookup_abandon(connect->lookup);
  connect->lookup = NULL;
  pg_wait_stop(&connect->wait);
  if (connect->pg) PQfinish(connect->pg);
  connect->pg = NULL;
}

/* prefer-standby goes over all places twice. libpq, which is given one at a time, would take the first. */
static bool wants_standby(const struct pg_connect *connect) {
  return connect->attrs && strcmp(connect->attrs, "standby") == 0;
}

/* This address, or this name, did not work: the next one, or the end. */
static void step_failed(struct pg_connect *connect) {
  bool was_address = connect->address < connect->address_count;
  drop_step(connect);
  if (pg_failure_is_final(&connect->failure)) return op_complete(&connect->op);
  if (was_address && ++connect->address < connect->address_count) return try_address(connect);
  drop_addresses(connect);
  if (++connect->place < connect->place_count) return try_place(connect);
  connect->place = 0;
  if (!wants_standby(connect)) return op_complete(&connect->op);
  connect->attrs = "any";
  try_place(connect);
}

static void step_late(void *data) {
  struct pg_connect *connect = data;
  connect->timer = NULL; /* it has fired */
  struct buffer target = target_of(connect);
  ConnStatusType status = connect->pg ? PQstatus(connect->pg) : CONNECTION_NEEDED;
  const char *what = connect->lookup                ? "the name was not resolved in time"
                     : status == CONNECTION_STARTED ? "no connection in time"
                                                    : "connected, but no answer in time";
  memset(&connect->failure, 0, sizeof connect->failure);
  error_set(&connect->failure.error, "timeout", "%s: %s (%g s for all)", target.data, what, connect->timeout);
  buffer_free(&target);
  step_failed(connect);
}

/* The time that is left is shared out: an address that doesn't answer must not take it all. */
static void step_deadline(struct pg_connect *connect) {
  size_t steps = connect->place_count - connect->place + (wants_standby(connect) ? connect->place_count : 0);
  if (connect->address_count > connect->address) steps += connect->address_count - connect->address - 1;
  double left = (connect->deadline - runtime_now()) / (double)steps;
  timer_stop(connect->timer);
  connect->timer = timer_start(left > 0.001 ? left : 0.001, step_late, connect);
}

/* ---- One address ---- */

struct parameters {
  const char *keywords[64], *values[64];
  size_t count;
};

static void add(struct parameters *parameters, const char *keyword, const char *value) {
  if (!value || parameters->count + 1 >= sizeof parameters->keywords / sizeof *parameters->keywords) return;
  parameters->keywords[parameters->count] = keyword;
  parameters->values[parameters->count++] = value;
}

static bool is_ours(const char *keyword) {
  static const char *const ours[] = {
      "host", "hostaddr", "port", "options", "service", "target_session_attrs", "connect_timeout", NULL};
  for (const char *const *name = ours; *name; name++)
    if (strcmp(keyword, *name) == 0) return true;
  return false;
}

/* Kerberos would look names up by itself; results are to be UTF-8 whatever the database is. */
static void add_defaults(struct parameters *parameters, const PQconninfoOption *dsn) {
  static const char *const defaults[][2] = {
      {"gssencmode", "disable"}, {"client_encoding", "UTF8"}, {"application_name", "runbook"}};
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
    if (!pg_dsn_get(dsn, defaults[i][0])) add(parameters, defaults[i][0], defaults[i][1]);
}

static PGconn *start_pg(const struct pg_connect *connect) {
  const struct pg_place *place = &connect->places[connect->place];
  const char *given = pg_dsn_get(connect->dsn, "options");
  struct parameters parameters = {0};
  struct buffer options = {0};
  for (const PQconninfoOption *option = connect->dsn; option->keyword; option++)
    if (option->val && !is_ours(option->keyword)) add(&parameters, option->keyword, option->val);
  add_defaults(&parameters, connect->dsn);
  buffer_printf(&options, "%s %s", given ? given : "", connect->options.data ? connect->options.data : "");
  add(&parameters, "options", options.len > 1 ? options.data : NULL);
  add(&parameters, "target_session_attrs",
      connect->attrs ? connect->attrs : pg_dsn_get(connect->dsn, "target_session_attrs"));
  add(&parameters, "host", place->host);
  add(&parameters, "port", place->port);
  if (!is_folder(place)) add(&parameters, "hostaddr", connect->addresses[connect->address]);
  PGconn *pg = PQconnectStartParams(parameters.keywords, parameters.values, 0);
  buffer_free(&options);
  return pg;
}

/* A password that was expected to come from a file: libpq says only that there was none. */
static void explain_no_password(struct pg_connect *connect) {
  char *words = connect->failure.error.message, path[256];
  size_t len = strlen(words), size = sizeof connect->failure.error.message;
  if (strstr(words, "no password supplied") && pg_passfile_is_passed_over(connect->dsn, path, sizeof path))
    snprintf(words + len, size - len, "; %s is not used, because others may read it: chmod 600", path);
}

static void attempt_failed(struct pg_connect *connect) {
  struct buffer target = target_of(connect);
  memset(&connect->failure, 0, sizeof connect->failure);
  pg_failure_of_connection(&connect->failure, connect->pg, target.data);
  explain_no_password(connect);
  buffer_free(&target);
  step_failed(connect);
}

static void connected(struct pg_connect *connect) {
  timer_stop(connect->timer);
  connect->timer = NULL;
  memset(&connect->failure, 0, sizeof connect->failure);
  PQsetnonblocking(connect->pg, 1);
  op_complete(&connect->op);
}

static void await(struct pg_connect *connect, PostgresPollingStatusType status) {
  int events = status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE;
  if (!pg_wait_start(&connect->wait, PQsocket(connect->pg), events)) attempt_failed(connect);
}

static void on_ready(struct pg_wait *wait) {
  struct pg_connect *connect = (struct pg_connect *)((char *)wait - offsetof(struct pg_connect, wait));
  PostgresPollingStatusType status = PQconnectPoll(connect->pg);
  if (status == PGRES_POLLING_OK)
    connected(connect);
  else if (status == PGRES_POLLING_FAILED)
    attempt_failed(connect);
  else
    await(connect, status);
}

static void no_notice(void *data, const PGresult *result) { (void)data, (void)result; }

static void try_address(struct pg_connect *connect) {
  step_deadline(connect);
  connect->pg = start_pg(connect);
  if (!connect->pg || PQstatus(connect->pg) == CONNECTION_BAD) return attempt_failed(connect);
  PQsetErrorVerbosity(connect->pg,
                      PQERRORS_VERBOSE); /* the only way to learn the SQLSTATE of a refused login */
  PQsetNoticeReceiver(connect->pg, no_notice, NULL);
  await(connect, PGRES_POLLING_WRITING);
}

/* ---- One place ---- */

static void looked_up(void *data, char **addresses, size_t count, const struct error *error) {
  struct pg_connect *connect = data;
  connect->lookup = NULL;
  connect->addresses = addresses;
  connect->address_count = count;
  if (count > 0) return try_address(connect);
  connect->failure = (struct pg_failure){.error = *error};
  step_failed(connect);
}

static void try_place(struct pg_connect *connect) {
  const struct pg_place *place = &connect->places[connect->place];
  if (place->address || is_folder(place)) { /* a folder's own name stands in for an address */
    char **only = xcalloc(1, sizeof *only);
    *only = xstrdup(place->address ? place->address : place->host);
    return looked_up(connect, only, 1, NULL);
  }
  step_deadline(connect);
  connect->lookup = pg_lookup_start(place->host, looked_up, connect, &connect->failure.error);
  if (!connect->lookup) step_failed(connect);
}

void pg_connect_start(struct pg_connect *connect) {
  const char *attrs = pg_dsn_get(connect->dsn, "target_session_attrs");
  if (attrs && strcmp(attrs, "prefer-standby") == 0) connect->attrs = "standby";
  connect->wait.ready = on_ready;
  connect->deadline = runtime_now() + connect->timeout;
  try_place(connect);
}

/* ---- The end ---- */

void pg_connect_cancel(struct op *op) {
  struct pg_connect *connect = (struct pg_connect *)op;
  if (op->done) return;
  drop_step(connect);
  error_set(&op->error, "cancelled", "connecting was cancelled");
  op_complete(op);
}

void pg_connect_release(struct op *op) {
  struct pg_connect *connect = (struct pg_connect *)op;
  drop_step(connect);
  drop_addresses(connect);
  for (size_t i = 0; i < connect->place_count; i++) {
    struct pg_place *place = &connect->places[i];
    free(place->host);
    free(place->address);
    free(place->port);
  }
  connect->place_count = 0;
  PQconninfoFree(connect->dsn);
  connect->dsn = NULL;
  buffer_free(&connect->options);
}
