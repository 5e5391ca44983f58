#include <stdlib.h>
#include "runtime.h"

static size_t used;

/* Beyond the limit Lua collects garbage and then reports "not enough memory". Shrinking and freeing never
 * fail. */
void *alloc_limited(void *ud, void *block, size_t osize, size_t nsize) {
  (void)ud;
  if (!block) osize = 0; /* for a new block Lua passes a type tag here */
  if (nsize == 0) {
    free(block);
    used -= osize;
    return NULL;
  }
  if (nsize > osize && used + (nsize - osize) > (size_t)BUDGET_MEMORY_BYTES) return NULL;
  void *fresh = realloc(block, nsize);
  if (fresh) used += nsize - osize;
  return fresh;
}
