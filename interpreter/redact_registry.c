#include "redact_registry.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sha2.h>
#include "redact.h"
#include "redact_find.h"

_Static_assert(REDACT_PROBE <= REDACT_MIN, "a value is long enough to be probed");

#define LINE_MIN 12  /* bytes of a line of base 64 that tells of its key */
#define WORDS_MIN 32 /* bytes of any other line of a secret that is looked for by itself */

struct secret *redact_secrets;
unsigned char redact_pairs[256][256];
bool redact_inside[256][256];
static bool ready;

bool redact_is_name_char(char c) { return isalnum((unsigned char)c) || (c && strchr("_.-", c)); }

static bool is_name(const char *name) {
  size_t len = strlen(name), i = 0;
  while (i < len && redact_is_name_char(name[i])) i++;
  return len > 0 && i == len && len <= REDACT_NAME_MAX;
}

void redact_ready(void) {
  if (ready) return;
  ready = true;
  for (const char(*anchor)[3] = redact_anchors; (*anchor)[0]; anchor++)
    for (int c = 0; c < 256; c++)
      if (!(*anchor)[1] || c == (unsigned char)(*anchor)[1])
        redact_pairs[(unsigned char)(*anchor)[0]][c] |= BEGINS_OTHER;
}

static void learn_beginning(struct secret *secret, enum redact_kind kind, char first) {
  if (!redact_may_begin(kind, secret->value, &first, 1)) return;
  secret->begins[(unsigned char)first] |= (unsigned char)(1 << kind);
  for (int c = 0; c < 256; c++) {
    const char two[] = {first, (char)c};
    if (redact_may_begin(kind, secret->value, two, 2)) redact_pairs[(unsigned char)first][c] |= BEGINS_SECRET;
  }
}

static void learn_value(struct secret *secret) {
  for (int c = 0; c < 256; c++)
    for (int kind = 0; kind < KINDS; kind++) learn_beginning(secret, (enum redact_kind)kind, (char)c);
  for (size_t i = 0; i + 1 < secret->len; i++)
    redact_inside[(unsigned char)secret->value[i]][(unsigned char)secret->value[i + 1]] = true;
}

static struct secret *find_value(const char *name, const char *value, size_t len) {
  struct secret *secret = redact_secrets;
  while (secret &&
         (secret->len != len || strcmp(secret->name, name) != 0 || memcmp(secret->value, value, len) != 0))
    secret = secret->next;
  return secret;
}

static void register_value(const char *name, const char *value, size_t len, int line) {
  struct secret *secret = xcalloc(1, sizeof *secret);
  secret->name = xstrdup(name);
  secret->value = memcpy(xmalloc(len), value, len);
  secret->len = len;
  secret->line = line;
  learn_value(secret);
  secret->next = redact_secrets;
  redact_secrets = secret;
}

/* A line of an armoured key, or one so long that nothing else reads like it. */
static bool tells(const char *line, size_t len) {
  size_t at = 0;
  while (at < len && (isalnum((unsigned char)line[at]) || strchr("+/=_-", line[at]))) at++;
  return len >= 5 && memcmp(line, "-----", 5) == 0 ? false : at == len ? len >= LINE_MIN : len >= WORDS_MIN;
}

/* Programs print a secret of several lines line by line: with a time before each, indented, in a list. */
static void register_lines(const char *name, const char *value, size_t len) {
  int line = 0;
  for (size_t at = 0, end; at < len; at = end + 1) {
    const char *newline = memchr(value + at, '\n', len - at);
    end = newline ? (size_t)(newline - value) : len;
    size_t from = at, to = end;
    while (from < to && isspace((unsigned char)value[from])) from++;
    while (to > from && isspace((unsigned char)value[to - 1])) to--;
    line++;
    if (to - from < len && tells(value + from, to - from) && !find_value(name, value + from, to - from))
      register_value(name, value + from, to - from, line);
  }
}

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
  const struct secret *last = redact_secret(name, strlen(name));
  if (last && last->len == len && memcmp(last->value, value, len) == 0) return true;
  error_torn = redact_torn_end;
  register_lines(name, value, len);
  register_value(name, value, len, 0);
  return true;
}

const struct secret *redact_secret_line(const char *name, size_t len, int line) {
  const struct secret *secret = redact_secrets;
  while (secret &&
         (secret->line != line || strlen(secret->name) != len || memcmp(secret->name, name, len) != 0))
    secret = secret->next;
  return secret;
}

const struct secret *redact_secret(const char *name, size_t len) { return redact_secret_line(name, len, 0); }
bool redact_known(const char *name) { return redact_secret(name, strlen(name)) != NULL; }

void redact_clear(void) {
  while (redact_secrets) {
    struct secret *secret = redact_secrets;
    redact_secrets = secret->next;
    explicit_bzero(secret->value, secret->len);
    free(secret->value);
    free(secret->name);
    free(secret);
  }
  memset(redact_pairs, 0, sizeof redact_pairs);
  memset(redact_inside, 0, sizeof redact_inside);
  ready = false;
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
  const struct secret *secret = redact_secret(name, strlen(name));
  if (!secret || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
  for (size_t i = 0; i < sizeof random; i++) snprintf(salt + 2 * i, 3, "%02x", random[i]);
  salted(hex, salt, secret);
  buffer_printf(out, "%s:%s", salt, hex);
  return true;
}

bool redact_matches(const char *name, const char *hash) {
  char hex[SHA256_DIGEST_STRING_LENGTH];
  const struct secret *secret = redact_secret(name, strlen(name));
  if (!secret || strlen(hash) != SALT_HEX + SHA256_DIGEST_STRING_LENGTH || hash[SALT_HEX] != ':')
    return false;
  salted(hex, hash, secret);
  return strcmp(hex, hash + SALT_HEX + 1) == 0;
}
