#include "typed.h"
#include <string.h>
#include "text.h"

enum { NO_SEQUENCE, AFTER_ESCAPE, IN_SEQUENCE };
enum { CTRL_D = 4, CTRL_U = 21, CTRL_W = 23, ESCAPE = 27, BACKSPACE = 8, DELETE = 127 };

static bool is_continuation(char byte) { return ((unsigned char)byte & 0xC0) == 0x80; }

static void drop_character(struct typed *typed) {
  while (typed->len > 0 && is_continuation(typed->text[typed->len - 1])) typed->len--;
  if (typed->len > 0) typed->len--;
}

static void drop_word(struct typed *typed) {
  while (typed->len > 0 && typed->text[typed->len - 1] == ' ') typed->len--;
  while (typed->len > 0 && typed->text[typed->len - 1] != ' ') typed->len--;
}

/* Whether the byte belongs to an escape sequence: ESC, then [ or O, then up to a letter or ~. */
static bool in_sequence(struct typed *typed, unsigned char byte) {
  if (typed->sequence == IN_SEQUENCE) {
    if (byte >= 0x40 && byte <= 0x7E) typed->sequence = NO_SEQUENCE;
    return true;
  }
  if (typed->sequence == AFTER_ESCAPE) {
    typed->sequence = byte == '[' || byte == 'O' ? IN_SEQUENCE : NO_SEQUENCE;
    return typed->sequence == IN_SEQUENCE;
  }
  typed->sequence = byte == ESCAPE ? AFTER_ESCAPE : NO_SEQUENCE;
  return byte == ESCAPE;
}

static enum typed_state feed_byte(struct typed *typed, unsigned char byte) {
  if (byte == '\n' || byte == '\r') return TYPED_DONE;
  if (byte == CTRL_D) return typed->len == 0 ? TYPED_EOF : TYPED_DONE;
  if (in_sequence(typed, byte)) return TYPED_OPEN;
  if (byte == BACKSPACE || byte == DELETE)
    drop_character(typed);
  else if (byte == CTRL_U)
    typed->len = 0;
  else if (byte == CTRL_W)
    drop_word(typed);
  else if (byte >= ' ' && typed->len < sizeof typed->text)
    typed->text[typed->len++] = (char)byte;
  return TYPED_OPEN;
}

enum typed_state typed_feed(struct typed *typed, const char *bytes, size_t len) {
  enum typed_state state = TYPED_OPEN;
  for (size_t i = 0; i < len && state == TYPED_OPEN; i++) state = feed_byte(typed, (unsigned char)bytes[i]);
  return state;
}

/* Where the end of the typed text begins that fits into so many columns. */
static size_t visible_from(const struct typed *typed, size_t columns) {
  size_t from = 0;
  while (from < typed->len && text_width(typed->text + from, typed->len - from) > columns) {
    from++;
    while (from < typed->len && is_continuation(typed->text[from])) from++;
  }
  return from;
}

void typed_draw(struct buffer *out, const struct typed *typed, const char *left, const char *right,
                size_t columns) {
  size_t room = columns > 1 ? columns - 1 : 1, before = text_width(left, strlen(left)),
         after = text_width(right, strlen(right));
  buffer_puts(out, "\r");
  text_truncate(out, left, strlen(left), room);
  if (before > room) before = room;
  size_t from = visible_from(typed, room - before), len = typed->len - from;
  size_t used = before + text_width(typed->text + from, len);
  text_inert(out, typed->text + from, len, 0, false);
  buffer_puts(out, "\x1b[K");
  if (after == 0 || used + after + 2 > room) return;
  buffer_printf(out, "%*s%s\r", (int)(room - used - after), "", right);
  if (used > 0) buffer_printf(out, "\x1b[%zuC", used);
}
