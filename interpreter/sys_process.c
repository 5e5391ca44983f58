#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys.h"

/* When the machine started, seconds since 1970; constant while it is up, unlike now minus uptime. */
static unsigned long long boot_time(void) {
  struct buffer text = {0};
  const char *line = NULL;
  if (sys_read("/proc/stat", SYS_FILE_BYTES, &text) && text.len) line = strstr(text.data, "\nbtime ");
  unsigned long long seconds = line ? strtoull(line + 7, NULL, 10) : 0;
  buffer_free(&text);
  return seconds;
}

static bool add_head(struct buffer *text, struct error *error) {
  struct buffer uptime = {0};
  bool well = sys_read("/proc/uptime", SYS_FILE_BYTES, &uptime) && uptime.len;
  if (well)
    buffer_printf(text, "%d %ld %ld %llu %.*s\n", (int)getpid(), sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK),
                  boot_time(), (int)strcspn(uptime.data, " \n"), uptime.data);
  else
    error_set_code(error, errno ? errno : EIO, "/proc/uptime");
  buffer_free(&uptime);
  return well;
}

/* The file's words, each ended by NUL and with "PID/FILE:" before it; nothing of one that ended meanwhile. */
static void add_words(struct buffer *text, const char *pid, const char *file, size_t max) {
  struct buffer read = {0};
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s/%s", pid, file);
  if (!sys_read(path, max, &read)) buffer_clear(&read);
  for (size_t at = 0; at < read.len;) {
    size_t len = strnlen(read.data + at, read.len - at);
    buffer_printf(text, "%s/%s:", pid, file);
    buffer_append(text, read.data + at, len);
    buffer_putc(text, '\0');
    at += len + 1;
  }
  buffer_free(&read);
}

static void add_user(struct buffer *text, const char *pid) {
  struct stat info;
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s", pid);
  if (stat(path, &info) != 0) return;
  buffer_printf(text, "%s/uid:%u", pid, (unsigned)info.st_uid);
  buffer_putc(text, '\0');
}

static void add_process(struct buffer *text, const char *pid, bool all) {
  add_words(text, pid, "stat", SYS_FILE_BYTES);
  if (!all) return;
  add_words(text, pid, "cmdline", SYS_COMMAND_BYTES);
  add_user(text, pid);
}

bool sys_processes(bool all, size_t max, atomic_bool *stop, struct buffer *text, struct error *error) {
  if (!add_head(text, error)) return false;
  DIR *proc = opendir("/proc");
  if (!proc) return error_set_code(error, errno, "/proc");
  for (const struct dirent *entry; !atomic_load(stop) && text->len <= max && (entry = readdir(proc));)
    if (isdigit((unsigned char)entry->d_name[0]) && strtol(entry->d_name, NULL, 10) != getpid())
      add_process(text, entry->d_name, all);
  closedir(proc);
  return text->len <= max ||
         error_set(error, "limit", "/proc says more of the processes than %zu bytes", max);
}
