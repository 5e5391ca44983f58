#include "redact.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "redact_find.h"
#include "redact_form.h"
#include "redact_nested.h"
#include "redact_registry.h"

#define MARK_OPEN "\xE2\x9F\xA6"  /* ⟦ */
#define MARK_CLOSE "\xE2\x9F\xA7" /* ⟧ */
#define MARK_LEN 3
#define QUOTED_OPEN MARK_OPEN ":" MARK_CLOSE /* a literal ⟦ */
#define UNDECLARED "undeclared"
/* So many bytes before the end of a place an undeclared secret may begin that ends behind it. Further ahead none is looked for:
 * a long value full of beginnings would cost the square of its length. */
#define REGION_END 16384
#define DEPTH_MAX 4 /* texts within texts that are decoded */

enum way { WHOLE, PART, NESTED };

struct place {
  const struct secret *secret; /* NULL: nobody declared it */
  const char *name;            /* then: what it is */
  enum redact_kind kind;
  enum way way;
  size_t end;
};

/* A pass over a text: what is known of it. */
struct pass {
  struct redact_scene scene;
  bool quote, declared; /* a literal ⟦ is quoted; only what was declared is looked for */
  bool deep;            /* inside a place, far from its end: what is undeclared there ends with it */
  int depth;
  struct redact_span span; /* the undeclared secret met last; empty: none */
  size_t run_end;          /* of the run of base 64 met last */
};

/* ---- Marks ---- */

/* ⟦NAME:form⟧ at the beginning of the text: its length, or 0. */
static size_t read_mark(const char *text, size_t len, size_t *name_len, const char **form, size_t *form_len) {
  size_t at = MARK_LEN;
  if (len < MARK_LEN || memcmp(text, MARK_OPEN, MARK_LEN) != 0) return 0;
  while (at < len && redact_is_name_char(text[at])) at++;
  *name_len = at - MARK_LEN;
  if (at >= len || text[at] != ':') return 0;
  *form = text + ++at;
  while (at < len && redact_is_name_char(text[at])) at++;
  *form_len = (size_t)(text + at - *form);
  if (len - at < MARK_LEN || memcmp(text + at, MARK_CLOSE, MARK_LEN) != 0) return 0;
  return at + MARK_LEN;
}

static bool is_word(const char *text, size_t len, const char *word) {
  return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* The number of a `line3`; 0 for any other form. */
static int line_of(const char *form, size_t len) {
  int line = 0;
  if (len < 5 || len > 9 || memcmp(form, "line", 4) != 0) return 0;
  for (size_t i = 4; i < len; i++) {
    if (!isdigit((unsigned char)form[i])) return 0;
    line = line * 10 + form[i] - '0';
  }
  return line;
}

static bool is_form(const char *form, size_t len) {
  if (redact_form_find(form, len) >= 0 || line_of(form, len) || is_word(form, len, "part") ||
      is_word(form, len, "nested"))
    return true;
  for (int kind = 0; kind < KINDS; kind++)
    if (is_word(form, len, redact_kind_like((enum redact_kind)kind))) return true;
  return false;
}

/* A mark of ours that stands here: its length, or 0. */
static size_t own_mark(const char *text, size_t len) {
  size_t name_len, form_len;
  const char *form;
  size_t n = read_mark(text, len, &name_len, &form, &form_len);
  if (!n || is_word(form, form_len, UNDECLARED)) return n;
  return is_form(form, form_len) && redact_secret(text + MARK_LEN, name_len) ? n : 0;
}

static bool holds_mark(const char *text, size_t len) {
  const char *end = text + len;
  while ((text = memmem(text, (size_t)(end - text), MARK_OPEN, MARK_LEN)) != NULL &&
         !own_mark(text, (size_t)(end - text)))
    text += MARK_LEN;
  return text != NULL;
}

/* Whether a reader could take what begins here for a mark, or could if more came. */
static bool resembles_mark(const char *text, size_t len) {
  size_t at = MARK_LEN;
  if (len < MARK_LEN || memcmp(text, MARK_OPEN, MARK_LEN) != 0) return false;
  while (at < len && redact_is_name_char(text[at])) at++;
  return at < len && text[at] == ':';
}

/* The form in which the value gives exactly this text, or the kind's name. */
static const char *form_of(const struct place *place, const char *text, size_t len) {
  struct buffer written = {0};
  const char *name = redact_kind_like(place->kind);
  for (int form = 0; form < REDACT_FORMS; form++) {
    if (redact_form_kind(form) != place->kind) continue;
    buffer_clear(&written);
    redact_form_write(&written, form, place->secret->value, place->secret->len);
    if (written.len != len || memcmp(written.data, text, len) != 0) continue;
    name = redact_form_name(form);
    break;
  }
  if (written.data) explicit_bzero(written.data, written.cap);
  buffer_free(&written);
  return name;
}

static void put_mark(struct buffer *out, const struct place *place, const char *text, size_t len) {
  if (!place->secret)
    buffer_printf(out, MARK_OPEN "%s:" UNDECLARED MARK_CLOSE, place->name);
  else if (place->way != WHOLE)
    buffer_printf(out, MARK_OPEN "%s:%s" MARK_CLOSE, place->secret->name,
                  place->way == PART ? "part" : "nested");
  else if (place->secret->line && place->kind == KIND_PLAIN)
    buffer_printf(out, MARK_OPEN "%s:line%d" MARK_CLOSE, place->secret->name, place->secret->line);
  else
    buffer_printf(out, MARK_OPEN "%s:%s" MARK_CLOSE, place->secret->name,
                  place->secret->line ? redact_kind_like(place->kind) : form_of(place, text, len));
}

/* ---- One place ---- */

static void try_kind(const struct redact_scene *scene, size_t at, const struct secret *secret,
                     enum redact_kind kind, struct place *best) {
  size_t end = 0, left = scene->len - at;
  enum redact_found found = redact_match(kind, secret->value, secret->len, scene->text + at, left, &end);
  bool part = found == FOUND_MORE && left >= REDACT_PART_MIN && scene->text[at] != MARK_OPEN[0];
  if (part) end = left;
  if (found != FOUND_YES && !part) return;
  bool better = best->end > at && part != (best->way == PART)
                    ? !part
                    : at + end > best->end; /* what is whole, then long */
  if (better)
    *best = (struct place){.secret = secret, .kind = kind, .way = part ? PART : WHOLE, .end = at + end};
}

static void try_secret(const struct redact_scene *scene, size_t at, const struct secret *secret,
                       struct place *best) {
  unsigned kinds = secret->begins[(unsigned char)scene->text[at]];
  for (int kind = 0; kinds; kind++, kinds >>= 1)
    if (kinds & 1) try_kind(scene, at, secret, (enum redact_kind)kind, best);
}

static unsigned begins(const struct redact_scene *scene, size_t at) {
  unsigned char first = (unsigned char)scene->text[at];
  return redact_pairs[first][at + 1 < scene->len ? (unsigned char)scene->text[at + 1] : 0];
}

/* Remembers the undeclared secret that the anchor at `at` tells of, unless the script's own mark stands in it. */
static void look(struct pass *pass, size_t at) {
  struct redact_span span;
  if (!redact_find(&pass->scene, at, &span) || span.to <= span.from) return;
  if (pass->span.to > at && pass->span.from <= span.from) return;
  if (!pass->quote && holds_mark(pass->scene.text + span.from, span.to - span.from)) return;
  pass->span = span;
}

static bool find_in(struct pass *pass, struct place *found);

/* A run of base 64 that holds a secret where no search by value finds it: deeper, or undeclared. */
static void try_run(struct pass *pass, size_t at, struct place *best) {
  const char *run = pass->scene.text + at;
  struct place found;
  bool again = pass->depth < DEPTH_MAX && pass->run_end - at >= REDACT_RUN_MIN;
  for (int way = 0; again && way < REDACT_WAYS;
       way += pass->depth ? REDACT_WAY_HEX : 1) { /* deeper ones begin where they begin */
    struct buffer text = {0};
    bool holds = false;
    if (redact_run_decode(&text, run, pass->run_end - at, way)) {
      struct pass inner = {.scene = {.text = text.data, .len = text.len}, .depth = pass->depth + 1};
      holds = find_in(&inner, &found);
    }
    if (text.data) explicit_bzero(text.data, text.cap);
    buffer_free(&text);
    if (!holds || pass->run_end <= best->end) continue;
    *best = (struct place){found.secret, found.name, found.kind, NESTED, pass->run_end};
    again = false;
  }
}

/* Whether a run of base 64 begins here; there pass->run_end becomes its end. */
static bool begins_run(struct pass *pass, size_t at) {
  if (at < pass->run_end || pass->declared) return false;
  pass->run_end = redact_run_end(pass->scene.text, pass->scene.len, at);
  if (pass->run_end - at >= REDACT_RUN_MIN) return true;
  if (pass->run_end == at) pass->run_end++;
  return false;
}

/* What of the text is the end of this secret, in that kind. */
static size_t torn_of(const struct secret *secret, enum redact_kind kind, const char *text, size_t len) {
  size_t longest = 0, end;
  for (size_t from = 1; from < secret->len; from++)
    if (redact_match(kind, secret->value + from, secret->len - from, text, len, &end) == FOUND_YES &&
        end > longest)
      longest = end;
  return longest;
}

/* Of a text that begins in the middle of a secret, what a script cut that way. */
static void try_beginning(const struct redact_scene *scene, struct place *best) {
  const unsigned char *text = (const unsigned char *)scene->text;
  if (scene->len < REDACT_PART_MIN) return;
  for (size_t i = 0; i < REDACT_PART_MIN; i += 2)
    if (!redact_inside[text[i]][text[i + 1]]) return;
  for (const struct secret *secret = redact_secrets; secret; secret = secret->next) {
    size_t torn = torn_of(secret, KIND_PLAIN, scene->text, scene->len);
    if (torn >= REDACT_PART_MIN && torn > best->end)
      *best = (struct place){.secret = secret, .way = PART, .end = torn};
  }
}

/* The longest secret that begins here; end == at: none. */
static struct place find_place(struct pass *pass, size_t at, bool run) {
  struct place best = {.end = at};
  unsigned what = begins(&pass->scene, at);
  if (at == 0) try_beginning(&pass->scene, &best);
  if (what & BEGINS_SECRET)
    for (const struct secret *secret = redact_secrets; secret; secret = secret->next)
      try_secret(&pass->scene, at, secret, &best);
  if (what & BEGINS_OTHER && !pass->declared && !pass->deep) look(pass, at);
  if (run) try_run(pass, at, &best);
  if (at == pass->span.from && pass->span.to > best.end)
    best = (struct place){.name = pass->span.name, .end = pass->span.to};
  return best;
}

/* ---- The pass ---- */

/* Masks the place at `at` and every other that begins inside it and ends behind it. Returns where all of them end. */
static size_t mask_region(struct pass *pass, size_t at, struct place place, struct buffer *out) {
  size_t end = place.end;
  put_mark(out, &place, pass->scene.text + at, end - at);
  for (size_t next = at + 1; next < end; next++) {
    if (!begins(&pass->scene, next) && next != pass->span.from) continue;
    pass->deep = end - next > REGION_END;
    struct place other = find_place(pass, next, false);
    if (other.end <= end) continue;
    other.way = PART;
    put_mark(out, &other, NULL, 0);
    end = other.end;
  }
  pass->deep = false;
  return end;
}

/* What stands at `at` and is no secret: a character, a mark. Returns where it ends. */
static size_t pass_over(struct pass *pass, size_t at, struct buffer *out) {
  const char *text = pass->scene.text + at;
  size_t left = pass->scene.len - at, mark = own_mark(text, left);
  if (pass->quote && resembles_mark(text, left)) {
    buffer_puts(out, QUOTED_OPEN);
    return at + MARK_LEN;
  }
  size_t n = mark && !pass->quote ? mark : 1;
  buffer_append(out, text, n);
  return at + n;
}

/* The next place where something may stand; `run`: because a run of base 64 begins there. */
static size_t skip_harmless(struct pass *pass, size_t at, bool *run) {
  const struct redact_scene *scene = &pass->scene;
  for (*run = false; at < scene->len; at++) {
    *run = begins_run(pass, at);
    if (*run || at == 0 || begins(scene, at) || at == pass->span.from || scene->text[at] == MARK_OPEN[0])
      break;
  }
  return at;
}

static void run_pass(struct pass *pass, struct buffer *out) {
  bool run;
  redact_ready();
  for (size_t at = 0; at < pass->scene.len;) {
    size_t from = at;
    at = skip_harmless(pass, at, &run);
    if (at > from) buffer_append(out, pass->scene.text + from, at - from);
    if (at == pass->scene.len) break;
    struct place place = find_place(pass, at, run);
    at = place.end > at ? mask_region(pass, at, place, out) : pass_over(pass, at, out);
  }
}

/* Whether anything is to be masked that the text around, in which this one is encoded, does not show by itself. */
static bool find_in(struct pass *pass, struct place *found) {
  bool run;
  for (size_t at = 0; at < pass->scene.len;) {
    at = skip_harmless(pass, at, &run);
    if (at == pass->scene.len) break;
    *found = find_place(pass, at, run);
    bool shown = found->secret && found->way == WHOLE && found->kind == KIND_PLAIN && pass->depth == 1;
    if (found->end > at && !shown) return true;
    at = found->end > at ? found->end : at + 1;
  }
  return false;
}

void redact_apply(struct buffer *out, const char *text, size_t len) {
  struct pass pass = {.scene = {.text = text, .len = len}};
  run_pass(&pass, out);
}

void redact_quote(struct buffer *out, const char *text, size_t len) {
  struct pass pass = {.scene = {.text = text, .len = len}, .quote = true};
  run_pass(&pass, out);
}

void redact_declared(struct buffer *out, const char *text, size_t len) {
  struct pass pass = {.scene = {.text = text, .len = len}, .declared = true};
  run_pass(&pass, out);
}

void redact_learn(const char *text, size_t len, enum redact_source source,
                  void (*found)(const char *, size_t, void *), void *data) {
  struct redact_scene scene = {.text = text, .len = len, .source = source};
  struct redact_span span;
  redact_ready();
  for (size_t at = 0; at < len; at++) {
    if (!(begins(&scene, at) & BEGINS_OTHER) || !redact_find(&scene, at, &span)) continue;
    if (span.to > span.from && !holds_mark(text + span.from, span.to - span.from))
      found(text + span.from, span.to - span.from, data);
  }
}

/* ---- Texts that were cut ---- */

/* The longest text of so many bytes of a secret, each of them escaped more than once. */
#define ENCODED_MAX(len) (8 * (len) + 16)

size_t redact_torn_end(const char *text, size_t len) {
  size_t longest = 0, end;
  for (const struct secret *secret = redact_secrets; secret; secret = secret->next)
    if (secret->len > longest) longest = secret->len;
  size_t at = longest && len > ENCODED_MAX(longest) ? len - ENCODED_MAX(longest) : 0;
  for (; longest && at < len; at++)
    for (const struct secret *secret = redact_secrets; secret; secret = secret->next)
      for (int kind = 0; kind < KINDS; kind++)
        if (secret->begins[(unsigned char)text[at]] & 1 << kind &&
            redact_match((enum redact_kind)kind, secret->value, secret->len, text + at, len - at, &end) ==
                FOUND_MORE)
          return len - at;
  return 0;
}

size_t redact_torn_beginning(const char *text, size_t len) {
  size_t longest = 0;
  for (const struct secret *secret = redact_secrets; secret; secret = secret->next)
    for (int kind = 0; kind < KINDS; kind++) {
      size_t torn = torn_of(secret, (enum redact_kind)kind, text, len);
      if (torn > longest) longest = torn;
    }
  return longest;
}

void redact_whole(const char **text, size_t *len, bool tail) {
  size_t torn = tail ? redact_torn_beginning(*text, *len) : redact_torn_end(*text, *len);
  *text += tail ? torn : 0;
  *len -= torn;
}

/* ---- Putting back ---- */

/* The mark at `text`, put back or copied; returns its length. */
static size_t restore_mark(struct buffer *out, const char *text, size_t len, bool *all) {
  size_t name_len, form_len;
  const char *form;
  size_t n = read_mark(text, len, &name_len, &form, &form_len);
  if (n && name_len == 0 && form_len == 0) {
    buffer_puts(out, MARK_OPEN);
    return n;
  }
  int line = n ? line_of(form, form_len) : 0, number = line ? 0 : n ? redact_form_find(form, form_len) : -1;
  const struct secret *secret = n ? redact_secret_line(text + MARK_LEN, name_len, line) : NULL;
  if (secret && number >= 0) {
    redact_form_write(out, number, secret->value, secret->len);
    return n;
  }
  if (n) *all = false;
  buffer_append(out, text, n ? n : 1);
  return n ? n : 1;
}

bool redact_restore(struct buffer *out, const char *text, size_t len) {
  bool all = true;
  for (size_t at = 0; at < len;) {
    const char *open = memmem(text + at, len - at, MARK_OPEN, MARK_LEN);
    size_t plain = open ? (size_t)(open - text) - at : len - at;
    buffer_append(out, text + at, plain);
    at += plain;
    if (open) at += restore_mark(out, text + at, len - at, &all);
  }
  return all;
}
