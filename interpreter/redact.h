/* Secrets leave no trace: whatever is shown or written passes here last. A registry of secrets by name; every place of a
 * text where one stands, in whatever encoding, is replaced by a mark: ⟦NAME:form⟧. URLs give their secrets away by their
 * shape alone: a password in scheme://user:PASSWORD@ and the path of a chat webhook become ⟦url⟧.
 *
 * Forms: plain · url, url-lower, form (percent-encoded: digits in upper or lower case, blanks as +) · json, json-slash
 * (escaped, also with \/) · hex, hex-upper · base64, base64url (also inside a longer encoded text, at any alignment and
 * with line ends). A place written in an unusual mixture of these is found too and named url-like, json-like, hex-like,
 * base64-like; such a mark, and NAME:part (the rest of a secret that overlaps the one before it) can't be put back.
 *
 * The registry is one per process and not for threads.
 */
#ifndef REDACT_H
#define REDACT_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"
#include "error.h"

#define REDACT_MIN 4                   /* bytes; a shorter value would mask half of every text */
#define REDACT_MAX (64 * 1024)         /* bytes; a certificate with its chain is some ten thousand */
#define REDACT_NAME_MAX 64             /* characters of a name: letters, digits and _ . - */
#define REDACT_REGION_MAX (256 * 1024) /* bytes a stream holds back at most */

/* Registers a secret; bytes of any kind. A name may have several values (it was rotated): all are masked, the last is
 * put back. False with error usage for a bad name, a value too short or too long. */
bool redact_add(const char *name, const char *value, size_t len, struct error *error);
/* Forgets all, overwriting the memory. */
void redact_clear(void);
bool redact_known(const char *name);

/* Appends the text, masked. Marks of known secrets that stand in it already stay as they are: applying twice is applying
 * once. */
void redact_apply(struct buffer *out, const char *text, size_t len);
/* For foreign text that will be put back: also writes a literal "⟦…:" as "⟦:⟧…:", so that a log that happens to hold
 * "⟦DB_PASSWORD:plain⟧" can't be made into the password. */
void redact_quote(struct buffer *out, const char *text, size_t len);
/* Appends the text with the values put back for marks of known secrets. True when nothing stayed masked. */
bool redact_restore(struct buffer *out, const char *text, size_t len);

/* A text that comes in chunks: what may be the beginning of a secret is held back until more comes. A zeroed struct is
 * a new stream. */
struct redact_stream {
  struct buffer held;
  size_t url_from, url_to; /* the secret part of a URL, in `held` */
};
void redact_stream_feed(struct redact_stream *stream, struct buffer *out, const char *chunk, size_t len);
/* The end: appends what was held back and frees it. */
void redact_stream_end(struct redact_stream *stream, struct buffer *out);

/* Appends "SALT:HASH" (hex, a new salt each time, SHA-256 of salt and value) of the last value of that name, to be kept
 * beside the marks. False when the name is unknown. */
bool redact_hash(struct buffer *out, const char *name);
/* Whether the secret of that name has the value the hash was made of. */
bool redact_matches(const char *name, const char *hash);

#endif
