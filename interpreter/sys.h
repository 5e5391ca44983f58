/* What this machine's /proc and /sys say. Sizes in bytes, times in seconds, percentages 0–100 (of one CPU for
 * a process, so they may be more). Sources: proc(5), the kernel's
 * Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst. No Lua here.
 *
 * Those that take `stop` may block (a process stuck in the kernel blocks whoever reads its command line; a
 * dead NFS server blocks statvfs): they run on an offload's thread. The others only read /proc files that
 * never block.
 */
#ifndef SYS_H
#define SYS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "buffer.h"
#include "error.h"
#include "tree.h"

#define SYS_FILE_BYTES (4L << 20)     /* read of one file of /proc */
#define SYS_COMMAND_BYTES (64L << 10) /* kept of a command line */
#define SYS_DU_ENTRIES_MAX 5000000
#define SYS_DISKS_MAX 1024

/* The file's text, at most `max` bytes. False: errno says why. */
bool sys_read(const char *path, size_t max, struct buffer *text);
/* ---- Processes ---- */

/* The bytes of /proc of all processes but this one, as stdlib/effects/sysinfo_look.lua says; `all`: with command lines and
 * users. More than `max` is an error. */
bool sys_processes(bool all, size_t max, atomic_bool *stop, struct buffer *text, struct error *error);

/* ---- Disks ---- */

struct sys_du {
  uint64_t bytes; /* on disk, as du(1) counts: hard links once */
  size_t entries;
  bool cut; /* more than SYS_DU_ENTRIES_MAX, or stopped */
  struct tree_errors errors;
};
/* Of a folder (one file system, no symbolic link followed) or a file. */
bool sys_du(const char *path, atomic_bool *stop, struct sys_du *du, struct error *error);

/* ---- Containers ---- */

struct sys_cgroup {
  bool has_memory, has_limit, has_inactive, has_cpu, has_pids;
  uint64_t memory_bytes, memory_limit, memory_inactive_file, pids;
  double cpu_seconds;
};
/* Of the container with that full id under `root` (/sys/fs/cgroup), version 1 or 2, cgroupfs or systemd
 * driver. Kind missing when there is none. */
bool sys_cgroup(const char *root, const char *id, struct sys_cgroup *cgroup, struct error *error);

#endif
