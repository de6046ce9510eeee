/* Training steps on random tokens, and where their time goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct bench {
  ft_comm *comm;
  const ft_bench_options *options;
  int rank, size;
  ft_shard *shard;
  ft_optim *optim;
  ft_model *model;
  /* this rank's micro-batch: every round trains on it */
  ft_model_batch batch;
  uint32_t *tokens;
  int32_t *targets, *positions;
  int64_t *offsets;
  double *losses; /* of its rounds */
} bench;

/* ---------------------------------------------------------------- weights and tokens */

/* Elements first … of a tensor: uniform with the deviation 0.02 that models begin with, norms and
 * scales 1, biases 0. Speed does not depend on which numbers they are, if they are no zeros. */
static void random_weights(const ft_tensor *t, uint64_t stream, int64_t first, int64_t count,
                           float *out) {
  const float scale = 0.02f * 3.4641016f * 0x1p-32f;
  if (t->num_dims < 2) {
    bool scales = ft_role_is_norm_weight(t->role) || ft_role_is_part(t->role, NULL, NULL);
    for (int64_t i = 0; i < count; i++)
      out[i] = scales ? 1.0f : 0.0f;
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += 4) {
    uint32_t words[4];
    ft_random_words(1, FT_RANDOM_BENCH, stream, (uint64_t)(first + i), words);
    for (int64_t k = 0; k < 4 && i + k < count; k++)
      out[i + k] = ((float)words[k] - 0x1p31f) * scale;
  }
}

static void set_range(bench *b, int64_t block, const ft_range *r, float *room, int64_t room_count) {
  const ft_block *shape = ft_shard_block(b->shard, block);
  for (int i = 0; i < shape->num_tensors; i++) {
    const ft_tensor *t = &shape->tensors[i];
    int64_t end = FT_MIN(t->offset + ft_tensor_elements(t), r->start + r->count);
    for (int64_t at = FT_MAX(t->offset, r->start), n; at < end; at += n) {
      n = FT_MIN(room_count, end - at);
      random_weights(t, (uint64_t)(block * FT_ROLE_ALL + t->role), at - t->offset, n, room);
      ft_shard_set_weights(b->shard, block, at, n, room);
    }
  }
}

static ft_err set_weights(bench *b) {
  ft_err err = FT_OK;
  const int64_t room_count = (int64_t)1 << 20;
  void *room = NULL;
  FT_TRY(ft_comm_agree(b->comm, ft_alloc_array(FT_MEM_OTHER, room_count, sizeof(float), &room)));
  for (int64_t block = 0; block < ft_shard_num_blocks(b->shard); block++) {
    int64_t num;
    const ft_range *ranges = ft_shard_kept_ranges(b->shard, block, &num);
    for (int64_t i = 0; i < num; i++)
      set_range(b, block, &ranges[i], room, room_count);
  }
  FT_TRY(ft_shard_weights_changed(b->shard));
out:
  ft_free(room);
  return err;
}

/* Every row is one document, every token has a target. */
static ft_err make_batch(bench *b) {
  ft_err err = FT_OK;
  const ft_bench_options *o = b->options;
  int64_t tokens = o->micro_batch * o->seq_len;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, tokens, sizeof *b->tokens, &p));
  b->tokens = p;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, tokens, sizeof *b->targets, &p));
  b->targets = p;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, tokens, sizeof *b->positions, &p));
  b->positions = p;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, o->micro_batch + 1, sizeof *b->offsets, &p));
  b->offsets = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, o->rows / o->micro_batch, sizeof *b->losses, &p));
  b->losses = p;
  for (int64_t i = 0; i < tokens; i++) {
    uint32_t words[4];
    ft_random_words(2, FT_RANDOM_BENCH, (uint64_t)b->rank, (uint64_t)i, words);
    b->tokens[i] = (uint32_t)(words[0] % (uint64_t)o->layout->arch.vocab);
    b->targets[i] = (int32_t)(words[1] % (uint64_t)o->layout->arch.vocab);
    b->positions[i] = (int32_t)(i % o->seq_len);
  }
  for (int64_t d = 0; d <= o->micro_batch; d++)
    b->offsets[d] = d * o->seq_len;
  b->batch = (ft_model_batch){.num_tokens = tokens,
                              .num_documents = o->micro_batch,
                              .tokens = b->tokens,
                              .targets = b->targets,
                              .positions = b->positions,
                              .offsets = b->offsets};
out:
  return err;
}

static ft_err open_bench(bench *b) {
  ft_err err = FT_OK;
  const ft_bench_options *o = b->options;
  const ft_shard_options shard = {.stage = o->stage,
                                  .training = true,
                                  .seed = 1,
                                  .compute = o->precision,
                                  .stochastic_rounding = o->rounding == FT_ROUND_STOCHASTIC,
                                  .master = o->master,
                                  .gradient = o->gradient};
  const ft_model_options model = {.compute = o->precision,
                                  .max_tokens = o->micro_batch * o->seq_len,
                                  .training = true,
                                  .activation_checkpointing = o->activation_checkpointing,
                                  .bounded_head = o->gradient == FT_BF16};
  const ft_optim_options optim = {.beta1 = 0.9,
                                  .beta2 = 0.95,
                                  .eps = 1e-8,
                                  .weight_decay = 0.1,
                                  .grad_clip = 1.0,
                                  .state = o->state};
  FT_TRY(ft_shard_new(b->comm, o->layout, &shard, &b->shard));
  FT_TRY(ft_optim_new(b->shard, &optim, &b->optim));
  err = ft_model_new(b->shard, &model, &b->model);
  if (err == FT_OK) err = make_batch(b);
  FT_TRY(ft_comm_agree(b->comm, err));
  FT_TRY(set_weights(b));
out:
  return err;
}

static void close_bench(bench *b) {
  ft_model_free(b->model);
  ft_optim_free(b->optim);
  ft_shard_free(b->shard);
  ft_free(b->tokens);
  ft_free(b->targets);
  ft_free(b->positions);
  ft_free(b->offsets);
  ft_free(b->losses);
  *b = (bench){.comm = b->comm, .options = b->options, .rank = b->rank, .size = b->size};
}

/* ---------------------------------------------------------------- steps */

static ft_model_batch same_batch(void *context, int64_t i, ft_loss *loss) {
  (void)i;
  (void)loss;
  return ((const bench *)context)->batch;
}

static ft_err train_step(bench *b, int64_t step) {
  ft_err err = FT_OK;
  const ft_bench_options *o = b->options;
  const ft_objective objective = {.kind = FT_OBJECTIVE_TOKENS};
  const ft_passes passes = {.comm = b->comm,
                            .shard = b->shard,
                            .optim = b->optim,
                            .model = b->model,
                            .num_micro_batches = o->rows / o->micro_batch,
                            .loss = ft_objective_loss(&objective, o->rows * o->seq_len),
                            .context = b,
                            .read = same_batch};
  double norm;
  FT_TRY(ft_passes_gradients(&passes, b->losses, &norm));
  FT_CHECK(isfinite(norm), FT_ERR_DATA, "step %lld: the gradient norm is %g", (long long)step,
           norm);
  FT_TRY(ft_passes_update(&passes, step, &(ft_rate){.lr = 1e-5, .share = 1}, norm));
out:
  return err;
}

/* A step's wall time and its parts: means of the ranks. */
typedef struct step_time {
  double seconds, parts[FT_TIME_NUM_PARTS];
} step_time;

static ft_err timed_step(bench *b, int64_t step, step_time *out) {
  ft_err err = FT_OK;
  double before[FT_TIME_NUM_PARTS], after[FT_TIME_NUM_PARTS];
  int64_t nanoseconds[FT_TIME_NUM_PARTS + 1];
  FT_TRY(ft_comm_barrier(b->comm));
  double begin = ft_now_s();
  ft_time_spent(before);
  FT_TRY(train_step(b, step));
  FT_TRY(ft_comm_barrier(b->comm)); /* who is done early waits: the step is over when all are */
  ft_time_spent(after);
  nanoseconds[FT_TIME_NUM_PARTS] = (int64_t)((ft_now_s() - begin) * 1e9);
  for (int i = 0; i < FT_TIME_NUM_PARTS; i++)
    nanoseconds[i] = (int64_t)((after[i] - before[i]) * 1e9);
  FT_TRY(ft_comm_sum_i64(b->comm, nanoseconds, FT_TIME_NUM_PARTS + 1));
  for (int i = 0; i < FT_TIME_NUM_PARTS; i++)
    out->parts[i] = (double)nanoseconds[i] * 1e-9 / b->size;
  out->seconds = (double)nanoseconds[FT_TIME_NUM_PARTS] * 1e-9 / b->size;
out:
  return err;
}

static int by_seconds(const void *a, const void *b) {
  double x = ((const step_time *)a)->seconds, y = ((const step_time *)b)->seconds;
  return (x > y) - (x < y);
}

static ft_err measure_steps(bench *b, step_time *median) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t num = b->options->steps;
  FT_TRY(ft_comm_agree(b->comm, ft_alloc_array(FT_MEM_OTHER, num, sizeof *median, &memory)));
  step_time *times = memory;
  FT_TRY(timed_step(b, 1, median)); /* warm-up */
  for (int64_t i = 0; i < num; i++)
    FT_TRY(timed_step(b, i + 2, &times[i]));
  qsort(times, (size_t)num, sizeof *times, by_seconds);
  *median = times[(num - 1) / 2];
out:
  ft_free(memory);
  return err;
}

/* ---------------------------------------------------------------- the whole */

static void derive(const ft_bench_options *o, const step_time *median, ft_bench_result *r) {
  double peak = o->precision == FT_BF16 ? r->peak_bf16_flops : r->peak_fp32_flops;
  r->step_seconds = median->seconds;
  r->tokens_per_second = (double)(o->rows * o->seq_len) / r->step_seconds;
  r->model_flops = r->step_flops / r->step_seconds;
  r->share_of_peak = r->model_flops / peak;
  r->matmuls_alone_share = r->model_flops / r->matmuls_alone_flops;
  for (int i = 0; i < FT_TIME_NUM_PARTS; i++)
    r->time[i] = median->parts[i];
  r->exposed_communication = r->time[FT_TIME_COMMUNICATION] / r->step_seconds;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median_of(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  return values[(count - 1) / 2];
}

/* The best of what was measured and of a few more tries: other programs only slow it down. */
static ft_err raise_peaks(ft_comm *comm, ft_bench_result *r) {
  ft_err err = FT_OK;
  for (int i = 0; i < 3; i++) {
    double bf16, fp32;
    FT_TRY(ft_measure_peak(comm, FT_BF16, &bf16));
    FT_TRY(ft_measure_peak(comm, FT_F32, &fp32));
    r->peak_bf16_flops = FT_MAX(r->peak_bf16_flops, bf16);
    r->peak_fp32_flops = FT_MAX(r->peak_fp32_flops, fp32);
  }
out:
  return err;
}

static ft_err measure_memory(ft_comm *comm, ft_bench_result *r) {
  ft_err err = FT_OK;
  r->memory_bytes = r->memory_total = (int64_t)ft_mem_total().current_bytes;
  r->resident_bytes = ft_pss_bytes();
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    r->memory[owner] = (int64_t)ft_mem_of((ft_owner)owner).current_bytes;
  FT_TRY(ft_comm_max_i64(comm, &r->memory_bytes, 1));
  FT_TRY(ft_comm_sum_i64(comm, &r->memory_total, 1));
  FT_TRY(ft_comm_sum_i64(comm, &r->resident_bytes, 1));
  FT_TRY(ft_comm_sum_i64(comm, r->memory, FT_MEM_NUM_OWNERS));
out:
  return err;
}

ft_err ft_bench(ft_comm *comm, const ft_bench_options *options, ft_bench_result *result) {
  ft_err err = FT_OK;
  bench b = {
      .comm = comm, .options = options, .rank = ft_comm_rank(comm), .size = ft_comm_size(comm)};
  step_time median;
  double alone[2 * FT_BENCH_MATMUL_RUNS]; /* before the steps and after them */
  *result = (ft_bench_result){.disk_write_rate = NAN};
  FT_TRY(ft_comm_agree(comm, ft_arch_check(&options->layout->arch)));
  FT_TRY(raise_peaks(comm, result));
  FT_TRY(ft_bench_memory(comm, &result->memory_bandwidth));
  if (options->disk) FT_TRY(ft_bench_disk(comm, options->disk, &result->disk_write_rate));
  FT_TRY(ft_bench_matmuls(comm, options, alone));
  FT_TRY(open_bench(&b));
  FT_TRY(measure_steps(&b, &median));
  FT_TRY(raise_peaks(comm, result));
  FT_TRY(measure_memory(comm, result));
  result->step_flops =
      (double)options->rows * ft_layout_training_flops(options->layout, &options->seq_len, 1);
  close_bench(&b);
  FT_TRY(ft_bench_matmuls(comm, options, alone + FT_BENCH_MATMUL_RUNS));
  result->matmuls_alone_flops = median_of(alone, 2 * FT_BENCH_MATMUL_RUNS);
  derive(options, &median, result);
out:
  close_bench(&b);
  return err;
}
