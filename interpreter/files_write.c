#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "files.h"

#define NEW_FILE_MODE 0644

struct replacement {
  int folder;
  const char *name; /* in the folder */
  char temporary[40];
  mode_t mode;
  bool has_owner;
  uid_t uid;
  gid_t gid;
};

static int open_parent(const char *path, const char **name, struct error *error) {
  char *folder = xstrdup(path), *slash = strrchr(folder, '/');
  *name = slash ? path + (slash - folder) + 1 : path;
  if (slash) slash[slash == folder] = '\0';
  int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) error_set_code(error, errno, slash ? folder : ".");
  free(folder);
  return fd;
}

/* What is there now: absent, or a regular file whose mode and owner are kept. */
static bool look_at_old(struct replacement *new, const char *path, int mode, struct error *error) {
  struct stat info;
  new->mode = mode >= 0 ? (mode_t)mode : NEW_FILE_MODE;
  if (fstatat(new->folder, new->name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? true : error_set_code(error, errno, path);
  if (!S_ISREG(info.st_mode))
    return error_set(error, "usage", "%s is not a regular file: it is left alone", path);
  if (mode < 0) new->mode = info.st_mode & 07777;
  new->has_owner = true;
  new->uid = info.st_uid;
  new->gid = info.st_gid;
  return true;
}

static bool write_all(int fd, const char *text, size_t len) {
  while (len) {
    ssize_t done = write(fd, text, len);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    text += done;
    len -= (size_t)done;
  }
  return true;
}

/* The owner before the mode: chown takes set-user bits away. */
static bool fill(const struct replacement *new, int fd, const char *text, size_t len) {
  if (new->has_owner && fchown(fd, new->uid, new->gid) != 0 && errno != EPERM) return false;
  return fchmod(fd, new->mode) == 0 && write_all(fd, text, len) && fsync(fd) == 0;
}

static bool replace(struct replacement *new, const char *text, size_t len) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return false;
  snprintf(new->temporary, sizeof new->temporary, ".runbook-%016" PRIx64, random);
  int fd = openat(new->folder, new->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool well = fill(new, fd, text, len);
  int saved = errno;
  if (close(fd) != 0 && well) {
    well = false;
    saved = errno;
  }
  if (well && renameat(new->folder, new->temporary, new->folder, new->name) == 0) {
    fsync(new->folder); /* the new text is there; only a power cut now could bring the old one back */
    return true;
  }
  if (well) saved = errno;
  unlinkat(new->folder, new->temporary, 0);
  errno = saved;
  return false;
}

bool files_make_folders(const char *path, struct error *error) {
  char *part = xstrdup(path);
  bool well = true;
  for (char *slash = strchr(part + 1, '/'); slash && well; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(part, 0777) != 0 && errno != EEXIST) well = error_set_code(error, errno, part);
    *slash = '/';
  }
  free(part);
  return well;
}

bool files_write(const char *path, const void *text, size_t len, int mode, struct error *error) {
  struct replacement new = {0};
  new.folder = open_parent(path, &new.name, error);
  if (new.folder < 0) return false;
  bool well = false;
  if (!*new.name)
    error_set(error, "usage", "%s is a folder", path);
  else if (look_at_old(&new, path, mode, error)) {
    well = replace(&new, text, len);
    if (!well) error_set_code(error, errno, path);
  }
  close(new.folder);
  return well;
}
