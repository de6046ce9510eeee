/* Special tokens that are spelled out in people's texts. Control tokens, which the model's template
 * writes or which begin, end and fill texts, stay letters there, so that no content forges a turn;
 * tokens that somebody added for use in texts ("<SQL>") are themselves. */
#ifndef FT_PREP_SPECIALS_H
#define FT_PREP_SPECIALS_H

#include "ft/prep.h"

struct ft_specials {
  int64_t count;
  struct ft_special *list; /* [count] by their bytes, what goes on behind what it begins with */
  int64_t firsts[257];     /* where each first byte's begin */
  bool begins[256];        /* bytes that one begins with */
  bool goes_on[256];       /* bytes that may stand second */
  int only;                /* the byte that all begin with; -1: there are several, or none */
};

typedef struct ft_special {
  const char *text; /* the tokenizer's */
  size_t bytes;
  uint32_t id;
  bool is_control;
  int64_t beginning; /* number of the longest other one that it begins with, or -1 */
} ft_special;

/* Where the next one is written at or after text + *at; NULL: nowhere. *at moves there. */
const ft_special *ft_specials_next(const ft_specials *specials, const char *text, size_t bytes,
                                   size_t *at);

#endif
