#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One pipe from the child. */
struct process_output {
  uv_pipe_t pipe;
  struct process *process;
  struct buffer *kept;
  bool open;
};

struct process {
  uv_process_t child;
  uv_timer_t timer;
  uv_pipe_t input;
  uv_write_t write;
  struct process_output out, err;
  struct process_result result;
  size_t max_output;
  struct linescan *scan; /* the caller's */
  bool keep_tail, hold_input, spawned, reaped, stopping, killed, silent;
  char *last;
  uint64_t started; /* ns */
  uint64_t due;     /* of the next step while it is ending; loop time in ms */
  unsigned handles; /* not closed yet; the last one frees the process */
  void *input_copy;
  size_t input_len;
  void (*done)(void *data, struct process_result *result);
  void *data;
};

static char discard[64 * 1024]; /* every read goes here first: one loop, one thread */

/* ---- The end ---- */

static void handle_closed(uv_handle_t *handle) {
  struct process *process = handle->data;
  if (--process->handles) return;
  if (process->input_copy) explicit_bzero(process->input_copy, process->input_len); /* often a password */
  free(process->input_copy);
  free(process->last);
  buffer_free(&process->result.out);
  buffer_free(&process->result.err);
  free(process);
}

static void handle_close(void *handle) {
  if (!uv_is_closing(handle)) uv_close(handle, handle_closed);
}

static void process_close(struct process *process) {
  process->out.open = process->err.open = false;
  handle_close(&process->timer);
  if (process->spawned) handle_close(&process->child);
  handle_close(&process->input);
  handle_close(&process->out.pipe);
  handle_close(&process->err.pipe);
}

/* The cap with keep_tail is enforced loosely while reading: the buffer may hold twice as much. */
static void tail_trim(struct process *process, struct buffer *kept) {
  if (kept->len <= process->max_output) return;
  size_t excess = kept->len - process->max_output;
  memmove(kept->data, kept->data + excess, process->max_output);
  kept->len = process->max_output;
  process->result.cut = true;
}

static void process_finish(struct process *process) {
  struct process_result *result = &process->result;
  if (!process->done) return;
  result->ms = (double)(uv_hrtime() - process->started) / 1e6;
  result->ended = process->reaped;
  tail_trim(process, &result->out);
  tail_trim(process, &result->err);
  process->scan = NULL;
  process->done(process->data, result);
  process->done = NULL;
  process_close(process);
}

/* ---- Signals to the tree ---- */

/* Once the child is reaped its number may be anybody's: as long as a member of the group lives the kernel
 * keeps the number free, so a process of that number is a stranger and the group gone. */
static bool group_is_gone(const struct process *process) {
  if (process->reaped && (kill(process->child.pid, 0) == 0 || errno == EPERM)) return true;
  return kill(-process->child.pid, 0) != 0 && errno == ESRCH;
}

static void group_signal(const struct process *process, int number) {
  if (process->child.pid <= 1 || group_is_gone(process)) return;
  kill(-process->child.pid, number);
}

/* A stopped process takes SIGTERM only once it goes on. */
static void group_terminate(const struct process *process) {
  group_signal(process, SIGTERM);
  group_signal(process, SIGCONT);
}

static bool outputs_ended(const struct process *process) { return !process->out.open && !process->err.open; }

/* Every PROCESS_TICK_MS while a stopped tree ends. */
static void stopping_step(struct process *process) {
  if (process->reaped && group_is_gone(process)) {
    if (!outputs_ended(process)) process->result.cut = true;
    process_finish(process);
  } else if (uv_now(process->timer.loop) < process->due) {
    return;
  } else if (!process->killed) {
    process->killed = true;
    group_signal(process, SIGKILL);
    process->due = uv_now(process->timer.loop) + PROCESS_GIVE_UP_MS;
  } else {
    process->result.cut = true;
    process_finish(process);
  }
}

/* ---- Descendants that are left ---- */

static void drain_closed(uv_handle_t *handle) { free(handle); }

/* Reads a pipe to its end in our place, for as long as anybody writes into it; nobody waits for it. */
static void drain_start(uv_loop_t *loop, const struct process_output *output) {
  static char program[] = "/bin/cat", *argv[] = {program, NULL}, *env[] = {NULL};
  uv_os_fd_t fd;
  if (!output->open || uv_fileno((const uv_handle_t *)&output->pipe, &fd) != 0) return;
  uv_stdio_container_t stdio[3] = {{.flags = UV_INHERIT_FD, .data.fd = fd}};
  uv_process_options_t options = {.file = program,
                                  .args = argv,
                                  .env = env,
                                  .flags = UV_PROCESS_DETACHED,
                                  .cwd = "/",
                                  .stdio_count = 3,
                                  .stdio = stdio};
  uv_process_t *cat = xcalloc(1, sizeof *cat);
  uv_spawn(loop, cat, &options);
  uv_close((uv_handle_t *)cat, drain_closed);
}

static void descendants_leave(struct process *process) {
  process->result.left = true;
  drain_start(process->timer.loop, &process->out);
  drain_start(process->timer.loop, &process->err);
}

static void process_tick(uv_timer_t *timer) {
  struct process *process = timer->data;
  if (process->stopping) {
    stopping_step(process);
  } else if (uv_now(timer->loop) < process->due) {
    return;
  } else if (!process->reaped) { /* it has said its last word */
    process->result.left = true;
    process_stop(process);
  } else { /* a descendant keeps the output open */
    if (process->result.code == 0)
      descendants_leave(process);
    else
      group_terminate(process);
    process->result.cut = true;
    process_finish(process);
  }
}

/* Ticks, not one shot: after Lua kept the loop busy the first tick is late, and reading comes before the
 * second. */
static void ticking_start(struct process *process, uint64_t ms, uint64_t tick) {
  uv_update_time(process->timer.loop);
  process->due = uv_now(process->timer.loop) + ms;
  uv_timer_start(&process->timer, process_tick, tick, tick);
}

void process_stop(struct process *process) {
  if (process->stopping || !process->done) return;
  process->stopping = true;
  group_terminate(process);
  ticking_start(process, PROCESS_GRACE_MS, PROCESS_TICK_MS);
}

void process_abandon(struct process *process) {
  group_signal(process, SIGKILL);
  process->scan = NULL;
  process->done = NULL;
  process_close(process);
}

static void child_ended(uv_process_t *child, int64_t status, int number) {
  struct process *process = child->data;
  process->reaped = true;
  process->result.signal = number;
  process->result.code = number ? 128 + number : (int)status;
  if (process->stopping) return;
  if (outputs_ended(process))
    process_finish(process);
  else
    ticking_start(process, PROCESS_LINGER_MS, PROCESS_LINGER_MS / 2);
}

/* ---- Input and output ---- */

static void output_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)handle, (void)suggested;
  *buf = uv_buf_init(discard, sizeof discard);
}

static void output_keep(struct process *process, struct buffer *kept, const char *bytes, size_t len) {
  if (process->scan && kept == &process->result.out) linescan_feed(process->scan, bytes, len);
  size_t room = process->max_output > kept->len ? process->max_output - kept->len : 0;
  if (process->keep_tail) {
    if (kept->len + len > 2 * process->max_output + sizeof discard) tail_trim(process, kept);
    room = len;
  }
  if (len > room) process->result.cut = true;
  if (room) buffer_append(kept, bytes, len < room ? len : room);
}

/* The silence begins with the last word, and again with all that comes after it. */
static void last_word_heed(struct process *process, const struct process_output *output) {
  if (!process->last || process->reaped || process->stopping) return;
  process->silent = process->silent ||
                    (output == &process->err && output->kept->len &&
                     memmem(output->kept->data, output->kept->len, process->last, strlen(process->last)));
  if (process->silent) ticking_start(process, PROCESS_SILENCE_MS, PROCESS_TICK_MS);
}

static void output_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  struct process_output *output = (struct process_output *)stream;
  struct process *process = output->process;
  if (len > 0) {
    output_keep(process, output->kept, buf->base, (size_t)len);
    last_word_heed(process, output);
  }
  if (len >= 0) return;
  if (len != UV_EOF) process->result.cut = true;
  output->open = false;
  handle_close(stream);
  if (process->reaped && !process->stopping && outputs_ended(process)) process_finish(process);
}

/* The child need not read its input: a broken pipe is not a failure. */
static void input_written(uv_write_t *write, int status) {
  struct process *process = write->handle->data;
  if (status || !process->hold_input) handle_close(&process->input);
}

static void input_start(struct process *process, const struct process_spec *spec) {
  if (!spec->input || spec->input_len == 0) {
    handle_close(&process->input);
    return;
  }
  process->input_copy = xmalloc(spec->input_len);
  process->input_len = spec->input_len;
  memcpy(process->input_copy, spec->input, spec->input_len);
  uv_buf_t buf = uv_buf_init(process->input_copy, (unsigned)spec->input_len);
  if (uv_write(&process->write, (uv_stream_t *)&process->input, &buf, 1, input_written))
    handle_close(&process->input);
}

/* ---- The start ---- */

/* ends[0..2] are the child's, or -1. Real pipes: libuv's own are sockets, which /dev/stdin and /dev/stdout
 * can't open. */
static int pipes_open(struct process *process, bool has_input, int ends[3]) {
  uv_pipe_t *ours[3] = {has_input ? &process->input : NULL, &process->out.pipe, &process->err.pipe};
  for (int i = 0; i < 3; i++) {
    int fds[2];
    if (!ours[i]) continue;
    if (pipe2(fds, O_CLOEXEC) != 0) return -errno;
    ends[i] = fds[i == 0 ? 0 : 1];
    int mine = fds[i == 0 ? 1 : 0];
    int status = uv_pipe_open(ours[i], mine);
    if (status) {
      close(mine);
      return status;
    }
  }
  return 0;
}

static void ends_close(int ends[3]) {
  for (int i = 0; i < 3; i++)
    if (ends[i] >= 0) close(ends[i]);
}

static struct process *process_new(uv_loop_t *loop, const struct process_spec *spec) {
  struct process *process = xcalloc(1, sizeof *process);
  uv_timer_init(loop, &process->timer);
  uv_pipe_init(loop, &process->input, 0);
  uv_pipe_init(loop, &process->out.pipe, 0);
  uv_pipe_init(loop, &process->err.pipe, 0);
  process->timer.data = process->input.data = process->child.data = process;
  process->out.pipe.data = process->err.pipe.data = process;
  process->out.process = process->err.process = process;
  process->out.kept = &process->result.out;
  process->err.kept = &process->result.err;
  process->max_output = spec->max_output;
  process->scan = spec->scan;
  process->keep_tail = spec->keep_tail;
  process->hold_input = spec->hold_input;
  process->last = spec->last ? xstrdup(spec->last) : NULL;
  process->handles = 4; /* and the child's, later */
  return process;
}

static int child_spawn(struct process *process, const struct process_spec *spec, const int ends[3]) {
  uv_stdio_container_t stdio[3];
  for (int i = 0; i < 3; i++) {
    stdio[i].flags = ends[i] >= 0 ? UV_INHERIT_FD : UV_IGNORE; /* ignored: /dev/null */
    stdio[i].data.fd = ends[i];
  }
  uv_process_options_t options = {.exit_cb = child_ended,
                                  .file = spec->argv[0],
                                  .args = spec->argv,
                                  .env = spec->env,
                                  .cwd = spec->cwd,
                                  .flags = UV_PROCESS_DETACHED,
                                  .stdio_count = 3,
                                  .stdio = stdio};
  process->spawned = true; /* a handle to be closed even when uv_spawn fails */
  process->handles++;
  process->started = uv_hrtime();
  return uv_spawn(process->timer.loop, &process->child, &options);
}

/* exec's ENOENT has three causes; the operator should not have to guess. */
static void spawn_explain(const struct process_spec *spec, int status, struct error *error) {
  struct stat info;
  if (spec->cwd && (stat(spec->cwd, &info) != 0 || !S_ISDIR(info.st_mode)))
    error_set(error, "missing", "the folder %s is not there", spec->cwd);
  else if (status != UV_ENOENT)
    error_set_code(error, status, spec->argv[0]);
  else if (strchr(spec->argv[0], '/') && stat(spec->argv[0], &info) == 0)
    error_set(error, "missing", "%s: its interpreter is not there", spec->argv[0]);
  else
    error_set(error, "missing", "%s: no such program", spec->argv[0]);
}

struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              void (*done)(void *, struct process_result *), void *data,
                              struct error *error) {
  struct process *process = process_new(loop, spec);
  int ends[3] = {-1, -1, -1};
  int status = pipes_open(process, spec->input != NULL, ends);
  if (status)
    error_set_code(error, status, "a pipe could not be made");
  else if ((status = child_spawn(process, spec, ends)) != 0)
    spawn_explain(spec, status, error);
  ends_close(ends);
  if (status) {
    process_close(process);
    return NULL;
  }
  process->done = done;
  process->data = data;
  process->out.open = process->err.open = true;
  uv_read_start((uv_stream_t *)&process->out.pipe, output_alloc, output_read);
  uv_read_start((uv_stream_t *)&process->err.pipe, output_alloc, output_read);
  input_start(process, spec);
  return process;
}
