/* Inside the templates: the layout of each one, and what the tokenizer's own template says. */
#ifndef FT_PREP_TEMPLATE_H
#define FT_PREP_TEMPLATE_H

#include "canvas.h"
#include "record.h"

/* Writes a conversation. `open`: the assistant's turn is begun after the last message. Errors:
 * FT_ERR_DATA with the reason, FT_ERR_MEMORY. */
ft_err ft_layout_chat(ft_canvas *c, const ft_render_options *options, const ft_record *record,
                      bool open);

/* Whether the tokenizer has all control tokens of a template. *missing: the first one it lacks, or
 * NULL. */
bool ft_template_fits(ft_template wanted, const ft_tokenizer *t, const char **missing);

#endif
