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
#include "owner.h"

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
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return true;
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

bool rundir_state(char *path, size_t size, struct error *error) {
  if (!rundir_home(path, size, error)) return false;
  *strrchr(path, '/') = '\0'; /* …/runbook/runs */
  return make_path(path, error);
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
  int fd = openat(folder, RUNDIR_RESERVE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int code = fd < 0 ? errno : posix_fallocate(fd, 0, RUNDIR_RESERVE_BYTES);
  if (fd >= 0) close(fd);
  return code == 0 || error_set_code(error, code, "no space can be reserved for the journal");
}

static bool fill(int folder, bool in_memory, struct error *error) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    if (mkdirat(folder, folders[i], 0700) != 0) return error_set_code(error, errno, folders[i]);
  return in_memory || make_reserve(folder, error); /* memory is not a disk that fills up */
}

void rundir_make_folder(const char *path, const char *name) {
  char folder[RUNDIR_PATH_MAX + 32];
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    size_t len = strlen(folders[i]);
    if (strncmp(name, folders[i], len) != 0 || name[len] != '/') continue;
    snprintf(folder, sizeof folder, "%s/%s", path, folders[i]);
    mkdir(folder, 0700);
  }
}

/* Half a run directory would look like a run. */
static void unmake(int folder, const char *path) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) unlinkat(folder, folders[i], AT_REMOVEDIR);
  unlinkat(folder, RUNDIR_RESERVE, 0);
  rmdir(path);
}

static void empty_folder(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return;
  for (struct dirent *found; (found = readdir(dir)) != NULL;) unlinkat(dirfd(dir), found->d_name, 0);
  closedir(dir);
}

void rundir_discard(const char *path) {
  char folder[RUNDIR_PATH_MAX + 32];
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    snprintf(folder, sizeof folder, "%s/%s", path, folders[i]);
    empty_folder(folder);
    rmdir(folder);
  }
  empty_folder(path);
  rmdir(path);
}

static bool make_at(const char *path, bool dry, bool in_memory, struct error *error) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (folder < 0) return error_set_code(error, errno, path);
  bool well = dry || fill(folder, in_memory, error); /* a dry run changes nothing, so its journal may fail */
  if (!well) unmake(folder, path);
  close(folder);
  return well;
}

static bool make_in(struct rundir *rundir, const char *home, const char *name, bool dry, double wall,
                    struct error *error) {
  char slug[RUNDIR_SLUG_MAX + 1 + sizeof "runbook"];
  make_slug(slug, name);
  if (!make_path(home, error) || !owner_check(home, error)) return false;
  for (int i = 0; i < RUNDIR_TRIES; i++) {
    make_id(rundir, slug, dry, wall);
    if (snprintf(rundir->path, sizeof rundir->path, "%s/%s", home, rundir->id) >= (int)sizeof rundir->path)
      return error_set(error, "limit", "the path of the runs' folder is too long");
    if (mkdir(rundir->path, 0700) == 0) return make_at(rundir->path, dry, rundir->fallback, error);
    if (errno != EEXIST) return error_set_code(error, errno, rundir->path);
  }
  return error_set(error, "io", "no free name for a run under %s", home);
}

/* A folder of ours alone in memory: /dev/shm is everybody's, so it must be a folder, and belong to us. */
static bool memory_home(char *path, size_t size, bool make, struct error *error) {
  struct stat st;
  snprintf(path, size, RUNDIR_MEMORY "/runbook-%u", (unsigned)getuid());
  if (make && mkdir(path, 0700) != 0 && errno != EEXIST) return error_set_code(error, errno, path);
  if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
    return error_set(error, "permission", "%s is not a private folder of ours", path);
  return true;
}

#define HOME_MAX (RUNDIR_PATH_MAX - 256) /* leaves room for an id */

bool rundir_create(struct rundir *rundir, const char *name, bool dry, double wall, struct error *error) {
  char home[HOME_MAX];
  struct error first = {0};
  *rundir = (struct rundir){0};
  if (rundir_home(home, sizeof home, &first) && make_in(rundir, home, name, dry, wall, &first)) return true;
  if (strcmp(first.kind, "owner") == 0) return *error = first, false;
  rundir->fallback = true;
  if (!memory_home(home, sizeof home, true, error) || !make_in(rundir, home, name, dry, wall, error))
    return error_set(error, first.kind, "%s; nor in memory: %s", first.message, error->message);
  snprintf(rundir->warning, sizeof rundir->warning, "this run is kept in memory only, under %.150s: %.300s",
           rundir->path, first.message);
  return true;
}

/* ---- Finding ---- */

struct entry {
  char *id;
  bool fallback;
  struct statx_timestamp born;
};

struct entries {
  struct entry *list;
  size_t count;
};

/* Ids begin with their time; a dry run's own prefix is left out of the comparison. */
static bool is_dry(const char *id) { return strncmp(id, "dry-", 4) == 0; }
static const char *time_of(const char *id) { return is_dry(id) ? id + 4 : id; }

#define STAMP_LEN (sizeof "20261123-174005" - 1)

/* YYYYMMDD-HHMMSS-…: anything else in the folder isn't a run. */
static bool is_run(const char *id) {
  const char *at = time_of(id);
  if (strlen(id) >= sizeof((struct rundir *)0)->id) return false;
  for (size_t i = 0; i < STAMP_LEN; i++)
    if (i == 8 ? at[i] != '-' : !isdigit((unsigned char)at[i])) return false;
  return at[STAMP_LEN] == '-';
}

/* Within a second the directory's own birth decides, where the file system knows it. */
static int compare_entries(const void *left, const void *right) {
  const struct entry *a = left, *b = right;
  int order = strncmp(time_of(a->id), time_of(b->id), STAMP_LEN);
  if (order) return order;
  if (a->born.tv_sec != b->born.tv_sec) return a->born.tv_sec < b->born.tv_sec ? -1 : 1;
  if (a->born.tv_nsec != b->born.tv_nsec) return a->born.tv_nsec < b->born.tv_nsec ? -1 : 1;
  return strcmp(a->id, b->id);
}

static void read_home(struct entries *all, const char *home, bool fallback) {
  DIR *dir = opendir(home);
  if (!dir) return;
  for (struct dirent *found; (found = readdir(dir)) != NULL;) {
    struct statx st = {0};
    if (!is_run(found->d_name)) continue;
    statx(dirfd(dir), found->d_name, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st);
    all->list = xrealloc(all->list, (all->count + 1) * sizeof *all->list);
    all->list[all->count++] = (struct entry){xstrdup(found->d_name), fallback, st.stx_btime};
  }
  closedir(dir);
}

/* Every run of both places, oldest first. */
static struct entries read_all(void) {
  char home[HOME_MAX];
  struct error ignored;
  struct entries all = {0};
  if (rundir_home(home, sizeof home, &ignored)) read_home(&all, home, false);
  if (memory_home(home, sizeof home, false, &ignored)) read_home(&all, home, true);
  if (all.count) qsort(all.list, all.count, sizeof *all.list, compare_entries);
  return all;
}

static void free_entries(struct entries *all) {
  for (size_t i = 0; i < all->count; i++) free(all->list[i].id);
  free(all->list);
}

static void set_rundir(struct rundir *rundir, const struct entry *entry) {
  char home[HOME_MAX] = "";
  struct error ignored;
  *rundir = (struct rundir){.fallback = entry->fallback};
  if (entry->fallback)
    memory_home(home, sizeof home, false, &ignored);
  else
    rundir_home(home, sizeof home, &ignored);
  snprintf(rundir->id, sizeof rundir->id, "%s", entry->id);
  snprintf(rundir->path, sizeof rundir->path, "%s/%s", home, rundir->id);
}

void rundir_list(void (*each)(const struct rundir *, void *), void *data) {
  struct rundir rundir;
  struct entries all = read_all();
  for (size_t i = 0; i < all.count; i++) {
    set_rundir(&rundir, &all.list[i]);
    each(&rundir, data);
  }
  free_entries(&all);
}

#define CANDIDATES_SHOWN 5

static bool ambiguous(const struct entries *all, const char *prefix, int count, struct error *error) {
  struct buffer names = {0};
  int shown = 0;
  for (size_t i = all->count; i-- > 0 && shown < CANDIDATES_SHOWN;)
    if (strncmp(all->list[i].id, prefix, strlen(prefix)) == 0)
      buffer_printf(&names, "%s%s", shown++ ? ", " : "", all->list[i].id);
  error_set(error, "usage", "%d runs begin with \"%.100s\": %s%s; give more of the id", count, prefix,
            names.data, count > shown ? " …" : "");
  buffer_free(&names);
  return false;
}

static const struct entry *last_live(const struct entries *all, struct error *error) {
  for (size_t i = all->count; i-- > 0;)
    if (!is_dry(all->list[i].id)) return &all->list[i];
  error_set(error, "missing", "there is no live run yet, only %zu dry ones", all->count);
  return NULL;
}

static const struct entry *pick(const struct entries *all, const char *prefix, struct error *error) {
  const struct entry *found = NULL;
  int count = 0;
  if (strcmp(prefix, "last") == 0) return last_live(all, error);
  for (size_t i = 0; i < all->count; i++) {
    if (strcmp(all->list[i].id, prefix) == 0) return &all->list[i];
    if (strncmp(all->list[i].id, prefix, strlen(prefix)) != 0) continue;
    found = &all->list[i];
    count++;
  }
  if (count == 0) error_set(error, "missing", "no run begins with \"%.100s\" (of %zu)", prefix, all->count);
  if (count > 1) ambiguous(all, prefix, count, error);
  return count == 1 ? found : NULL;
}

bool rundir_find(struct rundir *rundir, const char *prefix, struct error *error) {
  struct entries all = read_all();
  const struct entry *found = NULL;
  if (all.count == 0)
    error_set(error, "missing", "there are no runs yet");
  else if (!*prefix)
    error_set(error, "usage", "the id of a run, a beginning of it, or \"last\" expected");
  else
    found = pick(&all, prefix, error);
  if (found) set_rundir(rundir, found);
  bool well = found && owner_check(rundir->path, error);
  free_entries(&all);
  return well;
}
