/* The operator's terminal: asked on /dev/tty, so that standard input and output may be pipes. One question at a time. */
#ifndef TTY_H
#define TTY_H
#include <stdbool.h>
#include <stddef.h>
#include "error.h"

/* Whether somebody can be asked: there is a controlling terminal and we are in its foreground group. */
bool tty_interactive(void);
/* How a question is answered: by a line that the terminal edits; the same without being shown; by bytes as they are typed, which
 * typed.h makes a line of. */
enum tty_mode { TTY_LINE, TTY_HIDDEN, TTY_KEYS };

/* Opens /dev/tty for a question and drops what was typed before it. The descriptor, or -1 and `error` (kind no_tty; usage:
 * another question is open). */
int tty_begin(enum tty_mode mode, struct error *error);

/* Whether the question's mode had to be set again: the program was stopped, and the shell had the terminal meanwhile. */
bool tty_reclaim(int fd);
/* Whether a read from `fd` would be ours: from the background it would stop the process. */
bool tty_in_foreground(int fd);
/* Puts the terminal back as it was and closes `fd`. A line that was begun and not finished is dropped, or the shell would get
 * it. */
void tty_end(int fd);
/* Puts the terminal back from a signal handler; async-signal-safe. */
void tty_restore(void);
/* Columns and rows of the terminal on standard output, standard error or /dev/tty; 80 and 24 where there is none. */
void tty_size(int *columns, int *rows);
/* Writes all of it to `fd`, waiting where the descriptor isn't ready. False when it can't be written. */
bool tty_write(int fd, const char *text, size_t len);
/* The error of the first write to standard output that failed, or 0. */
int tty_lost(void);

#endif
