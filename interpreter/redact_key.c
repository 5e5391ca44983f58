#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "redact_find.h"

#define WORD_MAX 24 /* bytes of the longest word that is looked for, and some */

/* Values of any length are secret in KEY=VALUE beside the first of them; all are whole words. */
static const char *const passwords[] = {"password",    "passwd",     "pwd",      "passphrase",
                                        "requirepass", "masterauth", "passwort", NULL};
static const char *const secrets[] = {
    "pass",         "passcode",        "secret",      "token",         "credential",
    "credentials",  "authorization",   "cookie",      "apikey",        "secretkey",
    "accesskey",    "privatekey",      "signingkey",  "encryptionkey", "masterkey",
    "accountkey",   "authtoken",       "accesstoken", "clientsecret",  "sharedkey",
    "sharedsecret", "sharedaccesskey", "servicekey",  "psk",           NULL};
static const char *const long_ones[] = {"auth", "jwt", "sas", "sig", "signature", NULL};
/* Words written together: PGPASSWORD. */
static const char *const endings[] = {"password",  "passwd",    "passphrase", "apikey",
                                      "secretkey", "accesskey", NULL};
/* `key` behind one of these words, or alone under a parent that ends in one, is a secret. */
static const char *const makes_key[] = {
    "access", "account",     "api",     "auth",    "client",  "crypto",  "encryption",
    "hmac",   "integration", "jwt",     "license", "master",  "private", "routing",
    "secret", "service",     "session", "shared",  "signing", "ssh",     NULL};
/* What a secret is kept as: client-key-data, secret_key_base, password_hash. */
static const char *const kept_as[] = {"data", "base", "pem", "hash", "plain", "value", NULL};
/* A secret behind one of these is a secret's name. */
static const char *const names_only[] = {"existing", "pull", NULL};

static bool is_one_of(const char *word, const char *const *list) {
  while (*list && ((*list)[0] != word[0] || strcmp(*list, word) != 0)) list++;
  return *list != NULL;
}

static bool ends_in_one(const char *word, const char *const *list) {
  size_t len = strlen(word);
  for (; *list; list++) {
    size_t n = strlen(*list);
    if (len > n && word[len - 1] == (*list)[n - 1] && strcmp(word + len - n, *list) == 0) return true;
  }
  return false;
}

/* Whether a new word begins at key[at]: fooBar, APIKey, foo_bar. */
static bool begins_word(const char *key, size_t len, size_t at) {
  if (at == 0 || !isalnum((unsigned char)key[at - 1])) return true;
  if (!isupper((unsigned char)key[at])) return false;
  if (!isupper((unsigned char)key[at - 1])) return true;
  return at + 1 < len && islower((unsigned char)key[at + 1]);
}

/* The last word of key[0, *len), in lower case and without digits at its end; *len becomes where it begins. Empty: none,
 * or one too long to be known. */
static void last_word(const char *key, size_t *len, char word[static WORD_MAX]) {
  size_t end = *len, at;
  word[0] = '\0';
  while (end > 0 && !isalpha((unsigned char)key[end - 1])) end--;
  for (at = end; at > 0 && isalnum((unsigned char)key[at - 1]) && (at == end || !begins_word(key, *len, at));
       at--) {
  }
  *len = at;
  if (end - at >= WORD_MAX) at = end - (WORD_MAX - 1);
  for (size_t i = at; i < end; i++) word[i - at] = (char)tolower((unsigned char)key[i]);
  word[end - at] = '\0';
}

enum redact_key redact_key(const char *key, size_t len, const char *parent, size_t parent_len) {
  char word[WORD_MAX], before[WORD_MAX];
  last_word(key, &len, word);
  if (is_one_of(word, kept_as)) last_word(key, &len, word);
  if (is_one_of(word, passwords) || ends_in_one(word, endings)) return KEY_PASSWORD;
  last_word(key, &len, before);
  if (is_one_of(word, secrets)) return is_one_of(before, names_only) ? KEY_HARMLESS : KEY_SECRET;
  if (is_one_of(word, long_ones)) return KEY_LONG;
  if (strcmp(word, "key") != 0) return KEY_HARMLESS;
  if (!before[0]) last_word(parent, &parent_len, before);
  return is_one_of(before, makes_key) ? KEY_SECRET : KEY_HARMLESS;
}

size_t redact_key_min(enum redact_key key, bool assigned) {
  if (key == KEY_LONG) return 20;
  return key == KEY_PASSWORD && assigned ? 1 : REDACT_KEYED_MIN;
}

bool redact_is_setting(const char *word, size_t len) {
  static const char *const settings[] = {"requirepass", "masterauth", "sentinel-pass", "tls-key-file-pass",
                                         "tls-client-key-file-pass"};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (strlen(settings[i]) == len && strncasecmp(word, settings[i], len) == 0) return true;
  return false;
}

/* ${NAME}, $(command), $NAME, $1 */
static bool is_reference(const char *value, size_t len) {
  size_t at = 1;
  if (value[0] != '$') return false;
  if (len > 1 && (value[1] == '{' || value[1] == '(')) return true;
  while (at < len &&
         (isupper((unsigned char)value[at]) || isdigit((unsigned char)value[at]) || value[at] == '_'))
    at++;
  return at == len;
}

bool redact_is_stand_in(const char *value, size_t len) {
  static const char *const literals[] = {"true", "false",     "yes", "no", "null",    "nil",
                                         "none", "undefined", "?",   "%s", "password"};
  if (len == 0 || is_reference(value, len)) return true;
  if (value[0] == '<' && value[len - 1] == '>') return true; /* <none>, <set to the key …> */
  if (len > 1 && value[0] == '{' && value[1] == '{') return true;
  for (size_t i = 0; i < sizeof literals / sizeof *literals; i++)
    if (strlen(literals[i]) == len && strncasecmp(value, literals[i], len) == 0) return true;
  size_t at = 0;
  while (at < len && (value[at] == 'x' || ispunct((unsigned char)value[at]) || value[at] == ' ')) at++;
  return at == len; /* ***, xxx */
}

bool redact_is_random(const char *value, size_t len) {
  bool letter = false, digit = false;
  for (size_t i = 0; i < len; i++) {
    letter |= isalpha((unsigned char)value[i]) != 0;
    digit |= isdigit((unsigned char)value[i]) != 0;
  }
  return len >= REDACT_KEYED_MIN && letter && digit;
}
