#include "redis_conn.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "buffer.h"
#include "offload.h"

/* The name's addresses, looked up on a thread of its own: DNS may be what is down. */
struct lookup {
  struct offload offload;
  struct redis_conn *conn;
  char *host, port[8];
  struct addrinfo *found;
  int status, saved_errno;
};

/* A socket; freed by its close callback. Each address tried gets a new one. */
struct redis_socket {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } as;
  uv_connect_t connect;
  uv_timer_t timer;        /* this attempt's share */
  struct redis_conn *conn; /* NULL once it is closing */
  unsigned handles;
};

struct redis_conn {
  uv_loop_t *loop;
  struct lookup *lookup;       /* while it is under way */
  struct addrinfo *found, *at; /* at: the one being tried */
  struct redis_socket *socket;
  struct redis_decoder *decoder;
  struct secure *secure; /* NULL: in clear */
  char *target;          /* for messages: host:port or path */
  uint64_t deadline;
  bool open;
  redis_done done; /* of what is under way */
  void *data;
};

struct request {
  uv_write_t write;
  size_t len;
  char *bytes;
};

static char incoming[64 * 1024]; /* every read goes here first: one loop, one thread */

static void try_address(struct redis_conn *conn, const struct error *last);
static void shake_start(struct redis_conn *conn);

/* ---- Closing ---- */

static void socket_closed(uv_handle_t *handle) {
  struct redis_socket *socket = handle->data;
  if (--socket->handles == 0) free(socket);
}

static void socket_close(struct redis_conn *conn) {
  struct redis_socket *socket = conn->socket;
  if (!socket) return;
  conn->socket = NULL;
  socket->conn = NULL;
  uv_close(&socket->as.handle, socket_closed);
  uv_close((uv_handle_t *)&socket->timer, socket_closed);
}

void redis_conn_close(struct redis_conn *conn) {
  conn->open = false;
  conn->done = NULL;
  if (conn->lookup) offload_abandon(&conn->lookup->offload);
  conn->lookup = NULL;
  if (conn->found) freeaddrinfo(conn->found);
  conn->found = conn->at = NULL;
  socket_close(conn);
  redis_decoder_free(conn->decoder);
  conn->decoder = NULL;
  if (conn->secure) conn->secure->free(conn->secure);
  conn->secure = NULL;
}

void redis_conn_free(struct redis_conn *conn) {
  redis_conn_close(conn);
  free(conn->target);
  free(conn);
}

static void conn_finish(struct redis_conn *conn, struct redis_node *reply, const struct error *error) {
  redis_done done = conn->done;
  void *data = conn->data;
  conn->done = NULL;
  if (error->kind[0]) redis_conn_close(conn);
  if (done) done(data, reply, error);
}

/* ---- Connecting ---- */

static void set_failure(const struct redis_conn *conn, struct error *error, int status, const char *what) {
  char text[256];
  snprintf(text, sizeof text, "%s %s", what, conn->target);
  error_set_code(error, status, text);
}

static void conn_ready(struct redis_conn *conn) {
  struct error error = {0};
  conn->open = true;
  conn->decoder = redis_decoder_new();
  conn_finish(conn, NULL, &error);
}

static void connected(uv_connect_t *connect, int status) {
  struct redis_socket *socket = connect->data;
  struct redis_conn *conn = socket->conn;
  struct error error = {0};
  if (!conn) return;
  uv_timer_stop(&socket->timer);
  if (status) {
    set_failure(conn, &error, status, "cannot connect to");
    try_address(conn, &error);
  } else if (conn->secure) {
    shake_start(conn);
  } else {
    conn_ready(conn);
  }
}

static void attempt_late(uv_timer_t *timer) {
  struct redis_socket *socket = timer->data;
  struct error error = {0};
  set_failure(socket->conn, &error, UV_ETIMEDOUT, "cannot connect to");
  try_address(socket->conn, &error);
}

static struct redis_socket *socket_new(struct redis_conn *conn) {
  struct redis_socket *socket = xcalloc(1, sizeof *socket);
  socket_close(conn);
  conn->socket = socket;
  socket->conn = conn;
  socket->handles = 2;
  uv_timer_init(conn->loop, &socket->timer);
  socket->timer.data = socket->connect.data = socket;
  return socket;
}

/* The last address has what is left of the time; those before an equal share of it. */
static void attempt_limit(struct redis_conn *conn) {
  unsigned left = 0;
  uv_update_time(conn->loop);
  uint64_t now = uv_now(conn->loop);
  for (const struct addrinfo *at = conn->at; at; at = at->ai_next) left++;
  if (left > 1 && conn->deadline > now)
    uv_timer_start(&conn->socket->timer, attempt_late, (conn->deadline - now) / left, 0);
}

static int attempt_start(struct redis_conn *conn) {
  struct redis_socket *socket = socket_new(conn);
  uv_tcp_init(conn->loop, &socket->as.tcp);
  socket->as.handle.data = socket;
  attempt_limit(conn);
  int status = uv_tcp_connect(&socket->connect, &socket->as.tcp, conn->at->ai_addr, connected);
  if (!status) uv_tcp_nodelay(&socket->as.tcp, 1);
  return status;
}

/* The next address, or the end: the last failure is what is reported. */
static void try_address(struct redis_conn *conn, const struct error *last) {
  struct error error = *last;
  for (conn->at = conn->at ? conn->at->ai_next : conn->found; conn->at; conn->at = conn->at->ai_next) {
    int status = attempt_start(conn);
    if (!status) return;
    set_failure(conn, &error, status, "cannot connect to");
  }
  conn_finish(conn, NULL, &error);
}

static void connect_path(struct redis_conn *conn, const char *path) {
  struct redis_socket *socket = socket_new(conn);
  uv_pipe_init(conn->loop, &socket->as.pipe, 0);
  socket->as.handle.data = socket;
  uv_pipe_connect(&socket->connect, &socket->as.pipe, path, connected); /* fails in its callback only */
}

/* ---- DNS ---- */

static void lookup_run(struct offload *offload) {
  struct lookup *lookup = (struct lookup *)offload;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
  lookup->status = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
  lookup->saved_errno = errno;
}

static void lookup_destroy(struct offload *offload) {
  struct lookup *lookup = (struct lookup *)offload;
  if (lookup->found) freeaddrinfo(lookup->found);
  free(lookup->host);
  free(lookup);
}

static void lookup_done(struct offload *offload) {
  struct lookup *lookup = (struct lookup *)offload;
  struct redis_conn *conn = lookup->conn;
  struct error error = {0};
  conn->lookup = NULL;
  conn->found = lookup->found;
  lookup->found = NULL;
  if (lookup->status)
    error_set(&error, "dns", "%s does not resolve: %s", lookup->host,
              lookup->status == EAI_SYSTEM ? strerror(lookup->saved_errno) : gai_strerror(lookup->status));
  lookup_destroy(offload);
  if (error.kind[0])
    conn_finish(conn, NULL, &error);
  else
    try_address(conn, &error);
}

/* ---- Opening ---- */

static bool lookup_start(struct redis_conn *conn, const char *host, int port, struct error *error) {
  struct lookup *lookup = xcalloc(1, sizeof *lookup);
  lookup->offload.run = lookup_run;
  lookup->offload.done = lookup_done;
  lookup->offload.destroy = lookup_destroy;
  lookup->conn = conn;
  lookup->host = xstrdup(host);
  snprintf(lookup->port, sizeof lookup->port, "%d", port);
  if (offload_start(conn->loop, &lookup->offload, error)) {
    conn->lookup = lookup;
    return true;
  }
  lookup_destroy(&lookup->offload);
  return false;
}

struct redis_conn *redis_conn_open(uv_loop_t *loop, const char *host, int port, const char *path,
                                   struct secure *secure, double seconds, redis_done done, void *data) {
  struct redis_conn *conn = xcalloc(1, sizeof *conn);
  struct buffer target = {0};
  struct error error = {0};
  if (path)
    buffer_puts(&target, path);
  else
    buffer_printf(&target, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
  conn->target = target.data;
  conn->loop = loop;
  conn->secure = secure;
  conn->done = done;
  conn->data = data;
  uv_update_time(loop);
  conn->deadline = uv_now(loop) + (uint64_t)(seconds * 1000);
  if (path)
    connect_path(conn, path);
  else if (!lookup_start(conn, host, port, &error))
    conn_finish(conn, NULL, &error);
  return conn;
}

/* ---- A call ---- */

static void bytes_free(char *bytes, size_t len) {
  if (bytes) explicit_bzero(bytes, len); /* AUTH carries a password */
  free(bytes);
}

static void request_free(struct request *request) {
  bytes_free(request->bytes, request->len);
  free(request);
}

static void request_written(uv_write_t *write, int status) {
  struct request *request = (struct request *)write;
  struct redis_socket *socket = write->handle->data;
  struct redis_conn *conn = socket->conn;
  request_free(request);
  if (!status || !conn) return;
  struct error error = {0};
  set_failure(conn, &error, status, "lost the connection to");
  conn_finish(conn, NULL, &error);
}

/* Takes `bytes` over. */
static int request_send(struct redis_conn *conn, char *bytes, size_t len) {
  struct request *request = xcalloc(1, sizeof *request);
  request->bytes = bytes;
  request->len = len;
  uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);
  int status = uv_write(&request->write, &conn->socket->as.stream, &buf, 1, request_written);
  if (status) request_free(request);
  return status;
}

static void incoming_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)handle, (void)suggested;
  *buf = uv_buf_init(incoming, sizeof incoming);
}

/* False: nothing came, and `error` says why. */
static bool incoming_check(const struct redis_conn *conn, ssize_t len, struct error *error) {
  if (len > 0) return true;
  if (len == UV_EOF) return error_set(error, "reset", "%s closed the connection", conn->target);
  set_failure(conn, error, (int)len, "lost the connection to");
  return false;
}

/* ---- TLS ---- */

/* What TLS has for the server by itself: a handshake's words, an alert. */
static int secure_send(struct redis_conn *conn) {
  struct buffer out = {0};
  conn->secure->drain(conn->secure, &out);
  return out.len ? request_send(conn, out.data, out.len) : 0;
}

static void shake(struct redis_conn *conn) {
  struct error error = {0};
  int done = conn->secure->shake(conn->secure, &error);
  int status = secure_send(conn);
  if (done >= 0 && status) set_failure(conn, &error, status, "lost the connection to");
  if (done == 0 && !error.kind[0]) return;
  uv_read_stop(&conn->socket->as.stream);
  if (error.kind[0])
    conn_finish(conn, NULL, &error);
  else
    conn_ready(conn);
}

static void shake_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  struct redis_conn *conn = ((struct redis_socket *)stream->data)->conn;
  struct error error = {0};
  if (!conn || len == 0) return;
  if (incoming_check(conn, len, &error)) {
    conn->secure->feed(conn->secure, buf->base, (size_t)len);
    shake(conn);
    return;
  }
  struct error why = {0};
  error_set(&why, error.kind, "%s, in the TLS handshake", error.message);
  conn_finish(conn, NULL, &why);
}

static void shake_start(struct redis_conn *conn) {
  struct error error = {0};
  int status = uv_read_start(&conn->socket->as.stream, incoming_alloc, shake_read);
  if (!status) {
    shake(conn);
    return;
  }
  set_failure(conn, &error, status, "lost the connection to");
  conn_finish(conn, NULL, &error);
}

/* The words of a call, sealed. */
static bool secure_words(struct redis_conn *conn, char **bytes, size_t *len, struct error *error) {
  struct buffer out = {0};
  bool well = conn->secure->write(conn->secure, *bytes, *len, error);
  bytes_free(*bytes, *len);
  conn->secure->drain(conn->secure, &out);
  *bytes = out.data;
  *len = out.len;
  return well;
}

/* What of a reply is in the records that have come. */
static void secure_reply(struct redis_conn *conn, struct redis_node **reply, struct error *error) {
  char plain[16 * 1024];
  ssize_t len = 0;
  while (!*reply && !error->kind[0] &&
         (len = conn->secure->read(conn->secure, plain, sizeof plain, error)) > 0)
    redis_decoder_feed(conn->decoder, plain, (size_t)len, reply, error);
  if (!error->kind[0]) (void)secure_send(conn); /* a server that asks for new keys waits for them */
}

/* ---- Replies ---- */

static void incoming_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  struct redis_conn *conn = ((struct redis_socket *)stream->data)->conn;
  struct redis_node *reply = NULL;
  struct error error = {0};
  if (!conn || len == 0) return;
  if (incoming_check(conn, len, &error) && conn->secure) {
    conn->secure->feed(conn->secure, buf->base, (size_t)len);
    secure_reply(conn, &reply, &error);
  } else if (!error.kind[0]) {
    redis_decoder_feed(conn->decoder, buf->base, (size_t)len, &reply, &error);
  }
  if (!reply && !error.kind[0]) return;
  uv_read_stop(stream);
  conn_finish(conn, reply, &error);
}

/* Of what came while nothing was asked: in clear it is looked at where it lies, of TLS it is taken: sessions for another
 * time come at the server's leisure. */
static ssize_t idle_read(struct redis_conn *conn, char *line, size_t size, struct error *error) {
  uv_os_fd_t fd;
  uv_fileno(&conn->socket->as.handle, &fd);
  if (!conn->secure) return recv(fd, line, size, MSG_PEEK | MSG_DONTWAIT);
  ssize_t len;
  while ((len = recv(fd, incoming, sizeof incoming, MSG_DONTWAIT)) > 0)
    conn->secure->feed(conn->secure, incoming, (size_t)len);
  int saved_errno = errno;
  ssize_t plain = conn->secure->read(conn->secure, line, size, error);
  errno = saved_errno;
  return plain > 0 ? plain : len;
}

/* What came while nothing was asked would be taken for the answer to the next call. A server that lets nobody
 * in (protected mode, too many clients) says so on its own and hangs up. */
static bool idle_is_clean(struct redis_conn *conn, struct error *error) {
  char line[256];
  ssize_t len = idle_read(conn, line, sizeof line - 1, error);
  if (error->kind[0]) return false;
  if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
  if (len <= 0) return error_set(error, "reset", "%s closed the connection", conn->target);
  line[len] = '\0';
  line[strcspn(line, "\r\n")] = '\0';
  if (line[0] == '-') return error_set(error, redis_failure_kind(line + 1), "%s: %s", conn->target, line + 1);
  return error_set(error, "protocol", "%s sent something unasked", conn->target);
}

static int call_send(struct redis_conn *conn, char *bytes, size_t len) {
  int status = request_send(conn, bytes, len);
  return status ? status : uv_read_start(&conn->socket->as.stream, incoming_alloc, incoming_read);
}

void redis_conn_call(struct redis_conn *conn, char *bytes, size_t len, size_t max_reply, redis_done done,
                     void *data) {
  struct error error = {0};
  conn->done = done;
  conn->data = data;
  redis_decoder_begin(conn->decoder, max_reply);
  if (idle_is_clean(conn, &error) && (!conn->secure || secure_words(conn, &bytes, &len, &error))) {
    int status = call_send(conn, bytes, len);
    if (!status) return;
    set_failure(conn, &error, status, "lost the connection to");
  } else {
    bytes_free(bytes, len);
  }
  conn_finish(conn, NULL, &error);
}

bool redis_conn_is_open(const struct redis_conn *conn) { return conn->open; }
bool redis_conn_is_busy(const struct redis_conn *conn) { return conn->done != NULL; }
