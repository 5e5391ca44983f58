#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include "redact_find.h"

/* Values beside keys. A text may stand inside other texts, so a quote may have backslashes before it, and a line may end
 * with \n in letters. */

#define KEY_MAX 128 /* bytes of a key that is looked at */
#define PASSWORD "password"

static bool is_key_char(char c) { return isalnum((unsigned char)c) || (c && strchr("_.-:", c)); }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_quote(char c) { return c == '"' || c == '\''; }
static bool is_line_end(char c) { return c == '\n' || c == '\r' || c == '\0'; }

/* Whether \n, \r or \t in letters stands at `at`. */
static bool is_written_blank(const struct redact_scene *scene, size_t at) {
  return at + 1 < scene->len && scene->text[at] == '\\' && strchr("nrt", scene->text[at + 1]) &&
         scene->text[at + 1];
}

static size_t skip_blanks(const struct redact_scene *scene, size_t at) {
  while (at < scene->len && is_blank(scene->text[at])) at++;
  return at;
}

static size_t backslashes_before(const struct redact_scene *scene, size_t at) {
  size_t from = at;
  while (from > 0 && scene->text[from - 1] == '\\') from--;
  return at - from;
}

/* ---- Quoted values ---- */

/* The opening quote at `at`, behind backslashes or not: where it stands, or SIZE_MAX. */
static size_t opening_quote(const struct redact_scene *scene, size_t at) {
  while (at < scene->len && scene->text[at] == '\\') at++;
  return at < scene->len && is_quote(scene->text[at]) ? at : SIZE_MAX;
}

/* Where the string that the quote at `quote` opens ends: before its closing quote with that one's backslashes, or with the
 * text. A quote written into it has more of them. */
static size_t closing(const struct redact_scene *scene, size_t quote) {
  size_t before = backslashes_before(scene, quote), run = 0, at = quote + 1;
  for (; at < scene->len; at++) {
    char c = scene->text[at];
    if (c == scene->text[quote] && run % (2 * (before + 1)) == before) return at - before;
    if (before == 0 && c == '\n')
      return at; /* no string of JSON's has one: the quote was somebody's apostrophe */
    run = c == '\\' ? run + 1 : 0;
  }
  return at;
}

/* ---- Bare values ---- */

/* Whether a separator at `at` is followed by another key: `;Database=x`, `&next=1`, or by nothing. */
static bool separates(const struct redact_scene *scene, size_t at) {
  at = skip_blanks(scene, at + 1);
  size_t from = at;
  while (at < scene->len && (is_key_char(scene->text[at]) || (at > from && scene->text[at] == ' '))) at++;
  return at >= scene->len || is_line_end(scene->text[at]) || is_quote(scene->text[at]) ||
         scene->text[at] == '\\' || (at > from && scene->text[at] == '=');
}

/* Where a value without quotes ends: at a blank, or in a list of KEY=VALUE with ; & or , before the next. */
static size_t bare_end(const struct redact_scene *scene, size_t at, bool in_list) {
  for (; at < scene->len; at++) {
    char c = scene->text[at];
    if (c == '\\' && at + 1 < scene->len && scene->text[at + 1] == ' ')
      at++, c = 'x'; /* libpq's written blank */
    if (is_line_end(c) || c == '"' || is_written_blank(scene, at)) break;
    if (c == '\\' && opening_quote(scene, at) != SIZE_MAX) break;
    if (is_blank(c) && !in_list) break;
    if (c == '\'' && at + 1 < scene->len && strchr(" \t\n,;)]}", scene->text[at + 1])) break;
    if ((c == ';' || c == '&' || c == ',') && separates(scene, at)) break;
  }
  return at;
}

/* Whether the key that begins at `from` stands in a list separated by semicolons: Server=…;Password=a b;Database=… */
static bool in_connection_string(const struct redact_scene *scene, size_t from) {
  while (from > 0 && scene->text[from - 1] == ' ') from--;
  return from > 0 && scene->text[from - 1] == ';';
}

/* ---- Colours ---- */

/* Behind the escapes that colour what stands at `at`. */
static size_t skip_colours(const struct redact_scene *scene, size_t at) {
  for (size_t to; at + 2 < scene->len && memcmp(scene->text + at, "\x1b[", 2) == 0; at = to + 1) {
    for (to = at + 2; to < scene->len && (isdigit((unsigned char)scene->text[to]) || scene->text[to] == ';');
         to++) {
    }
    if (to >= scene->len || scene->text[to] != 'm') break;
  }
  return at;
}

/* Where what is coloured up to `at` ends. */
static size_t colours_before(const struct redact_scene *scene, size_t at) {
  size_t from = at;
  if (at < 3 || scene->text[at - 1] != 'm') return at;
  for (from--; from > 1 && (isdigit((unsigned char)scene->text[from - 1]) || scene->text[from - 1] == ';');
       from--) {
  }
  return from > 1 && memcmp(scene->text + from - 2, "\x1b[", 2) == 0 ? from - 2 : at;
}

/* ---- KEY=VALUE ---- */

static bool key_is(const struct redact_scene *scene, size_t from, size_t len, const char *word) {
  return strlen(word) == len && memcmp(scene->text + from, word, len) == 0;
}

/* What stands before `at` as a key: where it begins. */
static size_t key_before(const struct redact_scene *scene, size_t at) {
  size_t from = at;
  while (from > 0 && at - from < KEY_MAX && is_key_char(scene->text[from - 1])) from--;
  if (from > 0 && from < at && scene->text[from - 1] == '\\' && strchr("nrt", scene->text[from]))
    from++; /* \nKEY */
  return from;
}

static bool take(struct redact_span *span, size_t from, size_t to) {
  *span = (struct redact_span){from, to, PASSWORD};
  return to > from;
}

/* What a program writes beside a key may name a secret: secret = "DB_PASSWORD". */
static bool is_name(const struct redact_scene *scene, size_t from, size_t to) {
  bool scored = false;
  for (size_t at = from; at < to; at++) {
    char c = scene->text[at];
    if (!isupper((unsigned char)c) && !isdigit((unsigned char)c) && c != '_') return false;
    scored |= c == '_';
  }
  return scored;
}

/* A directory is no password: PWD=/app. */
static bool is_folder(const struct redact_scene *scene, size_t from, size_t to, size_t value) {
  return to - from >= 3 && strncasecmp(scene->text + to - 3, "pwd", 3) == 0 && value < scene->len &&
         strchr("/~", scene->text[value]);
}

static bool is_naming(const struct redact_scene *scene, size_t from, size_t len) {
  return (len == 4 && strncasecmp(scene->text + from, "name", 4) == 0) ||
         (len == 3 && strncasecmp(scene->text + from, "key", 3) == 0);
}

static bool is_value(const struct redact_scene *scene, size_t from, size_t len) {
  return len == 5 && strncasecmp(scene->text + from, "value", 5) == 0;
}

/* Remembers whether the text from `quote` on names a secret: its value stands next. */
static void learn_name(struct redact_scene *scene, size_t quote) {
  scene->named =
      redact_key(scene->text + quote + 1, closing(scene, quote) - quote - 1, NULL, 0) != KEY_HARMLESS;
}

/* <add key="DbPassword" value="…"/> */
static enum redact_key attribute(struct redact_scene *scene, size_t from, size_t len, size_t quote) {
  bool named = scene->named && is_value(scene, from, len);
  if (scene->source || from == 0 || !isspace((unsigned char)scene->text[from - 1])) return KEY_HARMLESS;
  if (is_naming(scene, from, len)) learn_name(scene, quote);
  if (named) scene->named = false;
  return named ? KEY_PASSWORD : KEY_HARMLESS;
}

/* Where the key before a = at `at` ends: "key" =, ["key"] =, a coloured one. */
static size_t key_end(const struct redact_scene *scene, size_t at) {
  size_t end = colours_before(scene, at);
  while (end > 0 && is_blank(scene->text[end - 1])) end--;
  if (end > 2 && scene->text[end - 1] == ']' && is_quote(scene->text[end - 2])) end--;
  return end > 1 && is_quote(scene->text[end - 1]) ? end - 1 : end;
}

static bool find_assigned(struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t end = key_end(scene, at), value = at + 1, quote, to;
  bool arrow = value < scene->len && scene->text[value] == '>';
  if (arrow) value = skip_blanks(scene, value + 1); /* 'key' => 'value' */
  if (value < scene->len && strchr("=~", scene->text[value]) && scene->text[value]) return false;
  size_t from = key_before(scene, end);
  enum redact_key key = redact_key(scene->text + from, end - from, NULL, 0);
  if (end < at) value = skip_blanks(scene, value); /* `--password= --next` has none */
  value = skip_colours(scene, value);
  if (scene->source == REDACT_SCRIPT && key != KEY_PASSWORD) return false;
  quote = opening_quote(scene, value);
  if (key == KEY_HARMLESS && quote != SIZE_MAX) key = attribute(scene, from, end - from, quote);
  if (key == KEY_HARMLESS || is_folder(scene, from, end, value)) return false;
  if (quote == SIZE_MAX && (scene->source || arrow)) return false;
  if (quote != SIZE_MAX) value = quote + 1;
  to = quote != SIZE_MAX ? closing(scene, quote) : bare_end(scene, value, in_connection_string(scene, from));
  if (to - value < redact_key_min(key, !scene->source) || redact_is_stand_in(scene->text + value, to - value))
    return false;
  if (key == KEY_LONG && memchr(scene->text + value, ' ', to - value)) return false;
  if (quote != SIZE_MAX && to < scene->len && is_line_end(scene->text[to]))
    return false; /* it was a closing one */
  if (scene->source && (key_is(scene, from, end - from, "secret") || is_name(scene, value, to))) return false;
  return take(span, value, to);
}

/* ---- "key": "value" ---- */

/* The key of JSON whose closing quote ends before `at`; its length, 0: none. */
static size_t quoted_key(const struct redact_scene *scene, size_t at, size_t *from) {
  while (at > 0 && is_blank(scene->text[at - 1])) at--;
  if (at == 0 || !is_quote(scene->text[at - 1])) return 0;
  size_t quote = at - 1, end = quote - backslashes_before(scene, quote), begin = end;
  while (begin > 0 && end - begin < KEY_MAX && scene->text[begin - 1] != scene->text[quote] &&
         !is_line_end(scene->text[begin - 1]))
    begin--;
  *from = begin;
  return begin > 0 && scene->text[begin - 1] == scene->text[quote] ? end - begin : 0;
}

/* "kind": "Secret", however quoted. */
static bool is_kind(const struct redact_scene *scene, size_t at) {
  size_t end = at + strlen("Secret");
  if (scene->len - end > 4 && memcmp(scene->text + end, "List", 4) == 0) end += 4;
  if (end < scene->len && (isalnum((unsigned char)scene->text[end]) || scene->text[end] == '-')) return false;
  while (at > 0 && (strchr(" \"'\\:", scene->text[at - 1]))) at--;
  return at >= 4 && memcmp(scene->text + at - 4, "kind", 4) == 0;
}

static bool has_secret_kind(struct redact_scene *scene) {
  const char *found = scene->text, *end = scene->text + scene->len;
  if (scene->has_secret_kind) return scene->has_secret_kind > 0;
  scene->has_secret_kind = -1;
  while ((found = memmem(found, (size_t)(end - found), "Secret", 6)) != NULL && scene->has_secret_kind < 0)
    if (is_kind(scene, (size_t)(found++ - scene->text))) scene->has_secret_kind = 1;
  return scene->has_secret_kind > 0;
}

static bool is_data(struct redact_scene *scene, size_t from, size_t len) {
  return (key_is(scene, from, len, "data") || key_is(scene, from, len, "stringData")) &&
         has_secret_kind(scene);
}

static void open_object(struct redact_scene *scene, size_t from, size_t len) {
  scene->parent = from;
  scene->parent_len = len;
  scene->data = is_data(scene, from, len);
}

static bool find_member(struct redact_scene *scene, size_t at, size_t from, size_t len,
                        struct redact_span *span) {
  size_t value = at + 1;
  while (value < scene->len && (is_blank(scene->text[value]) || is_line_end(scene->text[value]))) value++;
  if (value < scene->len && scene->text[value] == '{') return open_object(scene, from, len), false;
  size_t quote = opening_quote(scene, value);
  if (quote == SIZE_MAX) return false;
  size_t to = closing(scene, quote);
  value = quote + 1;
  enum redact_key key = redact_key(scene->text + from, len, scene->text + scene->parent, scene->parent_len);
  bool named = scene->named && is_value(scene, from, len);
  if (is_naming(scene, from, len)) learn_name(scene, quote); /* of a container's variable, of a header */
  if (redact_is_setting(scene->text + from, len)) return take(span, value, to);
  if (scene->data) return to - value > 0 && take(span, value, to);
  if (named) key = KEY_SECRET;
  if (key == KEY_HARMLESS || to - value < redact_key_min(key, false)) return false;
  if (key == KEY_LONG && memchr(scene->text + value, ' ', to - value)) return false;
  return !redact_is_stand_in(scene->text + value, to - value) && take(span, value, to);
}

/* ---- key: value, a line of YAML or a header ---- */

/* Whether only blanks and list dashes stand between the line's beginning and `at`; sets how many. */
static bool at_line_begin(const struct redact_scene *scene, size_t at, size_t *indent) {
  size_t from = at;
  while (from > 0 && (is_blank(scene->text[from - 1]) || scene->text[from - 1] == '-')) from--;
  *indent = at - from;
  return from == 0 || is_line_end(scene->text[from - 1]) ||
         (from > 1 && scene->text[from - 1] == 'n' && scene->text[from - 2] == '\\');
}

/* `Bearer TOKEN`: the token is the secret. */
static size_t skip_scheme(const struct redact_scene *scene, size_t at) {
  size_t end = at;
  while (end < scene->len && isalpha((unsigned char)scene->text[end])) end++;
  return end < scene->len && is_blank(scene->text[end]) ? skip_blanks(scene, end) : at;
}

static bool open_block(struct redact_scene *scene, size_t from, size_t len, size_t indent) {
  open_object(scene, from, len);
  scene->data_indent = scene->data ? indent + 1 : 0;
  scene->data = false;
  return false;
}

/* key: | and its lines, which are indented deeper than the key. */
static bool find_block(const struct redact_scene *scene, size_t at, size_t indent, struct redact_span *span) {
  size_t from = at, to, line;
  if (at >= scene->len || !strchr("|>", scene->text[at]) || !scene->text[at]) return false;
  while (++at < scene->len && (strchr("+-", scene->text[at]) || isdigit((unsigned char)scene->text[at])) &&
         scene->text[at]) {
  }
  for (from = to = at; to < scene->len && scene->text[to] == '\n'; to = at) {
    for (line = at = to + 1; at < scene->len && scene->text[at] == ' '; at++) {
    }
    if (at < scene->len && scene->text[at] != '\n' && at - line <= indent) break;
    while (at < scene->len && scene->text[at] != '\n') at++;
  }
  while (from < to && isspace((unsigned char)scene->text[from])) from++;
  return take(span, from, to);
}

/* { password: 'x' }. Of a secret that is no password the value must look like one: "unexpected token: 'import'". */
static bool find_quoted_within(const struct redact_scene *scene, enum redact_key key, size_t quote,
                               struct redact_span *span) {
  size_t to = closing(scene, quote), len = to - quote - 1;
  const char *value = scene->text + quote + 1;
  if (key == KEY_HARMLESS || len < redact_key_min(key, false) || redact_is_stand_in(value, len)) return false;
  if (key != KEY_PASSWORD && !redact_is_random(value, len)) return false;
  return to < scene->len && !is_line_end(scene->text[to]) && take(span, quote + 1, to);
}

/* A password within a line: {Password:x User:u}, "initial admin password: x". Bare, it is told from a sentence's next word
 * by its digits, and reset-password:1.2 is an image. */
static bool find_within_line(const struct redact_scene *scene, size_t from, size_t len, size_t at,
                             struct redact_span *span) {
  size_t value = skip_colours(scene, skip_blanks(scene, at)), quote = opening_quote(scene, value), to;
  enum redact_key key = redact_key(scene->text + from, len, NULL, 0);
  if (quote != SIZE_MAX) return find_quoted_within(scene, key, quote, span);
  if (key != KEY_PASSWORD || (from > 0 && scene->text[from - 1] == '/')) return false;
  if (value == at && memchr(scene->text + from, '-', len)) return false;
  to = bare_end(scene, value, false);
  while (to > value && strchr("})],.", scene->text[to - 1])) to--;
  return redact_is_random(scene->text + value, to - value) && take(span, value, to);
}

static bool find_line(struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t end = key_end(scene, at), from = key_before(scene, end), len = end - from, indent,
         value = skip_blanks(scene, at + 1);
  if (len == 0 || scene->source) return false;
  if (!at_line_begin(scene, from, &indent)) return find_within_line(scene, from, len, at + 1, span);
  if (scene->data_indent && indent < scene->data_indent) scene->data_indent = 0;
  if (value >= scene->len || is_line_end(scene->text[value]) || is_written_blank(scene, value))
    return open_block(scene, from, len, indent);
  if (value == at + 1) return find_within_line(scene, from, len, value, span);
  enum redact_key key = redact_key(scene->text + from, len, scene->text + scene->parent, scene->parent_len);
  if (key == KEY_HARMLESS && !scene->data_indent) return false;
  if (find_block(scene, value, indent, span)) return true;
  value = skip_colours(scene, skip_scheme(scene, value));
  size_t quote = opening_quote(scene, value),
         to = quote != SIZE_MAX ? closing(scene, quote) : bare_end(scene, value, false);
  if (quote != SIZE_MAX) value = quote + 1;
  if (quote == SIZE_MAX && to < scene->len && is_blank(scene->text[to])) return false; /* a sentence */
  if (!scene->data_indent && to - value < redact_key_min(key, false)) return false;
  return !redact_is_stand_in(scene->text + value, to - value) && take(span, value, to);
}

/* ---- --key VALUE ---- */

/* Where the next word of a command line begins: behind blanks, a NUL of /proc/PID/cmdline, or "," in JSON. */
static size_t behind_option(const struct redact_scene *scene, size_t at) {
  size_t value = at;
  if (value < scene->len && scene->text[value] == '\0') return value + 1;
  if (value >= scene->len || scene->text[value] != '"') return skip_blanks(scene, at);
  value = skip_blanks(scene, value + 1);
  if (value >= scene->len || scene->text[value] != ',') return at;
  value = skip_blanks(scene, value + 1);
  return value < scene->len && scene->text[value] == '"' ? value + 1 : at;
}

static bool find_option(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from = at + 2, value, to;
  if (scene->source || (at > 0 && scene->text[at - 1] == '-')) return false;
  for (at = from - 1; ++at < scene->len && at - from < KEY_MAX && is_key_char(scene->text[at]);) {
  }
  value = behind_option(scene, at);
  enum redact_key key = redact_key(scene->text + from, at - from, NULL, 0);
  if (value == at || value >= scene->len || scene->text[value] == '-' || key == KEY_HARMLESS) return false;
  to = bare_end(scene, value, false);
  return to - value >= redact_key_min(key, true) && take(span, value, to);
}

bool redact_find_value(struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from, len;
  switch (scene->text[at]) {
  case '=':
    return find_assigned(scene, at, span);
  case '-':
    return find_option(scene, at, span);
  case '}':
    scene->data = scene->named = false;
    scene->parent_len = 0;
    return false;
  default: /* a colon */
    len = quoted_key(scene, at, &from);
    return len ? !scene->source && find_member(scene, at, from, len, span) : find_line(scene, at, span);
  }
}
