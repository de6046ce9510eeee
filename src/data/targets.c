/* What is to be predicted of a document: the next token where the mask says so, tokens that are
 * masked, or its class. */
#include <string.h>

#include "data_internal.h"

/* ---------------------------------------------------------------- the next token */

static ft_err read_next(ft_data *data, const ft_data_place *p, uint32_t *tokens, int32_t *targets,
                        int64_t *num) {
  ft_err err = FT_OK;
  FT_TRY(ft_tokens_read(p->file, p->start, p->length, tokens, data->mask));
  for (int64_t i = 0; i < p->length; i++) {
    bool has_target = i + 1 < p->length && data->mask[i + 1];
    targets[i] = has_target ? (int32_t)tokens[i + 1] : -1;
  }
  *num = ft_data_count_mask(data->mask + 1, p->length - 1);
out:
  return err;
}

static ft_err count_next(ft_data *data, const ft_data_place *p, int64_t *num) {
  ft_err err = FT_OK;
  FT_TRY(ft_tokens_read(p->file, p->start + 1, p->length - 1, NULL, data->mask));
  *num = ft_data_count_mask(data->mask, p->length - 1);
out:
  return err;
}

/* ---------------------------------------------------------------- masked tokens */

/* Two numbers in [0, 1) and a word for token `i` of a document in this epoch. */
typedef struct draw {
  double chosen, fate;
  uint32_t word;
} draw;

static draw draw_for(const ft_data *data, const ft_data_place *p, int64_t i) {
  uint32_t words[4];
  ft_random_words(data->seed, FT_RANDOM_MASK, (uint64_t)p->draw, (uint64_t)(p->axis + i), words);
  return (draw){words[0] * 0x1p-32, words[1] * 0x1p-32, words[2]};
}

static const double share_of_targets = 0.15, share_masked = 0.8, share_other = 0.1;

/* tokens NULL: only counts. data->mask says which tokens may be masked. */
static void draw_masks(const ft_data *data, const ft_data_place *p, uint32_t *tokens,
                       int32_t *targets, int64_t *num) {
  *num = 0;
  for (int64_t i = 0; i < p->length; i++) {
    draw d = draw_for(data, p, i);
    bool target = data->mask[i] && d.chosen < share_of_targets;
    *num += target;
    if (!tokens) continue;
    targets[i] = target ? (int32_t)tokens[i] : -1;
    if (target && d.fate < share_masked)
      tokens[i] = (uint32_t)p->file->preparation.mask_token;
    else if (target && d.fate < share_masked + share_other)
      tokens[i] = (uint32_t)((uint64_t)d.word * data->vocab >> 32);
  }
}

static ft_err read_labels(ft_data *data, const ft_data_place *p, int32_t *targets, int64_t *num) {
  ft_err err = FT_OK;
  int32_t *labels = targets ? targets : (int32_t *)(void *)data->mask;
  *num = 0;
  FT_TRY(ft_tokens_labels(p->file, p->start, p->length, labels));
  for (int64_t i = 0; i < p->length; i++) {
    *num += labels[i] >= 0;
    if (labels[i] < 0) labels[i] = -1;
  }
out:
  return err;
}

static ft_err read_masked(ft_data *data, const ft_data_place *p, uint32_t *tokens, int32_t *targets,
                          int64_t *num) {
  ft_err err = FT_OK;
  bool given = p->file->has_labels;
  if (tokens || !given)
    FT_TRY(ft_tokens_read(p->file, p->start, p->length, tokens, given ? NULL : data->mask));
  if (given)
    FT_TRY(read_labels(data, p, targets, num));
  else
    draw_masks(data, p, tokens, targets, num);
out:
  return err;
}

/* ---------------------------------------------------------------- any of them */

static ft_err read_class(const ft_data_place *p, ft_data_slot *slot) {
  ft_err err = FT_OK;
  FT_TRY(ft_tokens_read(p->file, p->start, p->length, slot->tokens, NULL));
  FT_TRY(ft_tokens_values(p->file, p->number, 1, &slot->class_of));
  for (int64_t i = 0; i < p->length; i++)
    slot->targets[i] = -1;
out:
  return err;
}

ft_err ft_data_read_document(ft_data *data, const ft_data_place *p, ft_data_slot *slot) {
  ft_err err = ft_data_reserve_mask(data, p->length);
  if (err != FT_OK) return err;
  slot->num = 1;
  slot->class_of = -1;
  slot->about = (ft_batch_document){.part = FT_PART_WHOLE};
  switch (data->target) {
  case FT_TARGET_NEXT:
    return read_next(data, p, slot->tokens, slot->targets, &slot->num);
  case FT_TARGET_MASKED:
    return read_masked(data, p, slot->tokens, slot->targets, &slot->num);
  case FT_TARGET_CLASS:
    return read_class(p, slot);
  case FT_TARGET_PAIR:
  case FT_TARGET_RATED:
    return ft_data_read_answer(data, p, slot);
  }
  return ft_fail(FT_ERR_INTERNAL, "data: unknown target %d", (int)data->target);
}

ft_err ft_data_count_document(ft_data *data, const ft_data_place *p, ft_data_counts *counts) {
  int64_t num = 1;
  ft_err err = ft_data_reserve_mask(data, p->length);
  if (err != FT_OK) return err;
  if (data->target == FT_TARGET_PAIR || data->target == FT_TARGET_RATED)
    return ft_data_count_answer(data, p, counts);
  if (data->target == FT_TARGET_MASKED) err = read_masked(data, p, NULL, NULL, &num);
  if (data->target == FT_TARGET_NEXT) err = count_next(data, p, &num);
  counts->targets += num;
  counts->items++;
  return err;
}

/* ---------------------------------------------------------------- checks */

/* What takes a kind of shard, and the kinds that a target takes. */
static const char *const takers[] = {[FT_TOKENS_TEXT] = "tokens",
                                     [FT_TOKENS_SFT] = "tokens",
                                     [FT_TOKENS_PREFERENCE] = "dpo, simpo, cpo, orpo and reward",
                                     [FT_TOKENS_UNPAIRED] = "kto",
                                     [FT_TOKENS_MASKED] = "masked-tokens",
                                     [FT_TOKENS_CLASSES] = "classes"};
static const struct {
  const char *names;
  ft_tokens_kind kinds[2];
} wanted[] = {[FT_TARGET_NEXT] = {"text and sft", {FT_TOKENS_TEXT, FT_TOKENS_SFT}},
              [FT_TARGET_MASKED] = {"masked", {FT_TOKENS_MASKED, FT_TOKENS_MASKED}},
              [FT_TARGET_CLASS] = {"classes", {FT_TOKENS_CLASSES, FT_TOKENS_CLASSES}},
              [FT_TARGET_PAIR] = {"preference", {FT_TOKENS_PREFERENCE, FT_TOKENS_PREFERENCE}},
              [FT_TARGET_RATED] = {"unpaired", {FT_TOKENS_UNPAIRED, FT_TOKENS_UNPAIRED}}};

static bool takes(ft_data_target target, ft_tokens_kind kind) {
  return kind == wanted[target].kinds[0] || kind == wanted[target].kinds[1];
}

/* Every class once, in pieces. */
static ft_err check_classes(ft_tokens_file *file, int64_t num_classes) {
  ft_err err = FT_OK;
  int32_t values[1024];
  for (int64_t at = 0; at < file->num_documents; at += 1024) {
    int64_t n = FT_MIN(file->num_documents - at, (int64_t)1024);
    FT_TRY(ft_tokens_values(file, at, n, values));
    for (int64_t i = 0; i < n; i++)
      FT_CHECK(values[i] < num_classes, FT_ERR_DATA,
               "%s: document %lld has class %d; the model's head knows classes 0 to %lld",
               file->path, (long long)(at + i), values[i], (long long)num_classes - 1);
  }
out:
  return err;
}

void ft_data_check_target(ft_tokens_file *file, const ft_data_options *options,
                          ft_mistakes *mistakes) {
  ft_data_target target = options->target;
  if (!takes(target, file->kind)) {
    ft_mistakes_add(
        mistakes, FT_ERR_DATA,
        "%s holds %s data, which objective.name %s learns from; objective.name %s takes "
        "kinds %s",
        file->path, ft_tokens_kind_name(file->kind), takers[file->kind],
        takers[wanted[target].kinds[0]], wanted[target].names);
    return;
  }
  if (target == FT_TARGET_MASKED && !file->has_labels && file->preparation.mask_token <= 0)
    ft_mistakes_add(mistakes, FT_ERR_DATA,
                    "%s has neither labels nor the attribute mask_token, the id that stands for a "
                    "masked token: prepare the data with this model's tokenizer",
                    file->path);
  if (target != FT_TARGET_CLASS) return;
  ft_mistakes_note(mistakes, check_classes(file, options->num_classes));
}
