/* The lines of a stream that match a pattern, found while it passes: what doesn't match is not kept.
 *
 * One scanner reads logs wherever they come from (an engine's answer, a program's output, a file), so that a line is the
 * same everywhere: what ends with \n, a \r before it left out of the match; the last one needs no end. Bytes that are no
 * valid UTF-8, and NUL, are bytes of a line like others. Belongs to one thread at a time.
 */
#ifndef LINESCAN_H
#define LINESCAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "buffer.h"
#include "error.h"

/* Bytes of a line that are looked at and kept; the rest of it is left out. */
#define LINESCAN_LINE_MAX (64UL << 10)
#define LINESCAN_PATTERN_MAX 65536 /* bytes of a pattern */
#define LINESCAN_AFTER_MAX 63      /* bytes of a line's end after which a stream begins */
/* Of the CPU, for one piece of the stream, and for each MB of it after that. */
#define LINESCAN_WORK_SECONDS 2.0

struct linescan_spec {
  const char *pattern; /* Perl's regular expressions, as raw.re; NULL: every line matches */
  size_t pattern_len;
  const char *after; /* the stream begins after the first line that ends so; NULL: at once */
  double since;      /* lines from then on, by their own times, seconds since 1970; 0: all */
  bool framed;       /* Docker's frames around it: each of its streams has lines of its own */
  bool count_only;   /* no text is kept */
  size_t max;        /* bytes of text kept: of more the last whole lines */
};

struct linescan_result {
  uint64_t lines, matched; /* seen (from `since` on); of these matching */
  bool timed;              /* a line began with a time: without one `since` says nothing */
  bool cut;                /* lines that match, or ends of long lines, are not in `text` */
  struct buffer text;      /* the newest matching lines, each with its \n */
  struct error error;      /* kind usage: too much work; protocol: broken frames; empty: all went well */
};

struct linescan;
/* NULL with `error` filled (usage) when the pattern is wrong. */
struct linescan *linescan_new(const struct linescan_spec *spec, struct error *error);
/* The next bytes. False once result->error is set: nothing more is looked at. */
bool linescan_feed(struct linescan *scan, const char *bytes, size_t len);
/* The stream is over: its last line may have had no end. The result is the scanner's. */
struct linescan_result *linescan_end(struct linescan *scan);
/* NULL is nothing. */
void linescan_free(struct linescan *scan);

#endif
