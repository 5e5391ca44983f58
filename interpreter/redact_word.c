#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "redact_find.h"

/* Passwords behind a word: PASSWORD 'x' and IDENTIFIED BY 'x' of SQL, <password>x</password>, `login u password x`,
 * `the password is x`. */

#define BEFORE_BY 64 /* bytes before BY in which IDENTIFIED stands */

static bool word_at(const struct redact_scene *scene, size_t at, const char *word) {
  size_t n = strlen(word);
  return scene->len - at >= n && strncasecmp(scene->text + at, word, n) == 0;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '|'; }

static size_t skip_blanks(const struct redact_scene *scene, size_t at) {
  while (at < scene->len && is_blank(scene->text[at])) at++;
  return at;
}

static bool take(struct redact_span *span, size_t from, size_t to) {
  *span = (struct redact_span){from, to, "password"};
  return to > from;
}

/* 'it''s', E'it\'s'; a string that was cut ends with the text. */
static bool find_quoted(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from = skip_blanks(scene, at), to;
  if (from < scene->len && (scene->text[from] == 'E' || scene->text[from] == 'e')) from++;
  if (from == at || from >= scene->len || scene->text[from] != '\'') return false;
  for (to = ++from; to < scene->len && scene->text[to] != '\n'; to++) {
    if (scene->text[to] == '\\') to++;
    if (to < scene->len && scene->text[to] == '\'') {
      if (to + 1 >= scene->len || scene->text[to + 1] != '\'') break;
      to++;
    }
  }
  return take(span, from, to < scene->len ? to : scene->len);
}

static bool find_element(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t to = at + 1;
  if (at >= scene->len || scene->text[at] != '>') return false;
  while (to < scene->len && scene->text[to] != '<') to++;
  return !redact_is_stand_in(scene->text + at + 1, to - at - 1) && take(span, at + 1, to);
}

/* The last word of a line or of a table's cell, which is no word of a sentence. */
static bool find_last(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from = skip_blanks(scene, at), to, end;
  if (from == at) return false;
  if (word_at(scene, from, "is ")) from = skip_blanks(scene, from + 3);
  for (to = from; to < scene->len && !isspace((unsigned char)scene->text[to]) && scene->text[to]; to++) {
  }
  end = skip_blanks(scene, to);
  return (end >= scene->len || !scene->text[end] || isspace((unsigned char)scene->text[end])) &&
         redact_is_random(scene->text + from, to - from) && take(span, from, to);
}

static bool is_identified(const struct redact_scene *scene, size_t at) {
  for (size_t from = at > BEFORE_BY ? at - BEFORE_BY : 0; from + 10 < at; from++)
    if (word_at(scene, from, "identified ")) return true;
  return false;
}

bool redact_find_word(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  static const char *const words[] = {"password", "passwd", "passphrase", "passwort"};
  if (scene->source) return false;
  if (word_at(scene, at, "by ")) return is_identified(scene, at) && find_quoted(scene, at + 2, span);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t end = at + strlen(words[i]);
    if (!word_at(scene, at, words[i])) continue;
    return find_element(scene, end, span) || find_quoted(scene, end, span) || find_last(scene, end, span);
  }
  return false;
}
