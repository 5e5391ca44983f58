#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "sys.h"

static double ticks_per_second(void) { return (double)sysconf(_SC_CLK_TCK); }

/* When the machine started, seconds since 1970; constant while it is up, unlike now minus uptime. */
static double boot_time(void) {
  struct buffer text = {0};
  double seconds = 0;
  if (sys_read("/proc/stat", SYS_FILE_BYTES, &text) && text.len) {
    const char *line = strstr(text.data, "\nbtime ");
    if (line) seconds = strtod(line + 7, NULL);
  }
  buffer_free(&text);
  return seconds;
}

const char *sys_process_state(char letter) {
  switch (letter) {
  case 'R':
    return "running";
  case 'S':
    return "sleeping";
  case 'D':
    return "blocked"; /* in the kernel, mostly waiting for a disk; can't be killed */
  case 'Z':
    return "zombie";
  case 'T':
    return "stopped";
  case 't':
    return "traced";
  case 'I':
    return "idle";
  default:
    return "dead";
  }
}

/* "pid (name) S ppid …": the name may hold blanks and brackets. */
static bool parse_stat(const char *text, struct process_info *process) {
  unsigned long long user, system, start;
  long long pages;
  const char *open = strchr(text, '('), *close = strrchr(text, ')');
  if (!open || !close || close < open) return false;
  snprintf(process->name, sizeof process->name, "%.*s", (int)(close - open - 1), open + 1);
  if (sscanf(close + 1,
             " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %*u %lld",
             &process->state, &process->ppid, &user, &system, &start, &pages) != 6)
    return false;
  process->cpu_seconds = (double)(user + system) / ticks_per_second();
  process->start_ticks = start;
  process->memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
  return true;
}

/* False: it isn't there (any more). */
static bool read_process(pid_t pid, struct process_info *process) {
  char path[64];
  struct stat info;
  struct buffer text = {0};
  memset(process, 0, sizeof *process);
  process->pid = pid;
  snprintf(path, sizeof path, "/proc/%d", pid);
  bool there = stat(path, &info) == 0;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  there = there && sys_read(path, SYS_FILE_BYTES, &text) && text.len && parse_stat(text.data, process);
  process->uid = info.st_uid;
  buffer_free(&text);
  return there;
}

void sys_process_command(struct process_info *process) {
  char path[64];
  struct buffer text = {0};
  snprintf(path, sizeof path, "/proc/%d/cmdline", process->pid);
  if (!sys_read(path, SYS_COMMAND_BYTES, &text)) buffer_clear(&text);
  while (text.len && text.data[text.len - 1] == '\0') text.len--;
  for (size_t i = 0; i < text.len; i++)
    if (text.data[i] == '\0') text.data[i] = ' ';
  if (text.len)
    text.data[text.len] = '\0';
  else
    buffer_printf(&text, "[%s]", process->name);
  free(process->command);
  process->command = text.data;
}

static struct process_info *table_add(struct process_table *table) {
  if (table->count == table->capacity) {
    table->capacity = table->capacity ? table->capacity * 2 : 256;
    table->processes = xrealloc(table->processes, table->capacity * sizeof *table->processes);
  }
  return &table->processes[table->count++];
}

static int by_pid(const void *a, const void *b) {
  return ((const struct process_info *)a)->pid - ((const struct process_info *)b)->pid;
}

static void add_process(struct process_table *table, pid_t pid, bool commands, double boot, double uptime) {
  struct process_info process;
  if (!read_process(pid, &process)) return;
  double age = uptime - (double)process.start_ticks / ticks_per_second();
  process.started_at = boot + (double)process.start_ticks / ticks_per_second();
  process.cpu_percent = age > 0 ? 100 * process.cpu_seconds / age : 0;
  if (commands) sys_process_command(&process);
  *table_add(table) = process;
}

bool sys_process_table(struct process_table *table, bool commands, atomic_bool *stop, struct error *error) {
  struct sys_uptime uptime;
  if (!sys_uptime(&uptime, error)) return false;
  DIR *proc = opendir("/proc");
  if (!proc) return error_set_code(error, errno, "/proc");
  double boot = boot_time();
  for (const struct dirent *entry; !atomic_load(stop) && (entry = readdir(proc));) {
    pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
    if (pid > 0 && pid != getpid() && table->count < SYS_PROCESSES_MAX)
      add_process(table, pid, commands, boot, uptime.seconds);
  }
  closedir(proc);
  if (table->count) qsort(table->processes, table->count, sizeof *table->processes, by_pid);
  return true;
}

void sys_process_table_free(struct process_table *table) {
  for (size_t i = 0; i < table->count; i++) free(table->processes[i].command);
  free(table->processes);
  memset(table, 0, sizeof *table);
}

/* name:password:uid:… */
static bool passwd_line(const char *line, size_t len, uid_t uid, char **name) {
  const char *first = memchr(line, ':', len);
  const char *second = first ? memchr(first + 1, ':', len - (size_t)(first + 1 - line)) : NULL;
  char *end;
  if (!second || strtoul(second + 1, &end, 10) != uid || end == second + 1 || *end != ':') return false;
  *name = strndup(line, (size_t)(first - line));
  return true;
}

char *sys_user(uid_t uid) {
  struct buffer text = {0};
  char *name = NULL, digits[24];
  if (sys_read("/etc/passwd", SYS_FILE_BYTES, &text) && text.len)
    for (const char *line = text.data; line && !name;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
      if (passwd_line(line, strcspn(line, "\n"), uid, &name)) break;
  buffer_free(&text);
  snprintf(digits, sizeof digits, "%u", (unsigned)uid);
  return name ? name : xstrdup(digits);
}

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sys_process_cpu(const pid_t *pids, size_t count, double interval, atomic_bool *stop, double *percents) {
  struct process_info *before = xcalloc(count + 1, sizeof *before), after;
  for (size_t i = 0; i < count; i++)
    if (!read_process(pids[i], &before[i])) before[i].pid = 0;
  double start = monotonic();
  sys_sleep(interval, stop);
  double elapsed = monotonic() - start;
  for (size_t i = 0; i < count; i++) {
    bool same = before[i].pid && read_process(pids[i], &after) && after.start_ticks == before[i].start_ticks;
    percents[i] = same && elapsed > 0 ? 100 * (after.cpu_seconds - before[i].cpu_seconds) / elapsed : -1;
  }
  free(before);
}
