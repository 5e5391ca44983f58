#include "jsontext.h"
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Writing ---- */

void jsontext_write_string(struct buffer *out, const char *text, size_t len) {
  static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  size_t from = 0;
  buffer_putc(out, '"');
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c >= ' ' && c != '"' && c != '\\' && c != 127) continue;
    buffer_append(out, text + from, i - from);
    from = i + 1;
    const char *found = c ? strchr(special, c) : NULL;
    if (found)
      buffer_printf(out, "\\%c", letters[found - special]);
    else
      buffer_printf(out, "\\u%04x", c);
  }
  buffer_append(out, text + from, len - from);
  buffer_putc(out, '"');
}

/* The program never leaves the "C" locale, so the point is a point. */
static void write_real(struct buffer *out, double number) {
  char text[32];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, number);
    if (strtod(text, NULL) == number) break;
  }
  buffer_puts(out, text);
  if (!strpbrk(text, ".e")) buffer_puts(out, ".0");
}

static void write_line(struct buffer *out, int level) { buffer_printf(out, "\n%*s", level * 2, ""); }

static void write_value(struct buffer *out, const json_t *value, bool pretty, int level);

static void write_list(struct buffer *out, const json_t *list, bool pretty, int level) {
  size_t count = json_array_size(list);
  buffer_putc(out, '[');
  for (size_t i = 0; i < count; i++) {
    if (i) buffer_putc(out, ',');
    if (pretty) write_line(out, level + 1);
    write_value(out, json_array_get(list, i), pretty, level + 1);
  }
  if (pretty && count) write_line(out, level);
  buffer_putc(out, ']');
}

static void write_object(struct buffer *out, const json_t *value, bool pretty, int level) {
  json_t *object = (json_t *)(uintptr_t)value; /* jansson's iterators know no const */
  bool first = true;
  buffer_putc(out, '{');
  for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
    if (!first) buffer_putc(out, ',');
    if (pretty) write_line(out, level + 1);
    jsontext_write_string(out, json_object_iter_key(at), json_object_iter_key_len(at));
    buffer_puts(out, pretty ? ": " : ":");
    write_value(out, json_object_iter_value(at), pretty, level + 1);
    first = false;
  }
  if (pretty && !first) write_line(out, level);
  buffer_putc(out, '}');
}

static void write_value(struct buffer *out, const json_t *value, bool pretty, int level) {
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    write_object(out, value, pretty, level);
    break;
  case JSON_ARRAY:
    write_list(out, value, pretty, level);
    break;
  case JSON_STRING:
    jsontext_write_string(out, json_string_value(value), json_string_length(value));
    break;
  case JSON_INTEGER:
    buffer_printf(out, "%lld", (long long)json_integer_value(value));
    break;
  case JSON_REAL:
    write_real(out, json_real_value(value));
    break;
  case JSON_TRUE:
    buffer_puts(out, "true");
    break;
  case JSON_FALSE:
    buffer_puts(out, "false");
    break;
  case JSON_NULL:
    buffer_puts(out, "null");
    break;
  }
}

void jsontext_write(struct buffer *out, const json_t *value, bool pretty) {
  write_value(out, value, pretty, 0);
}

/* ---- Reading ---- */

#define FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)
#define SAFE_DIGITS 18 /* an integer of so many fits 64 bits */

static size_t skip_string(const char *text, size_t len, size_t at) {
  for (at++; at < len && text[at] != '"'; at++)
    if (text[at] == '\\') at++;
  return at < len ? at + 1 : len;
}

static size_t number_length(const char *text, size_t len) {
  size_t n = 0;
  while (n < len && (isalnum((unsigned char)text[n]) || strchr("+-.", text[n])) && text[n]) n++;
  return n;
}

static bool is_big_integer(const char *text, size_t len) {
  char copy[SAFE_DIGITS + 3]; /* a sign, one digit more, a NUL */
  size_t sign = text[0] == '-', digits = len - sign;
  for (size_t i = sign; i < len; i++)
    if (!isdigit((unsigned char)text[i])) return false;
  if (digits != SAFE_DIGITS + 1) return digits > SAFE_DIGITS;
  memcpy(copy, text, len);
  copy[len] = '\0';
  errno = 0;
  return strtoll(copy, NULL, 10), errno == ERANGE;
}

/* The text with integers beyond 64 bits written as floats. */
static void widen_integers(struct buffer *out, const char *text, size_t len) {
  for (size_t at = 0; at < len;) {
    size_t end = at + 1;
    bool number = isdigit((unsigned char)text[at]) || text[at] == '-';
    if (text[at] == '"') end = skip_string(text, len, at);
    if (number) end = at + number_length(text + at, len - at);
    buffer_append(out, text + at, end - at);
    if (number && is_big_integer(text + at, end - at)) buffer_puts(out, "e0");
    at = end;
  }
}

/* Foreign bytes of the place stand in jansson's words. */
static void make_printable(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || (unsigned char)*text >= 127) *text = '?';
}

static json_t *fail(size_t len, json_error_t *why, struct error *error) {
  make_printable(why->text);
  if (len == 0) return error_set(error, "protocol", "an empty text is no JSON"), NULL;
  if (json_error_code(why) == json_error_stack_overflow)
    return error_set(error, "protocol", "line %d column %d: nested too deep", why->line, why->column), NULL;
  error_set(error, "protocol", "line %d column %d: %s", why->line, why->column, why->text);
  return NULL;
}

/* Whether nothing in the value is nested deeper than `levels`. */
static bool fits(const json_t *value, int levels) {
  bool all = true;
  size_t i;
  json_t *item, *object = (json_t *)(uintptr_t)value;
  if (!json_is_array(value) && !json_is_object(value)) return true;
  if (levels == 0) return false;
  json_array_foreach(value, i, item) all = all && fits(item, levels - 1);
  for (void *at = json_object_iter(object); all && at; at = json_object_iter_next(object, at))
    all = fits(json_object_iter_value(at), levels - 1);
  return all;
}

json_t *jsontext_read(const char *text, size_t len, struct error *error) {
  json_error_t why;
  json_t *value = json_loadb(text, len, FLAGS, &why);
  if (!value && json_error_code(&why) == json_error_numeric_overflow) {
    struct buffer widened = {0};
    widen_integers(&widened, text, len);
    value = json_loadb(widened.data, widened.len, FLAGS, &why);
    buffer_free(&widened);
  }
  if (!value) return fail(len, &why, error);
  if (fits(value, JSON_DEPTH_MAX)) return value;
  json_decref(value);
  error_set(error, "protocol", "nested deeper than %d", JSON_DEPTH_MAX);
  return NULL;
}
