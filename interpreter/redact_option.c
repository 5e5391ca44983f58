#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "redact_find.h"

/* Passwords where a program's own way of writing alone says so: `redis-cli -a x`, `mysql -px`, `curl -u user:x`, Redis' >x in a
 * list of rights, a line of .pgpass, user/x@ of Oracle, password%3Dx inside an address. */

#define LINE_MAX 512 /* bytes before an option in which its program stands */
#define HASH_DIGITS 64

/* What of an option's value is secret; ATTACHED: only when it is written onto the option, a word behind it is another. */
enum part { WHOLE, ATTACHED, BEHIND_COLON, BEHIND_PERCENT };

static const struct {
  const char *programs, *flag; /* "|a|b|", "-p" */
  enum part part;
} options[] = {
    {"|mysql|mysqldump|mysqladmin|mysqlimport|mysqlshow|mysqlcheck|mariadb|mariadb-dump|mariadb-admin|", "-p",
     ATTACHED},
    {"|redis-cli|valkey-cli|keydb-cli|redis-benchmark|", "-a", WHOLE},
    {"|curl|", "-u", BEHIND_COLON},
    {"|curl|", "--user", BEHIND_COLON},
    {"|curl|", "-U", BEHIND_COLON},
    {"|curl|", "--proxy-user", BEHIND_COLON},
    {"|http|https|", "-a", BEHIND_COLON},
    {"|sshpass|mongo|mongosh|mongodump|mongorestore|mongoexport|login|", "-p", WHOLE},
    {"|sqlcmd|bcp|osql|zip|mosquitto_pub|mosquitto_sub|ipmitool|", "-P", WHOLE},
    {"|7z|7za|unrar|rar|", "-p", ATTACHED},
    {"|ldapsearch|ldapmodify|ldapadd|ldapdelete|ldapwhoami|", "-w", WHOLE},
    {"|smbclient|rpcclient|net|", "-U", BEHIND_PERCENT},
    {"|keytool|jarsigner|", "-storepass", WHOLE},
    {"|keytool|jarsigner|", "-keypass", WHOLE},
    {"|keytool|", "-deststorepass", WHOLE},
    {"|keytool|", "-srcstorepass", WHOLE},
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\0'; }

/* What stands between two words of a command line: blanks, or quotes and commas in JSON. */
static bool is_between(char c) { return is_blank(c) || (c && strchr("\"',[\\", c)); }

static bool is_line_end(char c) { return c == '\n' || c == '\r'; }

/* Whether `word` is one of "|a|b|"; of a path its last part. */
static bool is_program(const char *programs, const char *word, size_t len) {
  const char *slash = memrchr(word, '/', len);
  if (slash) len -= (size_t)(slash + 1 - word), word = slash + 1;
  for (const char *at = programs + 1, *end; len > 0 && (end = strchr(at, '|')) != NULL; at = end + 1)
    if ((size_t)(end - at) == len && memcmp(at, word, len) == 0) return true;
  return false;
}

static bool is_flag(const char *flag, const char *word, size_t len, bool attached) {
  size_t n = strlen(flag);
  if (attached) return n == 2 && len > n && memcmp(flag, word, n) == 0;
  return len == n && memcmp(flag, word, n) == 0;
}

/* The part of value[0, *len) that is secret: *value and *len become it; false: none. */
static bool part_of(enum part part, const char **value, size_t *len) {
  if (part == BEHIND_COLON || part == BEHIND_PERCENT) {
    const char *mark = memchr(*value, part == BEHIND_COLON ? ':' : '%', *len);
    if (!mark) return false;
    *len -= (size_t)(mark + 1 - *value);
    *value = mark + 1;
  }
  return *len > 0 && !redact_is_stand_in(*value, *len);
}

bool redact_option_value(const char *program, size_t program_len, const char *flag, size_t flag_len,
                         const char **value, size_t *len) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (options[i].part != ATTACHED && is_flag(options[i].flag, flag, flag_len, false) &&
        is_program(options[i].programs, program, program_len))
      return part_of(options[i].part, value, len);
  return false;
}

bool redact_option_attached(const char *program, size_t program_len, const char **word, size_t *len) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (!is_flag(options[i].flag, *word, *len, true) ||
        !is_program(options[i].programs, program, program_len))
      continue;
    *word += 2, *len -= 2;
    return part_of(options[i].part, word, len);
  }
  return false;
}

/* ---- On a command line ---- */

/* The word that ends before `end`: its beginning; `end` itself when there is none on this line. */
static size_t word_before(const struct redact_scene *scene, size_t end) {
  size_t from = end;
  while (from > 0 && !is_between(scene->text[from - 1]) && !is_line_end(scene->text[from - 1])) from--;
  return from;
}

/* The next word behind `at`, quotes and commas skipped: [*from, *to). False: the line ends. */
static bool word_behind(const struct redact_scene *scene, size_t at, size_t *from, size_t *to) {
  while (at < scene->len && is_between(scene->text[at])) at++;
  *from = at;
  char quote = at > 0 && strchr("\"'", scene->text[at - 1]) ? scene->text[at - 1] : '\0';
  for (; at < scene->len && !is_line_end(scene->text[at]); at++) {
    if (quote ? scene->text[at] == quote || scene->text[at] == '\\' : is_between(scene->text[at])) break;
  }
  *to = at;
  return *to > *from;
}

/* f for each word of the line before `at`, the nearest first, until it finds the option's program. */
static bool find_of_program(const struct redact_scene *scene, size_t at, size_t end,
                            struct redact_span *span) {
  size_t stop = at > LINE_MAX ? at - LINE_MAX : 0, from, to;
  bool has_value = word_behind(scene, end, &from, &to);
  for (size_t before = at; before > stop && !is_line_end(scene->text[before - 1]);) {
    while (before > stop && is_between(scene->text[before - 1])) before--;
    size_t begin = word_before(scene, before), len = end - at;
    const char *value = scene->text + at;
    bool found = redact_option_attached(scene->text + begin, before - begin, &value, &len);
    if (!found && has_value) {
      value = scene->text + from, len = to - from;
      found =
          redact_option_value(scene->text + begin, before - begin, scene->text + at, end - at, &value, &len);
    }
    *span =
        (struct redact_span){(size_t)(value - scene->text), (size_t)(value - scene->text) + len, "password"};
    if (found) return true;
    if (begin == before) return false;
    before = begin;
  }
  return false;
}

/* Most words that begin with a dash are no option of these programs: the line before them need not be read. */
static bool may_be_flag(const char *word, size_t len) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (is_flag(options[i].flag, word, len, true) || is_flag(options[i].flag, word, len, false)) return true;
  return false;
}

bool redact_find_option(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t end = at;
  if (scene->source || at == 0 || !is_between(scene->text[at - 1])) return false;
  while (end < scene->len && !is_between(scene->text[end]) && !is_line_end(scene->text[end])) end++;
  return may_be_flag(scene->text + at, end - at) && find_of_program(scene, at, end, span);
}

/* ---- Redis' rights ---- */

/* Whether the line up to `at` is one of ACL SETUSER's, or of ACL LIST's: "user x on …". */
static bool is_rights(const struct redact_scene *scene, size_t at) {
  size_t from = at;
  while (from > 0 && at - from < LINE_MAX && !is_line_end(scene->text[from - 1])) from--;
  size_t len = at - from;
  const char *line = scene->text + from, *user = memmem(line, len, "user ", 5);
  for (size_t i = 0; i + 7 <= len; i++)
    if (strncasecmp(line + i, "setuser", 7) == 0) return true;
  return user && (memmem(line, len, " on ", 4) || memmem(line, len, " off ", 5));
}

bool redact_find_right(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t end = at + 1, digits = 0;
  bool hash = scene->text[at] == '#';
  if (scene->source || at == 0 || !is_between(scene->text[at - 1])) return false;
  for (; end < scene->len && !is_between(scene->text[end]) && !is_line_end(scene->text[end]); end++)
    digits += isxdigit((unsigned char)scene->text[end]) != 0;
  *span = (struct redact_span){at + 1, end, hash ? "token" : "password"};
  if (hash && (digits != HASH_DIGITS || end - at - 1 != HASH_DIGITS)) return false;
  return end > at + 1 && is_rights(scene, at);
}

/* ---- .pgpass, Oracle ---- */

/* Whether [from, to) is a host's name, an address or *. */
static bool is_place(const char *text, size_t len) {
  bool letter = len == 1 && text[0] == '*', dots = false;
  for (size_t i = 0; i < len; i++) {
    if (!isalnum((unsigned char)text[i]) && !strchr("*.-_/", text[i])) return false;
    letter |= isalpha((unsigned char)text[i]) != 0;
    dots |= text[i] == '.';
  }
  return len > 0 && (letter || dots);
}

static bool is_port(const char *text, size_t len) {
  if (len == 1 && text[0] == '*') return true;
  for (size_t i = 0; i < len; i++)
    if (!isdigit((unsigned char)text[i])) return false;
  return len >= 3 && len <= 5;
}

/* The four colons up to `at` of a line without blanks that begins at *from. Nothing is looked at twice for long: a line of colons
 * alone must not cost the square of its length. */
static bool four_colons(const struct redact_scene *scene, size_t at, size_t colons[4], size_t *from) {
  size_t left = 3;
  colons[3] = at;
  for (*from = at; *from > 0 && !is_line_end(scene->text[*from - 1]); --*from) {
    char c = scene->text[*from - 1];
    if (is_blank(c) || strchr("\"'{}()", c) || at - *from >= LINE_MAX || (c == ':' && left == 0))
      return false;
    if (c == ':') colons[--left] = *from - 1;
  }
  return left == 0;
}

/* host:port:database:user:password, a line without blanks: the colon at `at` is the fourth. */
static bool find_pgpass(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from, colons[4], end = at + 1;
  if (!four_colons(scene, at, colons, &from)) return false;
  while (end < scene->len && !is_line_end(scene->text[end])) {
    if (is_blank(scene->text[end]) || scene->text[end] == ':') return false;
    end++;
  }
  *span = (struct redact_span){at + 1, end, "password"};
  return end > at + 1 && colons[2] > colons[1] + 1 && colons[3] > colons[2] + 1 &&
         is_place(scene->text + from, colons[0] - from) &&
         is_port(scene->text + colons[0] + 1, colons[1] - colons[0] - 1);
}

/* jdbc:oracle:thin:user/PASSWORD@//host */
static bool find_oracle(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  static const char *const drivers[] = {"oracle:thin", "oracle:oci", "oracle:oci8"};
  size_t slash = at + 1, sign;
  bool oracle = false;
  for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
    size_t n = strlen(drivers[i]);
    oracle |= at >= n && memcmp(scene->text + at - n, drivers[i], n) == 0;
  }
  if (!oracle) return false;
  while (slash < scene->len && slash - at < LINE_MAX && !strchr("/@", scene->text[slash]) &&
         !is_between(scene->text[slash]))
    slash++;
  if (slash >= scene->len || scene->text[slash] != '/') return false;
  for (sign = slash; sign < scene->len && sign - slash < LINE_MAX && scene->text[sign] != '@' &&
                     !is_blank(scene->text[sign]) && !is_line_end(scene->text[sign]);)
    sign++;
  *span = (struct redact_span){slash + 1, sign, "password"};
  return sign > slash + 1 && sign < scene->len && scene->text[sign] == '@';
}

bool redact_find_colon(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  return !scene->source && (find_oracle(scene, at, span) || find_pgpass(scene, at, span));
}

/* ---- password%3Dx ---- */

/* Where a value inside a percent-encoded query ends: at &, ;, a blank or a quote, as they are or encoded. */
static bool ends_encoded(const struct redact_scene *scene, size_t at) {
  static const char *const ends[] = {"%26", "%3B", "%3b", "%20", "%22", "%27", "%0A", "%0a", "%23"};
  char c = scene->text[at];
  if (is_between(c) || is_line_end(c) || strchr("&;<>", c)) return true;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (scene->len - at >= 3 && memcmp(scene->text + at, ends[i], 3) == 0) return true;
  return false;
}

bool redact_find_encoded(const struct redact_scene *scene, size_t at, struct redact_span *span) {
  size_t from = at, end = at + 3;
  if (scene->source || scene->len - at < 4 || scene->text[at + 1] != '3' ||
      (scene->text[at + 2] != 'D' && scene->text[at + 2] != 'd'))
    return false;
  while (from > 0 && (isalnum((unsigned char)scene->text[from - 1]) || strchr("_.-", scene->text[from - 1])))
    from--;
  if (from > 0 && scene->text[from - 1] == '%' && at - from >= 2) from += 2; /* %26password */
  enum redact_key key = redact_key(scene->text + from, at - from, NULL, 0);
  if (key == KEY_HARMLESS) return false;
  while (end < scene->len && !ends_encoded(scene, end)) end++;
  *span = (struct redact_span){at + 3, end, "password"};
  return end - at - 3 >= redact_key_min(key, true) && !redact_is_stand_in(scene->text + at + 3, end - at - 3);
}
