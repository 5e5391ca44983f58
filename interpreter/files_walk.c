#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "files.h"

double file_modified(const struct stat *info) {
  return (double)info->st_mtim.tv_sec + (double)info->st_mtim.tv_nsec / 1e9;
}

struct file *file_list_add(struct file_list *list) {
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? list->capacity * 2 : 64;
    list->files = xrealloc(list->files, list->capacity * sizeof *list->files);
  }
  struct file *file = &list->files[list->count++];
  memset(file, 0, sizeof *file);
  return file;
}

void file_list_free(struct file_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->files[i].path);
  free(list->files);
  memset(list, 0, sizeof *list);
}

struct finder {
  const struct files_filter *filter;
  struct file_list *list;
  bool full;
};

static bool passes(const struct files_filter *filter, const struct tree_entry *entry) {
  double modified = file_modified(entry->info);
  return S_ISREG(entry->info->st_mode) && (uint64_t)entry->info->st_size >= filter->min_bytes &&
         modified < filter->older_than && modified > filter->newer_than &&
         (!filter->name || fnmatch(filter->name, entry->name, 0) == 0);
}

static bool find_visit(void *data, const struct tree_entry *entry) {
  struct finder *finder = data;
  if (!passes(finder->filter, entry)) return true;
  if (finder->list->count >= finder->filter->max) {
    finder->full = true;
    return false;
  }
  struct file *file = file_list_add(finder->list);
  file->path = xstrdup(entry->path);
  file->bytes = (uint64_t)entry->info->st_size;
  file->dev = entry->info->st_dev;
  file->ino = entry->info->st_ino;
  file->modified = file_modified(entry->info);
  return true;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

bool files_walk(const struct files_filter *filter, atomic_bool *stop, struct file_list *list, bool *cut,
                struct tree_errors *errors, struct error *error) {
  struct finder finder = {filter, list, false};
  struct tree_walk walk = {.visit = find_visit, .data = &finder, .flat = filter->flat, .stop = stop};
  if (!tree_walk(filter->under, &walk, error)) return false;
  if (list->count) qsort(list->files, list->count, sizeof *list->files, by_path);
  *errors = walk.errors;
  *cut = finder.full || atomic_load(stop);
  return true;
}
