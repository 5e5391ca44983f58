#include "redact_form.h"
#include <stdint.h>
#include <string.h>
#include "base64.h"

/* What is matched: the value's bytes from `at`, the text's from `pos`. A step takes what both have in common. */
struct cursor {
  const unsigned char *value, *text;
  size_t value_len, len, at, pos;
};

static int hex_value(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 32;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `digits` hex digits from text[from] on: their number, -1 when it is none, -2 when the text ends first. */
static long hex_number(const struct cursor *c, size_t from, int digits) {
  long number = 0;
  for (int i = 0; i < digits; i++) {
    if (from + (size_t)i >= c->len) return -2;
    int digit = hex_value(c->text[from + (size_t)i]);
    if (digit < 0) return -1;
    number = number * 16 + digit;
  }
  return number;
}

static enum redact_found step_plain(struct cursor *c) {
  if (c->text[c->pos] != c->value[c->at]) return FOUND_NO;
  c->pos++, c->at++;
  return FOUND_YES;
}

static size_t put_utf8(unsigned char *out, long code) {
  if (code < 0x80) return out[0] = (unsigned char)code, 1;
  if (code < 0x800)
    return out[0] = (unsigned char)(0xC0 | code >> 6), out[1] = (unsigned char)(0x80 | (code & 63)), 2;
  size_t n = code < 0x10000 ? 3 : 4;
  out[0] = (unsigned char)(n == 3 ? 0xE0 | code >> 12 : 0xF0 | code >> 18);
  for (size_t i = 1; i < n; i++) out[i] = (unsigned char)(0x80 | (code >> 6 * (n - 1 - i) & 63));
  return n;
}

/* \uXXXX at pos, with its second half where it has one; the code point, or -1, -2 as hex_number. */
static long unicode_escape(const struct cursor *c, size_t *taken) {
  long high = hex_number(c, c->pos + 2, 4);
  *taken = 6;
  if (high < 0xD800 || high > 0xDBFF) return high;
  size_t at = c->pos + 6;
  while (at < c->len && c->text[at] == '\\') at++;
  if (at + 1 >= c->len) return -2;
  if (at == c->pos + 6 || c->text[at] != 'u') return -1;
  long low = hex_number(c, at + 1, 4);
  *taken = at + 5 - c->pos;
  if (low < 0) return low;
  return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00) : -1;
}

static enum redact_found step_unicode(struct cursor *c) {
  unsigned char bytes[4];
  size_t taken, left = c->value_len - c->at;
  long code = unicode_escape(c, &taken);
  if (code < 0) return code == -2 ? FOUND_MORE : FOUND_NO;
  size_t n = put_utf8(bytes, code);
  if (n <= left && memcmp(bytes, c->value + c->at, n) == 0)
    c->at += n;
  else if (code == c->value[c->at]) /* a byte above 127 taken for Latin 1 */
    c->at++;
  else
    return FOUND_NO;
  c->pos += taken;
  return FOUND_YES;
}

/* ---- Escapes, one in another ---- */

static const struct {
  const char *name;
  unsigned char means;
} entities[] = {{"quot;", '"'}, {"apos;", '\''}, {"lt;", '<'}, {"gt;", '>'}, {"amp;", '&'}};

/* What stands at `pos` as one character: a byte, %41, %2541, =41, &#65;, &amp;quot;. Its length; 0: the text ends first. A
 * code beyond a byte is one of Unicode. */
static size_t read_entity(const struct cursor *c, size_t pos, long *code) {
  size_t at = pos + 1;
  while (c->len - at >= 4 && memcmp(c->text + at, "amp;", 4) == 0) at += 4;
  if (at > pos + 1 && (at >= c->len || !strchr("#qalg", c->text[at]))) return *code = '&', at - pos;
  if (at < c->len && c->text[at] == '#') {
    bool hex = at + 1 < c->len && (c->text[at + 1] | 32) == 'x';
    long number = 0;
    for (at += hex ? 2 : 1; at < c->len && hex_value(c->text[at]) >= 0 && number < 0x110000; at++)
      number = number * (hex ? 16 : 10) + hex_value(c->text[at]);
    if (at < c->len && c->text[at] == ';') return *code = number, at + 1 - pos;
    return at >= c->len ? 0 : (*code = '&', 1);
  }
  for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
    size_t n = strlen(entities[i].name), have = c->len - at < n ? c->len - at : n;
    if (memcmp(c->text + at, entities[i].name, have) != 0) continue;
    return have < n ? 0 : (*code = entities[i].means, at + n - pos);
  }
  return *code = '&', 1;
}

static size_t read_percent(const struct cursor *c, size_t pos, long *code) {
  size_t at = pos + 1;
  while (c->len - at >= 2 && c->text[pos] == '%' && memcmp(c->text + at, "25", 2) == 0) at += 2;
  long number = hex_number(c, at, 2);
  if (number == -2) return 0;
  if (number >= 0) return *code = number, at + 2 - pos;
  return *code = c->text[pos], at > pos + 1 ? at - pos : 1;
}

static size_t read_unit(const struct cursor *c, size_t pos, long *code) {
  if (pos >= c->len) return 0;
  if (c->text[pos] == '%' || c->text[pos] == '=') return read_percent(c, pos, code);
  if (c->text[pos] == '&') return read_entity(c, pos, code);
  return *code = c->text[pos], 1;
}

/* Takes a code point from both; FOUND_NO when the value has other bytes there. */
static enum redact_found take_code(struct cursor *c, size_t taken, long code, bool is_byte) {
  unsigned char wanted[4];
  size_t n = is_byte || code < 0 ? 1 : put_utf8(wanted, code);
  if (is_byte) wanted[0] = (unsigned char)code;
  if (code < 0 || code > 0x10FFFF || c->at + n > c->value_len || memcmp(c->value + c->at, wanted, n) != 0)
    return FOUND_NO;
  c->pos += taken, c->at += n;
  return FOUND_YES;
}

/* \n, \u0041, \x41, \101, \065: what follows the backslashes, which are taken already. */
static enum redact_found step_escaped(struct cursor *c) {
  static const char letters[] = "bfnrtvae0", meant[] = "\b\f\n\r\t\v\a\033\0";
  unsigned char first = c->text[c->pos], wanted = c->value[c->at];
  const char *letter = memchr(letters, first, sizeof letters - 1);
  if (first == 'u') {
    struct cursor behind = *c;
    behind.pos--; /* it counts from the backslash */
    enum redact_found found = step_unicode(&behind);
    if (found == FOUND_YES) *c = behind;
    if (found != FOUND_NO) return found;
  }
  if (first == 'x') {
    long number = hex_number(c, c->pos + 1, 2);
    if (number == -2) return FOUND_MORE;
    if (number == wanted) return take_code(c, 3, number, true);
  }
  for (int base = 8; base <= 10; base += 2) { /* \101 of C and bash, \065 of Lua */
    long number = 0;
    size_t digits = 0;
    for (; digits < 3 && c->pos + digits < c->len && c->text[c->pos + digits] >= '0' &&
           c->text[c->pos + digits] < '0' + base;
         digits++)
      number = number * base + c->text[c->pos + digits] - '0';
    if (digits > 0 && number == wanted && (digits == 3 || base == 10))
      return take_code(c, digits, number, true);
  }
  if (letter && (unsigned char)meant[letter - letters] == wanted) return take_code(c, 1, wanted, true);
  return FOUND_NO;
}

/* A shell's '\'' and '"'"', SQL's '': how a quote stands between quotes. Its length, 0: not so. */
static size_t quoted_quote(const struct cursor *c) {
  static const char *const ways[] = {"'\\''", "'\"'\"'", "''"};
  if (c->value[c->at] != '\'') return 0;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    size_t n = strlen(ways[i]);
    if (c->len - c->pos >= n && memcmp(c->text + c->pos, ways[i], n) == 0 &&
        (i < 2 || c->at + 1 == c->value_len || c->value[c->at + 1] != '\''))
      return n;
  }
  return 0;
}

/* A run of backslashes and what it escapes. However deep the text was escaped, of backslashes there are at least as many as
 * in the value, and at most eight times those of it and of the character behind them. FOUND_NO with a moved cursor: what
 * stands behind them is to be taken as it is. */
static enum redact_found step_backslashes(struct cursor *c) {
  size_t run = 0, wanted = 0, taken;
  long code = 0;
  struct cursor behind = *c;
  while ((taken = read_unit(c, behind.pos, &code)) > 0 && code == '\\') behind.pos += taken, run++;
  if (taken == 0) return FOUND_MORE;
  enum redact_found found = step_escaped(&behind);
  if (found != FOUND_NO) return *c = behind, found;
  while (c->at + wanted < c->value_len && c->value[c->at + wanted] == '\\') wanted++;
  if (run < wanted || run > 8 * (wanted + 1)) return FOUND_NO;
  if (wanted > 0 && c->at + wanted == c->value_len) /* nothing comes behind that could tell escapes */
    return c->at++, c->pos += read_unit(c, c->pos, &code), FOUND_YES;
  c->at += wanted, c->pos = behind.pos;
  return run > wanted ? step_escaped(c) : FOUND_NO;
}

static size_t count_25(const unsigned char *text, size_t len) {
  size_t count = 0;
  while (2 * count + 1 < len && memcmp(text + 2 * count, "25", 2) == 0) count++;
  return count;
}

/* A % of the value, %25 or %2525 in the text; what the value itself has of 25 behind it belongs to both. Its length, 0: not
 * so. */
static size_t percent_of_value(const struct cursor *c) {
  if (c->value[c->at] != '%' || c->text[c->pos] != '%') return 0;
  size_t own = count_25(c->value + c->at + 1, c->value_len - c->at - 1);
  size_t there = count_25(c->text + c->pos + 1, c->len - c->pos - 1);
  return there > own ? 1 + 2 * (there - own) : 0;
}

static enum redact_found step_text(struct cursor *c) {
  long code = 0;
  size_t taken = read_unit(c, c->pos, &code), quote = quoted_quote(c);
  if (taken == 0) return FOUND_MORE;
  if (quote) return take_code(c, quote, '\'', true);
  if (percent_of_value(c)) return take_code(c, percent_of_value(c), '%', true);
  if (code == '\\') {
    size_t pos = c->pos;
    enum redact_found found = step_backslashes(c);
    if (found != FOUND_NO || c->pos == pos) return found;
    taken = read_unit(c, c->pos, &code);
    if (taken == 0) return FOUND_MORE;
  }
  if (code == '+' && c->value[c->at] == ' ') return take_code(c, taken, ' ', true);
  if (code == '\r' && c->value[c->at] == '\n') return c->pos += taken, FOUND_YES; /* a terminal's line end */
  if (take_code(c, taken, code, code < 0x100 && c->text[c->pos] != '&') == FOUND_YES) return FOUND_YES;
  return step_plain(c); /* a % or & that begins nothing */
}

static enum redact_found step_hex(struct cursor *c) {
  long number = hex_number(c, c->pos, 2);
  if (number == -2 && hex_value(c->text[c->pos]) == c->value[c->at] >> 4) return FOUND_MORE;
  if (number != c->value[c->at]) return FOUND_NO;
  c->pos += 2, c->at++;
  return FOUND_YES;
}

/* ---- Base 64: by digits, since bytes and digits don't begin together ---- */

static int digit_value(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

/* The digit at pos, which may itself be escaped (%2B, %2F, \/), and its length; -1: none, -2: the text ends first. */
static int read_digit(const struct cursor *c, size_t *taken) {
  unsigned char first = c->text[c->pos];
  *taken = 1;
  if (first != '%' && first != '\\') return digit_value(first);
  *taken = first == '%' ? 3 : 2;
  if (c->pos + *taken > c->len) return -2;
  if (first == '\\') return c->text[c->pos + 1] == '/' ? 63 : -1;
  long number = hex_number(c, c->pos + 1, 2);
  return number == '+' || number == '/' ? digit_value((unsigned char)number) : -1;
}

/* The bits that digit number `digit` (of a text in which `skip` unknown bytes stand before the value) takes from the
 * value, and which of the six they are. */
static int digit_bits(const unsigned char *value, size_t len, size_t skip, size_t digit, int *mask) {
  int bits = 0;
  *mask = 0;
  for (size_t i = 0; i < 6; i++) {
    size_t bit = digit * 6 + i, byte = bit / 8;
    bits <<= 1, *mask <<= 1;
    if (byte < skip || byte - skip >= len) continue;
    bits |= value[byte - skip] >> (7 - bit % 8) & 1;
    *mask |= 1;
  }
  return bits;
}

/* Encoders break lines: one line end between two digits, as such or escaped, belongs to the text. Its length, 0 for none;
 * `more` when the text ends before that is known. */
static size_t line_end(const unsigned char *text, size_t len, bool *more) {
  static const char *const ends[] = {"\n", "\r\n", "\\n", "\\r\\n"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    size_t n = strlen(ends[i]), have = len < n ? len : n;
    if (memcmp(text, ends[i], have) != 0) continue;
    if (have == n) return n;
    *more = true;
  }
  return 0;
}

static enum redact_found match_base64(struct cursor *c, size_t skip, size_t *end) {
  size_t first = skip * 8 / 6, last = ((skip + c->value_len) * 8 - 1) / 6, taken;
  for (size_t digit = first; digit <= last; digit++) {
    bool more = false;
    int mask, wanted = digit_bits(c->value, c->value_len, skip, digit, &mask);
    if (digit > first) c->pos += line_end(c->text + c->pos, c->len - c->pos, &more);
    if (more || c->pos >= c->len) return FOUND_MORE;
    int found = read_digit(c, &taken);
    if (found == -2) return FOUND_MORE;
    if (found < 0 || ((found ^ wanted) & mask)) return FOUND_NO;
    c->pos += taken;
  }
  *end = c->pos;
  return FOUND_YES;
}

/* ---- All kinds ---- */

enum redact_found redact_match(enum redact_kind kind, const char *value, size_t value_len, const char *text,
                               size_t len, size_t *end) {
  static enum redact_found (*const steps[])(struct cursor *) = {step_plain, step_text, step_hex};
  struct cursor c = {(const unsigned char *)value, (const unsigned char *)text, value_len, len, 0, 0};
  if (kind >= KIND_BASE64) return match_base64(&c, (size_t)(kind - KIND_BASE64), end);
  while (c.at < c.value_len) {
    if (c.pos >= c.len) return FOUND_MORE;
    enum redact_found step = steps[kind](&c);
    if (step != FOUND_YES) return step;
  }
  *end = c.pos;
  return FOUND_YES;
}

bool redact_may_begin(enum redact_kind kind, const char *value, const char *text, size_t len) {
  size_t end;
  return redact_match(kind, value, REDACT_PROBE, text, len, &end) != FOUND_NO;
}

/* ---- Writing ---- */

static const struct {
  const char *name;
  enum redact_kind kind;
} forms[REDACT_FORMS] = {
    {"plain", KIND_PLAIN},   {"url", KIND_TEXT},         {"url-lower", KIND_TEXT}, {"form", KIND_TEXT},
    {"json", KIND_TEXT},     {"json-slash", KIND_TEXT},  {"hex", KIND_HEX},        {"hex-upper", KIND_HEX},
    {"base64", KIND_BASE64}, {"base64url", KIND_BASE64},
};

const char *redact_form_name(int form) { return forms[form].name; }
enum redact_kind redact_form_kind(int form) { return forms[form].kind; }

int redact_form_find(const char *name, size_t len) {
  for (int form = 0; form < REDACT_FORMS; form++)
    if (strlen(forms[form].name) == len && memcmp(forms[form].name, name, len) == 0) return form;
  return -1;
}

const char *redact_kind_like(enum redact_kind kind) {
  static const char *const names[KINDS] = {"plain",       "mixed",       "hex-like",
                                           "base64-like", "base64-like", "base64-like"};
  return names[kind];
}

static bool is_alnum(unsigned char c) {
  return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static void write_url(struct buffer *out, const char *name, unsigned char c) {
  bool is_form = strcmp(name, "form") == 0;
  if (is_alnum(c) || (c && strchr(is_form ? "-._*" : "-._~", c)))
    buffer_putc(out, (char)c);
  else if (is_form && c == ' ')
    buffer_putc(out, '+');
  else
    buffer_printf(out, strcmp(name, "url-lower") == 0 ? "%%%02x" : "%%%02X", c);
}

static void write_json(struct buffer *out, const char *name, unsigned char c) {
  static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  const char *found = c ? strchr(special, c) : NULL;
  if (found)
    buffer_printf(out, "\\%c", letters[found - special]);
  else if (c == '/' && strcmp(name, "json-slash") == 0)
    buffer_puts(out, "\\/");
  else if (c < ' ')
    buffer_printf(out, "\\u%04x", c);
  else
    buffer_putc(out, (char)c);
}

static void write_base64(struct buffer *out, const char *name, const char *value, size_t len) {
  base64_encode(out, value, len, strcmp(name, "base64") == 0 ? BASE64_STANDARD : BASE64_URL);
  while (out->len && out->data[out->len - 1] == '=') out->data[--out->len] = '\0';
}

void redact_form_write(struct buffer *out, int form, const char *value, size_t len) {
  const char *name = forms[form].name;
  if (forms[form].kind == KIND_PLAIN) buffer_append(out, value, len);
  if (forms[form].kind == KIND_BASE64) write_base64(out, name, value, len);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)value[i];
    if (forms[form].kind == KIND_HEX)
      buffer_printf(out, strcmp(name, "hex") == 0 ? "%02x" : "%02X", c);
    else if (forms[form].kind == KIND_TEXT && strncmp(name, "json", 4) == 0)
      write_json(out, name, c);
    else if (forms[form].kind == KIND_TEXT)
      write_url(out, name, c);
  }
}
