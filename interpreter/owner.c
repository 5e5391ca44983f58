#include "owner.h"
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define NAMES_BYTES 16384 /* one group with its members */
#define NOBODY ((uid_t) - 1)

/* A walk along one path: `done` was looked at, without links; `left` is still to come. */
struct walk {
  const char *path; /* as given */
  char done[PATH_MAX], left[PATH_MAX];
  uid_t friend; /* whom `runbook trust` named, or NOBODY */
  const char *friends_folder;
  int links;
};

/* ---- Who ---- */

static uid_t sudo_uid(void) {
  const char *text = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
  char *end;
  unsigned long uid = text ? strtoul(text, &end, 10) : 0;
  return text && *text && !*end && uid < UINT_MAX ? (uid_t)uid : NOBODY;
}

static bool is_ours(uid_t uid, const struct walk *walk) {
  return uid == 0 || uid == geteuid() || (uid != NOBODY && (uid == sudo_uid() || uid == walk->friend));
}

static void name_of(uid_t uid, char *name, size_t size) {
  char names[NAMES_BYTES];
  struct passwd entry, *found = NULL;
  if (getpwuid_r(uid, &entry, names, sizeof names, &found) == 0 && found)
    snprintf(name, size, "%s (uid %u)", found->pw_name, (unsigned)uid);
  else
    snprintf(name, size, "uid %u", (unsigned)uid);
}

/* With umask 002 people have a group of their own name; it is theirs alone as long as nobody else is in it. */
static bool is_private(gid_t gid, uid_t uid) {
  char names[NAMES_BYTES], members[NAMES_BYTES];
  struct passwd user, *found_user = NULL;
  struct group group, *found = NULL;
  if (getpwuid_r(uid, &user, names, sizeof names, &found_user) != 0 || !found_user) return false;
  if (getgrgid_r(gid, &group, members, sizeof members, &found) != 0 || !found) return false;
  if (strcmp(user.pw_name, group.gr_name) != 0) return false;
  for (char **member = group.gr_mem; *member; member++)
    if (strcmp(*member, user.pw_name) != 0) return false;
  return true;
}

/* ---- One step ---- */

static bool refuse_owner(const struct walk *walk, uid_t uid, struct error *error) {
  char name[64];
  name_of(uid, name, sizeof name);
  return error_set(
      error, "owner",
      "%.300s belongs to %s, not to you or root: it could be changed under this program; `runbook trust` "
      "takes a folder that you trust",
      walk->done, name);
}

static bool is_trusted_folder(const struct walk *walk) {
  size_t len = walk->friends_folder ? strlen(walk->friends_folder) : 0;
  return len && strncmp(walk->done, walk->friends_folder, len) == 0 && strchr("/", walk->done[len]);
}

/* Whether others can change it, or what lies in it. */
static bool is_writable(const struct walk *walk, const struct stat *info) {
  if (S_ISLNK(info->st_mode)) return false;
  if (S_ISDIR(info->st_mode) && (info->st_mode & S_ISVTX))
    return false; /* the entries' owners are looked at */
  if (info->st_mode & S_IWOTH) return true;
  return (info->st_mode & S_IWGRP) && !is_trusted_folder(walk) && !is_private(info->st_gid, info->st_uid);
}

static bool is_read_only(const char *path) {
  struct statvfs mount;
  return statvfs(path, &mount) == 0 && (mount.f_flag & ST_RDONLY);
}

static bool check_step(const struct walk *walk, struct stat *info, struct error *error) {
  if (lstat(walk->done, info) != 0) return error_set_code(error, errno, walk->path);
  bool ours = is_ours(info->st_uid, walk), writable = is_writable(walk, info);
  if ((ours && !writable) || is_read_only(walk->done)) return true;
  if (!ours) return refuse_owner(walk, info->st_uid, error);
  return error_set(
      error, "owner",
      "%.300s can be written by others (mode %o): it could be changed under this program; chmod go-w, or "
      "`runbook trust` for a folder shared with people you trust",
      walk->done, (unsigned)info->st_mode & 07777);
}

/* ---- The way ---- */

static bool too_long(struct error *error) { return error_set(error, "limit", "a path is too long"); }

/* Moves the next name from `left` to `done`; false at the end of the way, or with an error. */
static bool take_name(struct walk *walk, struct error *error) {
  char *name = walk->left + strspn(walk->left, "/"), rest[PATH_MAX];
  size_t len = strcspn(name, "/"), used = strlen(walk->done);
  if (!len) return false;
  if (len == 2 && strncmp(name, "..", 2) == 0) {
    char *slash = strrchr(walk->done, '/');
    if (slash) slash[slash == walk->done] = '\0';
  } else if (len != 1 || *name != '.') {
    if (used + len + 2 > sizeof walk->done) return too_long(error);
    snprintf(walk->done + used, sizeof walk->done - used, "%s%.*s", used > 1 ? "/" : "", (int)len, name);
  }
  snprintf(rest, sizeof rest, "%s", name + len);
  strcpy(walk->left, rest);
  return true;
}

/* Goes on where a link leads: its target, and then what was left. */
static bool follow(struct walk *walk, struct error *error) {
  char target[PATH_MAX], rest[PATH_MAX];
  ssize_t len = readlink(walk->done, target, sizeof target - 1);
  if (len < 0) return error_set_code(error, errno, walk->done);
  target[len] = '\0';
  if (++walk->links > OWNER_LINKS_MAX) return error_set_code(error, ELOOP, walk->done);
  strcpy(rest, walk->left);
  if (snprintf(walk->left, sizeof walk->left, "%s/%s", target, rest) >= (int)sizeof walk->left)
    return too_long(error);
  char *slash = target[0] == '/' ? walk->done : strrchr(walk->done, '/');
  slash[slash == walk->done] = '\0';
  return true;
}

static bool walk_path(struct walk *walk, const char *path, struct error *error) {
  struct stat info;
  char here[PATH_MAX] = "";
  if (path[0] != '/' && !getcwd(here, sizeof here)) return error_set_code(error, errno, "the current folder");
  walk->path = path;
  walk->links = 0;
  strcpy(walk->done, "/");
  if (snprintf(walk->left, sizeof walk->left, "%s/%s", here, path) >= (int)sizeof walk->left)
    return too_long(error);
  do {
    if (!check_step(walk, &info, error)) return false;
    if (S_ISLNK(info.st_mode) && !follow(walk, error)) return false;
  } while (take_name(walk, error));
  return !error->kind[0];
}

/* ---- Trust ---- */

bool owner_trust_file(char *path, size_t size, struct error *error) {
  const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
  int len = config && config[0] == '/' ? snprintf(path, size, "%s/runbook/trusted", config)
            : home && home[0] == '/'   ? snprintf(path, size, "%s/.config/runbook/trusted", home)
                                       : -1;
  if (len > 0 && (size_t)len < size) return true;
  return error_set(error, "usage", "neither XDG_CONFIG_HOME nor HOME says where trusted folders are kept");
}

static bool lies_in(const char *path, const char *folder) {
  size_t len = strlen(folder);
  return strncmp(path, folder, len) == 0 && strchr("/", path[len]);
}

/* Walks again with whom the first entry that holds `path` names. Nobody else can have written that file. */
static bool walk_trusted(const char *path, struct error *error) {
  char file[PATH_MAX], line[PATH_MAX + 16], real[PATH_MAX];
  struct walk walk = {.friend = NOBODY};
  struct error ignored = {0};
  bool trusted = false;
  if (!owner_trust_file(file, sizeof file, &ignored) || !walk_path(&walk, file, &ignored) ||
      !realpath(path, real))
    return false;
  FILE *list = fopen(file, "re");
  while (list && !trusted && fgets(line, sizeof line, list)) {
    int at = 0;
    unsigned uid = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%u %n", &uid, &at) != 1 || !at || !lies_in(real, line + at)) continue;
    walk = (struct walk){.friend = (uid_t)uid, .friends_folder = line + at};
    *error = (struct error){0};
    trusted = walk_path(&walk, path, error);
  }
  if (list) fclose(list);
  return trusted;
}

static bool is_listed(const char *file, const char *entry) {
  char line[PATH_MAX + 16];
  bool found = false;
  FILE *list = fopen(file, "re");
  while (list && !found && fgets(line, sizeof line, list)) found = strcmp(line, entry) == 0;
  if (list) fclose(list);
  return found;
}

/* The user's own folders for configs, made when there are none yet. */
static void make_folders(const char *file) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", file);
  for (char *slash = folder + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = '\0';
    mkdir(folder, 0700);
  }
}

bool owner_trust(const char *folder, char *real, uid_t *uid, struct error *error) {
  char file[PATH_MAX], entry[PATH_MAX + 16];
  struct stat info;
  if (!realpath(folder, real) || stat(real, &info) != 0) return error_set_code(error, errno, folder);
  if (!S_ISDIR(info.st_mode)) return error_set(error, "usage", "%.300s is not a folder", real);
  if (strchr(real, '\n'))
    return error_set(error, "usage", "a folder with a line end in its name can't be kept in a list");
  if (!owner_trust_file(file, sizeof file, error)) return false;
  *uid = info.st_uid;
  snprintf(entry, sizeof entry, "%u %s\n", (unsigned)info.st_uid, real);
  if (is_listed(file, entry)) return true;
  make_folders(file);
  FILE *list = fopen(file, "ae");
  bool well = list && fputs(entry, list) >= 0 && fflush(list) == 0 && fsync(fileno(list)) == 0;
  if (!well) error_set_code(error, errno, file);
  if (list) fclose(list);
  return well;
}

bool owner_check(const char *path, struct error *error) {
  struct walk walk = {.friend = NOBODY};
  if (walk_path(&walk, path, error)) return true;
  return strcmp(error->kind, "owner") == 0 && walk_trusted(path, error);
}
