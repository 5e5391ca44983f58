/* Foreign text made safe to show: nothing in it can move the cursor, reorder a line or pretend to be ours. */
#ifndef TEXT_H
#define TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "buffer.h"

/* Decodes one UTF-8 character at `text`; its length in bytes, 0 when it isn't one (overlong forms and
 * surrogates included). */
size_t text_decode(const char *text, size_t len, uint32_t *code);
enum text_how {
  TEXT_LINES = 1, /* newlines and tabs stay */
  TEXT_FLAT = 2,  /* newlines and tabs become blanks: one line, that nothing in it can end */
  TEXT_PEOPLE =
      4, /* for a page or a chat: no mention (<!here>, @channel), no link that hides where it leads (<URL|WORDS>) */
};
/* Appends `text` with control, bidi and invisible characters and invalid bytes as visible escapes (\x1b, \u{202E}), cut after
 * `max` characters with "… (cut)"; max 0: no cut. `how`: TEXT_… or 0. */
void text_inert(struct buffer *out, const char *text, size_t len, size_t max, int how);
/* Terminal columns of `text`; what text_inert escapes counts as its escape. */
size_t text_width(const char *text, size_t len);
/* Appends as much of `text` as fits into `columns`, with "…" when something was left out. */
void text_truncate(struct buffer *out, const char *text, size_t len, size_t columns);
/* Appends one word as a POSIX shell would read it back. */
void text_shell_quote(struct buffer *out, const char *word, size_t len);

/* Bytes of the first, and where the last `max` characters begin; what is no UTF-8 counts byte by byte. */
size_t text_prefix(const char *text, size_t len, size_t max);
size_t text_suffix(const char *text, size_t len, size_t max);

#endif
