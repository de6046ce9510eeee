/* Mistakes of many shards in one message. */
#include <stdarg.h>
#include <string.h>

#include "data_internal.h"

enum { MAX_LISTED = 12 };

void ft_data_mistake(ft_data_mistakes *mistakes, ft_err code, const char *format, ...) {
  if (mistakes->count++ == 0) mistakes->code = code;
  if (mistakes->count > MAX_LISTED || mistakes->used + 1 >= sizeof mistakes->text) return;
  const char *separator = mistakes->used ? "\n  " : "";
  size_t start = mistakes->used, separator_bytes = strlen(separator);
  if (start + separator_bytes >= sizeof mistakes->text) return;
  memcpy(mistakes->text + start, separator, separator_bytes);
  start += separator_bytes;
  va_list args;
  va_start(args, format);
  int length = vsnprintf(mistakes->text + start, sizeof mistakes->text - start, format, args);
  va_end(args);
  mistakes->used = FT_MIN(start + (size_t)FT_MAX(length, 0), sizeof mistakes->text - 1);
}
