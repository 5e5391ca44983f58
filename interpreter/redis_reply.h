/* What a Redis server answers (RESP2), decoded with hiredis' reader into nodes of our own, so that the size
 * of an answer is bounded before memory is taken for it. No Lua here.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H
#include <stdbool.h>
#include <stddef.h>
#include "error.h"

/* Nodes of one reply, an array's elements counted when it is announced; and arrays in arrays: whoever walks a
 * reply calls itself for each level. */
#define REDIS_REPLY_NODES_MAX 1000000
#define REDIS_REPLY_DEPTH_MAX 7

enum redis_type { REDIS_STRING, REDIS_INTEGER, REDIS_NIL, REDIS_ARRAY, REDIS_FAILURE };

struct redis_node {
  enum redis_type type;
  int depth; /* arrays around it */
  long long integer;
  size_t len;                   /* bytes of `text`, or elements */
  char *text;                   /* of strings and failures; may hold NUL bytes */
  struct redis_node **elements; /* of arrays */
};
void redis_node_free(struct redis_node *node); /* NULL is fine */

struct redis_decoder;
struct redis_decoder *redis_decoder_new(void);
void redis_decoder_free(struct redis_decoder *decoder);
/* Forgets the count of bytes and nodes: a new call begins, whose reply may take `max_bytes` on the wire. */
void redis_decoder_begin(struct redis_decoder *decoder, size_t max_bytes);
/* Takes bytes from the server. False: more than allowed (kind limit) or not Redis' protocol (kind protocol);
 * the connection is of no more use. True with *reply NULL: not complete yet. A reply followed by more bytes
 * is a protocol error: nothing else was asked for. */
bool redis_decoder_feed(struct redis_decoder *decoder, const char *bytes, size_t len,
                        struct redis_node **reply, struct error *error);
/* The kind of an error reply by its text: login, permission or reply. */
const char *redis_failure_kind(const char *text);

#endif
