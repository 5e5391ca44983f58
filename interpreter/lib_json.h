/* Lua values and JSON, by way of jansson. Integers and floats stay apart; object keys come out sorted. */
#ifndef LIB_JSON_H
#define LIB_JSON_H
#include <stdbool.h>
#include <jansson.h>
#include <lua.h>
#include "error.h"
#include "jsontext.h"

/* The value at `index` as JSON, or NULL and `error` (kind usage). A table with keys 1..n, or marked by
 * json.list, is an array; other tables need string keys. `exact` keeps every Lua value: strings that aren't
 * UTF-8 are {"$bytes": base64}, numbers JSON lacks {"$number": "nan"}, maps with other keys {"$map": [[key,
 * value], …]}, and an object whose one key begins with "$" is
 * {"$map": …} too. The caller owns the result. [-0, +0, m] */
json_t *json_from_lua(lua_State *L, int index, bool exact, struct error *error);
/* Pushes a JSON value; null is json.null (a light userdata NULL). [-0, +1, m] */
void json_to_lua(lua_State *L, const json_t *value, bool exact);

#endif
