/* Tokens for people: where they begin and end, and which of them are trained on. */
#ifndef FT_CLI_SHOW_TOKENS_H
#define FT_CLI_SHOW_TOKENS_H

#include <argp.h>
#include <stdio.h>

#include "ft/tokenizer.h"

/* "auto" (a terminal, and NO_COLOR is not set), "always" or "never"; a usage error otherwise. */
bool ft_cli_color(const struct argp_state *state, const char *text);
/* As "auto". */
bool ft_cli_color_auto(void);

/* Prints a heading and the tokens of a document, a bar between any two. Targets are green and
 * underlined, or between « and » without colour. Control characters are shown as pictures, a line
 * feed also as itself. */
void ft_show_tokens(FILE *to, const char *heading, const ft_tokenizer *t, const ft_ids *ids,
                    bool color);

#endif
