/* Printing tokens as whole characters. */
#ifndef FT_CLI_PRINTER_H
#define FT_CLI_PRINTER_H

#include <stddef.h>

/* Writes bytes to stdout as whole UTF-8 characters: an unfinished one waits for its rest. */
typedef struct ft_printer {
  char pending[8];
  size_t num_pending;
} ft_printer;
void ft_printer_write(ft_printer *p, const char *bytes, size_t count);
/* What can never become a character is shown as U+FFFD. */
void ft_printer_end(ft_printer *p);

#endif
