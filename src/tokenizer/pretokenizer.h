/* Inside tokenizer: the "pre_tokenizer" of tokenizer.json, which cuts text into words. */
#ifndef FT_TOKENIZER_PRETOKENIZER_H
#define FT_TOKENIZER_PRETOKENIZER_H

#include "normalizer.h"
#include "splitter.h"

typedef struct ft_pretokenizer ft_pretokenizer;

/* json NULL: text is one word. Errors: FT_ERR_DATA, naming what is not supported. */
ft_err ft_pretokenizer_load(const cJSON *json, ft_pretokenizer **out);
void ft_pretokenizer_free(ft_pretokenizer *p);
/* Its last step turns text into GPT-2's byte alphabet, and nothing looks at the result. */
bool ft_pretokenizer_ends_in_bytes(const ft_pretokenizer *p);

/* Text is one word. */
bool ft_pretokenizer_is_empty(const ft_pretokenizer *p);
/* Words are parts of the text itself, where bytes are kept (ft_pretokenizer_run). */
bool ft_pretokenizer_keeps_text(const ft_pretokenizer *p);
/* What cuts the same words, as bytes, by hand; NULL: nothing does. */
const ft_splitter *ft_pretokenizer_splitter(const ft_pretokenizer *p);

/* What a run needs: one for each thread at a time. */
typedef struct ft_pretokenizer_run {
  const ft_pretokenizer *pretokenizer;
  ft_regex_scratch *regex;
  ft_buffer *buffers; /* one a step, made by ft_pretokenizer_run_init */
  bool keep_bytes;    /* words stay bytes where ft_pretokenizer_ends_in_bytes */
  /* called with every word, from left to right */
  ft_err (*word)(void *arg, const ft_piece *word);
  void *arg;
} ft_pretokenizer_run;
ft_err ft_pretokenizer_run_init(const ft_pretokenizer *p, ft_pretokenizer_run *run);
void ft_pretokenizer_run_fini(ft_pretokenizer_run *run);
ft_err ft_pretokenizer_apply(ft_pretokenizer_run *run, const ft_piece *text);

#endif
