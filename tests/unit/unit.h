/* What every unit test includes: cmocka with the headers it wants first, and a few helpers. */
#ifndef UNIT_H
#define UNIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "buffer.h"
#include "error.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A small generator: the same numbers on every run and machine. */
static inline uint32_t unit_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static inline void assert_text(const struct buffer *buffer, const char *wanted) {
  assert_string_equal(buffer->data ? buffer->data : "", wanted);
}

#endif
