/* Answers of what listens where a Redis was expected. Of any bytes: they are a reply within its bounds, the beginning of one, or
 * refused with a reason; and the same whether they come at once or byte by byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 4096 /* of one reply, here */

static size_t count(const struct redis_node *node, int depth) {
  size_t nodes = 1;
  if (depth > REDIS_REPLY_DEPTH_MAX + (node->type != REDIS_ARRAY) || node->depth != depth) abort();
  if (node->type == REDIS_FAILURE && !redis_failure_kind(node->text)) abort();
  if (node->type == REDIS_STRING && node->text[node->len] != '\0') abort();
  if (node->type != REDIS_ARRAY) return nodes;
  for (size_t i = 0; i < node->len; i++) nodes += count(node->elements[i], depth + 1);
  return nodes;
}

static bool is_same(const struct redis_node *a, const struct redis_node *b) {
  if (a->type != b->type || a->integer != b->integer || a->len != b->len) return false;
  if (a->text && memcmp(a->text, b->text, a->len) != 0) return false;
  for (size_t i = 0; a->elements && i < a->len; i++)
    if (!is_same(a->elements[i], b->elements[i])) return false;
  return true;
}

/* In pieces of `step` bytes, up to the reply, the end or a refusal. */
static struct redis_node *decode(const char *bytes, size_t len, size_t step, struct error *error) {
  struct redis_decoder *decoder = redis_decoder_new();
  struct redis_node *reply = NULL;
  bool well = true;
  redis_decoder_begin(decoder, BYTES_MAX);
  for (size_t at = 0; well && !reply && at < len; at += step)
    well = redis_decoder_feed(decoder, bytes + at, len - at < step ? len - at : step, &reply, error);
  if (!well && (reply || !error->kind[0] || !error->message[0])) abort();
  redis_decoder_free(decoder);
  return reply;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error error = {0}, later = {0};
  struct redis_node *at_once = size ? decode((const char *)data, size, size, &error) : NULL;
  struct redis_node *slowly = decode((const char *)data, size, 1, &later);
  if (at_once && (!slowly || !is_same(at_once, slowly))) abort();
  if (at_once && count(at_once, 0) > REDIS_REPLY_NODES_MAX) abort();
  redis_node_free(at_once);
  redis_node_free(slowly);
  return 0;
}
