#include "text.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

size_t text_decode(const char *text, size_t len, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *s = (const unsigned char *)text;
  size_t size = len == 0 ? 0 : s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
  if (size == 0 || size > len || s[0] > 0xF4) return 0;
  *code = size == 1 ? s[0] : s[0] & (0x7FU >> size);
  for (size_t i = 1; i < size; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    *code = *code << 6 | (s[i] & 0x3FU);
  }
  if (*code < least[size] || *code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF)) return 0;
  return size;
}

/* Characters that steer, reorder or hide: C0 and C1 controls, bidi marks and isolates, zero width, line
 * separators, tags. */
static bool is_active(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* "<!here>", "<@U1>", "<#C1>", "<https://…|words>": what a chat takes for a mention or a link. */
static bool is_reference(const char *text, size_t len) {
  size_t at = 1;
  if (len < 2 || text[0] != '<') return false;
  if (strchr("!@#", text[1])) return text[1] != '\0';
  while (at < len && (isalnum((unsigned char)text[at]) || (text[at] && strchr("+.-", text[at])))) at++;
  return at > 1 && at < len && text[at] == ':';
}

/* "@here" and the like as a word of its own; names of people would need the chat's own list. */
static bool is_call(const char *text, size_t at, size_t len) {
  static const char *const names[] = {"here", "channel", "everyone", "all", "group"};
  if (text[at] != '@' || (at > 0 && is_word(text[at - 1]))) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t size = strlen(names[i]), end = at + 1 + size;
    if (end <= len && strncasecmp(text + at + 1, names[i], size) == 0 && (end == len || !is_word(text[end])))
      return true;
  }
  return false;
}

/* What calls or leads somebody elsewhere is shown with a character that looks alike and does nothing. */
static bool disarm(struct buffer *out, const char *text, size_t at, size_t len) {
  bool reference = is_reference(text + at, len - at);
  if (reference || is_call(text, at, len)) return buffer_puts(out, reference ? "\u2039" : "\uff20"), true;
  return false;
}

/* The character or invalid byte at `at`, shown; its size in bytes. */
static size_t show(struct buffer *out, const char *text, size_t at, size_t len, int how) {
  uint32_t code = 0;
  size_t size = text_decode(text + at, len - at, &code);
  bool blank = code == '\n' || code == '\t';
  if (size == 0) return buffer_printf(out, "\\x%02x", (unsigned char)text[at]), 1;
  if ((how & TEXT_PEOPLE) && disarm(out, text, at, len)) return size;
  if (blank && (how & TEXT_FLAT))
    buffer_putc(out, ' ');
  else if (is_active(code) && !(blank && (how & TEXT_LINES)))
    buffer_printf(out, code < 0x80 ? "\\x%02x" : "\\u{%04X}", code);
  else
    buffer_append(out, text + at, size);
  return size;
}

void text_inert(struct buffer *out, const char *text, size_t len, size_t max, int how) {
  size_t at = 0;
  buffer_append(out, "", 0);
  for (size_t count = 0; at < len; count++) {
    if (max && count == max) {
      buffer_puts(out, "… (cut)");
      return;
    }
    at += show(out, text, at, len, how);
  }
}

static size_t character(const char *text, size_t len) {
  uint32_t code;
  size_t size = text_decode(text, len, &code);
  return size ? size : 1;
}

size_t text_prefix(const char *text, size_t len, size_t max) {
  size_t at = 0;
  while (max-- && at < len) at += character(text + at, len - at);
  return at;
}

size_t text_suffix(const char *text, size_t len, size_t max) {
  size_t at = 0, count = 0;
  while (at < len) at += character(text + at, len - at), count++;
  return count > max ? text_prefix(text, len, count - max) : 0;
}

/* Columns of one character: East Asian wide ones take two, combining ones none. */
static size_t columns_of(uint32_t code) {
  if ((code >= 0x300 && code <= 0x36F) || (code >= 0xFE00 && code <= 0xFE0F)) return 0;
  bool wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
              (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
              (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
              (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
  return wide ? 2 : 1;
}

/* Columns and bytes of what stands at `text`. */
static size_t step(const char *text, size_t len, size_t *columns) {
  uint32_t code = 0;
  size_t size = text_decode(text, len, &code);
  if (size == 0) return *columns = 4, 1;
  *columns = !is_active(code) ? columns_of(code) : code < 0x80 ? 4 : code > 0xFFFF ? 9 : 8;
  return size;
}

size_t text_width(const char *text, size_t len) {
  size_t width = 0, columns;
  for (size_t at = 0; at < len; width += columns) at += step(text + at, len - at, &columns);
  return width;
}

void text_truncate(struct buffer *out, const char *text, size_t len, size_t limit) {
  size_t at = 0, width = 0, columns;
  buffer_append(out, "", 0);
  if (text_width(text, len) <= limit) {
    buffer_append(out, text, len);
    return;
  }
  while (at < len) {
    size_t size = step(text + at, len - at, &columns);
    if (width + columns + 1 > limit) break;
    buffer_append(out, text + at, size);
    at += size;
    width += columns;
  }
  if (limit > 0) buffer_puts(out, "…");
}

void text_shell_quote(struct buffer *out, const char *word, size_t len) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+%";
  bool safe = len > 0;
  for (size_t i = 0; i < len; i++) safe = safe && word[i] && strchr(plain, word[i]);
  if (safe) {
    buffer_append(out, word, len);
    return;
  }
  buffer_putc(out, '\'');
  for (size_t i = 0; i < len; i++) {
    if (word[i] == '\'')
      buffer_puts(out, "'\\''");
    else
      buffer_putc(out, word[i]);
  }
  buffer_putc(out, '\'');
}
