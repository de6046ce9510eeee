/* Which tokens' rows of the embedding a prompt begins with (method.init), as PEFT has it: those of
 * a text, or any of the vocabulary. */
#include <string.h>

#include "ft/tokenizer.h"
#include "internal.h"

/* What follows "text:" in method.init; NULL: it is something else. */
static const char *text_of(const char *init) {
  static const char begin[] = "text:";
  return strncmp(init, begin, sizeof begin - 1) == 0 ? init + sizeof begin - 1 : NULL;
}

ft_err ft_prompt_check(const ft_config_method *method) {
  if (strcmp(method->init, "random") == 0) return FT_OK;
  const char *text = text_of(method->init);
  if (strcmp(method->init, "vocabulary") != 0 && !text)
    return ft_fail(FT_ERR_CONFIG,
                   "method.init is \"%s\"; it may be \"random\", \"vocabulary\" or \"text:\" and "
                   "a text",
                   method->init);
  if (text && !*text)
    return ft_fail(FT_ERR_CONFIG, "method.init is \"text:\", without a text; write one behind it");
  if (method->name != FT_METHOD_PROMPT)
    return ft_fail(FT_ERR_CONFIG,
                   "method.init is \"%s\", which only a \"prompt\" can begin with; leave it out",
                   method->init);
  return FT_OK;
}

/* The text's tokens with what the tokenizer puts around every text. */
static ft_err encode(const char *model_dir, const char *text, ft_ids *out) {
  ft_err err = FT_OK;
  ft_tokenizer *tokenizer = NULL;
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  FT_TRY(ft_tokenizer_open(model_dir, &tokenizer));
  ft_tokenizer_post_processor(tokenizer, &before, &num_before, &after, &num_after);
  FT_TRY(ft_ids_append(out, before, num_before, 0));
  FT_TRY(ft_tokenizer_encode(tokenizer, text, strlen(text), true, 0, out));
  FT_TRY(ft_ids_append(out, after, num_after, 0));
  FT_CHECK(out->count > 0, FT_ERR_CONFIG, "the text \"%s\" has no token; write another", text);
out:
  ft_tokenizer_close(tokenizer);
  return err;
}

/* A text's tokens, again from the start until there are `num`. */
static ft_err repeat_text(const char *model_dir, const char *text, int64_t vocab, uint32_t *out,
                          int64_t num) {
  ft_err err = FT_OK;
  ft_ids ids = {0};
  FT_TRY(encode(model_dir, text, &ids));
  for (int64_t i = 0; i < num; i++) {
    out[i] = ids.ids[i % ids.count];
    FT_CHECK(out[i] < vocab, FT_ERR_DATA,
             "token %u of %s/tokenizer.json is beyond the model's vocabulary of %lld", out[i],
             model_dir, (long long)vocab);
  }
out:
  ft_ids_fini(&ids);
  return err == FT_OK ? FT_OK : ft_fail_prefix(err, "method.init");
}

ft_err ft_prompt_tokens(const ft_config *config, int64_t vocab, uint32_t **out) {
  const ft_config_method *method = &config->method;
  const char *text = text_of(method->init);
  int64_t num = method->virtual_tokens;
  void *p;
  *out = NULL;
  if (config->adapter || method->name != FT_METHOD_PROMPT) return FT_OK;
  if (strcmp(method->init, "random") == 0) return FT_OK;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, num, sizeof **out, &p);
  if (err != FT_OK) return err;
  *out = p;
  if (text) return repeat_text(config->model_path, text, vocab, *out, num);
  for (int64_t i = 0; i < num; i++) /* no tensor has this number */
    (*out)[i] = (uint32_t)(ft_random_uniform((uint64_t)config->seed, FT_RANDOM_ADAPTER, UINT64_MAX,
                                             (uint64_t)i) *
                           (double)vocab);
  return FT_OK;
}
