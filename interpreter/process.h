/* A child process: run to its end, its output kept up to a cap, killed as a tree.
 *
 * The child leads a session and process group of its own (setsid): no terminal, and kill(-pid) reaches all it
 * started, except what made a session of its own. It gets exactly the argv, environment and folder given,
 * /dev/null or the given bytes as standard input, and no descriptor of ours. That it dies with us can't be
 * had: PR_SET_PDEATHSIG must be set between fork and exec, which libuv does by itself. SIGCHLD belongs to
 * libuv; nothing here may call waitpid.
 *
 * Output is read to its end, whatever the cap, so that the child never blocks on us. Descendants that hold the pipes open
 * after the child's own end get PROCESS_LINGER_MS; then the output is marked as cut. When the child ended with 0 they
 * stay, as by hand (a script that starts a daemon), the result says so, and a cat that outlives us takes what they
 * write, or their next line would end them by SIGPIPE; after any other end the group gets SIGTERM.
 */
#ifndef PROCESS_H
#define PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>
#include "buffer.h"
#include "error.h"
#include "linescan.h"

#define PROCESS_GRACE_MS 2000   /* between SIGTERM and SIGKILL */
#define PROCESS_LINGER_MS 100   /* for the end of the output after the child's own end */
#define PROCESS_SILENCE_MS 1000 /* after the last word */
#define PROCESS_GIVE_UP_MS 1000 /* after SIGKILL: what is still there hangs in the kernel */
#define PROCESS_TICK_MS 20      /* between two looks at a group that is to end */

struct process_spec {
  char **argv;     /* NULL-ended; argv[0] is looked up in the PATH of `env` */
  char **env;      /* NULL-ended NAME=VALUE: all of it */
  const char *cwd; /* NULL: ours */
  const void *input;
  size_t input_len;  /* with input NULL: /dev/null */
  size_t max_output; /* bytes kept of each stream */
  bool keep_tail;    /* the last bytes are kept, not the first */
  struct linescan
      *scan;       /* NULL, or what looks at standard output while it passes; the caller's, until `done` */
  bool hold_input; /* the input is closed only when the child has ended */
  const char
      *last; /* NULL, or what on stderr is the last word of the child: one that goes on saying nothing for
                      * PROCESS_SILENCE_MS after it is stopped, as an ssh whose sshd waits for a daemon's output */
};

struct process_result {
  int code, signal; /* signal 0: exited with `code`; else code is 128 + signal */
  bool ended;       /* false: not even SIGKILL ended it in time, code and signal are unknown */
  bool cut;         /* some output is missing: over the cap, or held back by a descendant */
  bool left;        /* ended with 0 or with its last word, and what holds its output was left running */
  double ms;
  struct buffer out, err;
};

struct process;
/* Starts the child. `done` is called once, on the loop's thread; the process and its result are gone after it
 * (take the buffers by zeroing them). Copies all of `spec`. NULL with `error` filled: kind missing,
 * permission, io …; then `done` is never called. */
struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              void (*done)(void *data, struct process_result *result), void *data,
                              struct error *error);
/* Ends the tree: SIGTERM, PROCESS_GRACE_MS, SIGKILL; then `done` as ever. A second call does nothing. */
void process_stop(struct process *process);
/* Kills the tree at once and forgets it; `done` is not called. */
void process_abandon(struct process *process);

#endif
