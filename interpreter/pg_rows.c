#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "luautil.h"
#include "pg.h"

/* Types by their fixed OIDs (pg_type.dat). */
enum { BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };

/* A whole number that fits, written with or without zeros after the point. */
static bool push_integer(lua_State *L, const char *text) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (*end == '.') end += 1 + strspn(end + 1, "0");
  if (errno || end == text || *end) return false;
  lua_pushinteger(L, value);
  return true;
}

/* NaN and the infinities stay text: JSON, and so the journal, has no such numbers. */
static bool push_number(lua_State *L, const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value)) return false;
  lua_pushnumber(L, value);
  return true;
}

static bool push_typed(lua_State *L, unsigned type, const char *text) {
  switch (type) {
  case BOOL:
    lua_pushboolean(L, *text == 't');
    return true;
  case INT2:
  case INT4:
  case INT8:
  case OID:
    return push_integer(L, text);
  case FLOAT4:
  case FLOAT8:
    return push_number(L, text);
  case NUMERIC:
    return push_integer(L, text) || push_number(L, text);
  default:
    return false;
  }
}

/* Numbers and booleans have short texts without NUL; whatever doesn't parse stays text. */
static void push_cell(lua_State *L, unsigned type, const char *bytes, size_t len) {
  char text[128];
  if (len < sizeof text) {
    memcpy(text, bytes, len);
    text[len] = '\0';
    if (push_typed(L, type, text)) return;
  }
  lua_pushlstring(L, bytes, len);
}

/* Of columns with one name the first is the row's. */
static bool is_repeated(const PGresult *shape, int column) {
  for (int before = 0; before < column; before++)
    if (strcmp(PQfname(shape, before), PQfname(shape, column)) == 0) return true;
  return false;
}

/* One row's table; `names` is the stack index of the first of its columns' names; nil: not taken. Returns where the next row
 * begins. */
static const char *push_row(lua_State *L, const PGresult *shape, const char *at, int names) {
  int columns = PQnfields(shape);
  lua_createtable(L, 0, columns);
  for (int column = 0; column < columns; column++) {
    int len;
    memcpy(&len, at, sizeof len);
    at += sizeof len;
    if (len < 0) continue; /* NULL: no field */
    if (!lua_isnil(L, names + column)) {
      lua_pushvalue(L, names + column);
      push_cell(L, PQftype(shape, column), at, (size_t)len);
      lua_rawset(L, -3);
    }
    at += len;
  }
  return at;
}

static void set_columns(lua_State *L, const PGresult *shape, int columns) {
  lua_createtable(L, columns, 0);
  for (int column = 0; column < columns; column++) {
    lua_pushstring(L, PQfname(shape, column));
    lua_rawseti(L, -2, column + 1);
  }
  lua_setfield(L, -2, "columns");
}

static void set_rows(lua_State *L, const struct pg_query *query, int columns) {
  const char *at = query->cells.data;
  luaL_checkstack(L, columns + 8, "too many columns");
  int names = lua_gettop(L) + 1;
  for (int column = 0; column < columns; column++)
    lua_pushstring(L, is_repeated(query->shape, column) ? NULL : PQfname(query->shape, column));
  lua_createtable(L, (int)query->rows, 0);
  for (size_t row = 0; row < query->rows; row++) {
    at = push_row(L, query->shape, at, names);
    lua_rawseti(L, -2, (lua_Integer)row + 1);
  }
  lua_setfield(L, names - 1, "rows");
  lua_settop(L, names - 1);
}

/* The number at the end of "UPDATE 3", "INSERT 0 3"; "SET" and the like have none. */
static void set_affected(lua_State *L, const char *command) {
  const char *last = strrchr(command, ' ');
  char *end;
  long long affected = last ? strtoll(last + 1, &end, 10) : 0;
  if (last && end > last + 1 && !*end) set_integer(L, "affected", affected);
}

void pg_rows_push(lua_State *L, const struct pg_query *query) {
  int columns = query->shape ? PQnfields(query->shape) : 0;
  lua_createtable(L, 0, 5);
  set_columns(L, query->shape, columns);
  set_rows(L, query, columns);
  if (query->command[0]) set_text(L, "command", query->command);
  set_affected(L, query->command);
  set_bool(L, "cut", query->cut);
}
