/* What is encoded as a whole: base 64 of base 64, of JSON, of a file with passwords. For redact.c. */
#ifndef REDACT_NESTED_H
#define REDACT_NESTED_H
#include <stdbool.h>
#include <stddef.h>
#include "buffer.h"

#define REDACT_RUN_MIN 24 /* characters; shorter ones hold no secret worth decoding them */

/* Where the run of base 64 (or hex) characters at `at` ends, line ends of encoders included. */
size_t redact_run_end(const char *text, size_t len, size_t at);
/* The ways such a run may be read: as base 64 from one of its first four characters on, and as hex. False: what way number
 * `way` gives is no text. Appends it otherwise. */
#define REDACT_WAYS 5
#define REDACT_WAY_HEX 4
bool redact_run_decode(struct buffer *out, const char *run, size_t len, int way);

#endif
