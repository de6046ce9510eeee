/* One preparation: what its steps share. All ranks make the same of the same options; pieces are
 * dealt to them, and what they leave in the work folder is everybody's. */
#ifndef FT_PREP_RUN_H
#define FT_PREP_RUN_H

#include "batch.h"
#include "inputs.h"
#include "output.h"
#include "tally.h"

typedef struct ft_prep_run {
  const ft_prep_options *options;
  ft_prep_report *report;
  ft_tokenizer *tokenizer;
  ft_render_options render;
  ft_prep_rules rules;
  ft_prep_inputs inputs;
  ft_prep_batch batch;
  ft_prep_output output;
  char *plan;          /* what the result depends on, as text: a resumed run has the same */
  size_t plan_options; /* bytes of it that are about options, tokenizer and template */
  int lock;            /* file that keeps another preparation out; -1: none */
  double begun_s, shown_s;
  int64_t bytes_mine, bytes_done; /* of the input that this rank reads */
  cJSON *tree;                    /* rank 0: the tallies of all pieces */
  int64_t *line_bases;            /* [num_pieces] rank 0: lines of the file before each piece */
} ft_prep_run;

/* Whether all ranks have the same options, tokenizer and template, and the same inputs: otherwise
 * an error that names who differs (src/prep/compare.c). Copies of an input whose times differ are
 * read by each rank. Collective. */
ft_err ft_prep_compare(ft_prep_run *run);

/* Makes the documents of one piece (src/prep/work.c). Errors: FT_ERR_STOPPED, FT_ERR_IO …; a bad
 * line is none. */
ft_err ft_prep_work(ft_prep_run *run, int64_t piece);
/* Says how far it is, from time to time. */
void ft_prep_progress(ft_prep_run *run, int64_t bytes_done);

/* Reads the pieces' tallies into run->tree, and says which lines were bad (rank 0). */
ft_err ft_prep_gather(ft_prep_run *run);

/* Which documents are left out because of others (src/prep/decide.c): writes "decisions", a byte a
 * document in order: 0, or 1 + the rule. Memory: sort_bytes. Rank 0. */
ft_err ft_prep_decide(ft_prep_run *run);

/* Writes the shards that fall to this rank, of the documents that are left; rank 0 counts sets. */
ft_err ft_prep_write(ft_prep_run *run);

/* report.json and report.html in the folder that becomes OUT (rank 0). */
ft_err ft_prep_write_report(ft_prep_run *run);
ft_err ft_prep_html(const cJSON *tree, char **out);

#endif
