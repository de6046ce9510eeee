/* Logging: stderr from one rank, a file from every rank. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ft/base.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *file;
static char file_path[4096];
static char early[1 << 16]; /* what was said before there was a file, for it */
static size_t early_bytes;
static int rank;
static bool status_shown; /* the terminal's last line is a status */

#define CLEAR_LINE "\r\033[K"

void ft_log_set_rank(int r) {
  rank = r;
}

int ft_log_rank(void) {
  return rank;
}

static FILE *open_by_lines(const char *path) {
  FILE *f = fopen(path, "ae");
  if (f) setvbuf(f, NULL, _IOLBF, 0);
  return f;
}

/* A log may be rotated, and a handle of a network file system may go stale: then the file that has
 * the name now is opened. */
static void follow_name(void) {
  struct stat named, opened;
  bool same = stat(file_path, &named) == 0 && fstat(fileno(file), &opened) == 0 &&
              named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
  FILE *f = same && !ferror(file) ? NULL : open_by_lines(file_path);
  if (!f) return;
  fclose(file);
  file = f;
}

ft_err ft_log_open(const char *path) {
  FILE *f = open_by_lines(path);
  if (!f) return ft_fail(FT_ERR_CREATE, "cannot open the log %s: %s", path, strerror(errno));
  pthread_mutex_lock(&lock);
  if (file) fclose(file);
  file = f;
  fwrite(early, 1, early_bytes, file);
  early_bytes = 0;
  snprintf(file_path, sizeof file_path, "%s", path);
  pthread_mutex_unlock(&lock);
  return FT_OK;
}

void ft_log_close(void) {
  pthread_mutex_lock(&lock);
  if (file) fclose(file);
  file = NULL;
  pthread_mutex_unlock(&lock);
}

/* Where there is no file yet, a line is kept for it as long as there is room. */
static void write_line(ft_log_level level, const char *text) {
  static const char *const names[] = {"debug", "info", "warning", "error"};
  char stamp[32];
  time_t now = time(NULL);
  struct tm parts;
  localtime_r(&now, &parts);
  strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
  if (file) {
    fprintf(file, "%s %s %s\n", stamp, names[level], text);
    return;
  }
  size_t room = sizeof early - early_bytes;
  int length = snprintf(early + early_bytes, room, "%s %s %s\n", stamp, names[level], text);
  if (length > 0 && (size_t)length < room) early_bytes += (size_t)length;
}

void ft_log(ft_log_level level, const char *format, ...) {
  char text[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&lock);
  if (rank == 0 && level >= FT_LOG_INFO) {
    static const char *const prefix[] = {"", "", "warning: ", "error: "};
    fprintf(stderr, "%sftrun: %s%s\n", status_shown ? CLEAR_LINE : "", prefix[level], text);
    status_shown = false;
  }
  if (file) follow_name();
  write_line(level, text);
  pthread_mutex_unlock(&lock);
}

/* Whether stderr is a terminal where a line can be replaced. */
static bool can_replace_lines(void) {
  const char *kind = getenv("TERM");
  return isatty(STDERR_FILENO) && !(kind && strcmp(kind, "dumb") == 0);
}

/* Columns of that terminal: of a longer line only the last row would be replaced. */
static int columns(void) {
  struct winsize size;
  bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

bool ft_log_status(const char *format, ...) {
  static const char prefix[] = "ftrun: ";
  char text[512];
  va_list args;
  if (rank != 0 || !can_replace_lines()) return false;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&lock);
  fprintf(stderr, CLEAR_LINE "%.*s%.*s", columns() - 1, prefix,
          FT_MAX(columns() - (int)sizeof prefix, 0), text);
  fflush(stderr);
  status_shown = true;
  pthread_mutex_unlock(&lock);
  return true;
}
