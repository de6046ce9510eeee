/* Logging: stderr from one rank, a file from every rank. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "ft/base.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *file;
static int rank;

void ft_log_set_rank(int r) {
  rank = r;
}

int ft_log_rank(void) {
  return rank;
}

ft_err ft_log_open(const char *path) {
  FILE *f = fopen(path, "a");
  if (!f) return ft_fail(FT_ERR_CREATE, "cannot open the log %s: %s", path, strerror(errno));
  setvbuf(f, NULL, _IOLBF, 0);
  pthread_mutex_lock(&lock);
  if (file) fclose(file);
  file = f;
  pthread_mutex_unlock(&lock);
  return FT_OK;
}

void ft_log_close(void) {
  pthread_mutex_lock(&lock);
  if (file) fclose(file);
  file = NULL;
  pthread_mutex_unlock(&lock);
}

static void write_to_file(ft_log_level level, const char *text) {
  static const char *const names[] = {"debug", "info", "warning", "error"};
  char stamp[32];
  time_t now = time(NULL);
  struct tm parts;
  localtime_r(&now, &parts);
  strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
  fprintf(file, "%s %s %s\n", stamp, names[level], text);
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
    fprintf(stderr, "ftrun: %s%s\n", prefix[level], text);
  }
  if (file) write_to_file(level, text);
  pthread_mutex_unlock(&lock);
}
