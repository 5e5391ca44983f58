#include "redis_reply.h"
#include <stdlib.h>
#include <string.h>
#include <hiredis/hiredis.h>
#include "buffer.h"

/* hiredis 1.0 counts elements in another type, and knows RESP3, which is never asked for. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct redis_decoder {
  redisReader *reader;
  size_t bytes, max_bytes;
  size_t nodes;
  struct error refused; /* by one of our own callbacks, which made the reader fail */
};

void redis_node_free(struct redis_node *node) {
  if (!node) return;
  for (size_t i = 0; node->elements && i < node->len; i++) redis_node_free(node->elements[i]);
  free(node->elements);
  free(node->text);
  free(node);
}

/* ---- What hiredis' reader calls; NULL makes it fail ---- */

static void *refuse_size(const redisReadTask *task) {
  struct redis_decoder *decoder = task->privdata;
  error_set(&decoder->refused, "limit", "the reply has more than %d parts", REDIS_REPLY_NODES_MAX);
  return NULL;
}

static void *refuse_protocol(const redisReadTask *task, const char *why) {
  struct redis_decoder *decoder = task->privdata;
  error_set(&decoder->refused, "protocol", "not a Redis reply: %s", why);
  return NULL;
}

static void *refuse_resp3(const redisReadTask *task) { return refuse_protocol(task, "RESP3"); }

static struct redis_node *node_new(const redisReadTask *task, enum redis_type type) {
  struct redis_decoder *decoder = task->privdata;
  struct redis_node *parent = task->parent ? task->parent->obj : NULL;
  if (task->type > REDIS_REPLY_ERROR || task->type == REDIS_REPLY_NIL) return refuse_resp3(task);
  if (++decoder->nodes > REDIS_REPLY_NODES_MAX) return refuse_size(task);
  struct redis_node *node = xcalloc(1, sizeof *node);
  node->type = type;
  if (parent) parent->elements[task->idx] = node;
  node->depth = parent ? parent->depth + 1 : 0;
  return node;
}

static void *create_string(const redisReadTask *task, char *text, size_t len) {
  struct redis_node *node = node_new(task, task->type == REDIS_REPLY_ERROR ? REDIS_FAILURE : REDIS_STRING);
  if (!node) return NULL;
  node->text = xmalloc(len + 1);
  memcpy(node->text, text, len);
  node->text[len] = '\0';
  node->len = len;
  return node;
}

static void *create_array(const redisReadTask *task, element_count count) {
  struct redis_decoder *decoder = task->privdata;
  if ((size_t)count > REDIS_REPLY_NODES_MAX - decoder->nodes)
    return refuse_size(task); /* a negative one too */
  struct redis_node *node = node_new(task, REDIS_ARRAY);
  if (!node) return NULL;
  if (node->depth > REDIS_REPLY_DEPTH_MAX) return refuse_protocol(task, "nested too deep");
  node->elements = xcalloc((size_t)count + 1, sizeof *node->elements);
  node->len = (size_t)count;
  return node;
}

static void *create_integer(const redisReadTask *task, long long value) {
  struct redis_node *node = node_new(task, REDIS_INTEGER);
  if (node) node->integer = value;
  return node;
}

static void *create_nil(const redisReadTask *task) { return node_new(task, REDIS_NIL); }

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double value, char *text, size_t len) {
  (void)value, (void)text, (void)len;
  return refuse_resp3(task);
}

static void *create_bool(const redisReadTask *task, int value) {
  (void)value;
  return refuse_resp3(task);
}
#endif

static void free_object(void *node) { redis_node_free(node); }

/* ---- The decoder ---- */

struct redis_decoder *redis_decoder_new(void) {
  static redisReplyObjectFunctions functions = {
      .createString = create_string,
      .createArray = create_array,
      .createInteger = create_integer,
#if HIREDIS_MAJOR >= 1
      .createDouble = create_double,
      .createBool = create_bool,
#endif
      .createNil = create_nil,
      .freeObject = free_object,
  };
  struct redis_decoder *decoder = xcalloc(1, sizeof *decoder);
  decoder->reader = redisReaderCreateWithFunctions(&functions);
  if (!decoder->reader) abort();
  decoder->reader->privdata = decoder;
  return decoder;
}

void redis_decoder_free(struct redis_decoder *decoder) {
  if (!decoder) return;
  redisReaderFree(decoder->reader);
  free(decoder);
}

void redis_decoder_begin(struct redis_decoder *decoder, size_t max_bytes) {
  decoder->bytes = decoder->nodes = 0;
  decoder->max_bytes = max_bytes;
}

static bool feed_failed(const struct redis_decoder *decoder, struct error *error) {
  if (decoder->refused.kind[0]) {
    *error = decoder->refused;
    return false;
  }
  if (strstr(decoder->reader->errstr, "\\x15")) /* an alert's first byte */
    return error_set(error, "usage", "it speaks TLS: its address begins with rediss://, not redis://");
  if (strstr(decoder->reader->errstr, "\"H\"")) /* of HTTP/1.1 400 Bad Request */
    return error_set(error, "usage", "it answers in HTTP: the address is no Redis'");
  return error_set(error, "protocol", "not a Redis reply: %s", decoder->reader->errstr);
}

bool redis_decoder_feed(struct redis_decoder *decoder, const char *bytes, size_t len,
                        struct redis_node **reply, struct error *error) {
  void *node = NULL;
  *reply = NULL;
  decoder->bytes += len;
  if (decoder->bytes > decoder->max_bytes)
    return error_set(error, "limit", "the reply is longer than %zu bytes", decoder->max_bytes);
  if (redisReaderFeed(decoder->reader, bytes, len) != REDIS_OK ||
      redisReaderGetReply(decoder->reader, &node) != REDIS_OK)
    return feed_failed(decoder, error);
  if (node && decoder->reader->pos != decoder->reader->len) {
    redis_node_free(node);
    return error_set(error, "protocol", "the server sent more than the one reply asked for");
  }
  *reply = node;
  return true;
}

const char *redis_failure_kind(const char *text) {
  static const struct {
    const char *prefix, *kind;
  } kinds[] = {
      {"NOAUTH", "login"},
      {"WRONGPASS", "login"},
      {"ERR invalid password", "login"},
      {"ERR Client sent AUTH", "login"},
      {"ERR AUTH", "login"},
      {"ERR operation not permitted", "login"}, /* NOAUTH of Redis 2 */
      {"ERR wrong number of arguments for 'auth'", "login"},
      {"NOPERM", "permission"},
      {"DENIED", "permission"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) return kinds[i].kind;
  return "reply";
}
