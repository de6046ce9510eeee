/* Log-probabilities by the reference model, before the first step. Every document has a hash; those
 * that RUN/reference.h5 lacks are computed by all ranks, in the micro-batches that the run will
 * make of them, by a model that exists only meanwhile. A document's number comes from the first
 * micro-batch that has it, so it does not depend on ranks, nor on how many steps were asked for
 * when it was computed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "preference.h"

/* Seconds between two times that the file is written. */
#define PUT_AWAY_S 300.0

static const char *directory(const trainer *t) {
  return ft_plan_reference_path(t->config);
}

static bool is_needed(const trainer *t) {
  return directory(t) != NULL;
}

ft_err ft_reference_check(const trainer *t) {
  ft_err err = FT_OK;
  ft_hf_config hf = {0};
  const ft_config *c = t->config;
  if (c->reference && !is_needed(t))
    return ft_fail(FT_ERR_CONFIG,
                   "objective.reference is %s, but objective.name \"%s\" compares with no model: "
                   "leave it out",
                   c->reference, ft_objective_form_of(t->objective.kind)->name);
  if (!c->reference) return FT_OK;
  FT_CHECK(ft_path_is_dir(c->reference), FT_ERR_NOINPUT, "the model directory %s does not exist",
           c->reference);
  FT_TRY(ft_hf_config_read(c->reference, &hf));
  FT_TRY(ft_objective_check(&t->objective, hf.arch.two_way, hf.arch.num_labels));
  FT_CHECK(hf.arch.vocab >= t->hf.arch.vocab && hf.arch.max_positions >= c->seq_len, FT_ERR_CONFIG,
           "objective.reference: %s knows %lld tokens and %lld positions, but the run's data have "
           "%lld and %lld",
           c->reference, (long long)hf.arch.vocab, (long long)hf.arch.max_positions,
           (long long)t->hf.arch.vocab, (long long)c->seq_len);
  FT_TRY(ft_hf_check_weights(c->reference, &hf));
out:
  if (err != FT_OK) ft_fail_prefix(err, "objective.reference");
  ft_hf_config_fini(&hf);
  return err;
}

/* ---------------------------------------------------------------- what will be used */

/* Rows of which documents will be used. A unit is one forward pass: a micro-batch of them, or of
 * rated ones its mismatched documents after it. */
typedef struct part {
  ft_data *data;
  int64_t rows, global_batch, units;
} part;

static bool is_rated(const trainer *t) {
  return ft_objective_form_of(t->objective.kind)->rows == FT_ROWS_RATED;
}

typedef struct plan {
  part *parts; /* [num_parts]: validation sets, training */
  int64_t num_parts, units;
} plan;

static void add_part(const trainer *t, plan *p, ft_data *data, int64_t rows, int64_t global_batch) {
  int64_t units = ft_ceil_div(rows, t->config->micro_batch) * (is_rated(t) ? 2 : 1);
  p->parts[p->num_parts++] =
      (part){.data = data, .rows = rows, .global_batch = global_batch, .units = units};
  p->units += units;
}

/* Later passes have the same documents, unless each step has mismatched ones of its own. */
static int64_t training_rows(const trainer *t) {
  const ft_config *c = t->config;
  int64_t rows = t->steps * c->global_batch, mb = c->micro_batch;
  bool same = c->mix == FT_MIX_CONCATENATE && c->replay_share == 0 && !is_rated(t);
  return same ? FT_MIN(rows, ft_round_up(ft_data_num_rows(t->train), mb)) : rows;
}

static ft_err make_plan(const trainer *t, bool training, plan *p) {
  void *memory = NULL;
  int64_t num = t->config->num_validation + 1;
  *p = (plan){0};
  ft_err err = ft_alloc_array(FT_MEM_OTHER, num, sizeof(part), &memory);
  if (err != FT_OK) return err;
  p->parts = memory;
  for (int64_t i = 0; i < t->config->num_validation; i++) {
    int64_t rows = ft_trainer_validation_rows(t, t->validation[i]);
    add_part(t, p, t->validation[i], rows, rows);
  }
  if (training) add_part(t, p, t->train, training_rows(t), t->config->global_batch);
  return FT_OK;
}

ft_err ft_reference_documents(const trainer *t, int64_t *out) {
  plan p;
  *out = 0;
  if (!is_needed(t)) return FT_OK;
  ft_err err = make_plan(t, true, &p);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < p.num_parts; i++) {
    const ft_data *data = p.parts[i].data;
    double a_row = (double)ft_data_num_documents(data) / (double)ft_data_num_rows(data);
    *out += (int64_t)ceil((double)p.parts[i].rows * a_row) * (is_rated(t) ? 2 : 1);
  }
  ft_free(p.parts);
  return FT_OK;
}

/* A unit's documents into t->batch: without the rows that the run's method puts before them, which
 * the reference model does not know. */
static ft_err read_unit(trainer *t, const plan *p, int64_t unit) {
  const part *at = p->parts;
  while (unit >= at->units)
    unit -= at++->units;
  bool mismatched = is_rated(t) && unit % 2 == 1;
  int64_t mb = t->config->micro_batch, first = (is_rated(t) ? unit / 2 : unit) * mb;
  int64_t rows = FT_MIN(mb, at->rows - first);
  ft_err err = ft_data_rows(at->data, first, mismatched ? 0 : rows, &t->batch);
  int64_t batch = first / at->global_batch * at->global_batch;
  if (err == FT_OK && mismatched)
    err = ft_data_add_mismatched(at->data, first, rows, batch, at->global_batch, &t->batch);
  if (err == FT_OK) ft_batch_drop_virtual(&t->batch);
  return err;
}

/* ---------------------------------------------------------------- what is missing */

/* A document as a unit has it. */
typedef struct found {
  ft_reference_row row;
  int64_t unit, index;
} found;

typedef struct list {
  found *items; /* [num] */
  int64_t num, capacity;
} list;

static ft_err add(list *l, const found *item) {
  void *items = l->items;
  ft_err err = ft_grow(FT_MEM_DATA, l->num + 1, sizeof *l->items, &l->capacity, &items);
  if (err != FT_OK) return err;
  l->items = items;
  l->items[l->num++] = *item;
  return FT_OK;
}

/* By hash, and of equal ones as the run comes to them. */
static int compare(const void *a, const void *b) {
  const found *x = a, *y = b;
  if (x->row.hash != y->row.hash) return x->row.hash < y->row.hash ? -1 : 1;
  if (x->unit != y->unit) return x->unit < y->unit ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* All ranks' items on rank 0, sorted, the first of each hash only; elsewhere none. */
static ft_err gather(trainer *t, list *l) {
  ft_err err = FT_OK;
  void *all = NULL, *sizes = NULL;
  FT_TRY(ft_comm_agree(t->comm, ft_alloc_array(FT_MEM_OTHER, t->size, sizeof(size_t), &sizes)));
  FT_TRY(ft_comm_gather(t->comm, 0, l->items, (size_t)l->num * sizeof *l->items, &all, sizes));
  ft_free(l->items);
  *l = (list){.items = all};
  size_t bytes = 0;
  for (int r = 0; r < t->size && t->rank == 0; r++)
    bytes += ((const size_t *)sizes)[r];
  int64_t num = (int64_t)(bytes / sizeof(found));
  if (num > 0) qsort(l->items, (size_t)num, sizeof *l->items, compare);
  for (int64_t i = 0; i < num; i++)
    if (l->num == 0 || l->items[l->num - 1].row.hash != l->items[i].row.hash)
      l->items[l->num++] = l->items[i];
out:
  ft_free(sizes);
  return err;
}

/* Units that have the first of a document which nothing is known of, in their order: *units
 * [*num], the same on every rank. */
static ft_err find_missing(trainer *t, const plan *p, int64_t **units, int64_t *num) {
  ft_err err = FT_OK;
  list l = {0};
  void *needed = NULL;
  int64_t count = 0;
  for (int64_t u = t->rank; u < p->units && err == FT_OK; u += t->size) {
    err = read_unit(t, p, u);
    for (int64_t d = 0; d < t->batch.num_documents && err == FT_OK; d++) {
      const found item = {.row.hash = t->batch.documents[d].hash, .unit = u, .index = d};
      if (!ft_reference_find(&t->preference->reference, item.row.hash)) err = add(&l, &item);
    }
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(gather(t, &l));
  FT_TRY(
      ft_comm_agree(t->comm, ft_alloc_array(FT_MEM_DATA, p->units + 1, sizeof(int64_t), &needed)));
  int64_t *marks = needed;
  for (int64_t i = 0; i < l.num; i++)
    marks[l.items[i].unit] = 1;
  FT_TRY(ft_comm_broadcast(t->comm, 0, marks, (size_t)p->units * sizeof *marks));
  for (int64_t u = 0; u < p->units; u++)
    if (marks[u]) marks[count++] = u;
  *num = count;
  *units = needed;
  needed = NULL;
out:
  if (err != FT_ERR_STOPPED) ft_free(needed);
  ft_free(l.items);
  return err;
}

/* ---------------------------------------------------------------- computing */

/* The reference model, while it exists. */
typedef struct reference_model {
  ft_hf_config hf;
  ft_shard *shard;
  ft_model *model;
} reference_model;

static int64_t max_tokens(const trainer *t, const plan *p) {
  int64_t most = 1;
  for (int64_t i = 0; i < p->num_parts; i++)
    most = FT_MAX(most, ft_data_max_tokens(p->parts[i].data, t->config->micro_batch));
  return most;
}

/* The model as its directory has it, without what a method puts beside the run's own: what an
 * adapter is trained against is the model below it. It takes the place of the run's, which has no
 * weights yet. */
static ft_err open_model(trainer *t, const plan *p, reference_model *m) {
  ft_err err = ft_comm_agree(t->comm, ft_plan_open_reference(t->config, t->hf.layout, &m->hf));
  if (err != FT_OK) return err;
  ft_plan_modules modules = ft_plan_reference_modules(t->config, max_tokens(t, p));
  ft_trainer_release(t);
  FT_TRY(ft_shard_new(t->comm, m->hf.layout, &modules.shard, &m->shard));
  FT_TRY(ft_comm_agree(t->comm, ft_model_new(m->shard, &modules.model, &m->model)));
  FT_TRY(ft_hf_import(directory(t), &m->hf, m->shard, t->comm));
out:
  return err;
}

static void close_model(reference_model *m) {
  ft_model_free(m->model);
  ft_shard_free(m->shard);
  ft_hf_config_fini(&m->hf);
}

/* Adds the documents of t->batch, of unit `unit`, whose values are known. */
static ft_err take_unit(trainer *t, int64_t unit, const float *values, list *l) {
  ft_err err = FT_OK;
  ft_documents *d = &t->preference->documents;
  ft_documents_take(d, &t->batch, false, values);
  for (int64_t i = 0; i < t->batch.num_documents; i++) {
    const found item = {
        .row = {t->batch.documents[i].hash, d->value[i], d->targets[i]}, .unit = unit, .index = i};
    FT_TRY(add(l, &item));
  }
out:
  return err;
}

/* A failure of one rank would leave the others inside a collective: it ends the job. */
static ft_err compute_round(trainer *t, const plan *p, ft_model *model, int64_t unit, list *l) {
  ft_err err = FT_OK;
  ft_model_batch batch;
  const float *values;
  int64_t rows;
  if (unit >= 0) {
    err = read_unit(t, p, unit);
    if (err == FT_OK) err = ft_documents_prepare(&t->preference->documents, &t->batch, NULL);
    batch = ft_trainer_batch(t);
  }
  if (err == FT_OK) err = ft_model_values(model, unit >= 0 ? &batch : NULL, &values, &rows);
  if (err == FT_OK && unit >= 0) err = take_unit(t, unit, values, l);
  if (err != FT_OK && err != FT_ERR_STOPPED) ft_comm_abort(t->comm, err, "the reference model");
  return err;
}

/* On rank 0: what is known already stays. */
static ft_err merge(ft_reference *r, const list *l) {
  int64_t num = 0, old = 0;
  void *memory = NULL;
  ft_err err = ft_alloc_array(FT_MEM_DATA, FT_MAX(r->num + l->num, 1), sizeof *r->rows, &memory);
  if (err != FT_OK) return err;
  ft_reference_row *rows = memory;
  for (int64_t i = 0; i < l->num; i++) {
    while (old < r->num && r->rows[old].hash < l->items[i].row.hash)
      rows[num++] = r->rows[old++];
    if (old < r->num && r->rows[old].hash == l->items[i].row.hash) continue;
    rows[num++] = l->items[i].row;
  }
  while (old < r->num)
    rows[num++] = r->rows[old++];
  ft_free(r->rows);
  *r = (ft_reference){.rows = rows, .num = num};
  return FT_OK;
}

/* What every rank has found so far goes to rank 0, and in a training to the file. */
static ft_err put_away(trainer *t, list *l, uint64_t identity, bool training) {
  ft_err err = FT_OK;
  ft_reference *r = &t->preference->reference;
  FT_TRY(gather(t, l));
  if (t->rank == 0) err = merge(r, l);
  if (t->rank == 0 && err == FT_OK && training)
    err = ft_reference_write(t->config->run_dir, r, identity);
  FT_TRY(ft_comm_agree(t->comm, err));
  ft_free(l->items);
  *l = (list){0};
out:
  return err;
}

/* Whether it is time for that, by rank 0's clock: an interrupted run asks for nothing that is in
 * the file. */
static ft_err is_due(trainer *t, double *last_s, bool *due) {
  *due = t->rank == 0 && ft_now_s() - *last_s > PUT_AWAY_S;
  ft_err err = ft_comm_broadcast(t->comm, 0, due, sizeof *due);
  if (*due) *last_s = ft_now_s();
  return err;
}

static ft_err compute(trainer *t, const plan *p, const int64_t *units, int64_t num,
                      uint64_t identity, bool training) {
  ft_err err = FT_OK;
  reference_model m = {0};
  list l = {0};
  bool was_allocated = t->shard != NULL, due;
  double begin_s = ft_now_s(), last_s = begin_s;
  int64_t known = t->preference->reference.num;
  FT_TRY(open_model(t, p, &m));
  for (int64_t first = 0; first < num; first += t->size) {
    FT_TRY(compute_round(t, p, m.model, first + t->rank < num ? units[first + t->rank] : -1, &l));
    FT_TRY(is_due(t, &last_s, &due));
    if (due) FT_TRY(put_away(t, &l, identity, training));
  }
  FT_TRY(put_away(t, &l, identity, training));
  if (t->rank == 0)
    ft_log(FT_LOG_INFO, "log-probabilities of %lld documents by the reference %s took %.1f s",
           (long long)(t->preference->reference.num - known), directory(t), ft_now_s() - begin_s);
out:
  if (err == FT_ERR_STOPPED) return err; /* what was abandoned may still use all this */
  close_model(&m);
  ft_free(l.items);
  if (err == FT_OK && was_allocated) err = ft_trainer_allocate(t, FT_FOR_TRAINING);
  return err;
}

/* ---------------------------------------------------------------- the file */

/* Rank 0's. Numbers of another model are of no use; a run that goes on must not change them. */
static ft_err read_file(trainer *t, uint64_t identity, bool training) {
  uint64_t other;
  ft_reference *r = &t->preference->reference;
  ft_err err = ft_reference_read(t->config->run_dir, r, &other);
  if (err != FT_OK || r->num == 0 || other == identity) return err;
  ft_reference_fini(r);
  if (training && t->checkpoint)
    return ft_fail(FT_ERR_CONFIG,
                   "%s/reference.h5 is of another model than %s, or of another train.precision or "
                   "model.storage: "
                   "put that back, or remove the file to compare with this one from here on",
                   t->config->run_dir, directory(t));
  return FT_OK;
}

/* Rank 0's rows to all. */
static ft_err share(trainer *t) {
  ft_err err = FT_OK;
  ft_reference *r = &t->preference->reference;
  void *memory = r->rows;
  FT_TRY(ft_comm_broadcast(t->comm, 0, &r->num, sizeof r->num));
  if (t->rank > 0) {
    ft_free(r->rows);
    r->rows = NULL;
    err = ft_alloc_array(FT_MEM_DATA, FT_MAX(r->num, 1), sizeof *r->rows, &memory);
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  r->rows = memory;
  if (r->num > 0) FT_TRY(ft_comm_broadcast(t->comm, 0, r->rows, (size_t)r->num * sizeof *r->rows));
out:
  return err;
}

ft_err ft_reference_prepare(trainer *t, bool training) {
  ft_err err = FT_OK;
  plan p = {0};
  int64_t *units = NULL, num = 0;
  uint64_t identity = 0;
  if (!is_needed(t)) return FT_OK;
  (void)ft_comm_enter(t->comm, "asks the reference model");
  if (t->rank == 0) err = ft_reference_identify(t, &identity);
  if (t->rank == 0 && err == FT_OK) err = read_file(t, identity, training);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(share(t));
  FT_TRY(ft_comm_agree(t->comm, make_plan(t, training, &p)));
  FT_TRY(find_missing(t, &p, &units, &num));
  if (num == 0) goto out;
  FT_TRY(compute(t, &p, units, num, identity, training));
  FT_TRY(share(t));
out:
  ft_free(units);
  ft_free(p.parts);
  return err;
}
