/* Objectives that weigh whole documents, inside a step and in an evaluation: values of all rows of
 * a micro-batch come from the model, losses and weights from the objective. */
#include "preference.h"

/* The model has the values of t->batch's rows, and wants their weights. */
static void weigh(void *arg, int64_t rows, const float *values, float *weights) {
  ft_preference *p = arg;
  ft_documents *d = &p->documents;
  (void)rows;
  ft_documents_take(d, &p->t->batch, p->scores, values);
  p->sums = (ft_preference_sums){0};
  ft_preference_weigh(&p->t->objective, &d->view, &p->whole, d->weight, d->rest_weight, &p->sums);
  ft_documents_spread(d, &p->t->batch, p->scores, p->factor, weights);
}

ft_err ft_preference_new(trainer *t, ft_preference **out) {
  void *memory = NULL;
  *out = NULL;
  if (!ft_objective_is_weighed(t->objective.kind)) return FT_OK;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_preference), &memory);
  if (err != FT_OK) return err;
  *out = memory;
  **out = (ft_preference){.t = t,
                          .scores = t->objective.kind == FT_OBJECTIVE_REWARD,
                          .factor = 1,
                          .weigher = {weigh, *out}};
  return FT_OK;
}

void ft_preference_free(ft_preference *p) {
  if (!p) return;
  ft_reference_fini(&p->reference);
  ft_documents_fini(&p->documents);
  ft_free(p);
}

ft_err ft_preference_prepare(ft_preference *p) {
  bool reference = ft_objective_form_of(p->t->objective.kind)->reference;
  return ft_documents_prepare(&p->documents, &p->t->batch, reference ? &p->reference : NULL);
}

/* ---------------------------------------------------------------- passes without gradients */

/* Rows that are passed over in micro-batches. */
typedef struct stretch {
  ft_data *data;
  int64_t first, rows;
  bool mismatched; /* only the mismatched documents of these rows */
} stretch;

/* Micro-batch i into t->batch; *batch is what the model takes of it. false: it is not there. */
static bool read_micro_batch(ft_preference *p, const stretch *s, int64_t i, ft_model_batch *batch) {
  trainer *t = p->t;
  int64_t mb = t->config->micro_batch, first = s->first + i * mb;
  int64_t rows = FT_MIN(mb, s->rows - i * mb);
  if (rows <= 0) return false;
  ft_err err = ft_data_rows(s->data, first, s->mismatched ? 0 : rows, &t->batch);
  if (err == FT_OK && s->mismatched)
    err = ft_data_add_mismatched(s->data, first, rows, s->first, s->rows, &t->batch);
  if (err == FT_OK) err = ft_preference_prepare(p);
  if (err != FT_OK) ft_comm_abort(t->comm, err, "reading documents");
  *batch = ft_trainer_batch(t);
  return true;
}

/* What a pass over a stretch adds up, and how many documents and targets it saw. */
typedef struct totals {
  int64_t documents, targets;
  double *sums; /* [width] */
  int64_t width;
} totals;

/* Calls `take` with each micro-batch whose values are known, for what it adds to [width] numbers,
 * which are added up in order of micro-batch. */
static ft_err pass_over(ft_preference *p, const stretch *s,
                        void (*take)(ft_preference *p, double *sums), totals *out) {
  ft_err err = FT_OK;
  trainer *t = p->t;
  int64_t num = ft_ceil_div(s->rows, t->config->micro_batch), rounds = ft_ceil_div(num, t->size);
  void *memory = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, FT_MAX(rounds * out->width, 1), sizeof(double), &memory));
  double *sums = memory;
  int64_t counts[2] = {0, 0};
  for (int64_t round = 0; round < rounds; round++) {
    ft_model_batch batch;
    const float *values;
    int64_t rows;
    bool mine = read_micro_batch(p, s, round * t->size + t->rank, &batch);
    err = ft_model_values(t->model, mine ? &batch : NULL, &values, &rows);
    if (err != FT_OK && err != FT_ERR_STOPPED) ft_comm_abort(t->comm, err, "a forward pass");
    if (err != FT_OK) goto out;
    if (!mine) continue;
    ft_documents_take(&p->documents, &t->batch, p->scores, values);
    take(p, sums + round * out->width);
    counts[0] += t->batch.num_documents;
    counts[1] += t->batch.num_targets;
  }
  FT_TRY(ft_sum_in_order(t->comm, num, sums, out->width, out->sums));
  FT_TRY(ft_comm_sum_i64(t->comm, counts, 2));
  out->documents = counts[0];
  out->targets = counts[1];
out:
  ft_free(memory);
  return err;
}

static void take_ratios(ft_preference *p, double *sums) {
  const ft_preference_batch *b = &p->documents.view;
  for (int64_t d = 0; d < b->num; d++)
    *sums += b->value[d] - b->reference[d];
}

/* z of the rows of a global batch or validation set. */
static ft_err find_kl(ft_preference *p, ft_data *data, int64_t first, int64_t rows) {
  const stretch s = {.data = data, .first = first, .rows = rows, .mismatched = true};
  double sum = 0;
  totals all = {.sums = &sum, .width = 1};
  p->whole.kl = 0;
  if (ft_objective_form_of(p->t->objective.kind)->rows != FT_ROWS_RATED) return FT_OK;
  ft_err err = pass_over(p, &s, take_ratios, &all);
  if (err == FT_OK) p->whole.kl = ft_preference_kl(sum, all.documents);
  return err;
}

ft_err ft_preference_begin_step(ft_preference *p, int64_t step, const ft_data_counts *counts) {
  const trainer *t = p->t;
  p->whole =
      (ft_preference_whole){.rows = counts->items,
                            .nll_targets = ft_preference_nll_targets(
                                &t->objective, counts->chosen_answers, counts->chosen_tokens)};
  return find_kl(p, t->train, (step - 1) * t->config->global_batch, t->config->global_batch);
}

/* ---------------------------------------------------------------- evaluation */

static void take_losses(ft_preference *p, double *sums) {
  ft_preference_sums *mine = (ft_preference_sums *)(void *)sums;
  ft_preference_weigh(&p->t->objective, &p->documents.view, &p->whole, NULL, NULL, mine);
}

ft_err ft_preference_evaluate(ft_preference *p, ft_data *data, int64_t rows,
                              ft_preference_sums *sums, double *kl, int64_t *targets) {
  ft_err err = FT_OK;
  const stretch s = {.data = data, .rows = rows};
  totals all = {.sums = (double *)(void *)sums, .width = FT_PREFERENCE_SUMS};
  *sums = (ft_preference_sums){0};
  p->whole = (ft_preference_whole){.rows = 1, .nll_targets = 1}; /* no weight is asked for */
  FT_TRY(find_kl(p, data, 0, rows));
  FT_TRY(pass_over(p, &s, take_losses, &all));
  *kl = p->whole.kl;
  *targets = p->scores ? all.documents : all.targets;
out:
  return err;
}
