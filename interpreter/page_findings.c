#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "journal_reader.h"
#include "page.h"
#include "text.h"

#define CUT "\n(more in the run's journal)"
#define NOTHING "no check had failed yet"
#define WRONG_MAX 500     /* failed checks and unknown probes that are kept: far more than a page holds */
#define LOOKS_MAX 1000    /* probes with their arguments whose newest look is known */
#define HEADLINE_CAUSES 2 /* as in stdlib/story.lua */

/* A failed check as it last was, or a probe that is not known. */
struct wrong {
  char *look, *label; /* label NULL: the probe itself is not known */
  char *line;
  json_int_t seq; /* of its event */
};

struct look {
  char *name;     /* a probe and its arguments */
  json_int_t seq; /* of its newest start */
};

struct story {
  struct wrong wrong[WRONG_MAX];
  struct look looks[LOOKS_MAX];
  size_t count, look_count;
  bool full;
};

static const char *member(json_t *event, const char *name) {
  return json_string_value(json_object_get(event, name));
}

/* ---- Words: as in stdlib/finding.lua ---- */

static void put_inert(struct buffer *out, json_t *string) {
  text_inert(out, json_string_value(string), json_string_length(string), PAGE_LINE_CHARACTERS,
             TEXT_FLAT | TEXT_PEOPLE);
}

static bool put_member(struct buffer *out, const char *before, json_t *event, const char *name,
                       const char *after) {
  json_t *string = json_object_get(event, name);
  if (json_string_length(string) == 0) return false;
  buffer_puts(out, before);
  put_inert(out, string);
  buffer_puts(out, after);
  return true;
}

/* "Unit (web-1)": a probe, with its arguments where it was called with some. */
static void put_place(struct buffer *out, json_t *event) {
  if (put_member(out, "", event, "probe", "")) put_member(out, " (", event, "args", ")");
}

/* "Redis: memory 105 %, should be < 90 %"; what should be so is marked where no figure says that it isn't. */
static char *check_line(json_t *event) {
  struct buffer line = {0};
  put_place(&line, event);
  if (line.len) buffer_puts(&line, ": ");
  if (!json_object_get(event, "figure")) buffer_puts(&line, "not so: ");
  if (!put_member(&line, "", event, "says", "") && put_member(&line, "", event, "label", ""))
    put_member(&line, ": ", event, "detail", "");
  return line.data;
}

static char *unknown_line(json_t *event) {
  struct buffer line = {0};
  put_place(&line, event);
  buffer_puts(&line, ": not known");
  put_member(&line, ": ", event, "why", "");
  return line.data;
}

/* ---- The state, from events ---- */

static char *look_name(json_t *event) {
  const char *probe = member(event, "probe"), *args = member(event, "args");
  struct buffer name = {0};
  buffer_printf(&name, "%s\n%s", probe ? probe : "", args ? args : "");
  return name.data;
}

static struct look *find_look(struct story *story, const char *name) {
  for (size_t i = 0; i < story->look_count; i++)
    if (strcmp(story->looks[i].name, name) == 0) return &story->looks[i];
  return NULL;
}

static void forget(struct story *story, size_t i) {
  struct wrong *it = &story->wrong[i];
  free(it->look), free(it->label), free(it->line);
  memmove(it, it + 1, (--story->count - i) * sizeof *it);
}

static void remember(struct story *story, struct wrong it) {
  if (story->count < WRONG_MAX) {
    story->wrong[story->count++] = it;
    return;
  }
  story->full = true;
  free(it.look), free(it.label), free(it.line);
}

static bool is_label(const struct wrong *it, const char *label) {
  return label && it->label ? strcmp(it->label, label) == 0 : label == it->label;
}

static struct wrong *find_wrong(struct story *story, const char *look, const char *label) {
  for (size_t i = 0; i < story->count; i++)
    if (strcmp(story->wrong[i].look, look) == 0 && is_label(&story->wrong[i], label)) return &story->wrong[i];
  return NULL;
}

static json_int_t seq_of(json_t *event) { return json_integer_value(json_object_get(event, "seq")); }

static void take_start(struct story *story, json_t *event) {
  char *name = look_name(event);
  struct look *look = find_look(story, name);
  if (!look && story->look_count < LOOKS_MAX) {
    look = &story->looks[story->look_count++];
    look->name = name;
    name = NULL;
  }
  if (look) look->seq = seq_of(event);
  free(name);
}

/* One that passes takes back its failure of an earlier look; not of this one, where another of a loop may have failed. */
static void take_check(struct story *story, json_t *event) {
  const char *label = member(event, "label"), *probe = member(event, "probe");
  if (!label || json_is_true(json_object_get(event, "prevention")) ||
      (probe && strcmp(probe, "recovered") == 0))
    return;
  char *name = look_name(event);
  struct wrong *before = find_wrong(story, name, label);
  struct look *look = find_look(story, name);
  bool failed = json_is_false(json_object_get(event, "passed"));
  if (failed && before) {
    free(before->line);
    before->line = check_line(event);
    before->seq = seq_of(event);
  } else if (failed) {
    remember(story, (struct wrong){xstrdup(name), xstrdup(label), check_line(event), seq_of(event)});
  } else if (before && (!look || before->seq < look->seq)) {
    forget(story, (size_t)(before - story->wrong));
  }
  free(name);
}

/* A look that came to its end replaces the one before; of one that broke off, what it did not reach stays as it was. */
static void take_end(struct story *story, json_t *event) {
  const char *state = member(event, "state");
  char *name = look_name(event);
  struct look *look = find_look(story, name);
  bool unknown = state && strcmp(state, "unknown") == 0;
  for (size_t i = story->count; i-- > 0;) {
    const struct wrong *it = &story->wrong[i];
    bool old = !it->label || (!unknown && look && it->seq < look->seq);
    if (old && strcmp(it->look, name) == 0) forget(story, i);
  }
  if (unknown) remember(story, (struct wrong){xstrdup(name), NULL, unknown_line(event), seq_of(event)});
  free(name);
}

static const struct {
  const char *name;
  void (*take)(struct story *, json_t *);
} takers[] = {{"check", take_check}, {"probe.started", take_start}, {"probe.ended", take_end}};

/* Most lines are long results: they are not parsed. */
static bool wants(const struct journal_line *line, void *data) {
  (void)data;
  for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
    if (strlen(takers[i].name) == line->name_len && memcmp(takers[i].name, line->name, line->name_len) == 0)
      return true;
  return false;
}

static void take(struct story *story, json_t *event) {
  const char *name = member(event, "event");
  for (size_t i = 0; name && i < sizeof takers / sizeof *takers; i++)
    if (strcmp(takers[i].name, name) == 0) takers[i].take(story, event);
}

/* Reads the journal; `damage` becomes what is to be said of its own state, empty when it is whole. */
static void read_story(struct story *story, const char *rundir, struct buffer *damage) {
  struct journal_reader reader;
  struct error error = {0};
  struct buffer path = {0};
  buffer_printf(&path, "%s/journal.jsonl", rundir);
  bool open = journal_reader_open(&reader, path.data, &error);
  for (json_t *event; open && (event = journal_reader_next(&reader, wants, NULL)); json_decref(event))
    take(story, event);
  if (!open)
    buffer_printf(damage, "the run's journal can't be read: %s", error.message);
  else if (journal_reader_failed(&reader))
    buffer_puts(damage, "the run's journal can't be read any further: the disk fails");
  else if (reader.damaged)
    buffer_printf(damage, "the run's journal is damaged from line %llu: more may have been found",
                  reader.damaged);
  journal_reader_close(&reader);
  buffer_free(&path);
}

/* ---- The text ---- */

/* False when there is no room for it, which is said. */
static bool add(struct buffer *findings, const char *line, size_t room) {
  size_t len = strlen(line);
  bool fits = findings->len + 1 + len + sizeof CUT <= room;
  if (findings->len && fits) buffer_putc(findings, '\n');
  buffer_puts(findings, fits ? line : &CUT[findings->len == 0]);
  return fits;
}

/* What is wrong first, then what is not known. */
static void put_findings(struct buffer *out, const struct story *story, const struct buffer *damage) {
  size_t room = PAGE_FINDINGS_BYTES - (damage->len ? damage->len + 1 : 0);
  bool more = true;
  for (int unknown = 0; unknown < 2; unknown++)
    for (size_t i = 0; more && i < story->count; i++)
      if ((story->wrong[i].label == NULL) == unknown) more = add(out, story->wrong[i].line, room);
  if (more && story->full) buffer_puts(out, CUT);
  if (damage->len && out->len) buffer_putc(out, '\n');
  if (damage->len) buffer_append(out, damage->data, damage->len);
  if (out->len == 0) buffer_puts(out, NOTHING);
}

/* The first causes, the others counted: one line. */
static void put_headline(struct buffer *out, const struct story *story, const struct buffer *damage) {
  size_t causes = 0;
  for (size_t i = 0; i < story->count; i++) {
    if (!story->wrong[i].label) continue;
    if (causes++ < HEADLINE_CAUSES)
      buffer_puts(out, out->len ? "; " : ""), buffer_puts(out, story->wrong[i].line);
  }
  if (causes > HEADLINE_CAUSES) buffer_printf(out, "; %zu more", causes - HEADLINE_CAUSES);
  if (causes == 0 && story->count) buffer_puts(out, story->wrong[0].line);
  if (out->len == 0) buffer_puts(out, damage->len ? damage->data : NOTHING);
}

void page_findings(struct buffer *headline, struct buffer *findings, const char *rundir) {
  struct story *story = xcalloc(1, sizeof *story);
  struct buffer damage = {0};
  read_story(story, rundir, &damage);
  put_headline(headline, story, &damage);
  put_findings(findings, story, &damage);
  while (story->count) forget(story, story->count - 1);
  for (size_t i = 0; i < story->look_count; i++) free(story->looks[i].name);
  buffer_free(&damage);
  free(story);
}
