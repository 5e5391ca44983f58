/* Gives every file of a folder to a harness: where there is no libFuzzer, what it once found is still tried. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder, const char *name) {
  char path[4096], block[4096];
  struct buffer text = {0};
  size_t count;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "re");
  if (!file) return perror(path), 1;
  while ((count = fread(block, 1, sizeof block, file)) > 0) buffer_append(&text, block, count);
  fclose(file);
  fprintf(stderr, "%s\n", name);
  int result = LLVMFuzzerTestOneInput((const uint8_t *)(text.data ? text.data : ""), text.len);
  buffer_free(&text);
  return result;
}

int main(int argc, char **argv) {
  int count = 0;
  DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
  if (!folder) return fprintf(stderr, "usage: %s FOLDER\n", argv[0]), 2;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (entry->d_name[0] != '.' && ++count && replay(argv[1], entry->d_name) != 0) return 1;
  closedir(folder);
  return count > 0 ? 0 : 1;
}
