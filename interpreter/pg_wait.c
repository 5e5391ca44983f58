#include <stdlib.h>
#include "pg.h"
#include "runtime.h"

static void poll_closed(uv_handle_t *poll) { free(poll); }

void pg_wait_stop(struct pg_wait *wait) {
  if (wait->poll) uv_close((uv_handle_t *)wait->poll, poll_closed);
  wait->poll = NULL;
}

/* A failure of the poll (libuv's way to say POLLERR) is readiness too: libpq reads the error from the socket.
 */
static void poll_ready(uv_poll_t *poll, int status, int events) {
  struct pg_wait *wait = poll->data;
  (void)status, (void)events;
  pg_wait_stop(wait);
  wait->ready(wait);
}

bool pg_wait_start(struct pg_wait *wait, int fd, int events) {
  pg_wait_stop(wait);
  uv_poll_t *poll = xmalloc(sizeof *poll);
  if (uv_poll_init(runtime_loop(), poll, fd) != 0) {
    free(poll);
    return false;
  }
  poll->data = wait;
  wait->poll = poll;
  return uv_poll_start(poll, events, poll_ready) == 0;
}
