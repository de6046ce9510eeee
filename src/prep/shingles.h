/* What documents are compared by: signatures for near duplicates, n-grams for contamination. Both
 * see the words of a record's messages (or of its text), without system messages. */
#ifndef FT_PREP_SHINGLES_H
#define FT_PREP_SHINGLES_H

#include "normalise.h"
#include "record.h"

/* MinHash (Broder 1997): place i holds the least of the i-th hash function over all shingles, so
 * that the share of equal places of two signatures estimates the Jaccard similarity of the sets,
 * with a standard error of at most 0.045. Bands of rows find candidates (Indyk and Motwani 1998):
 * of two documents of similarity s they find 1 - (1 - s^ROWS)^BANDS. */
enum { FT_SIGNATURE_SIZE = 128, FT_SIGNATURE_ROWS = 4, FT_SIGNATURE_BANDS = 32 };
typedef struct ft_signature {
  uint32_t least[FT_SIGNATURE_SIZE];
} ft_signature;

/* *found: there were words at all. `words` lends memory. Errors: FT_ERR_MEMORY. */
ft_err ft_signature_of(const ft_clean_options *options, const ft_record *record, ft_words *words,
                       ft_signature *signature, bool *found);
uint64_t ft_signature_band(const ft_signature *signature, int band);
double ft_signature_similarity(const ft_signature *a, const ft_signature *b);

/* A growing list of hashes. Starts zeroed. */
typedef struct ft_grams {
  uint64_t *hashes;
  int64_t count, capacity;
} ft_grams;
/* Appends the hashes of all runs of `ngram` words; a message of fewer words, but at least a third
 * of them, is one run. `words` lends memory. Errors: FT_ERR_MEMORY. */
ft_err ft_grams_of(const ft_clean_options *options, const ft_record *record, ft_words *words,
                   ft_grams *grams);
void ft_grams_fini(ft_grams *grams);

#endif
