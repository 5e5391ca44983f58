#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "watchdog.h"

static DIR *open_folder(int folder, const char *name) {
  int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (fd >= 0 && !dir) close(fd);
  return dir;
}

static bool ends_with(const char *name, const char *end) {
  size_t len = strlen(name), end_len = strlen(end);
  return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* Whether it is a file that `runbook` itself, or root, put there: nothing else speaks for a person. */
static bool is_word(DIR *inbox, const char *name) {
  struct stat st;
  return fstatat(dirfd(inbox), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
         (st.st_uid == geteuid() || st.st_uid == 0);
}

static const char *inbox_mark(const char *name) {
  if (ends_with(name, "-ack.json")) return "ack";
  if (ends_with(name, "-abort.json")) return "abort";
  if (ends_with(name, "-continued.json")) return "continued";
  if (ends_with(name, "-resolved.json")) return "resolved";
  return NULL;
}

const char *watchdog_stop_mark(int folder) {
  const char *why = faccessat(folder, "resolved", F_OK, 0) == 0 ? "resolved" : NULL;
  DIR *inbox = why ? NULL : open_folder(folder, "inbox");
  if (!inbox) return why;
  for (struct dirent *entry; !why && (entry = readdir(inbox));)
    if ((why = inbox_mark(entry->d_name)) && !is_word(inbox, entry->d_name)) why = NULL;
  closedir(inbox);
  return why;
}

/* "1764182018000-1800-later.json": said when, and for how long. */
static long long read_put_off(const char *name, long *seconds) {
  long long at;
  int len = 0;
  if (sscanf(name, "%lld-%ld-later.json%n", &at, seconds, &len) != 2 || len == 0 || name[len]) return 0;
  if (at <= 0 || *seconds <= 0 || *seconds > WATCHDOG_PUT_OFF_SECONDS) return 0;
  return at + *seconds * 1000LL;
}

long long watchdog_put_off_mark(int folder, long *seconds) {
  long long latest = 0, until;
  long said;
  DIR *inbox = open_folder(folder, "inbox");
  if (!inbox) return 0;
  for (struct dirent *entry; (entry = readdir(inbox));) {
    if ((until = read_put_off(entry->d_name, &said)) <= latest || !is_word(inbox, entry->d_name)) continue;
    latest = until;
    *seconds = said;
  }
  closedir(inbox);
  return latest;
}

/* Whether NAME.json has no NAME.done beside it. */
static bool is_pending(DIR *outbox, const char *name) {
  char done[NAME_MAX + 1];
  if (!ends_with(name, ".json")) return false;
  snprintf(done, sizeof done, "%.*s.done", (int)(strlen(name) - strlen(".json")), name);
  return faccessat(dirfd(outbox), done, F_OK, 0) != 0;
}

bool watchdog_outbox_pending(int folder) {
  bool pending = false;
  DIR *outbox = open_folder(folder, "outbox");
  if (!outbox) return false;
  for (struct dirent *entry; !pending && (entry = readdir(outbox));)
    pending = is_pending(outbox, entry->d_name);
  closedir(outbox);
  return pending;
}
