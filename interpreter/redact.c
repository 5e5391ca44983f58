#include "redact.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/types.h>
#include <sha2.h>
#include "redact_form.h"

_Static_assert(REDACT_PROBE <= REDACT_MIN, "a value is long enough to be probed");

struct secret {
  struct secret *next; /* the latest first */
  char *name, *value;
  size_t len;
  unsigned char begins[256]; /* bit k: a place of kind k may begin with this character */
};

static struct secret *secrets;
/* Of all secrets, for the quick way over harmless text: characters, and pairs of them, that a place may begin with. */
static bool begins[256], pairs[256][256];

/* ---- The registry ---- */

static bool is_name_char(char c) { return isalnum((unsigned char)c) || (c && strchr("_.-", c)); }

static bool is_name(const char *name) {
  size_t len = strlen(name), i = 0;
  while (i < len && is_name_char(name[i])) i++;
  return len > 0 && i == len && len <= REDACT_NAME_MAX;
}

static void learn_beginning(struct secret *secret, enum redact_kind kind, char first) {
  if (!redact_may_begin(kind, secret->value, &first, 1)) return;
  secret->begins[(unsigned char)first] |= (unsigned char)(1 << kind);
  begins[(unsigned char)first] = true;
  for (int c = 0; c < 256; c++) {
    const char two[] = {first, (char)c};
    if (redact_may_begin(kind, secret->value, two, 2)) pairs[(unsigned char)first][c] = true;
  }
}

static void learn_beginnings(struct secret *secret) {
  for (int c = 0; c < 256; c++)
    for (int kind = 0; kind < KINDS; kind++) learn_beginning(secret, (enum redact_kind)kind, (char)c);
}

static struct secret *find_secret(const char *name, size_t len) {
  struct secret *secret = secrets;
  while (secret && (strlen(secret->name) != len || memcmp(secret->name, name, len) != 0))
    secret = secret->next;
  return secret;
}

bool redact_known(const char *name) { return find_secret(name, strlen(name)) != NULL; }

bool redact_add(const char *name, const char *value, size_t len, struct error *error) {
  if (!is_name(name))
    return error_set(error, "usage", "a secret's name is of letters, digits and _ . -, at most %d",
                     REDACT_NAME_MAX);
  if (len < REDACT_MIN)
    return error_set(error, "usage",
                     "the secret %s is shorter than %d bytes: hiding it would hide half of every text", name,
                     REDACT_MIN);
  if (len > REDACT_MAX)
    return error_set(error, "limit", "the secret %s is longer than %d bytes", name, REDACT_MAX);
  struct secret *secret = find_secret(name, strlen(name));
  if (secret && secret->len == len && memcmp(secret->value, value, len) == 0) return true;
  secret = xcalloc(1, sizeof *secret);
  secret->name = xstrdup(name);
  secret->value = memcpy(xmalloc(len), value, len);
  secret->len = len;
  learn_beginnings(secret);
  secret->next = secrets;
  secrets = secret;
  return true;
}

void redact_clear(void) {
  while (secrets) {
    struct secret *secret = secrets;
    secrets = secret->next;
    explicit_bzero(secret->value, secret->len);
    free(secret->value);
    free(secret->name);
    free(secret);
  }
  memset(begins, 0, sizeof begins);
  memset(pairs, 0, sizeof pairs);
}

/* ---- One place ---- */

#define MARK_OPEN "\xE2\x9F\xA6"  /* ⟦ */
#define MARK_CLOSE "\xE2\x9F\xA7" /* ⟧ */
#define MARK_LEN 3
#define QUOTED_OPEN MARK_OPEN ":" MARK_CLOSE /* a literal ⟦ */
#define MARK_MAX (REDACT_NAME_MAX + 32)      /* bytes of the longest mark */
#define URL_MARK MARK_OPEN "url" MARK_CLOSE
#define URL_MARK_LEN (sizeof URL_MARK - 1)
#define URL_MAX 2048     /* bytes looked at behind :// for its secrets */
#define URL_TOKEN_MIN 20 /* a user without a password, of that length, is a token */

struct place {
  const struct secret *secret; /* NULL: of a URL */
  enum redact_kind kind;
  size_t end;
  bool more; /* the text ended within what may be a (longer) secret */
};

/* A pass over a text: what is known of it. */
struct pass {
  const char *text;
  size_t len;
  bool final, quote;       /* no more comes; a literal ⟦ is quoted */
  size_t url_from, url_to; /* the secret part of the URL met last; empty: none */
};

static void try_kind(const struct pass *pass, size_t at, const struct secret *secret, enum redact_kind kind,
                     struct place *best) {
  size_t end = 0;
  switch (redact_match(kind, secret->value, secret->len, pass->text + at, pass->len - at, &end)) {
  case FOUND_YES:
    if (at + end > best->end) *best = (struct place){secret, kind, at + end, best->more};
    break;
  case FOUND_MORE:
    best->more = true;
    break;
  case FOUND_NO:
    break;
  }
}

static void try_secret(const struct pass *pass, size_t at, const struct secret *secret, struct place *best) {
  unsigned kinds = secret->begins[(unsigned char)pass->text[at]];
  for (int kind = 0; kinds; kind++, kinds >>= 1)
    if (kinds & 1) try_kind(pass, at, secret, (enum redact_kind)kind, best);
}

static bool may_begin(const struct pass *pass, size_t at) {
  unsigned char first = (unsigned char)pass->text[at];
  return at + 1 < pass->len ? pairs[first][(unsigned char)pass->text[at + 1]] : begins[first];
}

/* The longest secret that begins here; end == at: none. */
static struct place find_place(const struct pass *pass, size_t at) {
  struct place best = {.end = at};
  if (may_begin(pass, at))
    for (const struct secret *secret = secrets; secret; secret = secret->next)
      try_secret(pass, at, secret, &best);
  if (pass->final) best.more = false;
  if (at == pass->url_from && pass->url_to > best.end)
    best = (struct place){NULL, KIND_PLAIN, pass->url_to, best.more};
  return best;
}

/* ---- Marks ---- */

/* ⟦NAME:form⟧ at the beginning of the text: its length, or 0. */
static size_t read_mark(const char *text, size_t len, size_t *name_len, const char **form, size_t *form_len) {
  size_t at = MARK_LEN;
  if (len < MARK_LEN || memcmp(text, MARK_OPEN, MARK_LEN) != 0) return 0;
  while (at < len && is_name_char(text[at])) at++;
  *name_len = at - MARK_LEN;
  if (at >= len || text[at] != ':') return 0;
  *form = text + ++at;
  while (at < len && is_name_char(text[at])) at++;
  *form_len = (size_t)(text + at - *form);
  if (len - at < MARK_LEN || memcmp(text + at, MARK_CLOSE, MARK_LEN) != 0) return 0;
  return at + MARK_LEN;
}

static bool is_form(const char *form, size_t len) {
  if (redact_form_find(form, len) >= 0 || (len == 4 && memcmp(form, "part", 4) == 0)) return true;
  for (int kind = 0; kind < KINDS; kind++) {
    const char *like = redact_kind_like((enum redact_kind)kind);
    if (strlen(like) == len && memcmp(like, form, len) == 0) return true;
  }
  return false;
}

/* A mark of ours that stands here: its length, or 0. */
static size_t own_mark(const char *text, size_t len) {
  size_t name_len, form_len;
  const char *form;
  if (len >= URL_MARK_LEN && memcmp(text, URL_MARK, URL_MARK_LEN) == 0) return URL_MARK_LEN;
  size_t n = read_mark(text, len, &name_len, &form, &form_len);
  return n && is_form(form, form_len) && find_secret(text + MARK_LEN, name_len) ? n : 0;
}

/* ---- URLs ---- */

static const struct {
  const char *host, *path; /* what follows the path is the secret */
} webhooks[] = {
    {"hooks.slack.com", "/services/"},    {"hooks.slack.com", "/workflows/"},
    {"hooks.slack.com", "/triggers/"},    {"discord.com", "/api/webhooks/"},
    {"discordapp.com", "/api/webhooks/"}, {"api.telegram.org", "/bot"},
    {"outlook.office.com", "/webhook/"},  {"chat.googleapis.com", "/v1/spaces/"},
};

/* "//" or, inside JSON, "\/\/": its length; 0 when it isn't there; `more` when the text ends before that is known. */
static size_t slashes(const char *text, size_t len, bool *more) {
  static const char *const spellings[] = {"//", "\\/\\/"};
  for (size_t i = 0; i < 2; i++) {
    size_t n = strlen(spellings[i]), have = len < n ? len : n;
    if (memcmp(text, spellings[i], have) != 0) continue;
    if (have == n) return n;
    *more = true;
  }
  return 0;
}

/* Whether text[at] still belongs to a URL: generous, since passwords are often put there as they are. */
static bool in_url(const char *text, size_t len, size_t at) {
  unsigned char c = (unsigned char)text[at];
  if (c == '\\') return at + 1 < len && text[at + 1] == '/';
  return c > ' ' && c != 127 && !strchr("\"'<>", c);
}

/* Where the path's text `wanted` ends behind text[at], slashes escaped or not; 0 when it isn't there. */
static size_t skip_path(const char *text, size_t len, size_t at, const char *wanted) {
  for (; *wanted; wanted++, at++) {
    if (at + 1 < len && text[at] == '\\' && text[at + 1] == '/') at++;
    if (at >= len || text[at] != *wanted) return 0;
  }
  return at;
}

static void set_secret_part(struct pass *pass, size_t from, size_t to) {
  if (!pass->quote && own_mark(pass->text + from, to - from) == to - from) return; /* masked already */
  pass->url_from = from;
  pass->url_to = to;
}

static void find_webhook(struct pass *pass, size_t host, size_t host_end, size_t end) {
  for (size_t i = 0; i < sizeof webhooks / sizeof *webhooks; i++) {
    size_t n = strlen(webhooks[i].host), from;
    if (host_end - host < n || strncasecmp(pass->text + host, webhooks[i].host, n) != 0) continue;
    if (host_end - host > n && pass->text[host + n] != ':') continue;
    from = skip_path(pass->text, end, host_end, webhooks[i].path);
    if (!from || from == end) continue;
    set_secret_part(pass, from, end);
    return;
  }
}

static bool find_userinfo(struct pass *pass, size_t from, size_t at_sign) {
  size_t colon = from, mark;
  while (colon < at_sign && pass->text[colon] != ':')
    colon += (mark = own_mark(pass->text + colon, at_sign - colon)) ? mark : 1;
  size_t start = colon < at_sign ? colon + 1 : from;
  if (start == at_sign || (start == from && at_sign - from < URL_TOKEN_MIN)) return false;
  set_secret_part(pass, start, at_sign);
  return true;
}

/* At a colon: learns the secret part of the URL it may belong to. False: the text ends too early to say. */
static bool look_at_url(struct pass *pass, size_t colon) {
  bool more = false;
  size_t from = colon + 1, end, host, host_end;
  size_t n = slashes(pass->text + from, pass->len - from, &more);
  if (n == 0) return !more || pass->final;
  from += n;
  for (end = from; end < pass->len && end - from < URL_MAX && in_url(pass->text, pass->len, end); end++) {
  }
  if (end == pass->len && end - from < URL_MAX && !pass->final) return false;
  for (host_end = from; host_end < end && !strchr("/\\", pass->text[host_end]); host_end++) {
  }
  const char *at_sign = memrchr(pass->text + from, '@', host_end - from);
  host = at_sign ? (size_t)(at_sign - pass->text) + 1 : from;
  if (!at_sign || !find_userinfo(pass, from, host - 1)) find_webhook(pass, host, host_end, end);
  return true;
}

/* Whether a reader could take what begins here for a mark, or could if more came. */
static bool resembles_mark(const char *text, size_t len) {
  size_t at = MARK_LEN;
  if (len < MARK_LEN || memcmp(text, MARK_OPEN, MARK_LEN) != 0) return false;
  while (at < len && is_name_char(text[at])) at++;
  return at < len && text[at] == ':';
}

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

static void put_mark(struct buffer *out, const struct place *place, const char *form) {
  if (!place->secret)
    buffer_puts(out, URL_MARK);
  else
    buffer_printf(out, MARK_OPEN "%s:%s" MARK_CLOSE, place->secret->name, form);
}

/* ---- The pass ---- */

/* Masks the place at `at` and every other that begins inside it and ends behind it. Returns where all of them end, or
 * `at` when more text is needed to say. */
static size_t mask_region(struct pass *pass, size_t at, struct place place, struct buffer *out) {
  size_t before = out->len, end = place.end;
  put_mark(out, &place, place.secret ? form_of(&place, pass->text + at, end - at) : NULL);
  for (size_t next = at + 1; next < end; next++) {
    if (pass->text[next] == ':' && !look_at_url(pass, next)) place.more = true;
    struct place other = find_place(pass, next);
    place.more |= other.more;
    if (other.end <= end) continue;
    put_mark(out, &other, "part");
    end = other.end;
  }
  if (!place.more || end - at >= REDACT_REGION_MAX) return end;
  out->len = before;
  return at;
}

/* What stands at `at` and is no secret: a character, a mark. Returns where it ends, or `at` when more is needed. */
static size_t pass_over(struct pass *pass, size_t at, struct buffer *out) {
  const char *text = pass->text + at;
  size_t left = pass->len - at, mark = own_mark(text, left);
  if (*text == ':' && !look_at_url(pass, at)) return at;
  if (!pass->final && left < 2 * REDACT_NAME_MAX &&
      memcmp(text, MARK_OPEN, left < MARK_LEN ? left : MARK_LEN) == 0 && !mark)
    return at;
  if (pass->quote && resembles_mark(text, left)) {
    buffer_puts(out, QUOTED_OPEN);
    return at + MARK_LEN;
  }
  size_t n = mark && !pass->quote ? mark : 1;
  buffer_append(out, text, n);
  return at + n;
}

static bool harmless(const struct pass *pass, size_t at) {
  char c = pass->text[at];
  return c != ':' && c != MARK_OPEN[0] && at != pass->url_from && !may_begin(pass, at);
}

/* Appends the masked text as far as it is certain; returns how far that is. */
static size_t run_pass(struct pass *pass, struct buffer *out) {
  size_t at = 0;
  while (at < pass->len) {
    size_t from = at, end;
    while (at < pass->len && harmless(pass, at)) at++;
    if (at > from) buffer_append(out, pass->text + from, at - from);
    if (at == pass->len) break;
    struct place place = find_place(pass, at);
    if (place.end == at && place.more && pass->len - at < REDACT_REGION_MAX) break;
    end = place.end > at ? mask_region(pass, at, place, out) : pass_over(pass, at, out);
    if (end == at) break;
    at = end;
  }
  return at;
}

void redact_apply(struct buffer *out, const char *text, size_t len) {
  struct pass pass = {.text = text, .len = len, .final = true, .url_from = SIZE_MAX};
  run_pass(&pass, out);
}

void redact_quote(struct buffer *out, const char *text, size_t len) {
  struct pass pass = {.text = text, .len = len, .final = true, .quote = true, .url_from = SIZE_MAX};
  run_pass(&pass, out);
}

static void put_back(struct buffer *out, const struct secret *secret, int form) {
  redact_form_write(out, form, secret->value, secret->len);
}

/* The mark at `text`, put back or copied; returns its length. */
static size_t restore_mark(struct buffer *out, const char *text, size_t len, bool *all) {
  size_t name_len, form_len;
  const char *form;
  size_t n = read_mark(text, len, &name_len, &form, &form_len);
  if (n && name_len == 0 && form_len == 0) {
    buffer_puts(out, MARK_OPEN);
    return n;
  }
  const struct secret *secret = n ? find_secret(text + MARK_LEN, name_len) : NULL;
  int number = secret ? redact_form_find(form, form_len) : -1;
  if (number >= 0) {
    put_back(out, secret, number);
    return n;
  }
  if (n || (len >= URL_MARK_LEN && memcmp(text, URL_MARK, URL_MARK_LEN) == 0)) *all = false;
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

/* ---- Streams ---- */

static void drain(struct redact_stream *stream, struct buffer *out, bool final) {
  struct buffer *held = &stream->held;
  struct pass pass = {.text = held->data, .len = held->len, .final = final, .url_from = SIZE_MAX};
  if (stream->url_to) pass.url_from = stream->url_from, pass.url_to = stream->url_to;
  size_t done = held->len ? run_pass(&pass, out) : 0;
  bool ahead = pass.url_from != SIZE_MAX && pass.url_from >= done;
  stream->url_from = ahead ? pass.url_from - done : 0;
  stream->url_to = ahead ? pass.url_to - done : 0;
  if (done) memmove(held->data, held->data + done, held->len - done);
  held->len -= done;
}

void redact_stream_feed(struct redact_stream *stream, struct buffer *out, const char *chunk, size_t len) {
  buffer_append(&stream->held, chunk, len);
  drain(stream, out, false);
}

void redact_stream_end(struct redact_stream *stream, struct buffer *out) {
  drain(stream, out, true);
  if (stream->held.data) explicit_bzero(stream->held.data, stream->held.cap);
  buffer_free(&stream->held);
  *stream = (struct redact_stream){0};
}

/* ---- Hashes ---- */

#define SALT_HEX 32

static void salted(char hex[static SHA256_DIGEST_STRING_LENGTH], const char *salt,
                   const struct secret *secret) {
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, (const uint8_t *)salt, SALT_HEX);
  SHA256Update(&context, (const uint8_t *)secret->value, secret->len);
  SHA256End(&context, hex);
}

bool redact_hash(struct buffer *out, const char *name) {
  unsigned char random[SALT_HEX / 2];
  char salt[SALT_HEX + 1], hex[SHA256_DIGEST_STRING_LENGTH];
  const struct secret *secret = find_secret(name, strlen(name));
  if (!secret || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
  for (size_t i = 0; i < sizeof random; i++) snprintf(salt + 2 * i, 3, "%02x", random[i]);
  salted(hex, salt, secret);
  buffer_printf(out, "%s:%s", salt, hex);
  return true;
}

bool redact_matches(const char *name, const char *hash) {
  char hex[SHA256_DIGEST_STRING_LENGTH];
  const struct secret *secret = find_secret(name, strlen(name));
  if (!secret || strlen(hash) != SALT_HEX + SHA256_DIGEST_STRING_LENGTH || hash[SALT_HEX] != ':')
    return false;
  salted(hex, hash, secret);
  return strcmp(hex, hash + SALT_HEX + 1) == 0;
}
