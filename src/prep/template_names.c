/* Templates by name, and the control tokens of each. */
#include <string.h>

#include "template.h"

static const char *const names[] = {
    [FT_TEMPLATE_AUTO] = "auto",     [FT_TEMPLATE_MODEL] = "model",
    [FT_TEMPLATE_CHATML] = "chatml", [FT_TEMPLATE_LLAMA2] = "llama2",
    [FT_TEMPLATE_LLAMA3] = "llama3", [FT_TEMPLATE_ALPACA] = "alpaca",
    [FT_TEMPLATE_PLAIN] = "plain"};

ft_err ft_template_by_name(const char *name, ft_template *out) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (strcmp(name, names[i]) == 0) {
      *out = (ft_template)i;
      return FT_OK;
    }
  return ft_fail(FT_ERR_USAGE,
                 "template \"%.40s\" is unknown: auto, model, chatml, llama2, llama3, alpaca or "
                 "plain was expected",
                 name);
}

const char *ft_template_name(ft_template t) {
  FT_ASSERT(t < FT_ARRAY_SIZE(names));
  return names[t];
}

/* By content; NULL ends the list. */
static const char *const *control_tokens(ft_template t) {
  static const char *const none[] = {NULL};
  static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", NULL};
  static const char *const llama2[] = {"<s>", "</s>", NULL};
  static const char *const llama3[] = {"<|begin_of_text|>", "<|start_header_id|>",
                                       "<|end_header_id|>", "<|eot_id|>", NULL};
  return t == FT_TEMPLATE_CHATML   ? chatml
         : t == FT_TEMPLATE_LLAMA2 ? llama2
         : t == FT_TEMPLATE_LLAMA3 ? llama3
                                   : none;
}

bool ft_template_fits(ft_template wanted, const ft_tokenizer *t, const char **missing) {
  *missing = NULL;
  for (const char *const *token = control_tokens(wanted); *token && !*missing; token++)
    if (ft_tokenizer_id(t, *token) < 0) *missing = *token;
  return !*missing;
}
