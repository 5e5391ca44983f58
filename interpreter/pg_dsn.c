#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pg.h"

static bool is_kept(const char *variable) {
  return strcmp(variable, "PGPASSWORD") == 0 || strcmp(variable, "PGPASSFILE") == 0;
}

void pg_environment_clear(void) {
  static const char *const others[] = {"PGSERVICEFILE", "PGSYSCONFDIR", "PGREQUIRESSL",
                                       "PGTZ",          "PGDATESTYLE",  "PGGEQO"};
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

PQconninfoOption *pg_dsn_parse(const char *text, struct error *error) {
  char *words = NULL;
  PQconninfoOption *dsn = PQconninfoParse(text, &words);
  if (!dsn) {
    if (words) hide_quoted(words);
    error_set(error, "usage", "not a connection string: %s", words ? words : "no memory");
    PQfreemem(words);
    return NULL;
  }
  if (pg_dsn_get(dsn, "service")) {
    error_set(error, "usage", "service files are not read: name the host in the connection string");
    PQconninfoFree(dsn);
    return NULL;
  }
  if (!pg_dsn_get(dsn, "hostaddr")) set_default(dsn, "host", PG_SOCKET_FOLDER);
  set_default(dsn, "port", PG_PORT);
  if (!pg_dsn_get(dsn, "user")) set_default(dsn, "user", own_name());
  set_default(dsn, "dbname", pg_dsn_get(dsn, "user"));
  return dsn;
}
