/* Files of this machine: finding, reading, deleting and replacing them so that nothing else than what was
 * meant is touched. All of these block: they run on an offload's thread. Paths and names are bytes, never
 * assumed to be text. No Lua here.
 */
#ifndef FILES_H
#define FILES_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "linescan.h"
#include "buffer.h"
#include "error.h"
#include "tree.h"

#define FILES_LIST_MAX 100000       /* files one listing names */
#define FILES_READ_BYTES (1L << 20) /* of a file, unless the caller says otherwise */
#define FILES_READ_MOST (64L << 20) /* what the caller may ask for */
#define FILES_WRITE_MOST (64UL << 20)
#define FILES_HELD_PIDS_MAX 1000 /* processes named */

/* A regular file as it was seen. `modified`: seconds since 1970. */
struct file {
  char *path;
  uint64_t bytes, dev, ino;
  double modified;
  const char *why; /* files_delete: why it was left, a literal or a message of strerror; NULL: deleted */
};
struct file_list {
  struct file *files;
  size_t count, capacity;
};
/* Appends a zeroed file. */
struct file *file_list_add(struct file_list *list);
void file_list_free(struct file_list *list);
double file_modified(const struct stat *info);

struct files_filter {
  const char *under;
  const char *name;              /* NULL, or a glob for the name alone, as of fnmatch(3) */
  double older_than, newer_than; /* modified before, after; infinities let all pass */
  uint64_t min_bytes;
  bool flat; /* only the folder's own, not those of folders in it */
  size_t max;
};
/* Regular files under a folder, sorted by path. *cut: there are more than filter->max, or `stop` was set. */
bool files_walk(const struct files_filter *filter, atomic_bool *stop, struct file_list *list, bool *cut,
                struct tree_errors *errors, struct error *error);

/* The first or last `max` bytes of a regular file. *size: bytes on disk; files of /proc have none and are
 * read anyway. Anything but a regular file is kind "usage" and was not opened: opening a device or FIFO may
 * block, or do something. */
bool files_read(const char *path, size_t max, bool tail, struct buffer *text, uint64_t *size, bool *cut,
                struct error *error);
/* The lines of a regular file, to its end or until `stop`. */
bool files_scan(const char *path, struct linescan *scan, atomic_bool *stop, uint64_t *size,
                struct error *error);
/* The first file of the list that exists, from its beginning; *path is the list's own, NULL when none exists. */
bool files_read_first(const struct file_list *list, size_t max, const char **path, struct buffer *text,
                      bool *cut, struct error *error);

/* Deletes those that are still what `list` says: same device, inode, size and time of modification, regular,
 * reached from `under` through folders on its own file system without any symbolic link. Sets `why` on the
 * others. Stops between two files: *reached is how many were dealt with. The paths must begin with `under`
 * and a slash. Between the last look and the unlink somebody may still put another file of that name into
 * that same folder: the system offers nothing tighter. */
bool files_delete(const char *under, struct file_list *list, atomic_bool *stop, size_t *reached,
                  struct error *error);

/* Replaces or makes a file as a whole: a new file in the same folder, synced, renamed over it. mode -1: as
 * the old file's, else 0644; an old file's owner is kept if we may. A symbolic link or anything else not
 * regular is refused. */
bool files_write(const char *path, const void *text, size_t len, int mode, struct error *error);
/* Makes the folders above a path that are missing. */
bool files_make_folders(const char *path, struct error *error);

struct files_held {
  size_t count;     /* of the list's files, those somebody has open */
  size_t hidden;    /* processes we may not look into */
  size_t pid_count; /* may be more than were kept */
  pid_t pids[FILES_HELD_PIDS_MAX];
};
/* By /proc: who has one of the listed files (dev, ino) open; deleting those frees nothing. Sorts the list. */
bool files_held_open(struct file_list *list, atomic_bool *stop, struct files_held *held, struct error *error);

#endif
