/* Cleaning rules of pairs: two documents that answer one prompt in two ways, or do not. */
#include <string.h>

#include "clean.h"

enum { SHOWN_TOKENS = 16 };

static bool are_equal(const ft_ids *a, const ft_ids *b) {
  return a->count == b->count && a->count > 0 &&
         memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids) == 0 &&
         memcmp(a->mask, b->mask, (size_t)a->count) == 0;
}

static ft_err note_text(const ft_clean_options *o, const ft_tokenizer *t, const ft_ids *ids,
                        int64_t from, ft_rule rule, ft_findings *f) {
  char *text;
  size_t bytes;
  int64_t count = FT_MIN(ids->count - from, (int64_t)SHOWN_TOKENS);
  ft_err err = ft_tokenizer_decode(t, ids->ids + from, count, false, &text, &bytes);
  if (err != FT_OK) return err;
  ft_finding(o, f, rule, text, bytes);
  ft_free(text);
  return FT_OK;
}

/* A token at the border may hold bytes of the prompt and of an answer, so where ids differ it is
 * the text that tells: one prompt has to be the beginning of the other. */
static ft_err compare_prompts(const ft_tokenizer *t, const ft_ids *a, const ft_ids *b, bool *same,
                              int64_t *at) {
  ft_err err = FT_OK;
  char *texts[2] = {NULL, NULL};
  size_t bytes[2] = {0, 0};
  int64_t count_a = ft_ids_prompt_length(a), count_b = ft_ids_prompt_length(b);
  int64_t least = FT_MIN(count_a, count_b);
  *at = 0;
  while (*at < least && a->ids[*at] == b->ids[*at])
    ++*at;
  *same = *at == least;
  if (*same) return FT_OK;
  FT_TRY(ft_tokenizer_decode(t, a->ids + *at, count_a - *at, false, &texts[0], &bytes[0]));
  FT_TRY(ft_tokenizer_decode(t, b->ids + *at, count_b - *at, false, &texts[1], &bytes[1]));
  *same = memcmp(texts[0], texts[1], FT_MIN(bytes[0], bytes[1])) == 0;
out:
  ft_free(texts[0]);
  ft_free(texts[1]);
  return err;
}

ft_err ft_clean_pair(const ft_clean_options *o, const ft_tokenizer *tokenizer,
                     const ft_document *pair, ft_findings *f) {
  ft_err err = FT_OK;
  const ft_ids *chosen = &pair->ids, *rejected = &pair->rejected;
  if (o->actions[FT_RULE_EQUAL_ANSWERS] != FT_ACTION_OFF && are_equal(chosen, rejected))
    FT_TRY(note_text(o, tokenizer, chosen, ft_ids_prompt_length(chosen), FT_RULE_EQUAL_ANSWERS, f));
  if (o->actions[FT_RULE_PROMPTS_DIFFER] != FT_ACTION_OFF) {
    bool same;
    int64_t at;
    FT_TRY(compare_prompts(tokenizer, chosen, rejected, &same, &at));
    if (!same) FT_TRY(note_text(o, tokenizer, chosen, at, FT_RULE_PROMPTS_DIFFER, f));
  }
out:
  return err;
}
