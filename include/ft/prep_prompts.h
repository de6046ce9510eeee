/* prep, prompts of generation: texts as ids, one from a command line, or many from a file. */
#ifndef FT_PREP_PROMPTS_H
#define FT_PREP_PROMPTS_H

#include "ft/prep.h"

typedef struct ft_prompt_text {
  char *text; /* as it was given */
  ft_ids ids;
  uint64_t stream; /* names its random numbers */
} ft_prompt_text;

/* Starts zeroed. */
typedef struct ft_prompt_list {
  ft_prompt_text *items; /* [num] */
  int64_t num, capacity;
} ft_prompt_list;
void ft_prompt_list_fini(ft_prompt_list *list);

/* How texts become ids, and what they may be. */
typedef struct ft_prompt_rules {
  const char *model_dir; /* for messages */
  const ft_tokenizer *tokenizer;
  const ft_render_options *render; /* NULL: as they are; else each is a user's message */
  int64_t max_tokens, vocab;       /* of the model */
  bool has_virtual_rows;           /* a method has taken positions before them */
} ft_prompt_rules;

/* Appends a text. Errors: FT_ERR_USAGE (empty), FT_ERR_DATA (too long for the model),
 * FT_ERR_MEMORY. */
ft_err ft_prompt_list_add(ft_prompt_list *list, const ft_prompt_rules *rules, const char *text,
                          uint64_t stream);
/* Appends those of a JSONL file, {"prompt": TEXT, "stream": N}; "stream" is 0 where it is missing,
 * as for a prompt of the command line. Errors: FT_ERR_DATA naming the line, those of reading. */
ft_err ft_prompt_list_read(ft_prompt_list *list, const ft_prompt_rules *rules, const char *path);

#endif
