/* What cmocka needs included before it, and checks that print the library's error message. */
#ifndef FT_TEST_H
#define FT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ft/base.h"

/* The call must succeed; otherwise the message is shown. */
#define assert_ok(call)                                                                            \
  do {                                                                                             \
    ft_err assert_ok_err = (call);                                                                 \
    if (assert_ok_err != FT_OK)                                                                    \
      fail_msg("%s: error %d: %s", #call, (int)assert_ok_err, ft_error_message());                 \
  } while (0)

/* The call must fail with this code and a message that contains `part`. */
#define assert_fails(call, code, part)                                                             \
  do {                                                                                             \
    ft_err assert_fails_err = (call);                                                              \
    assert_int_equal(assert_fails_err, code);                                                      \
    if (!strstr(ft_error_message(), part))                                                         \
      fail_msg("%s: message \"%s\" lacks \"%s\"", #call, ft_error_message(), part);                \
  } while (0)

/* Flips one bit of a file; twice is never. */
static inline void flip_bit(const char *path, int64_t at, int bit) {
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
  int byte = fgetc(f);
  assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
  assert_int_equal(fputc(byte ^ (1 << bit), f), byte ^ (1 << bit));
  assert_int_equal(fclose(f), 0);
}

#endif
