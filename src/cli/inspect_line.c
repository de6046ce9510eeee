#include <stdarg.h>
#include <stdio.h>

#include "inspect.h"

void ft_inspect_line(const char *label, const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("  %-14s", label);
  vprintf(format, args);
  putchar('\n');
  va_end(args);
}
