#include "linetime.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_TIME_MAX 40    /* bytes of a line that its time may take */
#define AHEAD_SECONDS 86400 /* syslog's times have no year: one further ahead is of last year */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The local minute that `text` (which is kept) names by `tm`, in seconds since 1970. */
static double local_minute(struct linetime *last, const char *text, size_t len, struct tm *tm) {
  if (len < sizeof last->minute && memcmp(last->minute, text, len) == 0 && !last->minute[len])
    return last->base;
  tm->tm_isdst = -1;
  tm->tm_sec = 0;
  last->base = (double)mktime(tm);
  snprintf(last->minute, sizeof last->minute, "%.*s", (int)len, text);
  return last->base;
}

/* ".123", ",123": the part of a second; moves `text` on. */
static double fraction(const char **text) {
  const char *at = *text;
  double value = 0, scale = 0.1;
  if ((*at != '.' && *at != ',') || !is_digit(at[1])) return 0;
  for (at++; is_digit(*at); at++, scale /= 10) value += (*at - '0') * scale;
  *text = at;
  return value;
}

/* Z, +01:00, +0100, after a blank too: seconds east of Greenwich; false without one. */
static bool zone(const char *text, long *east) {
  unsigned hours, minutes;
  if (*text == ' ' && (text[1] == '+' || text[1] == '-') && is_digit(text[2])) text++;
  *east = 0;
  if (*text == 'Z' || *text == 'z') return true;
  if (*text != '+' && *text != '-') return false;
  if (sscanf(text + 1, "%2u:%2u", &hours, &minutes) != 2 && sscanf(text + 1, "%2u%2u", &hours, &minutes) != 2)
    return false;
  *east = (hours * 60L + minutes) * 60;
  if (*text == '-') *east = -*east;
  return true;
}

static bool read_iso(struct linetime *last, const char *text, double *at) {
  struct tm tm = {0};
  int year, month, day, hour, minute, second, taken = 0;
  if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
             &taken) != 6 ||
      taken != 19)
    return false;
  tm = (struct tm){
      .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
  const char *rest = text + taken;
  double part = fraction(&rest);
  long east;
  bool zoned = zone(rest, &east);
  *at = (zoned ? (double)(timegm(&tm) - east) : local_minute(last, text, 16, &tm)) + second + part;
  return true;
}

static bool read_syslog(struct linetime *last, const char *text, double *at) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  char name[4] = "";
  int day, hour, minute, second, taken = 0;
  if (sscanf(text, "%3[A-Za-z] %2d %2d:%2d:%2d%n", name, &day, &hour, &minute, &second, &taken) != 5 ||
      taken < 14)
    return false;
  const char *found = strstr(names, name);
  if (strlen(name) != 3 || !found || (found - names) % 3) return false;
  time_t now = time(NULL);
  struct tm tm;
  localtime_r(&now, &tm);
  tm.tm_mon = (int)(found - names) / 3;
  tm.tm_mday = day, tm.tm_hour = hour, tm.tm_min = minute;
  struct tm before = tm;
  *at = local_minute(last, text, (size_t)taken - 3, &tm) + second;
  if (*at <= (double)now + AHEAD_SECONDS) return true;
  before.tm_year--;
  last->minute[0] = '\0';
  *at = local_minute(last, text, (size_t)taken - 3, &before) + second;
  return true;
}

bool linetime_read(struct linetime *last, const char *line, size_t len, double *at) {
  char text[LINE_TIME_MAX + 1];
  if (len && (*line == '[' || *line == '(')) line++, len--;
  if (len < 14) return false;
  bool digits = is_digit(line[0]);
  if (!digits && line[3] != ' ') return false;
  if (len > LINE_TIME_MAX) len = LINE_TIME_MAX;
  memcpy(text, line, len);
  text[len] = '\0';
  return digits ? read_iso(last, text, at) : read_syslog(last, text, at);
}
