/* A batch of lines that several threads turn into documents. */
#ifndef FT_PREP_BATCH_H
#define FT_PREP_BATCH_H

#include "clean.h"
#include "shingles.h"

/* What every line needs; constant while threads run. */
typedef struct ft_prep_rules {
  const ft_tokenizer *tokenizer;
  const ft_render_options *render;
  const ft_record_rules *records;
  const ft_clean_options *clean;
  int64_t vocab_size; /* of the model */
  int64_t seq_len;
  bool truncate;
  uint64_t seed;           /* of the split */
  double validation, test; /* shares */
} ft_prep_rules;

typedef enum ft_outcome { FT_DOCUMENT, FT_BAD_LINE, FT_ALL_MASKED, FT_DROPPED } ft_outcome;

/* A line and what became of it. */
typedef struct ft_prep_line {
  const char *path; /* not owned: the file's, which is open until the batch has run */
  int64_t number;
  size_t begin, bytes; /* of its text in the batch; followed by a zero */
  bool too_long;       /* longer than FT_LINE_MAX: no text */
  ft_err err;          /* what is wrong with the run, not with the line */
  ft_outcome outcome;
  ft_document document; /* kept from batch to batch */
  ft_grams grams;       /* kept, too; where contamination is looked for */
  bool truncated, has_signature;
  ft_split set;
  ft_signature signature; /* where near duplicates are looked for */
  ft_findings findings;
  ft_unread unread;
  char reason[512]; /* of a bad line, or the error's message */
} ft_prep_line;

enum { FT_BATCH_LINES = 1024, FT_BATCH_BYTES = 4 << 20 };

typedef struct ft_prep_batch {
  ft_prep_line *lines; /* [FT_BATCH_LINES] */
  int64_t num_lines;
  char *text;
  size_t used, capacity;
} ft_prep_batch;

ft_err ft_prep_batch_init(ft_prep_batch *batch);
void ft_prep_batch_fini(ft_prep_batch *batch);
/* Frees what a line keeps from batch to batch. */
void ft_prep_line_fini(ft_prep_line *line);
bool ft_prep_batch_is_full(const ft_prep_batch *batch);
/* Copies a line into the batch. */
ft_err ft_prep_batch_add(ft_prep_batch *batch, const char *path, int64_t number, const char *text,
                         size_t bytes, bool too_long);
/* Checks a document that is there: its length, and that there is something to learn. The outcome
 * and the reason are set. Errors: those of the run. */
void ft_prep_judge_document(const ft_prep_rules *rules, ft_prep_line *line);
/* Fills in what became of every line. The result does not depend on the number of threads. */
void ft_prep_batch_run(ft_prep_batch *batch, const ft_prep_rules *rules, int num_threads);

#endif
