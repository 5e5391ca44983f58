#include "authorities_curl.h"
#include <stdio.h>
#include "authorities.h"
#include "buffer.h"

static bool append_file(struct buffer *bytes, const char *path) {
  char part[16 * 1024];
  FILE *file = fopen(path, "re");
  if (!file) return false;
  for (size_t len; (len = fread(part, 1, sizeof part, file)) > 0;) buffer_append(bytes, part, len);
  bool well = !ferror(file);
  fclose(file);
  buffer_append(bytes, "\n", 1); /* a last line without its end */
  return well;
}

/* curl keeps a parsed bundle for all connections, but only if it is a file's and there is no folder of certificates to
 * look into as well: 3 ms for a TLS connection instead of 24. */
static void use_file(CURL *curl, const char *file) {
  curl_easy_setopt(curl, CURLOPT_CAINFO, file);
  curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, file);
  curl_easy_setopt(curl, CURLOPT_PROXY_CAPATH, NULL);
}

bool authorities_use(CURL *curl, const char *extra) {
  const char *file = authorities_file(curl_version_info(CURLVERSION_NOW)->cainfo);
  struct buffer both = {0};
  if (file) use_file(curl, file);
  if (!extra) return true;
  bool well = append_file(&both, extra);
  if (well && file) append_file(&both, file); /* bytes take a file's place */
  struct curl_blob blob = {.data = both.data, .len = both.len, .flags = CURL_BLOB_COPY};
  if (well) curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
  if (well) curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO_BLOB, &blob);
  buffer_free(&both);
  return well;
}
