/* What will come of a run, before its first step: what it learns from and how often, and what is
 * odd about the plan though nothing is wrong with it. On rank 0. */
#include <math.h>
#include <string.h>

#include "preference.h"

enum { FEW_STEPS = 16 };

/* ---------------------------------------------------------------- what is learnt from */

/* How often each of several sets is passed. */
static void say_sets(const trainer *t) {
  const ft_config *c = t->config;
  double sum = 0, drawn = (double)t->steps * (double)c->global_batch;
  bool weights = c->mix == FT_MIX_WEIGHTS, replays = c->replay_share > 0;
  for (int64_t i = 0; i < c->num_train - replays; i++)
    sum += weights ? c->train[i].weight : (double)ft_data_source_rows(t->train, i);
  ft_log(FT_LOG_INFO, weights ? "the sets have shares of the rows, whatever their sizes (data.mix):"
                              : "a pass has every row of every set once (data.mix):");
  for (int64_t i = 0; i < c->num_train; i++) {
    double rows = (double)ft_data_source_rows(t->train, i);
    double share = (1 - c->replay_share) * (weights ? c->train[i].weight : rows) / sum;
    if (replays && i + 1 == c->num_train) share = c->replay_share;
    ft_log(FT_LOG_INFO,
           "  %s%s: %.1f %% of the rows; its %.0f rows (%lld documents) are passed %.2f "
           "times",
           c->train[i].path, replays && i + 1 == c->num_train ? " (data.replay)" : "", 100 * share,
           rows, (long long)ft_data_source_documents(t->train, i), drawn * share / rows);
  }
}

static void say_data(const trainer *t) {
  const ft_config *c = t->config;
  double rows = (double)ft_data_num_rows(t->train);
  double documents = (double)ft_data_num_documents(t->train);
  double drawn = (double)t->steps * (double)c->global_batch;
  ft_log(FT_LOG_INFO,
         "%.0f training rows (%.0f documents, %lld tokens); %lld steps of %lld rows: %.2f epochs",
         rows, documents, (long long)ft_data_num_tokens(t->train), (long long)t->steps,
         (long long)c->global_batch, drawn / rows);
  if (c->packing && documents > rows)
    ft_log(FT_LOG_INFO,
           "a row holds %.1f documents on average (data.packing), so a step learns from about %.0f",
           documents / rows, documents / rows * (double)c->global_batch);
  if (c->num_train > 1) say_sets(t);
}

static void say_reference(const trainer *t) {
  int64_t documents;
  if (ft_reference_documents(t, &documents) != FT_OK || documents == 0) return;
  ft_log(FT_LOG_INFO,
         "answers are compared with %s, which is asked before the first step about at most %lld "
         "documents; reference.h5 keeps what it says",
         ft_plan_reference_path(t->config), (long long)documents);
}

/* ---------------------------------------------------------------- rates */

/* Of a group: how many tensors, and between which peak rates. */
static void say_group(const trainer *t, int64_t group) {
  const ft_config *c = t->config;
  const ft_layout *l = t->hf.layout;
  const ft_rate peak = {.lr = c->lr, .share = 1};
  double low = INFINITY, high = 0, decay = 0;
  int64_t num = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; l->blocks[b].trained && i < l->blocks[b].num_tensors; i++) {
      const ft_tensor *tensor = &l->blocks[b].tensors[i];
      double lr = ft_layout_lr(l, &l->blocks[b], tensor, &peak);
      if (tensor->group != group) continue;
      low = fmin(low, lr);
      high = fmax(high, lr);
      decay = fmax(decay, ft_layout_weight_decay(l, tensor, c->weight_decay));
      num++;
    }
  if (num == 0) return;
  char rates[64];
  int used = snprintf(rates, sizeof rates, "%.4g", high);
  if (low < high) snprintf(rates + used, sizeof rates - (size_t)used, " down to %.4g", low);
  ft_log(FT_LOG_INFO, "  %s: %lld tensors, lr %s, weight decay %.4g",
         group > 0 ? c->groups[group - 1].pattern : "all others", (long long)num, rates, decay);
}

/* Where not all of it is trained alike. */
static void say_rates(const trainer *t) {
  const ft_config *c = t->config;
  if (c->num_groups == 0 && !(c->layer_decay < 1)) return;
  ft_log(FT_LOG_INFO, "what is trained has peak rates of its own (optimizer.groups, layer_decay):");
  for (int64_t group = 1; group <= c->num_groups; group++)
    say_group(t, group);
  say_group(t, 0);
}

/* ---------------------------------------------------------------- what is odd */

static void warn_of_steps(const trainer *t) {
  const ft_config *c = t->config;
  int64_t rows = ft_data_num_rows(t->train), documents = ft_data_num_documents(t->train);
  if (c->global_batch > rows)
    ft_log(FT_LOG_WARNING,
           "one step takes %lld rows, but a pass has %lld (%lld documents): each step sees them "
           "%.1f times; lower train.global_batch%s",
           (long long)c->global_batch, (long long)rows, (long long)documents,
           (double)c->global_batch / (double)rows,
           c->packing ? ", or data.seq_len, so that rows hold fewer documents" : "");
  char batch[64] = "";
  if (c->global_batch > 1)
    snprintf(batch, sizeof batch, ", lower train.global_batch (%lld)", (long long)c->global_batch);
  if (c->steps == 0 && t->steps < FEW_STEPS)
    ft_log(FT_LOG_WARNING,
           "train.epochs %g come to %lld steps, so the weights change that often only: raise "
           "train.epochs%s%s",
           c->epochs, (long long)t->steps, batch, c->packing ? ", or lower data.seq_len" : "");
}

static void warn_of_rate(const trainer *t) {
  const ft_config *c = t->config;
  int64_t warmup = c->schedule.warmup_steps;
  int64_t end = c->schedule.steps > 0 ? c->schedule.steps : t->steps;
  if (warmup == 0 || 2 * warmup <= FT_MIN(end, t->steps)) return;
  double reached = 0;
  for (int64_t step = 1; step <= FT_MIN(t->steps, warmup + 1); step++)
    reached = fmax(reached, ft_lr_at(c, t->steps, step));
  ft_log(FT_LOG_WARNING,
         "warm-up takes %lld of %lld steps, and the rate reaches %.3g of optimizer.lr %.3g: lower "
         "schedule.warmup_steps",
         (long long)FT_MIN(warmup, t->steps), (long long)t->steps, reached, c->lr);
}

static void warn_of_ranks(const trainer *t) {
  const ft_config *c = t->config;
  int64_t num = c->global_batch / c->micro_batch;
  double slots = (double)(ft_ceil_div(num, t->size) * t->size);
  if (num < t->size)
    ft_log(FT_LOG_WARNING,
           "%lld of %d ranks have nothing to compute: a step has %lld micro-batches "
           "(train.global_batch %lld, train.micro_batch %lld); use %lld ranks, lower "
           "train.micro_batch or raise train.global_batch",
           (long long)(t->size - num), t->size, (long long)num, (long long)c->global_batch,
           (long long)c->micro_batch, (long long)num);
  else if ((double)num < 0.9 * slots)
    ft_log(
        FT_LOG_WARNING,
        "%.0f %% of the ranks' time is idle: a step's %lld micro-batches are not a multiple of %d "
        "ranks",
        100 - 100 * (double)num / slots, (long long)num, t->size);
}

static void warn_of_model(const trainer *t) {
  if (!ft_path_has(t->config->model_path, "tokenizer.json"))
    ft_log(FT_LOG_WARNING,
           "%s has no tokenizer.json: the data cannot be compared with it, and an export of this "
           "run will have none",
           t->config->model_path);
  if (t->hf.dtype == FT_F32 && t->config->precision == FT_BF16)
    ft_log(FT_LOG_INFO,
           "the model's type is float32, and its weights are trained as such; forward and backward "
           "passes round them to bf16 (train.precision)");
}

/* A loss of conversations that are written otherwise says little of what is learnt. */
static void warn_of_layouts(const trainer *t) {
  const ft_tokens_preparation *learnt = t->train ? ft_data_preparation(t->train) : NULL, *measured;
  const char *what;
  for (int64_t i = 0; learnt && i < t->config->num_validation; i++) {
    measured = ft_data_preparation(t->validation[i]);
    if (!measured || ft_tokens_same_preparation(learnt, measured, &what)) continue;
    ft_log(
        FT_LOG_WARNING,
        "validation set %s was prepared with another %s than the training data: its loss is that "
        "of conversations as the model does not learn them; prepare both with the same",
        t->config->validation[i].name, what);
  }
}

/* A course that is drawn anew over more or fewer steps makes the rate jump. */
static void warn_of_course(const trainer *t) {
  ft_config earlier;
  if (!t->checkpoint) return;
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(t->checkpoint);
  if (ft_config_from_json(meta->config, "the checkpoint", &earlier) != FT_OK) return;
  int64_t rows = ft_data_num_rows(t->train), step = meta->step;
  ft_config_settle(&earlier, rows, NULL);
  int64_t steps = ft_config_num_steps(&earlier, rows);
  double was = ft_lr_at(&earlier, steps, step), is = ft_lr_at(t->config, t->steps, step);
  if (step < t->steps && fabs(is - was) > 1e-6 * fmax(is, was))
    ft_log(FT_LOG_WARNING,
           "the rate jumps: step %lld had %.3g, step %lld will have %.3g, because its course is "
           "drawn over %lld steps now and was over %lld; schedule.steps=%lld keeps the old course",
           (long long)step, was, (long long)step + 1, ft_lr_at(t->config, t->steps, step + 1),
           (long long)(t->config->schedule.steps > 0 ? t->config->schedule.steps : t->steps),
           (long long)(earlier.schedule.steps > 0 ? earlier.schedule.steps : steps),
           (long long)(earlier.schedule.steps > 0 ? earlier.schedule.steps : steps));
  ft_config_fini(&earlier);
}

/* What --allow and new values have changed. */
static void say_changes(const trainer *t) {
  const cJSON *change;
  cJSON_ArrayForEach(change, t->changes) {
    char *from = cJSON_PrintUnformatted(ft_json_get(change, "from"));
    char *to = cJSON_PrintUnformatted(ft_json_get(change, "to"));
    ft_log(FT_LOG_INFO, "%s: %.200s so far, now %.200s%s", ft_json_get(change, "key")->valuestring,
           from ? from : "?", to ? to : "?",
           cJSON_IsTrue(ft_json_get(change, "allowed")) ? " (--allow)" : "");
    cJSON_free(from);
    cJSON_free(to);
  }
}

void ft_outlook_say(const trainer *t) {
  const ft_config *c = t->config;
  if (t->rank != 0) return;
  ft_log(FT_LOG_INFO, "%s, %.1f M parameters, %s, stage %lld, %d ranks on %d nodes",
         t->hf.model_type, (double)ft_arch_num_parameters(&t->hf.arch) / 1e6,
         c->precision == FT_BF16 ? "bf16" : "fp32", (long long)c->stage, t->size,
         ft_comm_num_nodes(t->comm));
  say_data(t);
  say_reference(t);
  if (c->precision == FT_BF16 && !ft_kernels_native_bf16())
    ft_log(FT_LOG_INFO, "this CPU has no bf16 dot product: bf16 weights and activations are "
                        "multiplied in f32");
  say_rates(t);
  say_changes(t);
  warn_of_model(t);
  warn_of_layouts(t);
  warn_of_steps(t);
  warn_of_rate(t);
  warn_of_ranks(t);
  warn_of_course(t);
}
