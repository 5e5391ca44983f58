#include "redact_json.h"
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "redact.h"
#include "redact_find.h"

#define UNWRITABLE "⟦redacted⟧" /* a secret that ended within a character left no text */
#define UNDECLARED "⟦password:undeclared⟧"

/* Where a value stands: under which key, in which object, and whether that is a Kubernetes Secret's data. */
struct place {
  const char *key, *parent;
  size_t len, parent_len;
  bool data, foreign;
  bool list; /* inside a SecretList, whose items say no kind */
};

static json_t *clean_value(const json_t *value, const struct place *place);

static void clean_text(struct buffer *out, const char *text, size_t len, bool foreign) {
  if (foreign)
    redact_quote(out, text, len);
  else
    redact_apply(out, text, len);
  buffer_append(out, "", 0);
}

/* Whether a string is secret by where it stands. What a script put there as a declared secret has a mark already. */
static bool is_secret(const struct place *place, const char *text, size_t len) {
  struct buffer declared = {0};
  if (len == 0) return false;
  enum redact_key key = redact_key(place->key, place->len, place->parent, place->parent_len);
  bool setting = redact_is_setting(place->key, place->len);
  if (!place->data && !setting && (key == KEY_HARMLESS || len < redact_key_min(key, false))) return false;
  if (redact_is_stand_in(text, len) || (key == KEY_LONG && memchr(text, ' ', len))) return false;
  redact_declared(&declared, text, len);
  bool marked = memmem(declared.data, declared.len, "⟦", 3) != NULL;
  buffer_free(&declared);
  return !marked;
}

static json_t *clean_string(const json_t *string, const struct place *place) {
  struct buffer clean = {0};
  const char *text = json_string_value(string);
  size_t len = json_string_length(string);
  if (is_secret(place, text, len)) return json_string(UNDECLARED);
  clean_text(&clean, text, len, place->foreign);
  json_t *copy = json_stringn(clean.data, clean.len);
  buffer_free(&clean);
  return copy ? copy : json_string(UNWRITABLE);
}

/* Two keys may look alike once masked: neither is lost. */
static void set_clean(json_t *object, struct buffer *key, json_t *value) {
  while (json_object_getn(object, key->data, key->len)) buffer_putc(key, '~');
  json_incref(value);
  if (json_object_setn_new(object, key->data, key->len, value) == 0) return json_decref(value);
  buffer_clear(key);
  buffer_puts(key, UNWRITABLE);
  while (json_object_getn(object, key->data, key->len)) buffer_putc(key, '~');
  json_object_setn_new(object, key->data, key->len, value);
}

/* { name = "DB_PASSWORD", value = "…" }: the name is the key. */
static void use_name(const json_t *object, struct place *place) {
  static const char *const keys[] = {"name", "Name", "key", "Key"};
  const json_t *name = NULL;
  if (place->len != 5 || strncasecmp(place->key, "value", 5) != 0) return;
  for (size_t i = 0; i < sizeof keys / sizeof *keys && !name; i++) name = json_object_get(object, keys[i]);
  if (!json_is_string(name)) return;
  place->key = json_string_value(name);
  place->len = json_string_length(name);
}

static bool is_kind(const json_t *object, const char *wanted) {
  const char *kind = json_string_value(json_object_get(object, "kind"));
  return kind && strcmp(kind, wanted) == 0;
}

static bool is_data(const json_t *object, const char *key, bool list) {
  return (list || is_kind(object, "Secret")) && (strcmp(key, "data") == 0 || strcmp(key, "stringData") == 0);
}

static void add_field(json_t *copy, json_t *object, void *at, const struct place *above) {
  const char *name = json_object_iter_key(at);
  size_t len = json_object_iter_key_len(at);
  bool list = above->list || is_kind(object, "SecretList");
  struct place place = {.key = name,
                        .parent = above->key,
                        .len = len,
                        .parent_len = above->len,
                        .foreign = above->foreign,
                        .list = list,
                        .data = above->data || is_data(object, name, list)};
  struct buffer key = {0};
  use_name(object, &place);
  clean_text(&key, name, len, above->foreign);
  set_clean(copy, &key, clean_value(json_object_iter_value(at), &place));
  buffer_free(&key);
}

static json_t *clean_object(const json_t *value, const struct place *above) {
  json_t *object = (json_t *)(uintptr_t)value, *copy = json_object(); /* jansson's iterators know no const */
  for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
    add_field(copy, object, at, above);
  return copy;
}

/* Of a list of words the one behind --password or requirepass is its value. */
static struct place place_in_list(const json_t *list, size_t i, const struct place *above) {
  const json_t *before = i ? json_array_get(list, i - 1) : NULL;
  const char *word = json_string_value(before);
  struct place place = *above;
  if (!word) return place;
  size_t len = json_string_length(before), dashes = strspn(word, "-");
  bool names = dashes > 0 && dashes < len && !memchr(word, '=', len);
  if (names || redact_is_setting(word, len)) place.key = word + dashes, place.len = len - dashes;
  return place;
}

/* Of the words of a command the secret part of the one at `i`, by an option of its program's: -a x, -px. */
static bool find_option_value(const json_t *list, size_t i, const char **value, size_t *len) {
  const json_t *word = json_array_get(list, i), *flag = i ? json_array_get(list, i - 1) : NULL;
  for (size_t k = 0; k < i; k++) {
    const json_t *program = json_array_get(list, k);
    if (!json_is_string(program)) continue;
    const char *name = json_string_value(program);
    size_t name_len = json_string_length(program);
    *value = json_string_value(word), *len = json_string_length(word);
    if (redact_option_attached(name, name_len, value, len)) return true;
    *value = json_string_value(word), *len = json_string_length(word);
    if (json_is_string(flag) &&
        redact_option_value(name, name_len, json_string_value(flag), json_string_length(flag), value, len))
      return true;
  }
  return false;
}

/* The word with that part masked; NULL: it has none. */
static json_t *clean_option(const json_t *list, size_t i, bool foreign) {
  const json_t *word = json_array_get(list, i);
  const char *value;
  size_t len;
  struct buffer clean = {0};
  if (!json_is_string(word) || !find_option_value(list, i, &value, &len)) return NULL;
  clean_text(&clean, json_string_value(word), (size_t)(value - json_string_value(word)), foreign);
  buffer_puts(&clean, UNDECLARED);
  buffer_puts(&clean, value + len);
  json_t *copy = json_stringn(clean.data, clean.len);
  buffer_free(&clean);
  return copy;
}

static json_t *clean_list(const json_t *value, const struct place *above) {
  json_t *copy = json_array();
  for (size_t i = 0; i < json_array_size(value); i++) {
    struct place place = place_in_list(value, i, above);
    json_t *option = clean_option(value, i, above->foreign);
    json_array_append_new(copy, option ? option : clean_value(json_array_get(value, i), &place));
  }
  return copy;
}

static json_t *clean_value(const json_t *value, const struct place *place) {
  if (json_is_string(value)) return clean_string(value, place);
  if (json_is_object(value)) return clean_object(value, place);
  if (json_is_array(value)) return clean_list(value, place);
  return json_incref((json_t *)(uintptr_t)value);
}

void redact_json_field(json_t *copy, json_t *object, void *at, bool foreign) {
  struct place above = {.key = "", .parent = "", .foreign = foreign};
  add_field(copy, object, at, &above);
}

json_t *redact_json(const json_t *value, bool foreign) {
  struct place place = {.key = "", .parent = "", .foreign = foreign};
  return clean_value(value, &place);
}
