/* A list of a user's mistakes, reported all at once. */
#include "mistakes.h"

#include <stdarg.h>
#include <string.h>

void add_mistake(mistakes *m, const char *format, ...) {
  char line[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  size_t used = strlen(m->text), room = sizeof m->text - used;
  m->count++;
  if (strlen(line) + 4 < room) snprintf(m->text + used, room, "\n  %s", line);
}

ft_err fail_for_mistakes(const mistakes *m, ft_err code, const char *where) {
  if (m->count == 0) return FT_OK;
  if (m->count == 1) return ft_fail(code, "%s: %s", where, m->text + 3);
  return ft_fail(code, "%s: %lld mistakes:%s", where, (long long)m->count, m->text);
}
