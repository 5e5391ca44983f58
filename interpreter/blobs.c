#include "blobs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <sys/stat.h>
#include "delta.h"

#define FOLDER "blobs"
#define FRESH "new" /* what is being written: of a writer that was killed it is overwritten */
#define HASH_LEN (SHA256_DIGEST_STRING_LENGTH - 1)
#define NAME_SIZE (SHA256_DIGEST_STRING_LENGTH + sizeof ".delta")
#define DELTA_SHARE 2 /* changes take 1 / so much of the whole at most, or the whole is kept */

/* The newest value of a kind, and what it cost to keep since it last was kept as a whole. */
struct last {
  char *kind;
  struct buffer text;
  char hash[SHA256_DIGEST_STRING_LENGTH];
  size_t whole, changes; /* bytes */
  int chain;
};

struct blobs {
  char *path;
  int folder; /* -1: not opened yet */
  bool synced;
  struct last last[BLOBS_REMEMBERED]; /* the most recent first */
  size_t count, bytes;
};

/* ---- What is remembered ---- */

static void forget_oldest(struct blobs *blobs) {
  struct last *it = &blobs->last[--blobs->count];
  blobs->bytes -= it->text.len;
  free(it->kind);
  buffer_free(&it->text);
}

/* The kind's entry, now the first; NULL when there is none. */
static struct last *find_last(struct blobs *blobs, const char *kind) {
  for (size_t i = 0; i < blobs->count; i++) {
    if (strcmp(blobs->last[i].kind, kind) != 0) continue;
    struct last it = blobs->last[i];
    memmove(blobs->last + 1, blobs->last, i * sizeof it);
    blobs->last[0] = it;
    return blobs->last;
  }
  return NULL;
}

static struct last *add_last(struct blobs *blobs, const char *kind) {
  if (blobs->count == BLOBS_REMEMBERED) forget_oldest(blobs);
  memmove(blobs->last + 1, blobs->last, blobs->count++ * sizeof *blobs->last);
  blobs->last[0] = (struct last){.kind = xstrdup(kind)};
  return blobs->last;
}

static void remember(struct blobs *blobs, struct last *it, const struct buffer *text, const char *hash,
                     size_t changes) {
  blobs->bytes += text->len - it->text.len;
  buffer_clear(&it->text);
  buffer_append(&it->text, text->data, text->len);
  memcpy(it->hash, hash, sizeof it->hash);
  it->chain = changes ? it->chain + 1 : 0;
  it->changes = changes ? it->changes + changes : 0;
  if (!changes) it->whole = text->len;
  while (blobs->bytes > BLOBS_REMEMBERED_BYTES) forget_oldest(blobs);
}

/* ---- Writing ---- */

struct blobs *blobs_open(const char *folder, bool synced) {
  struct blobs *blobs = xcalloc(1, sizeof *blobs);
  struct buffer path = {0};
  buffer_printf(&path, "%s/" FOLDER, folder);
  *blobs = (struct blobs){.path = path.data, .folder = -1, .synced = synced};
  return blobs;
}

void blobs_close(struct blobs *blobs) {
  if (!blobs) return;
  while (blobs->count) forget_oldest(blobs);
  if (blobs->folder >= 0) close(blobs->folder);
  free(blobs->path);
  free(blobs);
}

static int open_folder(struct blobs *blobs) {
  if (blobs->folder >= 0) return 0;
  if (mkdir(blobs->path, 0700) != 0 && errno != EEXIST) return errno;
  blobs->folder = open(blobs->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  return blobs->folder < 0 ? errno : 0;
}

static bool is_kept(const struct blobs *blobs, const char *hash) {
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "%s.json", hash);
  if (faccessat(blobs->folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  snprintf(name, sizeof name, "%s.delta", hash);
  return faccessat(blobs->folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int write_all(int fd, const struct buffer *text) {
  for (size_t done = 0; done < text->len;) {
    ssize_t count = write(fd, text->data + done, text->len - done);
    if (count > 0)
      done += (size_t)count;
    else if (count == 0 || errno != EINTR)
      return count == 0 ? EIO : errno;
  }
  return 0;
}

/* The whole file under its name, or nothing: what is half written has another. */
static int write_file(const struct blobs *blobs, const char *name, const struct buffer *text) {
  int fd = openat(blobs->folder, FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return errno;
  int code = write_all(fd, text);
  if (code == 0 && blobs->synced && fdatasync(fd) != 0) code = errno;
  close(fd);
  if (code == 0 && renameat(blobs->folder, FRESH, blobs->folder, name) != 0) code = errno;
  if (code == 0 && blobs->synced && fsync(blobs->folder) != 0 && errno != EINVAL) code = errno;
  if (code != 0) unlinkat(blobs->folder, FRESH, 0), unlinkat(blobs->folder, name, 0);
  return code;
}

/* {"from":"HASH","parts":[…]}; false when the whole is better: it is about as short, or is to be had from too many files. */
static bool make_changes(struct buffer *out, const struct last *last, const struct buffer *text) {
  if (!last || last->chain >= BLOBS_CHAIN) return false;
  buffer_printf(out, "{\"from\":\"%s\",\"parts\":", last->hash);
  if (!delta_make(out, &last->text, text, text->len / DELTA_SHARE)) return false;
  buffer_putc(out, '}');
  return last->changes + out->len <= last->whole;
}

int blobs_keep(struct blobs *blobs, const char *kind, const struct buffer *text,
               char hash[SHA256_DIGEST_STRING_LENGTH]) {
  char name[NAME_SIZE];
  struct buffer changes = {0};
  SHA256Data((const uint8_t *)text->data, text->len, hash);
  int code = open_folder(blobs);
  if (code != 0 || is_kept(blobs, hash)) return code;
  struct last *last = find_last(blobs, kind);
  bool shorter = make_changes(&changes, last, text);
  snprintf(name, sizeof name, shorter ? "%s.delta" : "%s.json", hash);
  code = write_file(blobs, name, shorter ? &changes : text);
  if (code == 0) remember(blobs, last ? last : add_last(blobs, kind), text, hash, shorter ? changes.len : 0);
  buffer_free(&changes);
  return code;
}

/* ---- Reading ---- */

static bool is_hash(const char *text) {
  return strlen(text) == HASH_LEN && strspn(text, "0123456789abcdef") == HASH_LEN;
}

static bool read_all(struct buffer *text, int fd) {
  char block[64 << 10];
  for (ssize_t count; (count = read(fd, block, sizeof block)) != 0;) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (text->len + (size_t)count > BLOBS_VALUE_MAX) return errno = EFBIG, false;
    buffer_append(text, block, (size_t)count);
  }
  return true;
}

/* Reads HASH.json or HASH.delta; 0 or an errno code. */
static int read_file(struct buffer *text, const char *folder, const char *hash, const char *suffix) {
  struct buffer path = {0};
  buffer_printf(&path, "%s/" FOLDER "/%s.%s", folder, hash, suffix);
  int fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int code = fd < 0 || !read_all(text, fd) ? errno : 0;
  if (fd >= 0) close(fd);
  buffer_free(&path);
  return code;
}

/* The changes of `hash` since the value that `from` becomes the hash of; NULL and 0 when it is kept as a whole, into `text`. */
static json_t *read_step(struct buffer *text, const char *folder, const char *hash, int *code) {
  *code = read_file(text, folder, hash, "json");
  if (*code != ENOENT) return NULL;
  struct buffer changes = {0};
  *code = read_file(&changes, folder, hash, "delta");
  json_t *step =
      *code == 0 ? json_loadb(changes.data ? changes.data : "", changes.len, JSON_ALLOW_NUL, NULL) : NULL;
  const char *from = json_string_value(json_object_get(step, "from"));
  if (*code == 0 && !(from && is_hash(from))) *code = EBADMSG;
  if (*code != 0) json_decref(step), step = NULL;
  buffer_free(&changes);
  return step;
}

/* Applies the steps, the last one first. */
static bool rebuild(struct buffer *text, json_t *const *steps, size_t count) {
  bool well = true;
  while (well && count-- > 0) {
    struct buffer next = {0};
    well = delta_apply(&next, text, json_object_get(steps[count], "parts"));
    buffer_free(text);
    *text = next;
  }
  return well;
}

static bool tell_read(struct error *error, int code, const char *hash) {
  if (code == ENOENT) return error_set(error, "missing", "blob %s is missing", hash);
  if (code == EBADMSG) return error_set(error, "protocol", "blob %s does not fit together", hash);
  return error_set_code(error, code, hash);
}

static bool read_value(struct buffer *text, const char *folder, const char *hash, struct error *error) {
  json_t *steps[BLOBS_CHAIN + 1];
  size_t count = 0;
  int code = 0;
  for (json_t *step; code == 0 && (step = read_step(text, folder, hash, &code)) != NULL;) {
    steps[count++] = step;
    hash = json_string_value(json_object_get(step, "from"));
    if (count > BLOBS_CHAIN) code = EBADMSG; /* it leads round in a circle */
  }
  if (code == 0 && !rebuild(text, steps, count)) code = EBADMSG;
  if (code != 0) tell_read(error, code, hash);
  while (count > 0) json_decref(steps[--count]);
  return code == 0;
}

bool blobs_read(struct buffer *text, const char *folder, const char *hash, struct error *error) {
  char found[SHA256_DIGEST_STRING_LENGTH];
  struct buffer value = {0};
  if (!is_hash(hash)) return error_set(error, "protocol", "no name of a blob: %.80s", hash);
  bool well = read_value(&value, folder, hash, error);
  if (well &&
      strcmp(SHA256Data((const uint8_t *)(value.data ? value.data : ""), value.len, found), hash) != 0)
    well = error_set(error, "protocol", "blob %s was changed: its hash is %s", hash, found);
  if (well) buffer_append(text, value.data, value.len);
  buffer_free(&value);
  return well;
}
