#include "rundir.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "buffer.h"

static const char *const folders[] = {"source", "blobs", "evidence", "outbox", "inbox", "escalation"};

bool rundir_home(char *path, size_t size, struct error *error) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  int len = state && state[0] == '/' ? snprintf(path, size, "%s/runbook/runs", state)
            : home                   ? snprintf(path, size, "%s/.local/state/runbook/runs", home)
                                     : -1;
  if (len > 0 && (size_t)len < size) return true;
  return error_set(error, "usage", "neither XDG_STATE_HOME nor HOME says where runs are kept");
}

/* mkdir -p, every new folder 0700. */
static bool make_path(const char *path, struct error *error) {
  char part[RUNDIR_PATH_MAX];
  snprintf(part, sizeof part, "%s", path);
  for (char *at = part + 1;; at++) {
    if (*at && *at != '/') continue;
    char kept = *at;
    *at = '\0';
    if (mkdir(part, 0700) != 0 && errno != EEXIST) return error_set_code(error, errno, part);
    *at = kept;
    if (!kept) return true;
  }
}

/* "My Book.lua" → "my-book". */
static void make_slug(char *slug, const char *name) {
  size_t len = 0;
  for (; *name && len < RUNDIR_SLUG_MAX; name++) {
    char c = (char)tolower((unsigned char)*name);
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain || (len > 0 && slug[len - 1] != '-')) slug[len++] = plain ? c : '-';
  }
  while (len > 0 && slug[len - 1] == '-') len--;
  slug[len] = '\0';
  if (!len) strcpy(slug, "runbook");
}

static void make_id(struct rundir *rundir, const char *slug, bool dry, double wall) {
  static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";
  unsigned char random[4] = {0};
  char stamp[32], suffix[5];
  time_t seconds = (time_t)wall;
  struct tm tm;
  gmtime_r(&seconds, &tm);
  strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
  if (getrandom(random, sizeof random, 0) < 0) random[0] = (unsigned char)getpid();
  for (int i = 0; i < 4; i++) suffix[i] = letters[random[i] & 31];
  suffix[4] = '\0';
  snprintf(rundir->id, sizeof rundir->id, "%s%s-%s-%s", dry ? "dry-" : "", stamp, slug, suffix);
}

/* The space that lets the journal be written when the disk is full. */
static bool make_reserve(int folder, struct error *error) {
  int fd = openat(folder, "reserve", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int code = fd < 0 ? errno : posix_fallocate(fd, 0, RUNDIR_RESERVE_BYTES);
  if (fd >= 0) close(fd);
  return code == 0 || error_set_code(error, code, "no space can be reserved for the journal");
}

static bool fill(const char *path, bool dry, struct error *error) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = folder >= 0;
  for (size_t i = 0; ok && i < sizeof folders / sizeof *folders; i++)
    ok = mkdirat(folder, folders[i], 0700) == 0;
  if (!ok) error_set_code(error, errno, path);
  /* A dry run changes nothing, so its journal may fail; a live one syncs its folder: the journal must be found again. */
  if (ok && !dry)
    ok = make_reserve(folder, error) && (fsync(folder) == 0 || error_set_code(error, errno, path));
  if (folder >= 0) close(folder);
  return ok;
}

static bool make_in(struct rundir *rundir, const char *home, const char *name, bool dry, double wall,
                    struct error *error) {
  char slug[RUNDIR_SLUG_MAX + 1 + sizeof "runbook"];
  make_slug(slug, name);
  if (!make_path(home, error)) return false;
  for (int i = 0; i < RUNDIR_TRIES; i++) {
    make_id(rundir, slug, dry, wall);
    if (snprintf(rundir->path, sizeof rundir->path, "%s/%s", home, rundir->id) >= (int)sizeof rundir->path)
      return error_set(error, "limit", "the path of the runs' folder is too long");
    if (mkdir(rundir->path, 0700) == 0) return fill(rundir->path, dry, error);
    if (errno != EEXIST) return error_set_code(error, errno, rundir->path);
  }
  return error_set(error, "io", "no free name for a run under %s", home);
}

/* A folder of ours alone in memory: /dev/shm is everybody's, so it must be a folder, and belong to us. */
static bool memory_home(char *path, size_t size, struct error *error) {
  struct stat st;
  snprintf(path, size, "/dev/shm/runbook-%u", (unsigned)getuid());
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return error_set_code(error, errno, path);
  if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
    return error_set(error, "permission", "%s is not a private folder of ours", path);
  return true;
}

bool rundir_create(struct rundir *rundir, const char *name, bool dry, double wall, struct error *error) {
  char home[RUNDIR_PATH_MAX - 256];
  struct error first = {0};
  *rundir = (struct rundir){0};
  if (rundir_home(home, sizeof home, &first) && make_in(rundir, home, name, dry, wall, &first)) return true;
  if (!memory_home(home, sizeof home, error) || !make_in(rundir, home, name, dry, wall, error)) return false;
  snprintf(rundir->warning, sizeof rundir->warning, "this run is kept in memory only, under %.150s: %.300s",
           rundir->path, first.message);
  return true;
}

/* ---- Finding ---- */

struct search {
  const char *prefix;
  bool last;
  int count;
  char best[sizeof((struct rundir *)0)->id];
};

/* Ids begin with their time, so the greatest is the newest; a dry run's own prefix is left out of the comparison. */
static const char *time_of(const char *id) { return strncmp(id, "dry-", 4) == 0 ? id + 4 : id; }

static void consider(struct search *search, const char *id) {
  if (id[0] == '.' || strlen(id) >= sizeof search->best) return;
  if (!search->last && strncmp(id, search->prefix, strlen(search->prefix)) != 0) return;
  if (strcmp(id, search->prefix) == 0) search->count = 0, search->prefix = id;
  search->count++;
  if (!search->best[0] || strcmp(time_of(id), time_of(search->best)) > 0)
    snprintf(search->best, sizeof search->best, "%s", id);
}

static void search_folder(struct search *search, const char *home) {
  DIR *dir = opendir(home);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) consider(search, entry->d_name);
  closedir(dir);
}

bool rundir_find(struct rundir *rundir, const char *prefix, struct error *error) {
  char home[RUNDIR_PATH_MAX - 256];
  struct search search = {.prefix = prefix, .last = strcmp(prefix, "last") == 0};
  *rundir = (struct rundir){0};
  if (!rundir_home(home, sizeof home, error)) return false;
  search_folder(&search, home);
  if (search.count == 0) return error_set(error, "missing", "there is no run %s under %s", prefix, home);
  if (search.count > 1 && !search.last)
    return error_set(error, "usage", "%d runs begin with %s: give more of the id, like %s", search.count,
                     prefix, search.best);
  snprintf(rundir->id, sizeof rundir->id, "%s", search.best);
  snprintf(rundir->path, sizeof rundir->path, "%s/%s", home, search.best);
  return true;
}
