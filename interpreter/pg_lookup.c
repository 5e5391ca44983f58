#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include "offload.h"
#include "pg.h"
#include "runtime.h"

/* libpq would call getaddrinfo on the loop, for each host when its turn comes. */
struct pg_lookup {
  struct offload job; /* first */
  char *host;
  struct addrinfo *found;
  int code;
  pg_lookup_done *done;
  void *data;
};

static void lookup_run(struct offload *job) {
  struct pg_lookup *lookup = (struct pg_lookup *)job;
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  lookup->code = getaddrinfo(lookup->host, NULL, &hints, &lookup->found);
}

static void lookup_destroy(struct offload *job) {
  struct pg_lookup *lookup = (struct pg_lookup *)job;
  if (lookup->found) freeaddrinfo(lookup->found);
  free(lookup->host);
  free(lookup);
}

static char **addresses_of(const struct addrinfo *found, size_t *count) {
  char **addresses = xcalloc(PG_ADDRESSES_MAX, sizeof *addresses), text[NI_MAXHOST];
  for (*count = 0; found && *count < PG_ADDRESSES_MAX; found = found->ai_next)
    if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
      addresses[(*count)++] = xstrdup(text);
  return addresses;
}

static void lookup_finish(struct offload *job) {
  struct pg_lookup *lookup = (struct pg_lookup *)job;
  struct error error = {0};
  size_t count;
  char **addresses = addresses_of(lookup->found, &count);
  if (count == 0) error_set(&error, "dns", "%s: the name does not resolve", lookup->host);
  pg_lookup_done *done = lookup->done;
  void *data = lookup->data;
  lookup_destroy(job);
  done(data, addresses, count, &error);
}

struct pg_lookup *pg_lookup_start(const char *host, pg_lookup_done *done, void *data, struct error *error) {
  struct pg_lookup *lookup = xcalloc(1, sizeof *lookup);
  lookup->job = (struct offload){.run = lookup_run, .done = lookup_finish, .destroy = lookup_destroy};
  lookup->host = xstrdup(host);
  lookup->done = done;
  lookup->data = data;
  if (offload_start(runtime_loop(), &lookup->job, error)) return lookup;
  lookup_destroy(&lookup->job);
  return NULL;
}

void pg_lookup_abandon(struct pg_lookup *lookup) {
  if (lookup) offload_abandon(&lookup->job);
}
