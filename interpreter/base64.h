/* Base 64 (RFC 4648): the standard alphabet with padding, and the one for URLs without. */
#ifndef BASE64_H
#define BASE64_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Appends `data` encoded. */
void base64_encode(struct buffer *out, const void *data, size_t len, enum base64_alphabet alphabet);
/* Appends what `text` (either alphabet, padding optional) stands for. False, with nothing appended, when it
 * is not base 64: a foreign character, a wrong length, or bits beyond the last byte that aren't zero. */
bool base64_decode(struct buffer *out, const char *text, size_t len);

#endif
