#include "duration.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUOTED_MAX 60 /* characters of a wrong text that its message shows */

static int wrong(struct error *error, const char *what, const char *text, size_t len, const char *why) {
  char quoted[QUOTED_MAX + 1];
  size_t shown = len < QUOTED_MAX ? len : QUOTED_MAX;
  for (size_t i = 0; i < shown; i++) quoted[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
  quoted[shown] = '\0';
  return error_set(error, "usage", "\"%s%s\" is not a %s: %s", quoted, shown < len ? "…" : "", what, why);
}

/* ---- Numbers ---- */

#define DIGITS_MAX 15 /* what a double holds exactly */

/* Digits with an optional fraction at *at; moves *at behind them. */
static bool read_number(const char *text, size_t len, size_t *at, double *number) {
  char digits[DIGITS_MAX + 2];
  size_t start = *at, point = 0, n;
  while (*at < len && (isdigit((unsigned char)text[*at]) || (text[*at] == '.' && !point && *at > start))) {
    if (text[*at] == '.') point = *at;
    ++*at;
  }
  n = *at - start;
  if (n == 0 || n > DIGITS_MAX || text[*at - 1] == '.') return false;
  memcpy(digits, text + start, n);
  digits[n] = '\0';
  *number = strtod(digits, NULL); /* the program never leaves the "C" locale */
  return true;
}

/* ---- Durations ---- */

static const struct {
  const char *name;
  double seconds;
} units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 0.001}};
#define UNITS ((int)(sizeof units / sizeof *units))
#define DURATION_FORM "numbers with the units d h m s ms expected, such as \"15m\" or \"1h30m\""

static int find_unit(const char *text, size_t len) {
  for (int i = 0; i < UNITS; i++)
    if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0) return i;
  return -1;
}

bool duration_parse(const char *text, size_t len, double *seconds, struct error *error) {
  double sum = 0, number = 0;
  int last = -1;
  if (len == 0) return wrong(error, "duration", text, len, DURATION_FORM);
  for (size_t at = 0; at < len;) {
    if (!read_number(text, len, &at, &number)) return wrong(error, "duration", text, len, DURATION_FORM);
    size_t start = at;
    while (at < len && isalpha((unsigned char)text[at])) at++;
    int unit = find_unit(text + start, at - start);
    if (at == start) return wrong(error, "duration", text, len, "a unit is missing: d, h, m, s or ms");
    if (unit < 0) return wrong(error, "duration", text, len, DURATION_FORM);
    if (unit <= last) return wrong(error, "duration", text, len, "larger units come first, each once");
    sum += number * units[unit].seconds;
    last = unit;
  }
  if (sum > DURATION_MAX_SECONDS) return wrong(error, "duration", text, len, "more than ten years");
  *seconds = sum;
  return true;
}

/* A fraction without its trailing zeros. */
static void put_decimal(struct buffer *out, double number, int digits) {
  char text[64];
  int len = snprintf(text, sizeof text, "%.*f", digits, number);
  while (digits && len > 1 && text[len - 1] == '0') text[--len] = '\0';
  if (len && text[len - 1] == '.') text[--len] = '\0';
  buffer_puts(out, text);
}

void duration_format(struct buffer *out, double seconds) {
  if (!isfinite(seconds)) {
    buffer_puts(out, isnan(seconds) ? "unknown" : "forever");
    return;
  }
  int64_t micros = (int64_t)llround(fmin(fabs(seconds), 1e12) * 1e6);
  size_t before = out->len;
  if (seconds < 0 && micros) buffer_putc(out, '-');
  for (int i = 0; i < 3; i++) {
    int64_t unit = (int64_t)units[i].seconds * 1000000;
    if (micros >= unit) buffer_printf(out, "%lld%s", (long long)(micros / unit), units[i].name);
    micros %= unit;
  }
  if (micros == 0 && out->len > before) return;
  if (micros > 0 && micros < 1000000 && out->len <= before + 1) {
    put_decimal(out, (double)micros / 1e3, 3);
    buffer_puts(out, "ms");
    return;
  }
  put_decimal(out, (double)micros / 1e6, 6);
  buffer_putc(out, 's');
}

/* ---- Sizes ---- */

#define SIZE_FORM "bytes, or a number with KB, MB, GB or TB (or Ki, Mi, Gi, Ti) expected, such as \"64MB\""

/* The power of 1024 of "", "B", "K", "KB", "Ki", "KiB" … in either case; -1 for another word. */
static int size_power(const char *unit, size_t len) {
  static const char letters[] = "KMGTP";
  if (len == 0 || (len == 1 && (*unit | 32) == 'b')) return 0;
  const char *letter = strchr(letters, toupper((unsigned char)*unit));
  if (!letter || !*letter) return -1;
  size_t binary = len > 1 && unit[1] == 'i'; /* as Kubernetes writes it, with or without the B */
  bool rest = len == 1 + binary || (len == 2 + binary && (unit[1 + binary] | 32) == 'b');
  return rest ? (int)(letter - letters) + 1 : -1;
}

bool size_parse(const char *text, size_t len, int64_t *bytes, struct error *error) {
  size_t at = 0;
  double number = 0;
  if (!read_number(text, len, &at, &number)) return wrong(error, "size", text, len, SIZE_FORM);
  if (at + 1 < len && text[at] == ' ') at++;
  int power = size_power(text + at, len - at);
  if (power < 0) return wrong(error, "size", text, len, SIZE_FORM);
  number = round(ldexp(number, 10 * power));
  if (number >= 0x1p63) return wrong(error, "size", text, len, "too large");
  *bytes = (int64_t)number;
  return true;
}

void size_format(struct buffer *out, double bytes) {
  static const char *const names[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
  size_t i = 0;
  if (!isfinite(bytes)) {
    buffer_puts(out, "unknown");
    return;
  }
  /* 1023.95 would be shown as 1024.0 */
  while (fabs(bytes) >= 1023.95 && i + 1 < sizeof names / sizeof *names) bytes /= 1024, i++;
  put_decimal(out, bytes, i ? 1 : 0);
  buffer_printf(out, " %s", names[i]);
}

/* ---- Times ---- */

#define TIME_FORM "RFC 3339 expected, such as 2026-11-23T17:40:05Z"
#define TIME_MIN (-62167219200.0) /* 0000-01-01 */
#define TIME_MAX 253402300799.0   /* 9999-12-31T23:59:59 */

/* A number of `count` digits at *at, followed by the character `after` (0: none). */
static bool read_digits(const char *text, size_t len, size_t *at, int count, char after, int *number) {
  *number = 0;
  if (len - *at < (size_t)count + (after ? 1 : 0)) return false;
  for (int i = 0; i < count; i++, ++*at) {
    if (!isdigit((unsigned char)text[*at])) return false;
    *number = *number * 10 + (text[*at] - '0');
  }
  if (!after) return true;
  return (char)toupper((unsigned char)text[(*at)++]) == after;
}

static bool read_fraction(const char *text, size_t len, size_t *at, double *fraction) {
  double unit = 0.1;
  *fraction = 0;
  if (*at >= len || text[*at] != '.') return true;
  size_t start = ++*at;
  for (; *at < len && isdigit((unsigned char)text[*at]); ++*at, unit /= 10)
    *fraction += (text[*at] - '0') * unit;
  return *at > start;
}

/* "Z" or "+hh:mm" to the end of the text; seconds to subtract. */
static bool read_offset(const char *text, size_t len, size_t at, int *offset) {
  int hours, minutes;
  *offset = 0;
  if (at + 1 == len && (text[at] | 32) == 'z') return true;
  if (len - at != 6 || (text[at] != '+' && text[at] != '-')) return false;
  int sign = text[at++] == '+' ? 1 : -1;
  if (!read_digits(text, len, &at, 2, ':', &hours) || !read_digits(text, len, &at, 2, 0, &minutes))
    return false;
  *offset = sign * (hours * 3600 + minutes * 60);
  return hours < 24 && minutes < 60;
}

static int month_days(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

static bool in_range(const struct tm *tm) {
  return tm->tm_mon >= 1 && tm->tm_mon <= 12 && tm->tm_mday >= 1 &&
         tm->tm_mday <= month_days(tm->tm_year, tm->tm_mon) && tm->tm_hour < 24 && tm->tm_min < 60 &&
         tm->tm_sec <= 60; /* a leap second is the next minute's first */
}

bool time_parse(const char *text, size_t len, double *seconds, struct error *error) {
  struct tm tm = {0};
  size_t at = 0;
  double fraction;
  int offset;
  bool shaped =
      read_digits(text, len, &at, 4, '-', &tm.tm_year) && read_digits(text, len, &at, 2, '-', &tm.tm_mon) &&
      read_digits(text, len, &at, 2, 'T', &tm.tm_mday) && read_digits(text, len, &at, 2, ':', &tm.tm_hour) &&
      read_digits(text, len, &at, 2, ':', &tm.tm_min) && read_digits(text, len, &at, 2, 0, &tm.tm_sec) &&
      read_fraction(text, len, &at, &fraction) && at < len && read_offset(text, len, at, &offset);
  if (!shaped) return wrong(error, "time", text, len, TIME_FORM);
  if (!in_range(&tm)) return wrong(error, "time", text, len, "there is no such date or time of day");
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  *seconds = (double)timegm(&tm) - offset + fraction;
  return true;
}

void clock_format(struct buffer *out, double seconds) {
  struct tm tm;
  time_t whole = isnan(seconds) ? 0 : (time_t)fmax(TIME_MIN, fmin(TIME_MAX, seconds));
  localtime_r(&whole, &tm);
  buffer_printf(out, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void time_format(struct buffer *out, double seconds) {
  struct tm tm;
  if (isnan(seconds)) seconds = 0;
  seconds = fmax(TIME_MIN, fmin(TIME_MAX, seconds));
  int64_t micros = (int64_t)llround((seconds - floor(seconds)) * 1e6);
  time_t whole = (time_t)floor(seconds) + (micros == 1000000);
  gmtime_r(&whole, &tm);
  buffer_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(micros % 1000000));
}
