#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pg.h"

static bool is_kept(const char *variable) {
  static const char *const kept[] = {"PGPASSWORD", "PGPASSFILE", NULL};
  for (const char *const *name = kept; *name; name++)
    if (strcmp(variable, *name) == 0) return true;
  return false;
}

void pg_environment_clear(void) {
  static const char *const others[] = {"PGREQUIRESSL", "PGTZ", "PGDATESTYLE", "PGGEQO"};
  PQconninfoOption *known = PQconninfoParse("", NULL);
  for (PQconninfoOption *option = known; option && option->keyword; option++)
    if (option->envvar && !is_kept(option->envvar)) unsetenv(option->envvar);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) unsetenv(others[i]);
  PQconninfoFree(known);
}

static PQconninfoOption *find(const PQconninfoOption *dsn, const char *keyword) {
  for (; dsn->keyword; dsn++)
    if (strcmp(dsn->keyword, keyword) == 0) return (PQconninfoOption *)dsn;
  return NULL;
}

const char *pg_dsn_get(const PQconninfoOption *dsn, const char *keyword) {
  const PQconninfoOption *option = find(dsn, keyword);
  return option && option->val && *option->val ? option->val : NULL;
}

static void set_default(PQconninfoOption *dsn, const char *keyword, const char *value) {
  PQconninfoOption *option = find(dsn, keyword);
  if (pg_dsn_get(dsn, keyword)) return;
  free(option->val); /* malloc'ed by libpq, or NULL */
  option->val = xstrdup(value);
}

/* Whether `text` quotes nothing but the name of an option that libpq does not know: who misspelt it needs to see it. */
static bool quotes_a_name(const char *text) {
  static const char before[] = "invalid URI query parameter: \"";
  size_t len = sizeof before - 1;
  if (strncmp(text, before, len) != 0) return false;
  return text[len + strspn(text + len, "abcdefghijklmnopqrstuvwxyz_")] == '"';
}

/* libpq quotes what it did not understand, which may be a password with a blank in it. */
static void hide_quoted(char *text) {
  if (quotes_a_name(text)) return;
  char *out = text;
  bool inside = false;
  for (; *text && *text != '\n'; text++) {
    if (*text == '"') inside = !inside;
    if (!inside || *text == '"') *out++ = *text;
  }
  *out = '\0';
}

static const char *own_name(void) {
  const struct passwd *entry = getpwuid(geteuid());
  return entry ? entry->pw_name : "postgres";
}

/* Not what libpq would have taken without the file. */
static bool is_of_service(const PQconninfoOption *option) {
  bool is_default = option->compiled && option->val && strcmp(option->val, option->compiled) == 0;
  return option->val && !is_default && strcmp(option->keyword, "channel_binding") != 0;
}

/* Takes what a service's file says and the connection string does not. libpq looks a service up only as it connects; an option
 * that it does not understand stops it there, before it looks for a host. */
static bool take_service(PQconninfoOption *dsn, struct error *error) {
  const char *keywords[] = {"service", "channel_binding", NULL};
  const char *values[] = {pg_dsn_get(dsn, "service"), "?", NULL};
  PGconn *pg = PQconnectStartParams(keywords, values, 0);
  PQconninfoOption *found = pg ? PQconninfo(pg) : NULL;
  const char *words = pg ? PQerrorMessage(pg) : "no memory";
  bool is_known = found && !strstr(words, "service");
  if (!is_known) error_set(error, "usage", "%.*s", (int)strcspn(words, "\r\n"), words);
  for (PQconninfoOption *option = is_known ? found : NULL; option && option->keyword; option++)
    if (is_of_service(option)) set_default(dsn, option->keyword, option->val);
  PQconninfoFree(found);
  PQfinish(pg);
  return is_known;
}

PQconninfoOption *pg_dsn_parse(const char *text, struct error *error) {
  char *words = NULL;
  PQconninfoOption *dsn = PQconninfoParse(text, &words);
  if (!dsn) {
    if (words) hide_quoted(words);
    error_set(error, "usage", "not a connection string: %s", words ? words : "no memory");
    PQfreemem(words);
    return NULL;
  }
  if (pg_dsn_get(dsn, "service") && !take_service(dsn, error)) {
    PQconninfoFree(dsn);
    return NULL;
  }
  if (!pg_dsn_get(dsn, "hostaddr")) set_default(dsn, "host", PG_SOCKET_FOLDER);
  set_default(dsn, "port", PG_PORT);
  if (!pg_dsn_get(dsn, "user")) set_default(dsn, "user", own_name());
  set_default(dsn, "dbname", pg_dsn_get(dsn, "user"));
  return dsn;
}

/* libpq's password file: named by the connection string, by the environment, or the home folder's. */
static void passfile_of(const PQconninfoOption *dsn, char *path, size_t size) {
  const char *named = pg_dsn_get(dsn, "passfile");
  const char *home = getenv("HOME");
  if (!named) named = getenv("PGPASSFILE");
  if (named)
    snprintf(path, size, "%s", named);
  else
    snprintf(path, size, "%s/.pgpass", home ? home : "");
}

bool pg_passfile_is_passed_over(const PQconninfoOption *dsn, char *path, size_t size) {
  struct stat found;
  passfile_of(dsn, path, size);
  return stat(path, &found) == 0 && S_ISREG(found.st_mode) && (found.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}
