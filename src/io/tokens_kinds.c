/* What kinds of token shards there are, and what each holds. */
#include <string.h>

#include "tokens.h"

bool ft_tokens_is_shard_name(const char *name) {
  return name[0] != '.' && ft_ends_with(name, ".h5");
}

static const char *const kinds[FT_TOKENS_NUM_KINDS] = {[FT_TOKENS_TEXT] = "text",
                                                       [FT_TOKENS_SFT] = "sft",
                                                       [FT_TOKENS_PREFERENCE] = "preference",
                                                       [FT_TOKENS_UNPAIRED] = "unpaired",
                                                       [FT_TOKENS_MASKED] = "masked",
                                                       [FT_TOKENS_CLASSES] = "classes"};

/* Other programs' words for two of them. */
static const struct {
  const char *name;
  ft_tokens_kind kind;
} synonyms[] = {{"mlm", FT_TOKENS_MASKED}, {"classification", FT_TOKENS_CLASSES}};

const char *ft_tokens_kind_name(ft_tokens_kind kind) {
  FT_ASSERT(kind < FT_TOKENS_NUM_KINDS);
  return kinds[kind];
}

bool ft_tokens_find_kind(const char *name, ft_tokens_kind *kind) {
  for (int i = 0; i < FT_TOKENS_NUM_KINDS; i++)
    if (strcmp(name, kinds[i]) == 0) {
      *kind = (ft_tokens_kind)i;
      return true;
    }
  for (size_t i = 0; i < FT_ARRAY_SIZE(synonyms); i++)
    if (strcmp(name, synonyms[i].name) == 0) {
      *kind = synonyms[i].kind;
      return true;
    }
  return false;
}

const ft_tokens_set ft_tokens_sets[FT_TOKENS_SETS] = {
    [FT_SET_IDS] = {"tokens", {.width = 4}, 1},
    [FT_SET_MASK] = {"loss_mask", {.width = 1}, 1},
    [FT_SET_OFFSETS] = {"offsets", {.width = 8}, -1},
    [FT_SET_LABEL] = {"label", {.width = 1}, 0},
    [FT_SET_CLASSES] = {"classes", {.width = 4, .is_signed = true}, 0},
    [FT_SET_LABELS] = {"labels", {.width = 4, .is_signed = true}, 1}};

int ft_tokens_extra_set(ft_tokens_kind kind) {
  return kind == FT_TOKENS_UNPAIRED  ? FT_SET_LABEL
         : kind == FT_TOKENS_CLASSES ? FT_SET_CLASSES
         : kind == FT_TOKENS_MASKED  ? FT_SET_LABELS
                                     : -1;
}
