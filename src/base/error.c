/* Errors: one message per thread, and assertions. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ft/base.h"

enum { MESSAGE_BYTES = 8192 };
static _Thread_local char message[MESSAGE_BYTES];

ft_err ft_fail(ft_err code, const char *format, ...) {
  char text[MESSAGE_BYTES]; /* the arguments may point into the old message */
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  memcpy(message, text, sizeof message);
  return code;
}

ft_err ft_fail_prefix(ft_err code, const char *format, ...) {
  char prefix[MESSAGE_BYTES / 4], rest[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(prefix, sizeof prefix, format, args);
  va_end(args);
  memcpy(rest, message, sizeof rest);
  int used = snprintf(message, sizeof message, "%s: ", prefix);
  size_t room = sizeof message - (size_t)used;
  strncpy(message + used, rest, room - 1);
  message[sizeof message - 1] = 0;
  return code;
}

const char *ft_error_message(void) {
  return message;
}

_Noreturn void ft_assert_failed(const char *what, const char *file, int line) {
  fprintf(stderr, "ftrun: internal error: %s does not hold (%s:%d)\n", what, file, line);
  abort();
}
