#include "http.h"
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>

/* curl's sockets are in an epoll set of their own, and libuv watches the set as one: a request changes what it waits for three
 * times, and each change of a uv_poll_t costs two system calls, its making another two. */
struct http_pool {
  CURLM *multi;
  uv_timer_t *timer;
  uv_poll_t *poll; /* of the set; active while there are sockets in it */
  int set;
  unsigned sockets;
  void (*done)(CURL *easy, CURLcode code);
};

#define EVENTS_MAX 64 /* taken from the set at a time */

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

/* What failed is both readable and writable: curl finds the error, and what came before it, by itself. */
static int flags_of(uint32_t events) {
  int flags = 0;
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_IN;
  if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_OUT;
  return flags;
}

/* A socket of this batch may be closed by the time its turn comes: curl ignores those it doesn't know. */
static void set_ready(uv_poll_t *poll, int status, int events) {
  struct http_pool *pool = poll->data;
  struct epoll_event ready[EVENTS_MAX];
  (void)status, (void)events;
  int count = epoll_wait(pool->set, ready, EVENTS_MAX, 0);
  for (int i = 0; i < count; i++) pool_act(pool, ready[i].data.fd, flags_of(ready[i].events));
}

static void forget_socket(struct http_pool *pool, curl_socket_t socket) {
  epoll_ctl(pool->set, EPOLL_CTL_DEL, socket, NULL); /* curl may have closed it before: then it is gone */
  if (--pool->sockets == 0) uv_poll_stop(pool->poll);
}

static void know_socket(struct http_pool *pool, curl_socket_t socket) {
  curl_multi_assign(pool->multi, socket, pool);
  if (pool->sockets++ == 0) uv_poll_start(pool->poll, UV_READABLE, set_ready);
}

/* `known` is what know_socket() assigned. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *data, void *known) {
  struct http_pool *pool = data;
  struct epoll_event wanted = {.data.fd = socket};
  (void)easy; /* may be one of curl's own */
  if (what == CURL_POLL_REMOVE) {
    if (known) forget_socket(pool, socket);
    return 0;
  }
  if (what & CURL_POLL_IN) wanted.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) wanted.events |= EPOLLOUT;
  if (epoll_ctl(pool->set, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &wanted) != 0) return -1;
  if (!known) know_socket(pool, socket);
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
  struct http_pool *pool = xcalloc(1, sizeof *pool);
  pool->done = done;
  pool->multi = curl_multi_init();
  pool->set = epoll_create1(EPOLL_CLOEXEC);
  if (!pool->multi || pool->set < 0) return free(pool), NULL;
  pool->timer = xmalloc(sizeof *pool->timer);
  uv_timer_init(loop, pool->timer);
  pool->poll = xmalloc(sizeof *pool->poll);
  uv_poll_init(loop, pool->poll, pool->set);
  pool->timer->data = pool->poll->data = pool;
  curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
  curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
  curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, HTTP_IDLE_CONNECTIONS_MAX);
  return pool;
}

/* Cleanup still calls on_socket and on_timer. */
void http_pool_close(struct http_pool *pool) {
  curl_multi_cleanup(pool->multi);
  uv_close((uv_handle_t *)pool->poll, free_handle);
  uv_close((uv_handle_t *)pool->timer, free_handle);
  close(pool->set);
  free(pool);
}

bool http_pool_add(struct http_pool *pool, CURL *easy) {
  return curl_multi_add_handle(pool->multi, easy) == CURLM_OK;
}

void http_pool_remove(struct http_pool *pool, CURL *easy) { curl_multi_remove_handle(pool->multi, easy); }
