/* jansson values as text. Unlike jansson's own writer: numbers in the shortest form that reads back the same, a depth
 * limit; and unlike its reader, integers beyond 64 bits are read as floats. */
#ifndef JSONTEXT_H
#define JSONTEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "buffer.h"
#include "error.h"

#define JSON_DEPTH_MAX 200 /* lists and objects in each other, both ways */

/* Appends the value on one line, or with line ends and two blanks a level. Floats always show a point or an exponent.
 * The value must not be deeper than JSON_DEPTH_MAX, its strings valid UTF-8 (jansson sees to that). */
void jsontext_write(struct buffer *out, const json_t *value, bool pretty);
/* Appends one string with its quotes, escaped. */
void jsontext_write_string(struct buffer *out, const char *text, size_t len);
/* Reads one value of any type. NULL with error protocol "line 3 column 5: …". The caller owns the reference. */
json_t *jsontext_read(const char *text, size_t len, struct error *error);

#endif
