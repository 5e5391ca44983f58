/* A line that somebody types, edited here: the prompt beside it can be drawn anew, with a clock that ticks, without losing
 * what was typed so far. */
#ifndef TYPED_H
#define TYPED_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"

#define TYPED_MAX 4096 /* bytes of a line; a terminal's own limit */

enum typed_state { TYPED_OPEN, TYPED_DONE, TYPED_EOF };

struct typed {
  char text[TYPED_MAX];
  size_t len;
  unsigned sequence; /* how far into an escape sequence, as an arrow key sends, the bytes are */
};

/* Takes what was read from the terminal. Backspace, ^U, ^W and ^D do what they do in a line of the terminal's own; escape
 * sequences and other controls are nothing. What follows the end of the line is dropped. */
enum typed_state typed_feed(struct typed *typed, const char *bytes, size_t len);

/* Appends the line as a terminal of so many columns shows it, from its first column on: `left`, what was typed (its end, when
 * it is long), and `right` at the right margin if there is room. The cursor ends behind what was typed. Both are UTF-8. */
void typed_draw(struct buffer *out, const struct typed *typed, const char *left, const char *right,
                size_t columns);

#endif
