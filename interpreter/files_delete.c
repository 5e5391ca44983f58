#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "files.h"

#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct deletion {
  int root;
  dev_t device;
  size_t prefix; /* of every path: `under` and the slash */
};

/* One step down from `parent`, which is closed unless it is the root. */
static int step_down(const struct deletion *deletion, int parent, const char *name, const char **why) {
  struct stat info;
  int fd = openat(parent, name, FOLDER_FLAGS);
  int saved = errno;
  if (parent != deletion->root) close(parent);
  if (fd < 0) {
    *why = saved == ENOENT                      ? "is gone already"
           : saved == ENOTDIR || saved == ELOOP ? "a folder on its way was replaced"
                                                : strerrordesc_np(saved);
    return -1;
  }
  if (fstat(fd, &info) == 0 && info.st_dev == deletion->device) return fd;
  *why = "is on another file system now";
  close(fd);
  return -1;
}

/* The file's folder, opened component by component; *name is what is left. */
static int open_folder(const struct deletion *deletion, char *relative, const char **name, const char **why) {
  int fd = deletion->root;
  for (char *slash; (slash = strchr(relative, '/')); relative = slash + 1) {
    *slash = '\0';
    fd = step_down(deletion, fd, relative, why);
    *slash = '/';
    if (fd < 0) return -1;
  }
  *name = relative;
  return fd;
}

static const char *changed(const struct file *file, const struct stat *info) {
  if (!S_ISREG(info->st_mode)) return "is no longer a regular file";
  if (info->st_dev != file->dev || info->st_ino != file->ino) return "was replaced by another file";
  if ((uint64_t)info->st_size != file->bytes || file_modified(info) != file->modified)
    return "was modified since";
  return NULL;
}

static const char *delete_one(const struct deletion *deletion, struct file *file) {
  struct stat info;
  const char *name = NULL, *why = NULL;
  int folder = open_folder(deletion, file->path + deletion->prefix, &name, &why);
  if (folder < 0) return why;
  if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    why = errno == ENOENT ? "is gone already" : strerrordesc_np(errno);
  else
    why = changed(file, &info);
  if (!why && unlinkat(folder, name, 0) != 0) why = strerrordesc_np(errno);
  if (folder != deletion->root) close(folder);
  return why;
}

bool files_delete(const char *under, struct file_list *list, atomic_bool *stop, size_t *reached,
                  struct error *error) {
  struct stat info;
  struct deletion deletion = {.root = tree_open(under, error)};
  if (deletion.root < 0) return false;
  if (fstat(deletion.root, &info) != 0) {
    error_set_code(error, errno, under);
    close(deletion.root);
    return false;
  }
  deletion.device = info.st_dev;
  deletion.prefix = strcmp(under, "/") == 0 ? 1 : strlen(under) + 1;
  for (*reached = 0; *reached < list->count && !atomic_load(stop); ++*reached)
    list->files[*reached].why = delete_one(&deletion, &list->files[*reached]);
  for (size_t i = *reached; i < list->count; i++) list->files[i].why = "was not reached: stopped";
  close(deletion.root);
  return true;
}
