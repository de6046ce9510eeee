/* A list of a user's mistakes, reported all at once. */
#ifndef FT_TRAIN_MISTAKES_H
#define FT_TRAIN_MISTAKES_H

#include "ft/base.h"

typedef struct mistakes {
  int64_t count;
  char text[6000]; /* one line each; what does not fit is only counted */
} mistakes;

void add_mistake(mistakes *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* FT_OK if there are none; otherwise `code` with all of them, after what they were found in. */
ft_err fail_for_mistakes(const mistakes *m, ft_err code, const char *where);

#endif
