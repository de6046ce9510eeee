/* Text as it is compared: words in lower case with one space between them, without punctuation, so
 * that what differs in these only is the same. */
#ifndef FT_PREP_NORMALISE_H
#define FT_PREP_NORMALISE_H

#include "ft/base.h"

typedef struct ft_words {
  char *text; /* [bytes], no zero at the end */
  size_t bytes, capacity;
  int64_t *starts; /* [num_words] where each word begins; a word ends before the next one's space */
  int64_t num_words, words_capacity;
} ft_words;

/* Appends a text of UTF-8 (invalid bytes separate words). Letters, digits, marks and symbols are
 * kept, ideographs and kana each as a word of its own. Starts zeroed. Errors: FT_ERR_MEMORY. */
ft_err ft_words_add(ft_words *words, const char *text, size_t bytes);
/* Empties it, keeping the memory. */
void ft_words_clear(ft_words *words);
void ft_words_fini(ft_words *words);

#endif
