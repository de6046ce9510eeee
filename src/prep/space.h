/* White space at the ends of a text, as Python's str.strip sees it. */
#ifndef FT_PREP_SPACE_H
#define FT_PREP_SPACE_H

#include "ft/base.h"

/* Bytes of it at the start (end). */
size_t ft_space_before(const char *text, size_t bytes);
size_t ft_space_after(const char *text, size_t bytes);
/* The text without both: where it begins, and in *bytes how long it is. */
const char *ft_trimmed(const char *text, size_t *bytes);

#endif
