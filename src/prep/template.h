/* Inside the templates: the layout of each one, and what the tokenizer's own template says. */
#ifndef FT_PREP_TEMPLATE_H
#define FT_PREP_TEMPLATE_H

#include "canvas.h"
#include "record.h"

/* Writes a conversation. `open`: the assistant's turn is begun after the last message. Errors:
 * FT_ERR_DATA with the reason, FT_ERR_MEMORY. */
ft_err ft_layout_chat(ft_canvas *c, const ft_render_options *options, const ft_record *record,
                      bool open);

/* The control tokens of a template, by content; NULL ends the list. */
const char *const *ft_template_tokens(ft_template t);
/* Whether the tokenizer has all of them. *missing: the first one it lacks, or NULL. */
bool ft_template_fits(ft_template wanted, const ft_tokenizer *t, const char **missing);

/* What a chat template in Jinja, read as text, is known to do. Strings are owned. */
typedef struct ft_jinja_facts {
  bool mentions_bos;
  bool has_chatml, has_llama2, has_llama3; /* whose marks it writes */
  char *system;   /* ChatML: the one fixed system message it writes, or NULL */
  char *preamble; /* Llama 3: what it writes before every system message, or NULL */
} ft_jinja_facts;
/* Errors: FT_ERR_MEMORY. */
ft_err ft_jinja_read(const char *source, ft_jinja_facts *out);
void ft_jinja_facts_fini(ft_jinja_facts *facts);

/* Bytes of white space at the start (end) of a text, as Python's str.strip sees it. */
size_t ft_space_before(const char *text, size_t bytes);
size_t ft_space_after(const char *text, size_t bytes);

#endif
