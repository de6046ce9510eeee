/* Inside tokenizer: the words of the patterns that most tokenizers split by, found by hand instead
 * of by a regular expression. A pattern is recognised by its exact text; test_splitter.c compares
 * the words with the regular expression's. */
#ifndef FT_TOKENIZER_SPLITTER_H
#define FT_TOKENIZER_SPLITTER_H

#include "ft/base.h"

typedef struct ft_splitter ft_splitter;

/* Stands for a pattern: the step Digits, each digit by itself. */
#define FT_SPLITTER_DIGITS "(Digits)"

/* The splitter for patterns that are applied one after the other, each to what the one before has
 * cut, keeping matches and what is between them; NULL: there is none. */
const ft_splitter *ft_splitter_find(const char *const *patterns, int64_t count);

/* Cuts text (valid UTF-8) into words from *at on: ends[0 … returned) is where each word ends, and
 * *at the last of them. It stops after a kilobyte or so. 0: nothing is left. */
int64_t ft_splitter_cut(const ft_splitter *s, const char *text, size_t bytes, size_t *at,
                        size_t *ends, int64_t room);

/* The patterns of each splitter, a NULL behind the last one; NULL behind the last splitter. */
const char *const *ft_splitter_patterns(int64_t number);

#endif
