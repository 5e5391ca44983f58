/* The ways one secret can be written, for redact.c: finding them in a text and writing them. */
#ifndef REDACT_FORM_H
#define REDACT_FORM_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"

enum redact_kind {
  KIND_PLAIN,
  KIND_TEXT, /* escaped, percent-encoded, quoted, within each other */
  KIND_HEX,
  KIND_BASE64,
  KIND_BASE64_1,
  KIND_BASE64_2,
  KINDS
};
#define REDACT_FORMS 10 /* that can be written back exactly */
#define REDACT_PROBE 4  /* bytes of a value that tell how a place of it begins: REDACT_MIN */

/* How a match at some place went. MORE: the text ended while it still looked like one. */
enum redact_found { FOUND_NO, FOUND_YES, FOUND_MORE };

/* Whether the value is written in that kind from the text's beginning; sets where it ends. Base 64 of alignment n begins
 * with the first digit that any bit of the value went into. */
enum redact_found redact_match(enum redact_kind kind, const char *value, size_t value_len, const char *text,
                               size_t len, size_t *end);
/* Whether a place of that kind could begin with these characters, one or two: a quick refusal. */
bool redact_may_begin(enum redact_kind kind, const char *value, const char *text, size_t len);

/* The name of a form, 0 ≤ form < REDACT_FORMS, and its kind. */
const char *redact_form_name(int form);
enum redact_kind redact_form_kind(int form);
int redact_form_find(const char *name, size_t len); /* -1: none of that name */
/* Appends the value in that form. */
void redact_form_write(struct buffer *out, int form, const char *value, size_t len);
/* "mixed", "hex-like" …: for a place that is none of the forms exactly. */
const char *redact_kind_like(enum redact_kind kind);

#endif
