#include "redis_reply.h"
#include <stdlib.h>
#include <string.h>
#include <hiredis/hiredis.h>
#include "buffer.h"

struct redis_decoder {
  redisReader *reader;
  size_t bytes, max_bytes;
  size_t nodes;
  bool too_many;
};

void redis_node_free(struct redis_node *node) {
  if (!node) return;
  for (size_t i = 0; node->elements && i < node->len; i++) redis_node_free(node->elements[i]);
  free(node->elements);
  free(node->text);
  free(node);
}

/* ---- What hiredis' reader calls; NULL makes it fail ---- */

static struct redis_node *node_new(const redisReadTask *task, enum redis_type type) {
  struct redis_decoder *decoder = task->privdata;
  if (++decoder->nodes > REDIS_REPLY_NODES_MAX) {
    decoder->too_many = true;
    return NULL;
  }
  struct redis_node *node = xcalloc(1, sizeof *node);
  node->type = type;
  if (task->parent) ((struct redis_node *)task->parent->obj)->elements[task->idx] = node;
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

static void *create_array(const redisReadTask *task, int count) {
  struct redis_decoder *decoder = task->privdata;
  if (count < 0 || (size_t)count > REDIS_REPLY_NODES_MAX - decoder->nodes) {
    decoder->too_many = true;
    return NULL;
  }
  struct redis_node *node = node_new(task, REDIS_ARRAY);
  if (!node) return NULL;
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

static void free_object(void *node) { redis_node_free(node); }

/* ---- The decoder ---- */

struct redis_decoder *redis_decoder_new(void) {
  static redisReplyObjectFunctions functions = {create_string, create_array, create_integer, create_nil,
                                                free_object};
  struct redis_decoder *decoder = xcalloc(1, sizeof *decoder);
  decoder->reader = redisReaderCreateWithFunctions(&functions);
  if (!decoder->reader) abort();
  redisReaderSetPrivdata(decoder->reader, decoder);
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
  if (decoder->too_many)
    return error_set(error, "limit", "the reply has more than %d parts", REDIS_REPLY_NODES_MAX);
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
      {"NOPERM", "permission"},
      {"DENIED", "permission"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) return kinds[i].kind;
  return "reply";
}
