/* What `ftrun prep` is told, on the command line or in a file (PREP.json). */
#ifndef FT_CLI_PREP_ARGUMENTS_H
#define FT_CLI_PREP_ARGUMENTS_H

#include <argp.h>

#include "ft/prep.h"

enum { FT_PREP_MAX_FIELDS = 64 };

/* Strings are the command line's or belong to `config`. */
typedef struct ft_prep_arguments {
  ft_prep_options prep;
  const char **inputs, **against; /* lists that prep points to; owned */
  ft_field fields[FT_PREP_MAX_FIELDS];
  const char *config_path; /* PREP.json, or NULL */
  cJSON *config;
  struct tm date;
  bool show, color;
} ft_prep_arguments;

extern const struct argp_option ft_prep_argp_options[];

void ft_prep_arguments_init(ft_prep_arguments *arguments);
void ft_prep_arguments_fini(ft_prep_arguments *arguments);
/* Does what one option says; argument is NULL for those that take none. Errors: FT_ERR_USAGE with
 * the reason, without the option's name. */
ft_err ft_prep_set(ft_prep_arguments *arguments, int key, const char *argument);
/* Adds an input. */
ft_err ft_prep_add_input(ft_prep_arguments *arguments, const char *path);
/* Reads PREP.json, whose members are the long options with _ for -; "clean": {"RULE": "ACTION"} and
 * "field": {"NAME": "OURS"} besides. Errors: FT_ERR_CONFIG naming the member. */
ft_err ft_prep_read_config(ft_prep_arguments *arguments, const char *path);
/* Whether a path is such a file, and not data. */
bool ft_prep_is_config(const char *path);

#endif
