#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sys.h"

/* File systems that fill up: those the kernel keeps on block devices, and these. Of the former, images are
 * always full. */
static const char *const unlisted[] = {"nfs",       "nfs4", "cifs",     "smb3",     "ceph",
                                       "zfs",       "9p",   "virtiofs", "lustre",   "beegfs",
                                       "glusterfs", "afs",  "ubifs",    "bcachefs", NULL};
static const char *const images[] = {"squashfs", "iso9660", "erofs", "cramfs", "udf", "romfs", NULL};
static const char *const fuse_pseudo[] = {"fuse.gvfsd-fuse", "fuse.portal",     "fuse.lxcfs",
                                          "fuse.snapfuse",   "fuse.squashfuse", NULL};

static bool is_in(const char *const *list, const char *word) {
  for (; *list; list++)
    if (strcmp(*list, word) == 0) return true;
  return false;
}

/* /proc/filesystems: "nodev\ttmpfs" or "\text4". */
static bool is_on_device(const char *filesystems, const char *type) {
  char line[80];
  snprintf(line, sizeof line, "\n\t%s\n", type);
  return strstr(filesystems, line) != NULL;
}

/* An overlay is the root of a container that this program runs in; others are containers' and show their
 * host's disk. */
static bool is_real(const char *filesystems, const char *type, const char *point) {
  if (is_in(images, type)) return false;
  if (strncmp(type, "fuse.", 5) == 0) return !is_in(fuse_pseudo, type);
  if (strcmp(type, "overlay") == 0) return strcmp(point, "/") == 0;
  return is_in(unlisted, type) || is_on_device(filesystems, type);
}

/* \040 and the like. */
static char *unescape(char *word) {
  char *to = word;
  for (const char *from = word; *from;) {
    if (from[0] == '\\' && from[1] && from[2] && from[3]) {
      *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
      from += 4;
    } else {
      *to++ = *from++;
    }
  }
  *to = '\0';
  return word;
}

static void mount_clear(struct mount *mount) {
  free(mount->point);
  free(mount->device);
  free(mount->type);
}

/* proc(5): 36 35 98:0 /root /point options optional… - type source superoptions. Fields without a device
 * begin by nothing that could tell two mounts apart: their number does. */
static bool parse_mount(char *line, struct mount *mount) {
  char *save = NULL, *words[6];
  char *tail = strstr(line, " - ");
  if (!tail) return false;
  *tail = '\0';
  for (int i = 0; i < 6; i++)
    if (!(words[i] = strtok_r(i ? NULL : line, " ", &save))) return false;
  char *type = strtok_r(tail + 3, " ", &save), *source = strtok_r(NULL, " ", &save);
  if (!type || !source) return false;
  mount->point = unescape(words[4]);
  mount->type = type;
  mount->device = strchr(source, '/') || strchr(source, ':') ? unescape(source) : words[2];
  return true;
}

/* A mount over an older one hides it; a second mount of a device (a bind mount) tells nothing new, unless it
 * is the root. */
static struct mount *slot_for(struct mount_table *table, const struct mount *new) {
  for (size_t i = 0; i < table->count; i++)
    if (strcmp(table->mounts[i].point, new->point) == 0) return &table->mounts[i];
  for (size_t i = 0; i < table->count; i++)
    if (strcmp(table->mounts[i].device, new->device) == 0)
      return strcmp(new->point, "/") == 0 ? &table->mounts[i] : NULL;
  if (table->count == SYS_DISKS_MAX) return NULL;
  return &table->mounts[table->count++];
}

static void add_mount(struct mount_table *table, const struct mount *new) {
  struct mount *slot = slot_for(table, new);
  if (!slot) return;
  mount_clear(slot);
  *slot = (struct mount){xstrdup(new->point), xstrdup(new->device), xstrdup(new->type)};
}

/* Something that isn't a disk is mounted over one: that one can't be seen. */
static void drop_mount(struct mount_table *table, const char *point) {
  for (size_t i = 0; i < table->count; i++) {
    if (strcmp(table->mounts[i].point, point) != 0) continue;
    mount_clear(&table->mounts[i]);
    table->mounts[i] = table->mounts[--table->count];
    memset(&table->mounts[table->count], 0, sizeof *table->mounts);
    return;
  }
}

bool sys_mounts(const char *path, struct mount_table *table, struct error *error) {
  struct buffer known = {0}, text = {0};
  char *save = NULL;
  if (!path) path = "/proc/self/mountinfo";
  if (!sys_read("/proc/filesystems", SYS_FILE_BYTES, &known) || !sys_read(path, SYS_FILE_BYTES, &text)) {
    error_set_code(error, errno, path);
    buffer_free(&known);
    buffer_free(&text);
    return false;
  }
  buffer_putc(&text, '\n');
  table->mounts = xcalloc(SYS_DISKS_MAX, sizeof *table->mounts);
  for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    struct mount mount;
    if (!parse_mount(line, &mount)) continue;
    if (known.len && is_real(known.data, mount.type, mount.point))
      add_mount(table, &mount);
    else
      drop_mount(table, mount.point);
  }
  buffer_free(&text);
  buffer_free(&known);
  return true;
}

void sys_mounts_free(struct mount_table *table) {
  for (size_t i = 0; i < table->count; i++) mount_clear(&table->mounts[i]);
  free(table->mounts);
  memset(table, 0, sizeof *table);
}
