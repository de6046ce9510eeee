#include "printer.h"

#include <stdio.h>
#include <string.h>

#include "ft/base_utf8.h"

/* Prints what is complete. A beginning of a character is kept, unless nothing follows. */
static void print_complete(ft_printer *p, bool nothing_follows) {
  size_t valid;
  while (p->num_pending > 0) {
    size_t length = ft_utf8_next(p->pending, p->num_pending, &valid), taken = length;
    if (length == 0) {
      if (valid == p->num_pending && !nothing_follows) return;
      fputs("\xef\xbf\xbd", stdout);
      taken = valid;
    }
    fwrite(p->pending, 1, length, stdout);
    p->num_pending -= taken;
    memmove(p->pending, p->pending + taken, p->num_pending);
  }
}

void ft_printer_write(ft_printer *p, const char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    p->pending[p->num_pending++] = bytes[i];
    print_complete(p, false);
  }
  fflush(stdout);
}

void ft_printer_end(ft_printer *p) {
  print_complete(p, true);
}
