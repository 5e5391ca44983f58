/* Big values of a journal, each kept once in the run's folder blobs/ under the SHA-256 of its text (spec/journal.md): HASH.json is
 * the text itself, HASH.delta what changed since an older one. Without Lua; the journal (journal.h) masks what it hands over.
 */
#ifndef BLOBS_H
#define BLOBS_H
#include <stdbool.h>
#include <sha2.h>
#include "buffer.h"
#include "error.h"

#define BLOBS_CHAIN 200                   /* a value is made of so many changes at most */
#define BLOBS_REMEMBERED 16               /* values that the next one of their kind is compared with … */
#define BLOBS_REMEMBERED_BYTES (32 << 20) /* … and their bytes, together */
#define BLOBS_VALUE_MAX (256u << 20)      /* bytes of one value that is read */

struct blobs;

/* The blobs of the run in `folder`, for their one writer; the folder blobs/ is made with the first. With `synced` each is on
 * disk before its name is given away. */
struct blobs *blobs_open(const char *folder, bool synced);
void blobs_close(struct blobs *blobs);
/* Keeps `text` and tells its hash. `kind` says what it is another state of: "kubectl.get pods items". 0, or an errno code: then
 * nothing of it is left. */
int blobs_keep(struct blobs *blobs, const char *kind, const struct buffer *text,
               char hash[SHA256_DIGEST_STRING_LENGTH]);
/* Appends the text of that hash, checked by it. False and `error`: missing, io, protocol (it is not what its name says). */
bool blobs_read(struct buffer *text, const char *folder, const char *hash, struct error *error);

#endif
