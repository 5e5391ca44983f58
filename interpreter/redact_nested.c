#include "redact_nested.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MIN 60 /* characters of an encoder's line: what stands behind a shorter one is another text */
#define LOOK_AT 24  /* bytes that tell text from anything else */
#define HEX_MIN 32

static int digit_value(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

/* The same as a table, one more: every character of every text is asked. */
static unsigned char digits[256];

static void fill_digits(void) {
  for (int c = 0; c < 256; c++) digits[c] = (unsigned char)(digit_value((char)c) + 1);
}

static bool is_digit(char c) { return digits[(unsigned char)c] > 0; }

/* An encoder's line end at `at`, as such or in letters, with a digit behind it: its length. */
static size_t line_end(const char *text, size_t len, size_t at) {
  static const char *const ends[] = {"\n", "\r\n", "\\n", "\\r\\n"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    size_t n = strlen(ends[i]);
    if (len - at > n && memcmp(text + at, ends[i], n) == 0 && is_digit(text[at + n])) return n;
  }
  return 0;
}

size_t redact_run_end(const char *text, size_t len, size_t at) {
  if (!digits['/']) fill_digits();
  size_t line = at, n;
  for (;;) {
    while (at < len && is_digit(text[at])) at++;
    if (at + 1 < len && text[at] == '\\' && text[at + 1] == '/')
      at++; /* JSON's \/ */
    else if (at < len && at - line >= LINE_MIN && (n = line_end(text, len, at)) > 0)
      line = at += n;
    else
      return at;
  }
}

/* Whether it reads like text: no controls, and characters of UTF-8. */
static bool is_text(const unsigned char *bytes, size_t len) {
  int more = 0;
  for (size_t at = 0; at < len; at++) {
    unsigned char c = bytes[at];
    if (c < ' ' && c != '\n' && c != '\r' && c != '\t') return false;
    if (more ? (c & 0xC0) != 0x80 : (c & 0xC0) == 0x80 || c >= 0xF8) return false;
    more = more ? more - 1 : c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
  }
  return len > 0;
}

/* A decoder: the next byte of the run, or -1 at its end. */
struct decoder {
  const char *run;
  size_t len, at;
  unsigned bits;
  int have;
};

static int next_of_hex(struct decoder *decoder) {
  char pair[3] = {0};
  if (decoder->at + 1 >= decoder->len) return -1;
  memcpy(pair, decoder->run + decoder->at, 2);
  decoder->at += 2;
  if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1])) return -1;
  return (int)strtol(pair, NULL, 16);
}

/* The n of an encoder's line end written in letters is no digit. */
static bool is_letter_of_line_end(const char *run, size_t at) {
  return at > 0 && run[at - 1] == '\\' && (run[at] == 'n' || run[at] == 'r');
}

static int next_of_base64(struct decoder *decoder) {
  for (; decoder->at < decoder->len; decoder->at++) {
    char c = decoder->run[decoder->at];
    if (!is_digit(c) || is_letter_of_line_end(decoder->run, decoder->at)) continue;
    decoder->bits = decoder->bits << 6 | (digits[(unsigned char)c] - 1U);
    if ((decoder->have += 6) < 8) continue;
    decoder->at++;
    decoder->have -= 8;
    return (int)(decoder->bits >> decoder->have & 0xFF);
  }
  return -1;
}

bool redact_run_decode(struct buffer *out, const char *run, size_t len, int way) {
  int (*next)(struct decoder *) = way == REDACT_WAY_HEX ? next_of_hex : next_of_base64;
  struct decoder decoder = {.run = run, .len = len};
  unsigned char head[LOOK_AT];
  size_t n = 0;
  int c = 0;
  if (way != REDACT_WAY_HEX) decoder.at = (size_t)way;
  while (n < LOOK_AT && (c = next(&decoder)) >= 0) head[n++] = (unsigned char)c;
  if (!is_text(head, n) || (way == REDACT_WAY_HEX && n < HEX_MIN / 2)) return false;
  buffer_append(out, head, n);
  while (c >= 0 && (c = next(&decoder)) >= '\t')
    buffer_putc(out, (char)c); /* behind a control it is no text any more */
  return true;
}
