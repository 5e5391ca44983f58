/* Secrets leave no trace: every writer (journal, screen, evidence, error text) passes its text through redact_apply.
 *
 * A secret is found plain, URL-encoded (either case, "+" for a blank), base64 at its three alignments in both alphabets,
 * JSON-escaped and in hex, and becomes ⟦NAME:form⟧. Passwords in a URL and webhook URLs are secrets without being declared
 * and become ⟦url⟧.
 */
#ifndef REDACT_H
#define REDACT_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"
#include "error.h"

#define REDACT_MIN 4       /* bytes; a shorter secret would mask half of every text */
#define REDACT_MAX 65536   /* bytes of a secret */
#define REDACT_SECRETS 256 /* secrets of one run */

/* Registers a secret; the same name and value again is fine. False and `error` (kind usage, limit) when it can't be kept
 * secret: it is then not to be used. */
bool redact_add(const char *name, const char *value, size_t len, struct error *error);
/* Appends `text` with every secret replaced. */
void redact_apply(struct buffer *out, const char *text, size_t len);
/* Appends `text` with ⟦NAME:form⟧ put back for the secrets at hand. */
void redact_restore(struct buffer *out, const char *text, size_t len);
/* Hex SHA-256 of this process's salt and the value of secret `name` into `hash`; false when there is no such secret. */
bool redact_hash(const char *name, const char *salt, char hash[65]);
/* How many bytes at the end of a chunk must be held back, because a secret may go on in the next one. */
size_t redact_hold_back(void);

#endif
