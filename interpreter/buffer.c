#include "buffer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 64

static void out_of_memory(size_t size) {
  fprintf(stderr, "runbook: out of memory (%zu bytes wanted)\n", size);
  abort();
}

void *xmalloc(size_t size) {
  void *block = malloc(size ? size : 1);
  if (!block) out_of_memory(size);
  return block;
}

void *xcalloc(size_t count, size_t size) {
  void *block = calloc(count ? count : 1, size ? size : 1);
  if (!block) out_of_memory(size);
  return block;
}

void *xrealloc(void *block, size_t size) {
  void *grown = realloc(block, size ? size : 1);
  if (!grown) out_of_memory(size);
  return grown;
}

char *xstrdup(const char *text) {
  size_t size = strlen(text) + 1;
  return memcpy(xmalloc(size), text, size);
}

/* Room for `more` bytes and the NUL behind them. */
static void reserve(struct buffer *buffer, size_t more) {
  size_t need, cap = buffer->cap ? buffer->cap : CAPACITY_MIN;
  if (__builtin_add_overflow(buffer->len, more, &need) || __builtin_add_overflow(need, 1, &need))
    out_of_memory(more);
  if (need <= buffer->cap) return;
  while (cap < need)
    if (__builtin_mul_overflow(cap, 2, &cap)) cap = need;
  buffer->data = xrealloc(buffer->data, cap);
  buffer->cap = cap;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len) {
  reserve(buffer, len);
  if (len) memcpy(buffer->data + buffer->len, bytes, len);
  buffer->len += len;
  buffer->data[buffer->len] = '\0';
}

void buffer_puts(struct buffer *buffer, const char *text) { buffer_append(buffer, text, strlen(text)); }
void buffer_putc(struct buffer *buffer, char c) { buffer_append(buffer, &c, 1); }

void buffer_printf(struct buffer *buffer, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (len < 0) abort(); /* a format that can't be: a defect of ours */
  reserve(buffer, (size_t)len);
  va_start(args, format);
  vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, args);
  va_end(args);
  buffer->len += (size_t)len;
}

void buffer_clear(struct buffer *buffer) {
  buffer->len = 0;
  if (buffer->data) buffer->data[0] = '\0';
}

void buffer_free(struct buffer *buffer) {
  free(buffer->data);
  *buffer = (struct buffer){0};
}
