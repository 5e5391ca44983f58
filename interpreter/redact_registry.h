/* The declared secrets, for redact.c: what is known by value. */
#ifndef REDACT_REGISTRY_H
#define REDACT_REGISTRY_H
#include <stdbool.h>
#include <stddef.h>
#include "redact_form.h"

struct secret {
  struct secret *next; /* the latest first */
  char *name, *value;
  size_t len;
  int line;                  /* number of a line of the secret of that name; 0: the secret itself */
  unsigned char begins[256]; /* bit k: a place of kind k may begin with this character */
};

extern struct secret *redact_secrets;
/* What may begin at two characters: of all secrets, and of whatever else is looked for. */
#define BEGINS_SECRET 1
#define BEGINS_OTHER 2
extern unsigned char redact_pairs[256][256];
/* Whether the two bytes stand side by side in a secret. */
extern bool redact_inside[256][256];

/* Learns the characters of redact_find's anchors, once. */
void redact_ready(void);
/* The secret of that name, its lines left out. */
const struct secret *redact_secret(const char *name, size_t len);
/* Line number `line` of it. */
const struct secret *redact_secret_line(const char *name, size_t len, int line);
bool redact_is_name_char(char c);

#endif
