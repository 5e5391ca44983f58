/* The operator's terminal: asked on /dev/tty, so that standard input and output may be pipes. */
#ifndef TTY_H
#define TTY_H
#include <stdbool.h>
#include <stddef.h>
#include "error.h"

/* Whether somebody can be asked: there is a controlling terminal and we are in its foreground group. */
bool tty_interactive(void);
/* Opens /dev/tty for a question: type-ahead is flushed, with `hidden` the echo is off. The descriptor, or -1 and `error`
 * (kind no_tty). One question at a time. */
int tty_begin(bool hidden, struct error *error);
/* Puts the terminal back as it was and closes `fd`. */
void tty_end(int fd);
/* Puts the terminal back from a signal handler; async-signal-safe. */
void tty_restore(void);
/* Columns and rows of standard output's terminal; 80 and 24 where there is none. */
void tty_size(int *columns, int *rows);
/* Writes all of it to `fd`, waiting where the descriptor isn't ready. */
bool tty_write(int fd, const char *text, size_t len);

#endif
