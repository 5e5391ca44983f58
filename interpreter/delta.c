#include "delta.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "jsontext.h"

#define BLOCK 32 /* bytes that must be the same for a piece to be taken from the older text */
#define NEAR 64  /* so far behind the last piece the next one is looked for first: lists repeat themselves */
#define NOWHERE SIZE_MAX

/* Where each block of the older text stands. */
struct places {
  const struct buffer *text;
  uint32_t *slots; /* a block's position / BLOCK, plus one */
  size_t mask;
};

static uint64_t hash_block(const char *bytes) {
  uint64_t words[BLOCK / 8], hash = 0;
  memcpy(words, bytes, sizeof words);
  for (size_t i = 0; i < BLOCK / 8; i++) hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15u, hash ^= hash >> 29;
  return hash;
}

static struct places make_places(const struct buffer *text) {
  struct places places = {.text = text, .mask = 1023};
  while (places.mask < text->len / BLOCK * 2) places.mask = places.mask * 2 + 1;
  places.slots = xcalloc(places.mask + 1, sizeof *places.slots);
  for (size_t at = 0; at + BLOCK <= text->len; at += BLOCK) {
    uint32_t *slot = &places.slots[hash_block(text->data + at) & places.mask];
    if (!*slot) *slot = (uint32_t)(at / BLOCK) + 1;
  }
  return places;
}

static bool is_same(const struct buffer *text, size_t at, const char *block) {
  return at + BLOCK <= text->len && memcmp(text->data + at, block, BLOCK) == 0;
}

/* Where the block stands in the older text: near `expected`, if that is not NOWHERE, or anywhere. */
static size_t find_block(const struct places *places, const char *block, size_t expected) {
  for (size_t i = 0; expected != NOWHERE && i < NEAR; i++)
    if (is_same(places->text, expected + i, block)) return expected + i;
  uint32_t slot = places->slots[hash_block(block) & places->mask];
  size_t at = slot ? (size_t)(slot - 1) * BLOCK : NOWHERE;
  return slot && is_same(places->text, at, block) ? at : NOWHERE;
}

static bool is_inside_character(const struct buffer *text, size_t at) {
  return at < text->len && ((unsigned char)text->data[at] & 0xC0) == 0x80;
}

/* A piece that both texts have: where it begins in each, and its length. */
struct piece {
  size_t from, to, len;
};

/* As far as both go on the same in both directions, but no character is cut. */
static struct piece widen(const struct buffer *from, const struct buffer *to, struct piece it, size_t least) {
  while (it.to > least && it.from > 0 && from->data[it.from - 1] == to->data[it.to - 1])
    it.from--, it.to--, it.len++;
  while (it.from + it.len < from->len && it.to + it.len < to->len &&
         from->data[it.from + it.len] == to->data[it.to + it.len])
    it.len++;
  while (it.len && is_inside_character(to, it.to)) it.from++, it.to++, it.len--;
  while (it.len && is_inside_character(to, it.to + it.len)) it.len--;
  return it;
}

static void put_comma(struct buffer *out) {
  if (out->data[out->len - 1] != '[') buffer_putc(out, ',');
}

static void put_new(struct buffer *out, const struct buffer *to, size_t at, size_t len) {
  if (len == 0) return;
  put_comma(out);
  jsontext_write_string(out, to->data + at, len);
}

bool delta_make(struct buffer *out, const struct buffer *from, const struct buffer *to, size_t most) {
  struct places places = make_places(from);
  size_t written = 0, expected = NOWHERE, begin = out->len;
  buffer_putc(out, '[');
  for (size_t i = 0; i + BLOCK <= to->len && out->len - begin <= most;) {
    size_t at = find_block(&places, to->data + i, i - written < NEAR ? expected : NOWHERE);
    if (at == NOWHERE) {
      i++;
      continue;
    }
    struct piece it = widen(from, to, (struct piece){at, i, 0}, written);
    put_new(out, to, written, it.to - written);
    put_comma(out);
    buffer_printf(out, "[%zu,%zu]", it.from, it.len);
    i = written = it.to + it.len;
    expected = it.from + it.len;
  }
  free(places.slots);
  put_new(out, to, written, to->len - written);
  buffer_putc(out, ']');
  return out->len - begin <= most;
}

bool delta_apply(struct buffer *out, const struct buffer *from, const json_t *parts) {
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const json_t *part = json_array_get(parts, i);
    if (json_is_string(part)) {
      buffer_append(out, json_string_value(part), json_string_length(part));
      continue;
    }
    json_int_t at = json_integer_value(json_array_get(part, 0)),
               len = json_integer_value(json_array_get(part, 1));
    if (at < 0 || len <= 0 || (uint64_t)at > from->len || (uint64_t)len > from->len - (uint64_t)at)
      return false;
    buffer_append(out, from->data + at, (size_t)len);
  }
  return json_is_array(parts);
}
