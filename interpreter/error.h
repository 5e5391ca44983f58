/* An error a human will read, with a word a program can compare. */
#ifndef ERROR_H
#define ERROR_H
#include <stddef.h>

/* `kind` is one short word of the table in spec/language.md (timeout, refused, dns, permission, missing, …);
 * empty is "no error". `message` is a sentence without a final stop. */
struct error {
  char kind[24];
  char message[512];
};

/* Fills `error`; always returns 0, so that `return error_set(…)` reads well in functions that return false or
 * NULL. */
int error_set(struct error *error, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* How much of the end of a text that was cut is to be dropped: redact_torn_end in a program that knows secrets. */
extern size_t (*error_torn)(const char *text, size_t len);
/* The kind for a libuv or errno code (either sign): ECONNREFUSED → refused, EACCES → permission, ENOENT →
 * missing … */
const char *error_kind_of(int code);
/* error_set with the kind and the words of `code`, prefixed with "what: ". */
int error_set_code(struct error *error, int code, const char *what);

#endif
