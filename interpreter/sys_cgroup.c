#include <stdlib.h>
#include <string.h>
#include "sys.h"

/* Version 1 says "no limit" by a number near the largest. */
#define CGROUP_NO_LIMIT (1ULL << 60)

/* A file of the container's group, below a controller's folder (version 1) or the root (version 2), as
 * Docker's two drivers place it. */
static bool group_read(const char *root, const char *controller, const char *id, const char *file,
                       struct buffer *text) {
  for (int systemd = 0; systemd <= 1; systemd++) {
    struct buffer path = {0};
    buffer_printf(&path, "%s/%s/", root, controller);
    buffer_printf(&path, systemd ? "system.slice/docker-%s.scope/%s" : "docker/%s/%s", id, file);
    bool found = sys_read(path.data, SYS_FILE_BYTES, text) && text->len;
    buffer_free(&path);
    if (found) return true;
  }
  return false;
}

/* A file of one number; "max" is none. */
static bool group_number(const char *root, const char *controller, const char *id, const char *file,
                         uint64_t *value) {
  struct buffer text = {0};
  char *end = NULL;
  bool found = group_read(root, controller, id, file, &text);
  if (found) {
    *value = strtoull(text.data, &end, 10);
    found = end != text.data;
  }
  buffer_free(&text);
  return found;
}

/* A line "key number" of a file of many. */
static bool group_field(const char *root, const char *controller, const char *id, const char *file,
                        const char *key, uint64_t *value) {
  struct buffer text = {0};
  size_t len = strlen(key);
  bool found = false;
  if (group_read(root, controller, id, file, &text))
    for (const char *line = text.data; line && !found; line = strchr(line, '\n')) {
      line += *line == '\n';
      if (strncmp(line, key, len) != 0 || line[len] != ' ') continue;
      *value = strtoull(line + len, NULL, 10);
      found = true;
    }
  buffer_free(&text);
  return found;
}

static void read_v1(const char *root, const char *id, struct sys_cgroup *cgroup) {
  uint64_t ns;
  cgroup->has_memory = group_number(root, "memory", id, "memory.usage_in_bytes", &cgroup->memory_bytes);
  cgroup->has_limit = group_number(root, "memory", id, "memory.limit_in_bytes", &cgroup->memory_limit) &&
                      cgroup->memory_limit < CGROUP_NO_LIMIT;
  cgroup->has_inactive =
      group_field(root, "memory", id, "memory.stat", "total_inactive_file", &cgroup->memory_inactive_file);
  cgroup->has_cpu = group_number(root, "cpuacct", id, "cpuacct.usage", &ns) ||
                    group_number(root, "cpu,cpuacct", id, "cpuacct.usage", &ns);
  if (cgroup->has_cpu) cgroup->cpu_seconds = (double)ns / 1e9;
  cgroup->has_pids = group_number(root, "pids", id, "pids.current", &cgroup->pids);
}

static void read_v2(const char *root, const char *id, struct sys_cgroup *cgroup) {
  uint64_t us;
  cgroup->has_memory = group_number(root, "", id, "memory.current", &cgroup->memory_bytes);
  cgroup->has_limit = group_number(root, "", id, "memory.max", &cgroup->memory_limit);
  cgroup->has_inactive =
      group_field(root, "", id, "memory.stat", "inactive_file", &cgroup->memory_inactive_file);
  cgroup->has_cpu = group_field(root, "", id, "cpu.stat", "usage_usec", &us);
  if (cgroup->has_cpu) cgroup->cpu_seconds = (double)us / 1e6;
  cgroup->has_pids = group_number(root, "", id, "pids.current", &cgroup->pids);
}

bool sys_cgroup(const char *root, const char *id, struct sys_cgroup *cgroup, struct error *error) {
  read_v1(root, id, cgroup);
  if (!cgroup->has_memory) read_v2(root, id, cgroup);
  if (cgroup->has_memory || cgroup->has_cpu) return true;
  return error_set(error, "missing", "no control group of container %s below %s", id, root);
}
