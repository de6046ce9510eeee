/* Documents of a prompt and an answer, for objectives that look at an answer as a whole. The prompt
 * is what stands before the first token that the mask marks. */
#include "data_internal.h"

/* Of data->mask, which holds the document's. */
static int64_t prompt_of(const ft_data *data, int64_t length) {
  int64_t at = FT_MIN(length, (int64_t)1); /* the first token is no target */
  while (at < length && !data->mask[at])
    at++;
  return at;
}

static ft_err check_answer(const ft_data_place *p, int64_t prompt_length) {
  if (prompt_length < p->length) return FT_OK;
  return ft_fail(FT_ERR_DATA,
                 "%s: document %lld has no answer: loss_mask marks none of its %lld tokens",
                 p->file->path, (long long)p->number, (long long)p->length);
}

static ft_err part_of(const ft_data *data, const ft_data_place *p, ft_batch_part *part) {
  if (data->target == FT_TARGET_PAIR) {
    *part = p->number % 2 == 0 ? FT_PART_CHOSEN : FT_PART_REJECTED;
    return FT_OK;
  }
  int32_t label = 0;
  ft_err err = ft_tokens_values(p->file, p->number, 1, &label);
  *part = label ? FT_PART_DESIRABLE : FT_PART_UNDESIRABLE;
  return err;
}

/* What follows from the tokens of the slot and data->mask. */
static void fill_slot(const ft_data *data, int64_t length, ft_data_slot *slot) {
  bool everywhere = data->prompt_targets && slot->about.part == FT_PART_CHOSEN;
  slot->num = 0;
  for (int64_t i = 0; i < length; i++) {
    bool has_target = i + 1 < length && (everywhere || data->mask[i + 1]);
    slot->targets[i] = has_target ? (int32_t)slot->tokens[i + 1] : -1;
    slot->of_answer[i] = i + 1 < length && data->mask[i + 1];
    slot->num += has_target;
  }
  uint64_t of_mask = ft_hash64(data->mask, (size_t)length, 0);
  slot->about.hash = ft_hash64(slot->tokens, (size_t)length * sizeof *slot->tokens, of_mask);
}

ft_err ft_data_read_answer(ft_data *data, const ft_data_place *p, ft_data_slot *slot) {
  ft_err err = FT_OK;
  FT_TRY(part_of(data, p, &slot->about.part));
  FT_TRY(ft_tokens_read(p->file, p->start, p->length, slot->tokens, data->mask));
  slot->about.prompt_length = prompt_of(data, p->length);
  FT_TRY(check_answer(p, slot->about.prompt_length));
  fill_slot(data, p->length, slot);
out:
  return err;
}

ft_err ft_data_prompt_length(ft_data *data, const ft_data_place *p, int64_t *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_data_reserve_mask(data, p->length));
  FT_TRY(ft_tokens_read(p->file, p->start, p->length, NULL, data->mask));
  *out = prompt_of(data, p->length);
  FT_TRY(check_answer(p, *out));
out:
  return err;
}

ft_err ft_data_count_answer(ft_data *data, const ft_data_place *p, ft_data_counts *counts) {
  int64_t prompt = 0;
  ft_err err = ft_data_prompt_length(data, p, &prompt);
  if (err != FT_OK) return err;
  int64_t answer = ft_data_count_mask(data->mask + prompt, p->length - prompt);
  bool pair = data->target == FT_TARGET_PAIR, chosen = pair && p->number % 2 == 0;
  counts->targets += chosen && data->prompt_targets ? p->length - 1 : answer;
  counts->items += !pair || chosen;
  counts->chosen_answers += chosen ? answer : 0;
  counts->chosen_tokens += chosen ? p->length - 1 : 0;
  return FT_OK;
}

ft_err ft_data_read_mismatched(ft_data *data, const ft_data_place *prompt, int64_t prompt_length,
                               const ft_data_place *answer, int64_t answer_at, int64_t length,
                               ft_data_slot *slot) {
  ft_err err = FT_OK;
  int64_t rest = length - prompt_length;
  FT_TRY(ft_data_reserve_mask(data, length));
  slot->class_of = -1;
  slot->about = (ft_batch_document){.part = FT_PART_MISMATCHED, .prompt_length = prompt_length};
  FT_TRY(ft_tokens_read(prompt->file, prompt->start, prompt_length, slot->tokens, data->mask));
  FT_TRY(ft_tokens_read(answer->file, answer->start + answer_at, rest, slot->tokens + prompt_length,
                        data->mask + prompt_length));
  fill_slot(data, length, slot);
out:
  return err;
}
