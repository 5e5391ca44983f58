#include <errno.h>
#include <stdlib.h>
#include "sys.h"

/* Inodes with more than one link that were counted; open addressing, at most half full. 0 is no inode number.
 */
struct inode_set {
  uint64_t *slots;
  size_t count, capacity; /* a power of two */
};

static bool insert(struct inode_set *set, uint64_t inode) {
  size_t at = (size_t)((inode * 0x9E3779B97F4A7C15u) >> 20) & (set->capacity - 1);
  for (; set->slots[at]; at = (at + 1) & (set->capacity - 1))
    if (set->slots[at] == inode) return false;
  set->slots[at] = inode;
  set->count++;
  return true;
}

static void grow(struct inode_set *set) {
  struct inode_set bigger = {NULL, 0, set->capacity ? set->capacity * 2 : 1024};
  bigger.slots = xcalloc(bigger.capacity, sizeof *bigger.slots);
  for (size_t i = 0; i < set->capacity; i++)
    if (set->slots[i]) insert(&bigger, set->slots[i]);
  free(set->slots);
  *set = bigger;
}

/* False: it was there. */
static bool inode_set_add(struct inode_set *set, uint64_t inode) {
  if (2 * set->count >= set->capacity) grow(set);
  return insert(set, inode);
}

struct counter {
  struct sys_du *du;
  struct inode_set seen;
  dev_t device;
};

static bool du_visit(void *data, const struct tree_entry *entry) {
  struct counter *counter = data;
  const struct stat *info = entry->info;
  if (counter->du->entries == SYS_DU_ENTRIES_MAX) {
    counter->du->cut = true;
    return false;
  }
  if (info->st_dev != counter->device) return true; /* a mount point: another file system's root */
  bool linked = !S_ISDIR(info->st_mode) && info->st_nlink > 1;
  if (linked && !inode_set_add(&counter->seen, info->st_ino)) return true;
  counter->du->entries++;
  counter->du->bytes += (uint64_t)info->st_blocks * 512;
  return true;
}

bool sys_du(const char *path, atomic_bool *stop, struct sys_du *du, struct error *error) {
  struct stat info;
  if (lstat(path, &info) != 0) return error_set_code(error, errno, path);
  du->bytes = (uint64_t)info.st_blocks * 512;
  du->entries = 1;
  if (S_ISREG(info.st_mode)) return true;
  struct counter counter = {.du = du, .device = info.st_dev};
  struct tree_walk walk = {.visit = du_visit, .data = &counter, .stop = stop};
  bool well = tree_walk(path, &walk, error);
  free(counter.seen.slots);
  du->errors = walk.errors;
  if (atomic_load(stop)) du->cut = true;
  return well;
}
