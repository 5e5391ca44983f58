#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "page.h"

#define MARK_BEGIN "\xe2\x9f\xa6" /* ⟦ */
#define MARK_END "\xe2\x9f\xa7"   /* ⟧ */
#define MARK_PLAIN ":plain"
#define CUT "\xe2\x80\xa6" /* … */
#define FOLDER_GONE "what was found is not known: the run's folder does not answer"

struct fill {
  const struct page_text *text;
  bool for_slack;
  struct error *error;
};

/* ---- Secrets ---- */

static void read_secrets(struct buffer *secrets) {
  char block[4096];
  ssize_t len;
  while (secrets->len < PAGE_SECRETS_BYTES) {
    len = read(WATCHDOG_FD, block, sizeof block);
    if (len < 0 && errno == EINTR) continue;
    if (len <= 0) break; /* not given any: also fine */
    buffer_append(secrets, block, (size_t)len);
  }
  explicit_bzero(block, sizeof block);
}

/* Walks "NAME LENGTH\nBYTES" to the one called `name`; NULL when it isn't there. */
static const char *find_secret(const struct buffer *secrets, const char *name, size_t name_len, size_t *len) {
  if (!secrets->data) return NULL;
  const char *at = secrets->data, *end = at + secrets->len;
  while (at < end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *blank = memchr(at, ' ', (size_t)(end - at));
    if (!newline || !blank || blank > newline) return NULL;
    *len = strtoul(blank + 1, NULL, 10);
    const char *value = newline + 1;
    if (*len > (size_t)(end - value)) return NULL;
    if ((size_t)(blank - at) == name_len && memcmp(at, name, name_len) == 0) return value;
    at = value + *len;
  }
  return NULL;
}

const char *page_text_given(const struct page_text *text, const char *name, size_t *len) {
  return find_secret(&text->secrets, name, strlen(name), len);
}

/* Headline, NUL, findings. */
static void find(struct buffer *out, void *rundir) {
  struct buffer findings = {0};
  page_findings(out, &findings, rundir);
  buffer_putc(out, '\0');
  buffer_append(out, findings.data, findings.len);
  buffer_free(&findings);
}

void page_text_read(struct page_text *text, const char *rundir) {
  struct buffer found = {0};
  *text = (struct page_text){0};
  read_secrets(&text->secrets);
  bool known = page_folder(&found, find, (void *)rundir) && found.len > 0;
  const char *headline = known ? found.data : FOLDER_GONE,
             *end = known ? memchr(headline, '\0', found.len) : NULL;
  buffer_puts(&text->headline, headline);
  if (end)
    buffer_append(&text->findings, end + 1, found.len - (size_t)(end + 1 - headline));
  else
    buffer_puts(&text->findings, FOLDER_GONE);
  buffer_free(&found);
}

void page_text_free(struct page_text *text) {
  if (text->secrets.data) explicit_bzero(text->secrets.data, text->secrets.cap);
  buffer_free(&text->secrets);
  buffer_free(&text->headline);
  buffer_free(&text->findings);
}

/* ---- Marks ---- */

/* So many bytes hold `limit` characters at the most. */
static size_t bytes_of(const struct buffer *story, size_t limit) {
  for (size_t i = 0, characters = 0; i < story->len; i++)
    if (((unsigned char)story->data[i] & 0xc0) != 0x80 && characters++ == limit) return i;
  return story->len;
}

/* Slack reads &, < and > as markup: <!channel> in a log line would wake everybody. */
static void put_story(struct buffer *out, const struct buffer *story, size_t limit, bool for_slack) {
  size_t len = bytes_of(story, limit);
  bool cut = len < story->len;
  if (cut) len = bytes_of(story, limit - 1);
  for (size_t i = 0; i < len; i++) {
    char c = story->data[i];
    if (for_slack && c == '&')
      buffer_puts(out, "&amp;");
    else if (for_slack && c == '<')
      buffer_puts(out, "&lt;");
    else if (for_slack && c == '>')
      buffer_puts(out, "&gt;");
    else
      buffer_putc(out, c);
  }
  if (cut) buffer_puts(out, CUT);
}

/* "findings", or "findings:120" with a limit of characters. */
static bool is_mark(const char *mark, size_t len, const char *name, size_t *limit) {
  size_t name_len = strlen(name);
  if (len < name_len || memcmp(mark, name, name_len) != 0) return false;
  *limit = len == name_len ? SIZE_MAX : strtoul(mark + name_len + 1, NULL, 10);
  return len == name_len || (mark[name_len] == ':' && *limit > 0);
}

/* Puts in what stands between the brackets. False when it is no mark of ours or a secret that is missing. */
static bool put_mark(struct buffer *out, const char *mark, size_t len, const struct fill *fill) {
  size_t plain = sizeof MARK_PLAIN - 1, value_len, limit;
  const struct buffer *story = is_mark(mark, len, "findings", &limit)   ? &fill->text->findings
                               : is_mark(mark, len, "headline", &limit) ? &fill->text->headline
                                                                        : NULL;
  if (story) return put_story(out, story, limit, fill->for_slack), true;
  if (len <= plain || memcmp(mark + len - plain, MARK_PLAIN, plain) != 0) return false;
  const char *value = find_secret(&fill->text->secrets, mark, len - plain, &value_len);
  if (value)
    buffer_append(out, value, value_len);
  else
    error_set(fill->error, "missing", "the secret %.*s is not at hand", (int)(len - plain), mark);
  return value != NULL;
}

static void fill_string(struct buffer *out, const char *from, const struct fill *fill) {
  const size_t bracket = sizeof MARK_BEGIN - 1;
  for (const char *begin; (begin = strstr(from, MARK_BEGIN));) {
    const char *mark = begin + bracket, *end = strstr(mark, MARK_END);
    buffer_append(out, from, (size_t)(begin - from));
    if (end && put_mark(out, mark, (size_t)(end - mark), fill)) {
      from = end + bracket;
    } else {
      buffer_append(out, begin, bracket);
      from = mark;
    }
  }
  buffer_puts(out, from);
}

static json_t *filled_string(json_t *value, const struct fill *fill) {
  struct buffer out = {0};
  fill_string(&out, json_string_value(value), fill);
  json_t *string = json_stringn(out.data ? out.data : "", out.len);
  if (!string) error_set(fill->error, "usage", "a secret is not UTF-8 text");
  if (out.data) explicit_bzero(out.data, out.len);
  buffer_free(&out);
  return string ? string : json_string("");
}

static json_t *filled(json_t *value, const struct fill *fill);

static json_t *filled_object(json_t *value, const struct fill *fill) {
  const char *key;
  json_t *member, *copy = json_object();
  json_object_foreach(value, key, member) json_object_set_new(copy, key, filled(member, fill));
  return copy;
}

static json_t *filled_array(json_t *value, const struct fill *fill) {
  size_t i;
  json_t *member, *copy = json_array();
  json_array_foreach(value, i, member) json_array_append_new(copy, filled(member, fill));
  return copy;
}

/* The file is our own and jansson bounds its nesting, so recursion is bounded too. */
static json_t *filled(json_t *value, const struct fill *fill) {
  if (json_is_string(value)) return filled_string(value, fill);
  if (json_is_object(value)) return filled_object(value, fill);
  if (json_is_array(value)) return filled_array(value, fill);
  return json_incref(value);
}

json_t *page_text_fill(const struct page_text *text, json_t *value, const char *backend,
                       struct error *error) {
  struct fill fill = {text, strcmp(backend, "slack") == 0, error};
  json_t *copy = filled(value, &fill);
  if (!error->kind[0]) return copy;
  json_decref(copy);
  return NULL;
}
