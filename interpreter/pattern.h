/* Lua's own patterns (manual, 6.4.1) as lstrlib.c of Lua 5.4 matches them, but with a look at the clock on the way: some
 * patterns take years on a short text, and Lua's matching hears neither signals nor deadlines.
 */
#ifndef PATTERN_H
#define PATTERN_H
#include <stddef.h>

#define PATTERN_CAPTURES_MAX 32
#define PATTERN_DEPTH_MAX 200
#define PATTERN_STEPS 4096 /* between two looks; a power of two */

/* Lengths of captures that are none yet, or only a position. */
enum { PATTERN_UNFINISHED = -1, PATTERN_POSITION = -2 };

struct pattern {
  const char *text, *text_end, *pattern_end;
  void *data;
  void (*look)(void *data);                  /* may leave by longjmp */
  void (*fail)(void *data, const char *why); /* doesn't return */
  unsigned steps;
  int depth, level;
  struct {
    const char *at;
    ptrdiff_t len;
  } captures[PATTERN_CAPTURES_MAX];
};

/* Where the match ends that begins at `s`, or NULL. `p` is within the pattern, after a "^". */
const char *pattern_match(struct pattern *m, const char *s, const char *p);

#endif
