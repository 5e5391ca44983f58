/* One connection to a Redis server over our own libuv stream: hiredis 0.14 blocks on DNS, knows no timeouts
 * and loses refused connections, so only its codec is used. One request at a time. No Lua here.
 *
 * Every function that starts something calls `done` once, on the loop's thread, perhaps before it returns,
 * unless redis_conn_close() comes first. After any failure but an error reply the connection is closed: a
 * late answer must never be taken for another call's.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H
#include <stdbool.h>
#include <uv.h>
#include "error.h"
#include "redis_reply.h"
#include "secure.h"

struct redis_conn;
/* `reply` is the callee's, and NULL when `error->kind` is set or a connection was made. */
typedef void (*redis_done)(void *data, struct redis_node *reply, const struct error *error);

/* To `path` (a Unix socket) or to the addresses of `host` in turn, each getting its share of `seconds`. Not
 * NULL. What is spoken goes through `secure`, which is taken over, unless that is NULL. */
struct redis_conn *redis_conn_open(uv_loop_t *loop, const char *host, int port, const char *path,
                                   struct secure *secure, double seconds, redis_done done, void *data);
/* Sends `bytes` (an encoded command, taken over) and waits for one reply of at most `max_reply` bytes. */
void redis_conn_call(struct redis_conn *conn, char *bytes, size_t len, size_t max_reply, redis_done done,
                     void *data);
bool redis_conn_is_open(const struct redis_conn *conn);
bool redis_conn_is_busy(const struct redis_conn *conn);
/* Closes the socket at once; `done` of a call under way is not called. May be repeated. */
void redis_conn_close(struct redis_conn *conn);
/* Closes it and gives up the handle. */
void redis_conn_free(struct redis_conn *conn);

#endif
