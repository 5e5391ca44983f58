#include "tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "buffer.h"

#define TREE_OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

struct level {
  struct tree_walk *walk;
  struct buffer *path;
  dev_t device;
};

char *tree_trim(const char *path) {
  char *copy = xstrdup(path);
  size_t len = strlen(copy);
  while (len > 1 && copy[len - 1] == '/') copy[--len] = '\0';
  return copy;
}

bool tree_has_dotdot(const char *path) {
  for (const char *at = path; *at; at += strspn(at, "/")) {
    size_t len = strcspn(at, "/");
    if (len == 2 && at[0] == '.' && at[1] == '.') return true;
    at += len;
  }
  return false;
}

int tree_open(const char *path, struct error *error) {
  struct stat info;
  int fd = open(path, TREE_OPEN_FLAGS);
  if (fd >= 0) return fd;
  int saved = errno;
  if ((saved == ENOTDIR || saved == ELOOP) && lstat(path, &info) == 0)
    error_set(error, "usage",
              S_ISLNK(info.st_mode) ? "%s is a symbolic link: name the folder it leads to"
                                    : "%s is not a folder",
              path);
  else
    error_set_code(error, saved, path);
  return -1;
}

static void note_error(struct level *level, const char *why) {
  struct tree_errors *errors = &level->walk->errors;
  if (errors->count++ == 0) snprintf(errors->first, sizeof errors->first, "%s: %s", level->path->data, why);
}

static bool walk_folder(struct level *level, int fd, int depth);

/* The folder is opened by name after it was looked at: it must still be the same one. */
static bool enter(struct level *level, int parent, const char *name, const struct stat *seen, int depth) {
  struct stat info;
  if (seen->st_dev != level->device) return true;
  if (depth >= TREE_DEPTH_MAX) {
    note_error(level, "folders nested too deep");
    return true;
  }
  int fd = openat(parent, name, TREE_OPEN_FLAGS);
  if (fd < 0) {
    note_error(level, strerror(errno));
    return true;
  }
  if (fstat(fd, &info) == 0 && info.st_dev == seen->st_dev && info.st_ino == seen->st_ino)
    return walk_folder(level, fd, depth + 1);
  note_error(level, "was replaced while it was looked at");
  close(fd);
  return true;
}

static void path_push(struct buffer *path, const char *name) {
  if (path->len == 0 || path->data[path->len - 1] != '/') buffer_putc(path, '/');
  buffer_puts(path, name);
}

static void path_cut(struct buffer *path, size_t len) {
  path->len = len;
  path->data[len] = '\0';
}

static bool walk_entry(struct level *level, int fd, const char *name, int depth) {
  struct stat info;
  size_t len = level->path->len;
  bool go_on = true;
  path_push(level->path, name);
  if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
    if (errno != ENOENT) note_error(level, strerror(errno)); /* gone meanwhile: as if never seen */
  } else {
    struct tree_entry entry = {name, level->path->data, &info};
    go_on = level->walk->visit(level->walk->data, &entry);
    if (go_on && S_ISDIR(info.st_mode) && !level->walk->flat) go_on = enter(level, fd, name, &info, depth);
  }
  path_cut(level->path, len);
  return go_on;
}

/* Takes `fd` over. False: the walk has ended early. */
static bool walk_folder(struct level *level, int fd, int depth) {
  DIR *folder = fdopendir(fd);
  bool go_on = true;
  if (!folder) {
    note_error(level, strerror(errno));
    close(fd);
    return true;
  }
  while (go_on) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (!entry && errno) note_error(level, strerror(errno));
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    go_on = !atomic_load(level->walk->stop) && walk_entry(level, fd, entry->d_name, depth);
  }
  closedir(folder);
  return go_on;
}

bool tree_walk(const char *root, struct tree_walk *walk, struct error *error) {
  struct buffer path = {0};
  struct stat info;
  int fd = tree_open(root, error);
  if (fd < 0) return false;
  if (fstat(fd, &info) != 0) {
    error_set_code(error, errno, root);
    close(fd);
    return false;
  }
  buffer_puts(&path, root);
  struct level level = {walk, &path, info.st_dev};
  walk_folder(&level, fd, 0);
  buffer_free(&path);
  return true;
}
