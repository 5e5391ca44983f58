/* Durations ("1h30m"), sizes ("64MB") and times (RFC 3339) between text and numbers: the formats of
 * spec/language.md. None of it looks at the locale, the time zone or the clock. */
#ifndef DURATION_H
#define DURATION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "buffer.h"
#include "error.h"

#define DURATION_MAX_SECONDS (10 * 365.25 * 86400) /* longer is a typing mistake, or not an incident's */

/* Seconds of "15m", "1h30m", "250ms", "1.5s", "7d": numbers with the units d h m s ms, larger units first, no
 * blanks, each once. False with error usage, which quotes the text. */
bool duration_parse(const char *text, size_t len, double *seconds, struct error *error);
/* Appends the shortest such text, exact to the microsecond: "15m", "1m30s", "1.5s", "250ms", "0s". */
void duration_format(struct buffer *out, double seconds);

/* Bytes of "64MB", "1.5GiB", "512": B KB MB GB TB and KiB MiB GiB TiB are powers of 1024, in either case. */
bool size_parse(const char *text, size_t len, int64_t *bytes, struct error *error);
/* Appends "64 MB", "1.4 GB", "512 B". */
void size_format(struct buffer *out, double bytes);

/* Seconds since 1970 of "2026-11-23T17:40:05.123456Z" (or with an offset such as +01:00; the fraction is
 * optional). */
bool time_parse(const char *text, size_t len, double *seconds, struct error *error);
/* Appends that form: UTC, six digits, for the years 0 to 9999; times outside are drawn to their edge. */
void time_format(struct buffer *out, double seconds);
/* Appends "03:02:11", as the clock shows it where this machine stands. */
void clock_format(struct buffer *out, double seconds);

#endif
