/* ftrun tokenize --check-template: what a model's chat template does. */
#ifndef FT_CLI_CHECK_TEMPLATE_H
#define FT_CLI_CHECK_TEMPLATE_H

#include "ft/prep.h"

/* Prints it to standard output. The directory must have a template of its own. Errors: FT_ERR_DATA
 * where the template refuses a question and its answer. */
ft_err ft_cli_check_template(const ft_tokenizer *t, const ft_render_options *options);

#endif
