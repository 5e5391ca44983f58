/* What the interpreter says, see watchdog_protocol.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "watchdog.h"
#include "watchdog_lock.h"

void watchdog_tell(struct watchdog *dog, const char *format, ...) {
  char text[640];
  va_list args;
  if (dog->control < 0) return;
  va_start(args, format);
  int len = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (len >= (int)sizeof text) len = sizeof text - 1;
  /* Lost when the interpreter doesn't read: the journal has it. */
  (void)!send(dog->control, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool take_self(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  (void)len, (void)error;
  free(dog->self);
  dog->self = xstrdup(rest);
  return true;
}

static bool take_env(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  if (!strchr(rest, '=') || strlen(rest) != len) return error_set(error, "usage", "a variable is NAME=VALUE");
  dog->env = xrealloc(dog->env, (dog->env_count + 2) * sizeof *dog->env);
  dog->env[dog->env_count++] = xstrdup(rest);
  dog->env[dog->env_count] = NULL;
  return true;
}

/* Where the entry of secret `name` begins in what children read, and its length; NULL when there is none. */
static char *find_secret(const struct buffer *secrets, const char *name, size_t name_len, size_t *len) {
  if (!secrets->data) return NULL;
  char *at = secrets->data, *end = at + secrets->len;
  while (at < end) {
    char *newline = memchr(at, '\n', (size_t)(end - at)), *blank = memchr(at, ' ', (size_t)(end - at));
    *len = (size_t)(newline + 1 - at) + strtoul(blank + 1, NULL, 10);
    if ((size_t)(blank - at) == name_len && memcmp(at, name, name_len) == 0) return at;
    at += *len;
  }
  return NULL;
}

/* A secret that was given before is given anew: a level armed later may know a fresher one. */
static void forget_secret(struct buffer *secrets, const char *name, size_t name_len) {
  size_t len;
  char *at = find_secret(secrets, name, name_len, &len);
  if (!at) return;
  memmove(at, at + len, (size_t)(secrets->data + secrets->len - (at + len)));
  secrets->len -= len;
}

static bool too_long(struct error *error) {
  return error_set(error, "limit", "the secrets are longer than %d bytes", WATCHDOG_SECRETS_BYTES);
}

/* What children can't be given leaves the configuration incomplete: the next arming says so. */
static bool take_secret(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  char *equals = memchr(rest, '=', len);
  if (!equals || memchr(rest, ' ', (size_t)(equals - rest)) || memchr(rest, '\n', (size_t)(equals - rest)))
    return error_set(error, "usage", "a secret is NAME=VALUE");
  size_t name = (size_t)(equals - rest), value = len - name - 1;
  forget_secret(&dog->secrets, rest, name);
  buffer_printf(&dog->secrets, "%.*s %zu\n", (int)name, rest, value);
  buffer_append(&dog->secrets, equals + 1, value);
  mlock(dog->secrets.data, dog->secrets.cap); /* best effort: no swap file holds them */
  if (dog->secrets.len <= WATCHDOG_SECRETS_BYTES) return true;
  forget_secret(&dog->secrets, rest, name);
  dog->secrets_too_long = true;
  return too_long(error);
}

/* "1 {…}" */
static bool take_page(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  char *blank = strchr(rest, ' ');
  int number = atoi(rest);
  if (!blank || number < 1 || number > WATCHDOG_LEVELS || strlen(rest) != len)
    return error_set(error, "usage", "a page is N JSON");
  free(dog->pages[number - 1]);
  dog->pages[number - 1] = xstrdup(blank + 1);
  mlock(dog->pages[number - 1], strlen(blank));
  return true;
}

/* "1 900.000 2 1800.000" */
static int read_levels(const char *text, struct level levels[WATCHDOG_LEVELS]) {
  int count = 0, read;
  double after;
  for (; *text; text += read, count++) {
    if (count == WATCHDOG_LEVELS) return -1;
    struct level *level = &levels[count];
    *level = (struct level){0};
    if (sscanf(text, "%d %lf%n", &level->number, &after, &read) != 2) return -1;
    if (level->number < 1 || level->number > WATCHDOG_LEVELS) return -1;
    if (!(after >= 0 && after <= WATCHDOG_AFTER_SECONDS)) return -1;
    level->due = watchdog_now() + after;
  }
  return count;
}

static bool take_arm(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  struct level levels[WATCHDOG_LEVELS];
  (void)len;
  int count = read_levels(rest, levels);
  if (count < 0) return error_set(error, "usage", "levels are 1 to %d, within a year", WATCHDOG_LEVELS);
  if (dog->secrets_too_long) return too_long(error);
  if (!dog->self) return error_set(error, "usage", "no program to run");
  if (!watchdog_arm(dog, levels, count, error)) return false;
  watchdog_tell(dog, "armed %d", (int)getpid());
  return true;
}

static bool take_fire(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  struct level *level = watchdog_level(dog, atoi(rest));
  (void)len;
  if (!level) return error_set(error, "missing", "there is no level %.20s", rest);
  level->at_once = true;
  if (level->state == LEVEL_ARMED) level->due = watchdog_now();
  return true;
}

static bool take_stop(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  (void)error;
  if (len >= WATCHDOG_WORD_BYTES) rest[WATCHDOG_WORD_BYTES - 1] = '\0';
  watchdog_stop(dog, rest);
  return true;
}

static bool take_rehearse(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  (void)rest, (void)len, (void)error;
  watchdog_rehearse(dog);
  return true;
}

static bool take_deliver(struct watchdog *dog, char *rest, size_t len, struct error *error) {
  (void)rest, (void)len, (void)error;
  dog->look_at_outbox = true;
  if (dog->deliver.kind != JOB_NONE && !dog->deliver.pid) dog->deliver.at = watchdog_now();
  return true;
}

static const struct command {
  const char *word;
  bool (*take)(struct watchdog *dog, char *rest, size_t len, struct error *error);
} commands[] = {{"self", take_self},         {"env", take_env}, {"secret", take_secret}, {"page", take_page},
                {"rehearse", take_rehearse}, {"arm", take_arm}, {"fire", take_fire},     {"stop", take_stop},
                {"deliver", take_deliver},   {NULL, NULL}};

void watchdog_message(struct watchdog *dog, char *text, size_t len) {
  struct error error = {0};
  if (dog->ended) return;
  char *blank = memchr(text, ' ', len);
  size_t word = blank ? (size_t)(blank - text) : len;
  char *rest = blank ? blank + 1 : text + len;
  const struct command *command = commands;
  while (command->word && (strlen(command->word) != word || memcmp(command->word, text, word) != 0))
    command++;
  if (!command->word)
    error_set(&error, "usage", "unknown message '%.*s'", word > 20 ? 20 : (int)word, text);
  else
    command->take(dog, rest, len - (size_t)(rest - text), &error);
  if (!error.kind[0]) return;
  watchdog_tell(dog, "error %s %s", error.kind, error.message);
  dog->ended = !dog->armed; /* half a configuration must not be armed */
}

void watchdog_gone(struct watchdog *dog) {
  dog->control = -1; /* not closed: children's descriptor 3 relies on ours being taken */
  dog->look_at_outbox = true;
}
