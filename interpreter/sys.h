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
#define SYS_PROCESSES_MAX 100000
#define SYS_DU_ENTRIES_MAX 5000000
#define SYS_DISKS_MAX 1024

/* The file's text, at most `max` bytes. False: errno says why. */
bool sys_read(const char *path, size_t max, struct buffer *text);
/* Sleeps in short steps until `stop`. */
void sys_sleep(double seconds, atomic_bool *stop);

/* A part is told as at most its whole, or their difference would wrap: a container's meminfo as lxcfs makes it holds
 * more available than there is, and so do file systems in user space of their free blocks. */
static inline uint64_t sys_part(uint64_t part, uint64_t whole) { return part < whole ? part : whole; }

struct sys_memory {
  uint64_t total, available, swap_total, swap_free;
};
bool sys_memory(struct sys_memory *memory, struct error *error);

struct sys_load {
  double one, five, fifteen;
  long cpus;
};
bool sys_load(struct sys_load *load, struct error *error);

struct sys_uptime {
  double seconds;
  char boot_id[40];
};
bool sys_uptime(struct sys_uptime *uptime, struct error *error);

struct sys_cpu {
  double used_percent, iowait_percent, steal_percent;
};
/* Measured over `interval`; idle and waiting for I/O count as not used. */
bool sys_cpu(double interval, atomic_bool *stop, struct sys_cpu *cpu, struct error *error);

/* ---- Processes ---- */

struct process_info {
  pid_t pid, ppid;
  uid_t uid;
  char state; /* proc(5)'s letter */
  char name[64];
  char *command; /* the arguments joined by blanks, [name] for the kernel's own; NULL until asked for */
  uint64_t memory_bytes;                       /* resident */
  uint64_t start_ticks;                        /* since boot: with the pid, who it is */
  double cpu_seconds, started_at, cpu_percent; /* cpu_percent since its start */
};
struct process_table {
  struct process_info *processes;
  size_t count, capacity;
};
/* All processes but this one, by pid; with their command lines if `commands`. */
bool sys_process_table(struct process_table *table, bool commands, atomic_bool *stop, struct error *error);
void sys_process_table_free(struct process_table *table);
void sys_process_command(struct process_info *process);
const char *sys_process_state(char letter);
/* The name in /etc/passwd, else the number: a directory service may be what is down. malloc'ed. */
char *sys_user(uid_t uid);
/* Use of one CPU by each pid over `interval`; below 0: it isn't there, or isn't the same process any more. */
void sys_process_cpu(const pid_t *pids, size_t count, double interval, atomic_bool *stop, double *percents);

/* ---- Disks ---- */

struct mount {
  char *point, *device, *type;
};
struct mount_table {
  struct mount *mounts;
  size_t count;
};
/* Mounts of real file systems (disks and network), each device once; what is mounted over is left out.
 * `path`: NULL for /proc/self/mountinfo. */
bool sys_mounts(const char *path, struct mount_table *table, struct error *error);
void sys_mounts_free(struct mount_table *table);

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
