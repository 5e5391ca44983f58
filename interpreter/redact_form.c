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

static enum redact_found step_url(struct cursor *c) {
  unsigned char wanted = c->value[c->at];
  if (c->text[c->pos] == '%') {
    long number = hex_number(c, c->pos + 1, 2);
    if (number == -2) return FOUND_MORE;
    if (number == wanted) {
      c->pos += 3, c->at++;
      return FOUND_YES;
    }
  }
  if (c->text[c->pos] == '+' && wanted == ' ') {
    c->pos++, c->at++;
    return FOUND_YES;
  }
  return step_plain(c);
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
  if (c->pos + 7 >= c->len) return -2;
  if (c->text[c->pos + 6] != '\\' || (c->text[c->pos + 7] | 32) != 'u') return -1;
  long low = hex_number(c, c->pos + 8, 4);
  *taken = 12;
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

static enum redact_found step_json(struct cursor *c) {
  static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  if (c->text[c->pos] != '\\') return step_plain(c);
  if (c->pos + 1 >= c->len) return FOUND_MORE;
  if (c->text[c->pos + 1] == 'u') return step_unicode(c);
  const char *escape = memchr(escapes, c->text[c->pos + 1], sizeof escapes - 1);
  if (!escape || (unsigned char)meant[escape - escapes] != c->value[c->at]) return FOUND_NO;
  c->pos += 2, c->at++;
  return FOUND_YES;
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
  static enum redact_found (*const steps[])(struct cursor *) = {step_plain, step_url, step_json, step_hex};
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
    {"plain", KIND_PLAIN},   {"url", KIND_URL},          {"url-lower", KIND_URL}, {"form", KIND_URL},
    {"json", KIND_JSON},     {"json-slash", KIND_JSON},  {"hex", KIND_HEX},       {"hex-upper", KIND_HEX},
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
  static const char *const names[KINDS] = {"plain",       "url-like",    "json-like",  "hex-like",
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
    if (forms[form].kind == KIND_URL) write_url(out, name, c);
    if (forms[form].kind == KIND_JSON) write_json(out, name, c);
    if (forms[form].kind == KIND_HEX) buffer_printf(out, strcmp(name, "hex") == 0 ? "%02x" : "%02X", c);
  }
}
