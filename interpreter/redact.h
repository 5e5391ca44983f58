/* Secrets leave no trace: whatever is shown, sent or written passes here before it is cut or escaped. Every place of a text
 * where a secret stands is replaced by a mark: ⟦NAME:form⟧.
 *
 * Declared secrets are known by value, in whatever encoding. Forms: plain · url, url-lower, form (percent-encoded: digits
 * in upper or lower case, blanks as +) · json, json-slash (escaped, also with \/) · hex, hex-upper · base64, base64url
 * (also inside a longer encoded text, at any alignment and with line ends) · line (one of a secret of several lines). Such a
 * mark can be put back. One of another form can't: mixed (JSON within JSON, HTML, %q, a shell's quotes), hex-like,
 * base64-like, nested (inside what is encoded as a whole), part (the rest of one that overlaps the one before it, or that
 * was cut by somebody else).
 *
 * Others give themselves away, by their place or their shape (redact_find.h), and become ⟦password:undeclared⟧,
 * ⟦token:undeclared⟧ or ⟦key:undeclared⟧.
 *
 * The registry is one per process and not for threads.
 */
#ifndef REDACT_H
#define REDACT_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"
#include "error.h"

#define REDACT_MIN 4           /* bytes; a shorter value would mask half of every text */
#define REDACT_MAX (64 * 1024) /* bytes; a certificate with its chain is some ten thousand */
#define REDACT_NAME_MAX 64     /* characters of a name: letters, digits and _ . - */
#define REDACT_PART_MIN 8      /* bytes; a shorter beginning or end of a secret is no part that tells of it */

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
/* For a program's own source: what is declared alone, so that it can be put back whole. */
void redact_declared(struct buffer *out, const char *text, size_t len);
/* Appends the text with the values put back for marks of known secrets. True when nothing stayed masked. */
bool redact_restore(struct buffer *out, const char *text, size_t len);

/* What a text is. In a program's source a value beside a key counts when it is quoted and no name itself; in a script only
 * beside a password's key, since `token` is also what scripts call other things. */
enum redact_source { REDACT_TEXT, REDACT_CONFIG, REDACT_SCRIPT };
/* Calls `found` for every value that gives itself away. */
void redact_learn(const char *text, size_t len, enum redact_source source,
                  void (*found)(const char *, size_t, void *), void *data);
/* How much of a text that was cut at its end, or of one cut at its beginning, is to be dropped there: what may be a piece
 * of a declared secret. */
size_t redact_torn_end(const char *text, size_t len);
size_t redact_torn_beginning(const char *text, size_t len);
/* Drops it. Every cap that bytes from outside meet calls this: whoever reads them can't know any more what they were. */
void redact_whole(const char **text, size_t *len, bool tail);

/* Appends "SALT:HASH" (hex, a new salt each time, SHA-256 of salt and value) of the last value of that name, to be kept
 * beside the marks. False when the name is unknown. */
bool redact_hash(struct buffer *out, const char *name);
/* Whether the secret of that name has the value the hash was made of. */
bool redact_matches(const char *name, const char *hash);

#endif
