/* What is generated from the tables of the commands' arguments and of the configuration's keys. */
#ifndef FT_CLI_GENERATED_H
#define FT_CLI_GENERATED_H

#include "commands.h"

/* Whether an option of a table is one that users may give, and not a heading or the table's end. */
static inline bool ft_option_is_public(const struct argp_option *o) {
  return o->name && !(o->flags & (OPTION_HIDDEN | OPTION_DOC | OPTION_ALIAS));
}
static inline bool ft_option_is_end(const struct argp_option *o) {
  return !o->name && !o->key && !o->doc && !o->group;
}
/* Whether the option has a letter, too. */
static inline bool ft_option_has_letter(const struct argp_option *o) {
  return o->key > ' ' && o->key < 127;
}
/* Whether a command takes a configuration and overrides of its keys. */
bool ft_command_takes_config(const ft_command *command);

/* The manual page (man(7)) of a command, or of the program (NULL). */
void ft_print_manual(FILE *out, const ft_command *command);
/* A script that teaches bash, or zsh, to complete ftrun's words. */
void ft_print_bash_completion(FILE *out);
void ft_print_zsh_completion(FILE *out);

#endif
