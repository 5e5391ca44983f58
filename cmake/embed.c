/* embed OUT ROOT FILE…: writes the stdlib's files under ROOT as a sorted C table: each as text, and compiled.
 *
 * Compiling it all takes three times as long as everything else at the start of a run, so it is done here, once. Line
 * numbers and names are kept. Lua promises nothing about compiled code between its releases: interpreter/loader.c takes
 * the text when it runs with another than this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>

static FILE *out;
static size_t column;

static void put_byte(unsigned char byte) {
  column += (size_t)fprintf(out, "%u,", byte);
  if (column < 110) return;
  fputc('\n', out);
  column = 0;
}

static int put_code(lua_State *L, const void *block, size_t size, void *data) {
  (void)L;
  for (size_t i = 0; i < size; i++) put_byte(((const unsigned char *)block)[i]);
  *(size_t *)data += size;
  return 0;
}

static char *read_text(const char *root, const char *name, size_t *len) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", root, name);
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *len = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(*len + 1);
  size_t count = text ? fread(text, 1, *len, file) : 0;
  fclose(file);
  if (count == *len) return text;
  free(text);
  return NULL;
}

/* t0[] the text of file 0, c0[] what it compiles to; the chunk's name is the one that loader.c gives the text. */
static int put_file(lua_State *L, const char *root, const char *name, int number) {
  size_t len, code = 0;
  char *text = read_text(root, name, &len);
  if (!text) return fprintf(stderr, "%s/%s can't be read\n", root, name), 1;
  const char *chunk = lua_pushfstring(L, "=stdlib/%s", name);
  if (luaL_loadbufferx(L, text, len, chunk, "t") != LUA_OK)
    return fprintf(stderr, "%s\n", lua_tostring(L, -1)), 1;
  fprintf(out, "static const unsigned char t%d[] = {\n", number);
  put_code(L, text, len, &code);
  fprintf(out, "0};\nstatic const unsigned char c%d[] = {\n", number);
  lua_dump(L, put_code, &code, 0);
  fprintf(out, "0};\n");
  lua_pop(L, 2);
  free(text);
  return 0;
}

/* {"modes.live", …}: the name that `require` is given. */
static void put_row(const char *name, int number) {
  size_t stem = strlen(name) - strlen(".lua");
  fputs("  {\"", out);
  for (size_t i = 0; i < stem; i++) fputc(name[i] == '/' ? '.' : name[i], out);
  fprintf(out, "\", (const char *)t%d, sizeof t%d - 1, (const char *)c%d, sizeof c%d - 1},\n", number, number,
          number, number);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv) {
  int failed = 0;
  if (argc < 3) return fputs("usage: embed OUT ROOT FILE...\n", stderr), 2;
  lua_State *L = luaL_newstate();
  out = fopen(argv[1], "w");
  if (!L || !out) return perror(argv[1]), 1;
  qsort(argv + 3, (size_t)argc - 3, sizeof *argv, by_name);
  fputs("#include \"loader.h\"\n", out);
  for (int i = 3; i < argc; i++) failed |= put_file(L, argv[2], argv[i], i);
  fputs("const struct stdlib_file stdlib_files[] = {\n", out);
  for (int i = 3; i < argc; i++) put_row(argv[i], i);
  fprintf(out, "  {0, 0, 0, 0, 0}};\nconst char stdlib_lua[] = \"%s\";\n", lua_ident);
  lua_close(L);
  return fclose(out) != 0 || failed;
}
