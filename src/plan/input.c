/* What a run is planned from: its configuration, the model's config.json, the data that is there.
 */
#include "ft/objective.h"
#include "ft/plan.h"

static ft_data_target target_of(const ft_config *c) {
  static const ft_data_target targets[FT_OBJECTIVE_NUM] = {
      [FT_OBJECTIVE_TOKENS] = FT_TARGET_NEXT,   [FT_OBJECTIVE_MASKED_TOKENS] = FT_TARGET_MASKED,
      [FT_OBJECTIVE_CLASSES] = FT_TARGET_CLASS, [FT_OBJECTIVE_DPO] = FT_TARGET_PAIR,
      [FT_OBJECTIVE_SIMPO] = FT_TARGET_PAIR,    [FT_OBJECTIVE_CPO] = FT_TARGET_PAIR,
      [FT_OBJECTIVE_ORPO] = FT_TARGET_PAIR,     [FT_OBJECTIVE_KTO] = FT_TARGET_RATED,
      [FT_OBJECTIVE_REWARD] = FT_TARGET_PAIR};
  return targets[c->objective];
}

/* Of a validation set; sources and what the tokenizer has are to be filled in. */
static ft_data_options data_options(const ft_config *c, const ft_layout *layout) {
  const ft_objective_form *form = ft_objective_form_of((ft_objective_kind)c->objective);
  return (ft_data_options){.target = target_of(c),
                           .prompt_targets = form->prompts,
                           .num_classes = layout->arch.num_labels,
                           .concatenate = c->mix == FT_MIX_CONCATENATE,
                           .seq_len = c->seq_len,
                           .virtual_rows = ft_method_virtual_rows(&layout->method),
                           .packing = c->packing,
                           .best_fit = c->fit == FT_FIT_BEST,
                           .seed = (uint64_t)c->seed,
                           .model_vocab = (uint32_t)layout->arch.vocab,
                           .model_path = c->model_path};
}

/* ---------------------------------------------------------------- data */

static ft_err open_training(const ft_config *c, ft_data_options *options, ft_data **out) {
  void *memory;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, c->num_train, sizeof(ft_data_source), &memory);
  if (err != FT_OK) return err;
  ft_data_source *sources = memory;
  for (int64_t i = 0; i < c->num_train; i++)
    sources[i] = (ft_data_source){.path = c->train[i].path, .weight = c->train[i].weight};
  options->sources = sources;
  options->num_sources = c->num_train;
  options->shuffle = c->shuffle;
  options->replay_share = c->replay_share;
  err = ft_data_open(options, out);
  ft_free(memory);
  return err;
}

ft_err ft_plan_open_set(const ft_config *c, const ft_layout *layout, int64_t set,
                        const char *tokenizer_sha256, ft_data **out) {
  ft_data_options options = data_options(c, layout);
  options.tokenizer_sha256 = tokenizer_sha256;
  if (set == FT_PLAN_TRAINING) return open_training(c, &options, out);
  const ft_data_source source = {.path = c->validation[set].path, .weight = 1};
  options.sources = &source;
  options.num_sources = 1;
  return ft_data_open(&options, out);
}

static ft_err look_at(ft_plan_input *in, int64_t set) {
  ft_data *data = NULL;
  ft_err err = ft_plan_open_set(in->config, in->hf.layout, set, "", &data);
  if (err != FT_OK) return err;
  in->shape.longest_row = FT_MAX(in->shape.longest_row, ft_data_longest_row(data));
  if (set == FT_PLAN_TRAINING) in->rows = ft_data_num_rows(data);
  *(set == FT_PLAN_TRAINING ? &in->documents : &in->validation_documents) +=
      ft_data_num_documents(data);
  ft_data_close(data);
  return FT_OK;
}

static bool all_are_there(const ft_config *c) {
  for (int64_t i = 0; i < c->num_train; i++)
    if (!ft_path_exists(c->train[i].path)) return false;
  for (int64_t i = 0; i < c->num_validation; i++)
    if (!ft_path_exists(c->validation[i].path)) return false;
  return true;
}

static ft_err look_at_data(ft_plan_input *in) {
  ft_err err = FT_OK;
  int64_t before = (int64_t)ft_mem_of(FT_MEM_DATA).current_bytes;
  FT_TRY(look_at(in, FT_PLAN_TRAINING));
  for (int64_t i = 0; i < in->config->num_validation; i++)
    FT_TRY(look_at(in, i));
  in->data_is_there = true;
  in->data_bytes = (int64_t)ft_mem_of(FT_MEM_DATA).peak_bytes - before;
out:
  return err;
}

ft_err ft_plan_check_positions(const ft_config *config, const char *model_dir,
                               const ft_hf_config *hf) {
  int64_t virtual_rows = ft_method_virtual_rows(&hf->layout->method);
  int64_t most = ft_layout_max_tokens(hf->layout);
  char before[64] = "";
  if (config->seq_len <= most) return FT_OK;
  if (virtual_rows > 0)
    snprintf(before, sizeof before, ", of which %lld are the method's virtual tokens'",
             (long long)virtual_rows);
  return ft_fail(FT_ERR_CONFIG,
                 "data.seq_len is %lld, but %s/config.json allows %lld positions "
                 "(max_position_embeddings)%s: set data.seq_len to at most %lld",
                 (long long)config->seq_len, model_dir, (long long)hf->arch.max_positions, before,
                 (long long)FT_MAX(most, (int64_t)0));
}

ft_err ft_plan_open(ft_config *config, ft_plan_lay_out *lay_out, ft_plan_input *out) {
  ft_err err = FT_OK;
  *out = (ft_plan_input){.config = config, .lay_out = lay_out, .rows = -1};
  FT_TRY(ft_hf_config_read(config->model_path, &out->hf));
  FT_TRY(lay_out(config, &out->hf));
  FT_TRY(ft_plan_check_positions(config, config->model_path, &out->hf));
  if (ft_plan_reference_path(config))
    FT_TRY(ft_plan_open_reference(config, out->hf.layout, &out->reference));
  out->shape = (ft_data_shape){.target = target_of(config),
                               .packing = config->packing,
                               .seq_len = config->seq_len,
                               .virtual_rows = ft_method_virtual_rows(&out->hf.layout->method)};
  if (all_are_there(config)) FT_TRY(look_at_data(out));
  if (!out->data_is_there) /* a row is full; a pair's has two documents */
    out->shape.longest_row =
        (config->seq_len + out->shape.virtual_rows) * (out->shape.target == FT_TARGET_PAIR ? 2 : 1);
  ft_config_settle(config, out->rows, NULL);
out:
  if (err != FT_OK) ft_plan_close(out);
  return err;
}

void ft_plan_close(ft_plan_input *in) {
  ft_hf_config_fini(&in->reference);
  ft_hf_config_fini(&in->hf);
}
