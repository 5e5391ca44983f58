/* A growing byte string. Allocation failure ends the process: the core never runs half-done. */
#ifndef BUFFER_H
#define BUFFER_H
#include <stdarg.h>
#include <stddef.h>

/* `data` is NUL-terminated whenever it is not NULL; `len` doesn't count that NUL. A zeroed struct is an empty
 * buffer. */
struct buffer {
  char *data;
  size_t len, cap;
};

void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_puts(struct buffer *buffer, const char *text);
void buffer_putc(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_clear(struct buffer *buffer); /* empty, memory kept */
void buffer_free(struct buffer *buffer);  /* empty, memory returned */

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *block, size_t size);
char *xstrdup(const char *text);

#endif
