/* A list of a user's mistakes, reported all at once. */
#include <stdarg.h>
#include <string.h>

#include "ft/base.h"

void ft_mistakes_add(ft_mistakes *m, ft_err code, const char *format, ...) {
  char line[4096]; /* what is noted may be a list itself */
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  size_t room = sizeof m->text - m->used;
  if (m->count++ == 0) m->first = code;
  if (strlen(line) + 4 > room) return;
  m->used += (size_t)snprintf(m->text + m->used, room, "\n  %s", line);
  m->listed++;
}

void ft_mistakes_note(ft_mistakes *m, ft_err err) {
  if (err != FT_OK) ft_mistakes_add(m, err, "%s", ft_error_message());
}

ft_err ft_mistakes_fail(const ft_mistakes *m, const char *where) {
  char prefix[512] = "";
  if (m->count == 0) return FT_OK;
  if (where) snprintf(prefix, sizeof prefix, "%s: ", where);
  if (m->count == 1) return ft_fail(m->first, "%s%s", prefix, m->text + 3);
  return ft_fail(m->first, "%s%lld mistakes%s:%s", prefix, (long long)m->count,
                 m->listed < m->count ? ", among them" : "", m->text);
}
