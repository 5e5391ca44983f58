#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include "redact_find.h"

/* Tokens that say themselves what they are. */

#define PEM_BEGIN "-----BEGIN "
#define PEM_KEY "PRIVATE KEY"
#define RUN_MAX 4096    /* characters of a token that are looked at */
#define PEM_LINE_MAX 64 /* bytes of what stands between BEGIN and the dashes */

enum letters { ALNUM, UPPER, DASHED, DOTTED, CRYPT };

static const struct {
  const char *begins;
  enum letters letters;
  unsigned char least; /* characters behind the beginning */
  bool apart;          /* no letter or digit may stand before it: its beginning is no rare one */
} tokens[] = {
    {"AKIA", UPPER, 16, true},          {"ASIA", UPPER, 16, true},
    {"AIza", DASHED, 35, true},         {"GOCSPX-", DASHED, 20, false},
    {"ya29.", DASHED, 20, true},        {"ghp_", ALNUM, 30, false},
    {"gho_", ALNUM, 30, false},         {"ghu_", ALNUM, 30, false},
    {"ghs_", ALNUM, 30, false},         {"ghr_", ALNUM, 30, false},
    {"github_pat_", DASHED, 22, false}, {"glpat-", DASHED, 20, false},
    {"glsa_", DASHED, 30, false},       {"xoxb-", DASHED, 10, false},
    {"xoxp-", DASHED, 10, false},       {"xoxa-", DASHED, 10, false},
    {"xoxr-", DASHED, 10, false},       {"xoxs-", DASHED, 10, false},
    {"xoxe.", DOTTED, 10, false},       {"xapp-", DASHED, 10, false},
    {"sk_live_", ALNUM, 16, false},     {"rk_live_", ALNUM, 16, false},
    {"sk_test_", ALNUM, 16, false},     {"whsec_", ALNUM, 16, false},
    {"sk-", DASHED, 32, true},          {"npm_", ALNUM, 36, false},
    {"pypi-AgE", DASHED, 50, false},    {"hvs.", DASHED, 20, true},
    {"SG.", DOTTED, 40, true},          {"dckr_pat_", DASHED, 20, false},
    {"dop_v1_", ALNUM, 64, false},      {"shpat_", ALNUM, 32, false},
    {"NRAK-", ALNUM, 27, false},        {"glrt-", DASHED, 20, false},
    {"gldt-", DASHED, 20, false},       {"glcbt-", DASHED, 20, false},
    {"glptt-", DASHED, 20, false},      {"xoxe-", DASHED, 10, false},
    {"xoxd-", DASHED, 10, false},       {"hf_", ALNUM, 30, true},
    {"doo_v1_", ALNUM, 64, false},      {"dor_v1_", ALNUM, 64, false},
    {"ATATT3", DASHED, 30, true},       {"AGE-SECRET-KEY-1", ALNUM, 50, false},
    {"pdus+", DASHED, 20, false},       {"$2a$", CRYPT, 50, false},
    {"$2b$", CRYPT, 50, false},         {"$2y$", CRYPT, 50, false},
    {"$5$", CRYPT, 44, false},          {"$6$", CRYPT, 44, false},
    {"$y$", CRYPT, 40, false},          {"$apr1$", CRYPT, 23, false},
};

static bool is_letter(enum letters letters, unsigned char c) {
  if (letters == UPPER) return isupper(c) || isdigit(c);
  if (isalnum(c)) return true;
  if (letters == CRYPT) return c == '.' || c == '/' || c == '$';
  return letters != ALNUM && (c == '-' || c == '_' || (letters == DOTTED && c == '.'));
}

/* Whether a word begins at `at`; \n in letters stands between words, too. */
static bool is_apart(const struct redact_scene *scene, size_t at) {
  if (at == 0 || !isalnum((unsigned char)scene->text[at - 1])) return true;
  return at > 1 && scene->text[at - 2] == '\\' && strchr("nrt", scene->text[at - 1]);
}

static size_t run_of(const struct redact_scene *scene, size_t at, enum letters letters) {
  size_t from = at;
  while (at < scene->len && at - from < RUN_MAX && is_letter(letters, (unsigned char)scene->text[at])) at++;
  return at - from;
}

static bool find_token(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  if (scene->len - at < 2) return false;
  for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
    if (tokens[i].begins[0] != scene->text[at] || tokens[i].begins[1] != scene->text[at + 1]) continue;
    size_t n = strlen(tokens[i].begins), run;
    if (scene->len - at < n || memcmp(scene->text + at, tokens[i].begins, n) != 0) continue;
    run = run_of(scene, at + n, tokens[i].letters);
    if (run < tokens[i].least || (tokens[i].apart && !is_apart(scene, at))) continue;
    *span = (struct redact_span){at, at + n + run, "token"};
    return true;
  }
  return false;
}

/* header.claims.signature, the first two JSON in base 64; one that was cut lacks an end. */
static bool find_jwt(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t to = at, parts = 0;
  if (scene->len - at < 20 || memcmp(scene->text + at, "eyJ", 3) != 0 || !is_apart(scene, at)) return false;
  for (; parts < 5; parts++) {
    size_t run = run_of(scene, to, DASHED);
    if (run == 0) break;
    to += run;
    if (to >= scene->len || scene->text[to] != '.') break;
    to++;
  }
  *span = (struct redact_span){at, to, "token"};
  return parts >= 2 || (parts == 1 && to == scene->len);
}

/* -----BEGIN … PRIVATE KEY----- up to its end, or to the text's. */
static bool find_pem(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  const char *text = scene->text + at;
  size_t left = scene->len - at, n = strlen(PEM_BEGIN), head = left < PEM_LINE_MAX ? left : PEM_LINE_MAX;
  if (left < n || memcmp(text, PEM_BEGIN, n) != 0) return false;
  const char *dashes = memmem(text + n, head - n, "-----", 5),
             *key = memmem(text, head, PEM_KEY, strlen(PEM_KEY));
  if (!dashes || !key || key > dashes) return false;
  const char *end = memmem(dashes + 5, left - (size_t)(dashes + 5 - text), "-----END ", 9), *close = NULL;
  if (end) close = memmem(end + 9, left - (size_t)(end + 9 - text), "-----", 5);
  *span = (struct redact_span){at, close ? (size_t)(close + 5 - scene->text) : scene->len, "key"};
  return true;
}

static bool ends_line(const struct redact_scene *scene, size_t at) {
  return at >= scene->len || strchr("\r\n\\\"'", scene->text[at]);
}

static bool begins_line(const struct redact_scene *scene, size_t at) {
  return at == 0 || scene->text[at - 1] == '\n' ||
         (at > 1 && scene->text[at - 2] == '\\' && scene->text[at - 1] == 'n');
}

/* What stands between a setting and its value: blanks, line ends also in letters, quotes, commas. SIZE_MAX for an empty
 * value. */
static size_t skip_separators(const struct redact_scene *scene, size_t at) {
  const char *text = scene->text;
  for (size_t from = at; at < scene->len && text[at] && strchr(" \t\r\n\\\"',:=", text[at]); at++) {
    if (at > from && strchr("\"'", text[at]) && at + 1 < scene->len && text[at + 1] == text[at])
      return SIZE_MAX;
    if (text[at] == '\\' && at + 1 < scene->len && text[at + 1] == 'n') at++;
  }
  return at;
}

/* Whether more than blanks and quotes stand between: "requirepass" is a word of a sentence, too. */
static bool is_listed(const struct redact_scene *scene, size_t from, size_t to) {
  for (size_t at = from; at < to; at++)
    if (strchr("\r\n,:=", scene->text[at]) || (scene->text[at] == '\\' && scene->text[at + 1] == 'n'))
      return true;
  return false;
}

/* requirepass VALUE, a line of a file; or in a list of words or of JSON. */
static bool find_setting(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t end = at + run_of(scene, at, DASHED), value;
  if (!is_apart(scene, at) || !redact_is_setting(scene->text + at, end - at)) return false;
  value = skip_separators(scene, end);
  if (value == SIZE_MAX) return false;
  bool sentence = !is_listed(scene, end, value);
  *span = (struct redact_span){value, value, "password"};
  while (span->to < scene->len && !strchr(" \t\r\n\\\"',", scene->text[span->to])) span->to++;
  return span->to > value && (!sentence || (begins_line(scene, at) && ends_line(scene, span->to)));
}

/* Basic and Bearer credentials wherever they stand; a digit tells them from words. */
static bool find_credentials(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t n = scene->len - at > 7 && memcmp(scene->text + at, "Bearer ", 7) == 0  ? 7
             : scene->len - at > 6 && memcmp(scene->text + at, "Basic ", 6) == 0 ? 6
                                                                                 : 0;
  size_t to = at + n;
  bool digit = false;
  if (n == 0) return false;
  for (; to < scene->len && (isalnum((unsigned char)scene->text[to]) || strchr("-._~+/=", scene->text[to])) &&
         scene->text[to];
       to++)
    digit |= isdigit((unsigned char)scene->text[to]) != 0;
  *span = (struct redact_span){at + n, to, "token"};
  return digit && to - at - n >= 16;
}

bool redact_find_shape(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  if (scene->text[at] == '-') return find_pem(scene, at, span);
  return find_token(scene, at, span) || find_jwt(scene, at, span) || find_credentials(scene, at, span) ||
         find_setting(scene, at, span);
}
