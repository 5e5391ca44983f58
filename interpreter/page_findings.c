#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "page.h"

#define CUT "\n(more in the run's journal)"

/* One code point of valid UTF-8 (jansson lets no other through); moves `text` past it. */
static uint32_t next_character(const char **text) {
  const unsigned char *c = (const unsigned char *)*text;
  int more = c[0] < 0x80 ? 0 : c[0] < 0xe0 ? 1 : c[0] < 0xf0 ? 2 : 3;
  uint32_t point = more == 0 ? c[0] : c[0] & (0x3fU >> more);
  for (int i = 1; i <= more; i++) point = point << 6 | (c[i] & 0x3fU);
  *text += more + 1;
  return point;
}

/* Control characters could forge lines or colour a terminal, bidi marks could turn words around. */
static bool is_unsafe(uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c || point == 0x200e ||
         point == 0x200f || (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static void put_inert(struct buffer *out, const char *text) {
  while (*text) {
    const char *from = text;
    uint32_t point = next_character(&text);
    if (!is_unsafe(point))
      buffer_append(out, from, (size_t)(text - from));
    else if (point == '\n' || point == '\t')
      buffer_putc(out, ' ');
    else
      buffer_printf(out, "\\u%04x", (unsigned)point);
  }
}

static const char *member(json_t *event, const char *name) {
  return json_string_value(json_object_get(event, name));
}

/* "Database connectivity: PostgreSQL accepts connections (connection refused)" */
static bool put_check(struct buffer *line, json_t *event) {
  const char *probe = member(event, "probe"), *label = member(event, "label"),
             *detail = member(event, "detail");
  if (!json_is_false(json_object_get(event, "passed")) || !label) return false;
  if (probe) put_inert(line, probe), buffer_puts(line, ": ");
  put_inert(line, label);
  if (detail && *detail) buffer_puts(line, " ("), put_inert(line, detail), buffer_putc(line, ')');
  return true;
}

/* "Database connectivity: unknown: login refused" */
static bool put_unknown(struct buffer *line, json_t *event) {
  const char *state = member(event, "state"), *title = member(event, "title"), *why = member(event, "why");
  if (!title) title = member(event, "probe");
  if (!state || strcmp(state, "unknown") != 0 || !title) return false;
  put_inert(line, title);
  buffer_puts(line, ": unknown");
  if (why && *why) buffer_puts(line, ": "), put_inert(line, why);
  return true;
}

static bool put_event(struct buffer *line, const char *text, size_t len) {
  json_t *event = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
  const char *name = event ? member(event, "event") : NULL;
  bool found = false;
  if (name && strcmp(name, "check") == 0)
    found = put_check(line, event);
  else if (name && strcmp(name, "probe.ended") == 0)
    found = put_unknown(line, event);
  json_decref(event);
  return found;
}

/* Polled checks fail again and again: each line is said once. */
static bool is_said(const struct buffer *findings, const struct buffer *line) {
  for (const char *at = findings->data; at && (at = strstr(at, line->data)); at++)
    if ((at == findings->data || at[-1] == '\n') && (at[line->len] == '\0' || at[line->len] == '\n'))
      return true;
  return false;
}

/* False when there is no room for it, which is said. */
static bool add(struct buffer *findings, const struct buffer *line) {
  if (is_said(findings, line)) return true;
  bool fits = findings->len + 1 + line->len + sizeof CUT <= PAGE_FINDINGS_BYTES;
  if (findings->len && fits) buffer_putc(findings, '\n');
  if (fits)
    buffer_append(findings, line->data, line->len);
  else
    buffer_puts(findings, CUT + (findings->len == 0));
  return fits;
}

void page_findings(struct buffer *findings, const char *rundir) {
  struct buffer path = {0}, line = {0};
  char *text = NULL;
  size_t size = 0;
  bool room = true;
  buffer_printf(&path, "%s/journal.jsonl", rundir);
  FILE *journal = fopen(path.data, "re");
  buffer_free(&path);
  for (ssize_t len; room && journal && (len = getline(&text, &size, journal)) > 0;) {
    /* Most lines are long results: they are not parsed. */
    if (!memmem(text, (size_t)len, "\"check\"", 7) && !memmem(text, (size_t)len, "\"probe.ended\"", 13))
      continue;
    buffer_clear(&line);
    if (put_event(&line, text, (size_t)len)) room = add(findings, &line);
  }
  if (findings->len == 0) buffer_puts(findings, "no check had failed yet");
  free(text);
  buffer_free(&line);
  if (journal) fclose(journal);
}
