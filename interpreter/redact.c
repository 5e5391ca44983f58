#include "redact.h"
#include <ctype.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include "base64.h"

#define OPEN "\xE2\x9F\xA6"  /* ⟦ */
#define CLOSE "\xE2\x9F\xA7" /* ⟧ */
#define FORMS 14

struct form {
  const char *name;
  struct buffer text;
};

struct secret {
  char *name;
  struct buffer value;
  struct form forms[FORMS];
  int count;
};

static struct secret secrets[REDACT_SECRETS];
static int secret_count;
static bool begins[256]; /* bytes that a form of some secret begins with */
static size_t longest;

/* ---- Forms ---- */

static void add_form(struct secret *secret, const char *name, struct buffer *text) {
  for (int i = 0; i < secret->count; i++)
    if (secret->forms[i].text.len == text->len &&
        memcmp(secret->forms[i].text.data, text->data, text->len) == 0) {
      buffer_free(text);
      return;
    }
  if (text->len < REDACT_MIN) {
    buffer_free(text);
    return;
  }
  secret->forms[secret->count++] = (struct form){name, *text};
  begins[(unsigned char)text->data[0]] = true;
  if (text->len > longest) longest = text->len;
}

static void add_url(struct secret *secret, const char *digits, bool form) {
  struct buffer text = {0};
  for (size_t i = 0; i < secret->value.len; i++) {
    unsigned char c = (unsigned char)secret->value.data[i];
    if (isalnum(c) || strchr("-._~", c ? c : 'x' + 1))
      buffer_putc(&text, (char)c);
    else if (form && c == ' ')
      buffer_putc(&text, '+');
    else {
      buffer_putc(&text, '%');
      buffer_putc(&text, digits[c >> 4]);
      buffer_putc(&text, digits[c & 15]);
    }
  }
  add_form(secret, form ? "form" : "url", &text);
}

static void add_hex(struct secret *secret, const char *digits) {
  struct buffer text = {0};
  for (size_t i = 0; i < secret->value.len; i++) {
    unsigned char c = (unsigned char)secret->value.data[i];
    buffer_putc(&text, digits[c >> 4]);
    buffer_putc(&text, digits[c & 15]);
  }
  add_form(secret, "hex", &text);
}

/* Within a longer text the value may begin at any of three places of a group of four; the characters that its neighbours
 * decide too are left out. */
static void add_base64(struct secret *secret, size_t shift, enum base64_alphabet alphabet) {
  static const char *const names[] = {"base64", "base64+1", "base64+2"};
  static const size_t shared[] = {0, 2, 3};
  struct buffer padded = {0}, encoded = {0}, text = {0};
  buffer_append(&padded, "\0\0", shift);
  buffer_append(&padded, secret->value.data, secret->value.len);
  base64_encode(&encoded, padded.data, padded.len, alphabet);
  size_t whole = padded.len * 8 / 6;
  if (whole > shared[shift]) buffer_append(&text, encoded.data + shared[shift], whole - shared[shift]);
  add_form(secret, names[shift], &text);
  buffer_free(&padded);
  buffer_free(&encoded);
}

static void add_json(struct secret *secret, bool slashes) {
  struct buffer text = {0};
  for (size_t i = 0; i < secret->value.len; i++) {
    unsigned char c = (unsigned char)secret->value.data[i];
    const char *at = c ? strchr("\"\\\n\r\t\b\f", c) : NULL;
    if (at)
      buffer_printf(&text, "\\%c", "\"\\nrtbf"[at - strchr("\"\\\n\r\t\b\f", '"')]);
    else if (c == '/' && slashes)
      buffer_puts(&text, "\\/");
    else if (c < 0x20)
      buffer_printf(&text, "\\u%04x", c);
    else
      buffer_putc(&text, (char)c);
  }
  add_form(secret, "json", &text);
}

/* The index trick of add_json needs the two strings in step. */
_Static_assert(sizeof "\"\\\n\r\t\b\f" == sizeof "\"\\nrtbf", "escapes and their letters");

static void add_forms(struct secret *secret) {
  static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";
  struct buffer plain = {0};
  buffer_append(&plain, secret->value.data, secret->value.len);
  add_form(secret, "plain", &plain);
  add_json(secret, false);
  add_json(secret, true);
  add_url(secret, upper, false);
  add_url(secret, lower, false);
  add_url(secret, upper, true);
  for (size_t shift = 0; shift < 3; shift++) {
    add_base64(secret, shift, BASE64_STANDARD);
    add_base64(secret, shift, BASE64_URL);
  }
  add_hex(secret, lower);
  add_hex(secret, upper);
}

static struct secret *find(const char *name, size_t len) {
  for (int i = 0; i < secret_count; i++)
    if (strlen(secrets[i].name) == len && memcmp(secrets[i].name, name, len) == 0) return &secrets[i];
  return NULL;
}

bool redact_add(const char *name, const char *value, size_t len, struct error *error) {
  struct secret *known = find(name, strlen(name));
  if (known && known->value.len == len && memcmp(known->value.data, value, len) == 0) return true;
  if (len < REDACT_MIN)
    return error_set(error, "usage", "secret %s has fewer than %d characters: it could not be hidden", name,
                     REDACT_MIN);
  if (len > REDACT_MAX || secret_count == REDACT_SECRETS)
    return error_set(error, "limit", "at most %d secrets of %d bytes", REDACT_SECRETS, REDACT_MAX);
  struct secret *secret = &secrets[secret_count++];
  secret->name = xstrdup(name);
  buffer_append(&secret->value, value, len);
  add_forms(secret);
  return true;
}

/* ---- Replacing ---- */

/* The longest form of any secret that stands at `text`; its length, 0 when there is none. */
static size_t match_secret(const char *text, size_t len, const struct secret **secret,
                           const struct form **form) {
  size_t best = 0;
  if (!begins[(unsigned char)*text]) return 0;
  for (int i = 0; i < secret_count; i++)
    for (int f = 0; f < secrets[i].count; f++) {
      const struct buffer *needle = &secrets[i].forms[f].text;
      if (needle->len <= best || needle->len > len || memcmp(needle->data, text, needle->len) != 0) continue;
      best = needle->len;
      *secret = &secrets[i];
      *form = &secrets[i].forms[f];
    }
  return best;
}

static bool ends_authority(unsigned char c) { return c <= ' ' || strchr("/?#\"'<>\\", c) != NULL; }

/* At "://": where the password of user:password@host begins and how long it is; 0 when there is none. */
static size_t match_password(const char *text, size_t len, size_t *begin) {
  size_t colon = 0, at = 0;
  for (size_t i = 3; i < len && !ends_authority((unsigned char)text[i]); i++) {
    if (text[i] == ':' && !colon) colon = i;
    if (text[i] == '@') at = i;
  }
  if (!colon || at < colon + 2) return 0;
  *begin = colon + 1;
  return at - colon - 1;
}

/* At "://": the secret part of a webhook's URL. */
static size_t match_webhook(const char *text, size_t len, size_t *begin) {
  static const char *const hooks[] = {"hooks.slack.com/services/", "hooks.slack.com/workflows/",
                                      "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"};
  for (size_t h = 0; h < sizeof hooks / sizeof *hooks; h++) {
    size_t size = strlen(hooks[h]) + 3, end = size;
    if (len < size || memcmp(text + 3, hooks[h], size - 3) != 0) continue;
    while (end < len && (unsigned char)text[end] > ' ' && !strchr("\"'<>\\", text[end])) end++;
    *begin = size;
    return end - size;
  }
  return 0;
}

/* Writes what stands at `text` when it is secret; the bytes used, 0 when it isn't. */
static size_t replace(struct buffer *out, const char *text, size_t len) {
  const struct secret *secret = NULL;
  const struct form *form = NULL;
  size_t begin = 0, size = match_secret(text, len, &secret, &form);
  if (size) return buffer_printf(out, OPEN "%s:%s" CLOSE, secret->name, form->name), size;
  if (*text != ':' || len < 4 || memcmp(text, "://", 3) != 0) return 0;
  size = match_password(text, len, &begin);
  if (!size) size = match_webhook(text, len, &begin);
  if (!size) return 0;
  struct buffer before = {0};
  redact_apply(&before, text + 1, begin - 1); /* the host or user may hold a secret too */
  buffer_putc(out, ':');
  buffer_append(out, before.data, before.len);
  buffer_free(&before);
  size_t known = match_secret(text + begin, size, &secret, &form);
  if (known == size)
    buffer_printf(out, OPEN "%s:%s" CLOSE, secret->name, form->name);
  else
    buffer_puts(out, OPEN "url" CLOSE);
  return begin + size;
}

void redact_apply(struct buffer *out, const char *text, size_t len) {
  size_t kept = 0;
  buffer_append(out, "", 0);
  for (size_t at = 0; at < len;) {
    unsigned char c = (unsigned char)text[at];
    if (c != ':' && !begins[c]) {
      at++;
      continue;
    }
    struct buffer replaced = {0};
    size_t size = replace(&replaced, text + at, len - at);
    if (size) {
      buffer_append(out, text + kept, at - kept);
      buffer_append(out, replaced.data, replaced.len);
      kept = at + size;
    }
    at += size ? size : 1;
    buffer_free(&replaced);
  }
  if (kept < len) buffer_append(out, text + kept, len - kept);
}

/* ---- Putting back ---- */

static const struct buffer *form_of(const char *mark, size_t len) {
  const char *colon = memchr(mark, ':', len);
  const struct secret *secret = colon ? find(mark, (size_t)(colon - mark)) : NULL;
  if (!secret) return NULL;
  size_t size = len - (size_t)(colon + 1 - mark);
  for (int f = 0; f < secret->count; f++)
    if (strlen(secret->forms[f].name) == size && memcmp(secret->forms[f].name, colon + 1, size) == 0)
      return &secret->forms[f].text;
  return NULL;
}

void redact_restore(struct buffer *out, const char *text, size_t len) {
  const char *end = text + len;
  buffer_append(out, "", 0);
  while (text < end) {
    const char *open = memmem(text, (size_t)(end - text), OPEN, 3);
    const char *close = open ? memmem(open, (size_t)(end - open), CLOSE, 3) : NULL;
    const struct buffer *value = close ? form_of(open + 3, (size_t)(close - open) - 3) : NULL;
    const char *next = close ? close + 3 : end;
    buffer_append(out, text, (size_t)((value ? open : next) - text));
    if (value) buffer_append(out, value->data, value->len);
    text = next;
  }
}

bool redact_hash(const char *name, const char *salt, char hash[65]) {
  const struct secret *secret = find(name, strlen(name));
  SHA2_CTX context;
  if (!secret) return false;
  SHA256Init(&context);
  SHA256Update(&context, (const uint8_t *)salt, strlen(salt));
  SHA256Update(&context, (const uint8_t *)secret->value.data, secret->value.len);
  SHA256End(&context, hash);
  return true;
}

size_t redact_hold_back(void) { return longest > 0 ? longest - 1 : 0; }
