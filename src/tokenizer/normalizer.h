/* Inside tokenizer: the "normalizer" of tokenizer.json, which rewrites text before it is split. */
#ifndef FT_TOKENIZER_NORMALIZER_H
#define FT_TOKENIZER_NORMALIZER_H

#include "buffer.h"
#include "ft/io.h"
#include "regex.h"

/* A stretch of text on its way to the model. */
typedef struct ft_piece {
  const char *text; /* [bytes] valid UTF-8 */
  size_t bytes;
  /* this many bytes at its front stem from the first character of the whole text (after rewriting,
   * what replaces that character or is put before it): where "the beginning" matters, a piece is at
   * the beginning if it is not 0 */
  size_t origin;
  bool unusual; /* may hold code points that ft_unicode_is_unusual */
} ft_piece;

/* in->text[start … end) as a piece of its own. */
static inline ft_piece ft_piece_part(const ft_piece *in, size_t start, size_t end) {
  size_t origin = in->origin > start ? FT_MIN(in->origin, end) - start : 0;
  return (ft_piece){in->text + start, end - start, origin, in->unusual};
}

/* Memory that rewriting needs: one for each thread at a time. Starts zeroed. */
typedef struct ft_normalizer_scratch {
  ft_buffer text[2]; /* results take turns */
  int32_t *codes;    /* [codes_capacity] of a stretch being normalized */
  int64_t codes_capacity;
} ft_normalizer_scratch;
void ft_normalizer_scratch_fini(ft_normalizer_scratch *s);

typedef struct ft_normalizer ft_normalizer;

/* json NULL: changes nothing. Errors: FT_ERR_DATA, naming what is not supported. */
ft_err ft_normalizer_load(const cJSON *json, ft_normalizer **out);
void ft_normalizer_free(ft_normalizer *n);

/* *out is the rewritten piece, in memory of s (until its next use) or of the input. */
ft_err ft_normalizer_apply(const ft_normalizer *n, ft_normalizer_scratch *s,
                           ft_regex_scratch *regex, const ft_piece *in, ft_piece *out);

/* ---------------------------------------------------------------- inside normalizer*.c */

typedef enum ft_form { FT_FORM_NFC, FT_FORM_NFD, FT_FORM_NFKC, FT_FORM_NFKD, FT_NUM_FORMS } ft_form;

/* Which code points a normalization form leaves alone whatever is around them. */
typedef struct ft_form_table ft_form_table;
/* Made once a process, when first asked for (it takes some milliseconds); constant then. */
const ft_form_table *ft_form_table_of(ft_form form);
/* Appends text in the form. */
ft_err ft_form_apply(const ft_form_table *table, ft_normalizer_scratch *s, const char *text,
                     size_t bytes, ft_buffer *out);
/* True if the form does not change text, by a quick look. */
bool ft_form_keeps(const ft_form_table *table, const char *text, size_t bytes);

/* Searches for a pattern that is a string or a regular expression; at most one is set. */
typedef struct ft_pattern {
  char *literal;
  ft_regex *regex;
} ft_pattern;
ft_err ft_pattern_load(const cJSON *object, const char *where, ft_pattern *out);
void ft_pattern_fini(ft_pattern *pattern);
/* The next match at or behind m->from (m->regex is the pattern's). */
ft_err ft_pattern_next(const ft_pattern *pattern, ft_regex_matches *m, size_t *start, size_t *end,
                       bool *found);

#endif
