#include "pattern.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *match(struct pattern *m, const char *s, const char *p);

static void tick(struct pattern *m) {
  if ((++m->steps & (PATTERN_STEPS - 1)) == 0) m->look(m->data);
}

/* ---- One character ---- */

/* Where the class that begins at `p` ends. */
static const char *class_end(struct pattern *m, const char *p) {
  char first = *p++;
  if (first == '%') {
    if (p == m->pattern_end) m->fail(m->data, "malformed pattern (ends with '%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (*p == '^') p++;
  do {
    if (p == m->pattern_end) m->fail(m->data, "malformed pattern (missing ']')");
    if (*p++ == '%' && p < m->pattern_end) p++;
  } while (*p != ']');
  return p + 1;
}

static bool in_letter_class(int c, int letter) {
  bool in;
  switch (tolower(letter)) {
  case 'a':
    in = isalpha(c);
    break;
  case 'c':
    in = iscntrl(c);
    break;
  case 'd':
    in = isdigit(c);
    break;
  case 'g':
    in = isgraph(c);
    break;
  case 'l':
    in = islower(c);
    break;
  case 'p':
    in = ispunct(c);
    break;
  case 's':
    in = isspace(c);
    break;
  case 'u':
    in = isupper(c);
    break;
  case 'w':
    in = isalnum(c);
    break;
  case 'x':
    in = isxdigit(c);
    break;
  case 'z':
    in = c == 0;
    break;
  default:
    return letter == c;
  }
  return isupper(letter) ? !in : in;
}

static int byte(const char *at) { return (unsigned char)*at; }

/* `p` at the "[", `end` at its "]". */
static bool in_set(int c, const char *p, const char *end) {
  bool in = p[1] != '^';
  if (!in) p++;
  while (++p < end) {
    if (*p == '%') {
      if (in_letter_class(c, byte(++p))) return in;
    } else if (p[1] == '-' && p + 2 < end) {
      p += 2;
      if (byte(p - 2) <= c && c <= byte(p)) return in;
    } else if (byte(p) == c) {
      return in;
    }
  }
  return !in;
}

static bool is_one(struct pattern *m, const char *s, const char *p, const char *end) {
  tick(m);
  if (s >= m->text_end) return false;
  switch (*p) {
  case '.':
    return true;
  case '%':
    return in_letter_class(byte(s), byte(p + 1));
  case '[':
    return in_set(byte(s), p, end - 1);
  default:
    return *p == *s;
  }
}

/* ---- Repeated, balanced, captured ---- */

static const char *match_most(struct pattern *m, const char *s, const char *p, const char *end) {
  ptrdiff_t i = 0;
  while (is_one(m, s + i, p, end)) i++;
  for (; i >= 0; i--) {
    const char *rest = match(m, s + i, end + 1);
    if (rest) return rest;
  }
  return NULL;
}

static const char *match_fewest(struct pattern *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *rest = match(m, s, end + 1);
    if (rest) return rest;
    if (!is_one(m, s, p, end)) return NULL;
  }
}

static const char *match_balanced(struct pattern *m, const char *s, const char *p) {
  if (p >= m->pattern_end - 1) m->fail(m->data, "malformed pattern (missing arguments to '%b')");
  if (*s != *p) return NULL;
  char begin = p[0], end = p[1];
  for (int open = 1; ++s < m->text_end;) {
    tick(m);
    if (*s == end) {
      if (--open == 0) return s + 1;
    } else if (*s == begin) {
      open++;
    }
  }
  return NULL;
}

static const char *begin_capture(struct pattern *m, const char *s, const char *p, ptrdiff_t len) {
  if (m->level >= PATTERN_CAPTURES_MAX) m->fail(m->data, "too many captures");
  m->captures[m->level].at = s;
  m->captures[m->level].len = len;
  m->level++;
  const char *rest = match(m, s, p);
  if (!rest) m->level--;
  return rest;
}

static const char *end_capture(struct pattern *m, const char *s, const char *p) {
  int open = m->level - 1;
  while (open >= 0 && m->captures[open].len != PATTERN_UNFINISHED) open--;
  if (open < 0) m->fail(m->data, "invalid pattern capture");
  m->captures[open].len = s - m->captures[open].at;
  const char *rest = match(m, s, p);
  if (!rest) m->captures[open].len = PATTERN_UNFINISHED;
  return rest;
}

static const char *match_again(struct pattern *m, const char *s, int digit) {
  int index = digit - '1';
  if (index < 0 || index >= m->level || m->captures[index].len == PATTERN_UNFINISHED) {
    char why[64];
    snprintf(why, sizeof why, "invalid capture index %%%d", index + 1);
    m->fail(m->data, why);
  }
  size_t len = (size_t)m->captures[index].len; /* a position's is larger than any text */
  bool same = (size_t)(m->text_end - s) >= len && memcmp(m->captures[index].at, s, len) == 0;
  return same ? s + len : NULL;
}

/* ---- The items of a pattern, one after the other ---- */

/* Each takes an item at *p and leaves both behind it; false: *s is how it all ended. */

static bool pass_frontier(struct pattern *m, const char **s, const char **p) {
  const char *set = *p + 2;
  if (*set != '[') m->fail(m->data, "missing '[' after '%f' in pattern");
  const char *end = class_end(m, set);
  int before = *s == m->text ? '\0' : byte(*s - 1);
  bool well = !in_set(before, set, end - 1) && in_set(byte(*s), set, end - 1);
  if (well)
    *p = end;
  else
    *s = NULL;
  return well;
}

static bool pass_single(struct pattern *m, const char **s, const char **p) {
  const char *end = class_end(m, *p), *rest;
  if (!is_one(m, *s, *p, end)) {
    if (*end == '*' || *end == '?' || *end == '-') return *p = end + 1, true;
    return *s = NULL, false;
  }
  switch (*end) {
  case '?':
    rest = match(m, *s + 1, end + 1);
    if (rest) return *s = rest, false;
    return *p = end + 1, true;
  case '+':
    return *s = match_most(m, *s + 1, *p, end), false;
  case '*':
    return *s = match_most(m, *s, *p, end), false;
  case '-':
    return *s = match_fewest(m, *s, *p, end), false;
  default:
    return ++*s, *p = end, true;
  }
}

static bool pass_escaped(struct pattern *m, const char **s, const char **p) {
  char letter = (*p)[1];
  if (letter == 'f') return pass_frontier(m, s, p);
  if (letter == 'b') {
    *s = match_balanced(m, *s, *p + 2);
    return *p += 4, *s != NULL;
  }
  if (!isdigit((unsigned char)letter)) return pass_single(m, s, p);
  *s = match_again(m, *s, letter);
  return *p += 2, *s != NULL;
}

static bool pass(struct pattern *m, const char **s, const char **p) {
  switch (**p) {
  case '(':
    if ((*p)[1] == ')') return *s = begin_capture(m, *s, *p + 2, PATTERN_POSITION), false;
    return *s = begin_capture(m, *s, *p + 1, PATTERN_UNFINISHED), false;
  case ')':
    return *s = end_capture(m, *s, *p + 1), false;
  case '$':
    if (*p + 1 != m->pattern_end) return pass_single(m, s, p);
    if (*s != m->text_end) *s = NULL;
    return false;
  case '%':
    return pass_escaped(m, s, p);
  default:
    return pass_single(m, s, p);
  }
}

static const char *match(struct pattern *m, const char *s, const char *p) {
  if (m->depth-- == 0) m->fail(m->data, "pattern too complex");
  tick(m);
  while (p != m->pattern_end && pass(m, &s, &p)) continue;
  m->depth++;
  return s;
}

const char *pattern_match(struct pattern *m, const char *s, const char *p) {
  m->level = 0;
  m->depth = PATTERN_DEPTH_MAX;
  return match(m, s, p);
}
