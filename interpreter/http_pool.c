#include "http.h"
#include <stdlib.h>

/* A socket curl watches. The poll handle outlives it until libuv has closed it. */
struct watch {
  uv_poll_t poll; /* first: freed through its address */
  struct http_pool *pool;
  struct watch *next, **link; /* in the pool's list */
  curl_socket_t socket;
  int events;
};

struct http_pool {
  CURLM *multi;
  uv_loop_t *loop;
  uv_timer_t *timer;
  struct watch *watches;
  void (*done)(CURL *easy, CURLcode code);
};

static void free_handle(uv_handle_t *handle) { free(handle); }

/* After every socket_action: curl's own libuv example does it only sometimes, and loses the end of lone
 * requests. */
static void pool_drain(struct http_pool *pool) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(pool->multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result; /* the message dies with the handle's removal */
    curl_multi_remove_handle(pool->multi, easy);
    pool->done(easy, code);
  }
}

static void pool_act(struct http_pool *pool, curl_socket_t socket, int flags) {
  int running;
  curl_multi_socket_action(pool->multi, socket, flags, &running);
  pool_drain(pool);
}

/* ---- Sockets ---- */

static void watch_ready(uv_poll_t *poll, int status, int events);

static void watch_arm(struct watch *watch) { uv_poll_start(&watch->poll, watch->events, watch_ready); }

static void watch_close(struct watch *watch) {
  *watch->link = watch->next;
  if (watch->next) watch->next->link = watch->link;
  uv_close((uv_handle_t *)&watch->poll, free_handle);
}

static void watch_ready(uv_poll_t *poll, int status, int events) {
  struct watch *watch = (struct watch *)poll;
  int flags = 0;
  /* libuv reports POLLERR as a failure and stops; curl finds the error (and what came before it) by itself.
   */
  if (status < 0) events = watch->events;
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  pool_act(watch->pool, watch->socket, flags);
  if (status < 0 && !uv_is_closing((uv_handle_t *)poll)) watch_arm(watch);
}

static struct watch *watch_open(struct http_pool *pool, curl_socket_t socket) {
  struct watch *watch = xcalloc(1, sizeof *watch);
  if (uv_poll_init_socket(pool->loop, &watch->poll, socket) != 0) {
    free(watch);
    return NULL;
  }
  watch->pool = pool;
  watch->socket = socket;
  watch->next = pool->watches;
  watch->link = &pool->watches;
  if (watch->next) watch->next->link = &watch->next;
  pool->watches = watch;
  curl_multi_assign(pool->multi, socket, watch);
  return watch;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *data, void *assigned) {
  struct watch *watch = assigned;
  (void)easy; /* may be one of curl's own */
  if (what == CURL_POLL_REMOVE) {
    if (watch) watch_close(watch);
    return 0;
  }
  if (!watch) watch = watch_open(data, socket);
  if (!watch) return -1;
  watch->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  watch_arm(watch);
  return 0;
}

/* ---- The timer ---- */

static void timer_rings(uv_timer_t *timer) { pool_act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

/* Never calls curl from here, not even for 0 ms: that would be recursion. */
static int on_timer(CURLM *multi, long milliseconds, void *data) {
  struct http_pool *pool = data;
  (void)multi;
  if (milliseconds < 0)
    uv_timer_stop(pool->timer);
  else
    uv_timer_start(pool->timer, timer_rings, (uint64_t)milliseconds, 0);
  return 0;
}

/* ---- The pool ---- */

struct http_pool *http_pool_open(uv_loop_t *loop, void (*done)(CURL *, CURLcode)) {
  CURLM *multi = curl_multi_init();
  if (!multi) return NULL;
  struct http_pool *pool = xcalloc(1, sizeof *pool);
  *pool =
      (struct http_pool){.multi = multi, .loop = loop, .timer = xmalloc(sizeof *pool->timer), .done = done};
  uv_timer_init(loop, pool->timer);
  pool->timer->data = pool;
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, pool);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, pool);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, HTTP_IDLE_CONNECTIONS_MAX);
  return pool;
}

/* Cleanup still calls on_socket and on_timer; what it forgets to remove is closed after it. */
void http_pool_close(struct http_pool *pool) {
  curl_multi_cleanup(pool->multi);
  while (pool->watches) watch_close(pool->watches);
  uv_close((uv_handle_t *)pool->timer, free_handle);
  free(pool);
}

bool http_pool_add(struct http_pool *pool, CURL *easy) {
  return curl_multi_add_handle(pool->multi, easy) == CURLM_OK;
}

void http_pool_remove(struct http_pool *pool, CURL *easy) { curl_multi_remove_handle(pool->multi, easy); }
