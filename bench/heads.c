/* heads URL COUNT AT_ONCE: so many HEAD requests with libcurl's multi interface, AT_ONCE of them at a time, on connections
 * that are kept: what bench/heads.lua does, with nothing around it. */
#include <stdio.h>
#include <stdlib.h>
#include <curl/curl.h>

static size_t drop(char *data, size_t size, size_t count, void *to) {
  return (void)data, (void)to, size * count;
}

static CURL *open_request(const char *url) {
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, drop);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  return easy;
}

/* Takes the answers that came; each handle goes out again while requests are left. Returns how many answered 200. */
static int take_answers(CURLM *multi, int *left, int *flying) {
  int well = 0, queued;
  CURLMsg *message;
  while ((message = curl_multi_info_read(multi, &queued))) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL *easy = message->easy_handle;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    well += status == 200;
    curl_multi_remove_handle(multi, easy);
    if (*left > 0)
      curl_multi_add_handle(multi, easy), --*left;
    else
      --*flying;
  }
  return well;
}

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: heads URL COUNT AT_ONCE\n", stderr), 2;
  int count = atoi(argv[2]), at_once = atoi(argv[3]), left = count, flying = 0, well = 0, running;
  curl_global_init(CURL_GLOBAL_NOTHING);
  CURLM *multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)at_once);
  for (; flying < at_once && left > 0; flying++, left--) curl_multi_add_handle(multi, open_request(argv[1]));
  while (flying > 0) {
    curl_multi_perform(multi, &running);
    well += take_answers(multi, &left, &flying);
    curl_multi_perform(multi, &running);
    if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  printf("%d of %d answered 200\n", well, count);
  return well != count;
}
