/* What changed between two texts that are mostly the same, as JSON: [[120,4000],"new text",[4130,9]], pieces of the older text
 * (from which byte on, how many) and what is new between them. Without Lua.
 */
#ifndef DELTA_H
#define DELTA_H
#include <stdbool.h>
#include <jansson.h>
#include "buffer.h"

/* Appends what makes `to` of `from`; both are valid UTF-8. False when that takes more than `most` bytes: `out` is then of no
 * use. */
bool delta_make(struct buffer *out, const struct buffer *from, const struct buffer *to, size_t most);
/* Appends the newer text; false when `parts` does not fit the older one. */
bool delta_apply(struct buffer *out, const struct buffer *from, const json_t *parts);

#endif
