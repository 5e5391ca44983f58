/* Secrets that nobody declared: places that give themselves away. By their key, in that place alone and never by value
 * elsewhere: "password": "…", PASSWORD=…, Pwd=…; in a connection string, requirepass …, values of a Kubernetes Secret. By
 * their shape: user-info and webhooks in URLs, tokens of cloud providers, GitHub, Slack …, JWT, private keys in PEM.
 */
#ifndef REDACT_FIND_H
#define REDACT_FIND_H
#include <stdbool.h>
#include <stddef.h>
#include "redact.h"

#define REDACT_KEYED_MIN                                                                                     \
  8 /* bytes; a shorter string beside a key in JSON or YAML is a word more often than a secret */

/* What a scan knows of a text so far. Zeroed but for the first three at its beginning. */
struct redact_scene {
  const char *text;
  size_t len;
  enum redact_source source;
  size_t parent, parent_len; /* the key of the object that was opened last */
  size_t data_indent;        /* of a Kubernetes Secret's `data`: inside it while lines are indented deeper */
  bool data, named; /* inside such data in JSON; the name of a "name", "value" pair tells of a secret */
  signed char has_secret_kind; /* whether a Kubernetes Secret stands in the text: 0 not looked yet, 1, -1 */
};

/* [from, to) is secret; `name` says what of. */
struct redact_span {
  size_t from, to;
  const char *name;
};

/* The one or two characters at which redact_find has anything to look for; an empty one is the last. */
extern const char redact_anchors[][3];
/* Whether the anchor at `at` tells of a secret there or behind it. */
bool redact_find(struct redact_scene *scene, size_t at, struct redact_span *span);

/* The finders behind it. */
bool redact_find_url(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_value(struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_shape(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_word(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_option(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_right(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_colon(const struct redact_scene *scene, size_t at, struct redact_span *span);
bool redact_find_encoded(const struct redact_scene *scene, size_t at, struct redact_span *span);

/* Whether `program` takes a secret behind its option `flag`: *value, which stands there, and *len become the secret part of it. */
bool redact_option_value(const char *program, size_t program_len, const char *flag, size_t flag_len,
                         const char **value, size_t *len);
/* The same of an option with its value written onto it, as mysql's -pSECRET. */
bool redact_option_attached(const char *program, size_t program_len, const char **word, size_t *len);

/* Whether a key says that its value is secret: whole words, DB_PASSWORD, apiKey, Jwt:Secret; `Key` alone only under a parent
 * that makes it one, as Jwt. */
enum redact_key {
  KEY_HARMLESS,
  KEY_SECRET,
  KEY_PASSWORD, /* in KEY=VALUE of any length */
  KEY_LONG,     /* auth, signature: when it is long and one word */
};
/* The shortest value that is secret beside such a key; `assigned`: KEY=VALUE. */
size_t redact_key_min(enum redact_key key, bool assigned);
enum redact_key redact_key(const char *key, size_t len, const char *parent, size_t parent_len);
/* A server's own setting that holds a password whatever its length: requirepass. */
bool redact_is_setting(const char *word, size_t len);
/* Whether a value beside a secret's key is none: a reference, a literal, nothing. */
bool redact_is_stand_in(const char *value, size_t len);
/* Whether a word is no word of a sentence: a letter and a digit, of a secret's length. */
bool redact_is_random(const char *value, size_t len);

#endif
