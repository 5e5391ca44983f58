/* The option `scan` of raw modules that read a stream: its lines are looked at while they pass, see linescan.h.
 *
 * scan = {match=, after=, since=, framed=, count=, max=} → scanned = {lines=, matched=, timed=, cut=, text=}, or in its place
 * scan_error = {kind=, message=}
 */
#ifndef SCANNING_H
#define SCANNING_H
#include <lua.h>
#include "linescan.h"

/* A scanner as the table at `index` asks for it, the caller's; NULL when it doesn't. A wrong pattern raises.
 * [-0, +0, v] */
struct linescan *options_scan(lua_State *L, int index);
/* Adds what a stream's scan came to to the table on top; NULL adds nothing. [-0, +0, m] */
void set_scanned(lua_State *L, struct linescan *scan);

#endif
