/* A JSON value, masked string by string before it is written as text, so that a line stays JSON, and each string with its
 * key: a container's variables, CONFIG GET's list, a Kubernetes Secret's data. */
#ifndef REDACT_JSON_H
#define REDACT_JSON_H
#include <stdbool.h>
#include <jansson.h>
#include "buffer.h"

/* A masked copy; `foreign` as for redact_quote. */
json_t *redact_json(const json_t *value, bool foreign);
/* Adds to `copy` the member of the object at which the iterator stands, masked; of two keys that look alike once masked
 * both are kept. */
void redact_json_field(json_t *copy, json_t *object, void *at, bool foreign);

#endif
