/* What a machine can do, to compare training with: memory, disk, and a step's matmuls alone. */
#include <math.h>
#include <string.h>

#include "ft/kernels_layer.h"
#include "internal.h"

/* Turns this rank's `work` done in `seconds` into all ranks' work per time of the slowest. */
static ft_err rate_of_all(ft_comm *comm, double work, double seconds, double *per_s) {
  ft_err err = FT_OK;
  int64_t kilo = (int64_t)(work * 1e-3), nanoseconds = (int64_t)(seconds * 1e9);
  FT_TRY(ft_comm_sum_i64(comm, &kilo, 1));
  FT_TRY(ft_comm_max_i64(comm, &nanoseconds, 1));
  *per_s = (double)kilo * 1e3 / FT_MAX((double)nanoseconds * 1e-9, 1e-9);
out:
  return err;
}

/* ---------------------------------------------------------------- memory */

/* c = a + b as in STREAM (McCalpin 1995), which counts 12 bytes an element of f32. */
ft_err ft_bench_memory(ft_comm *comm, double *bytes_per_s) {
  ft_err err = FT_OK;
  void *a = NULL, *b = NULL, *c = NULL;
  int ranks = ft_comm_node_size(comm, ft_comm_node(comm));
  /* of all ranks of a node together well beyond its caches */
  const int64_t node_elements = (int64_t)64 << 20, least = (int64_t)4 << 20;
  int64_t count = FT_MAX(node_elements / ranks, least);
  double seconds = INFINITY;
  err = ft_alloc_array(FT_MEM_OTHER, count, sizeof(float), &a);
  if (err == FT_OK) err = ft_alloc_array(FT_MEM_OTHER, count, sizeof(float), &b);
  if (err == FT_OK) err = ft_alloc_array(FT_MEM_OTHER, count, sizeof(float), &c);
  FT_TRY(ft_comm_agree(comm, err));
  ft_add_scaled(FT_F32, a, b, c, 1,
                count); /* memory is first touched here, by the threads that use it */
  ft_add_scaled(FT_F32, b, a, c, 1, count);
  FT_TRY(ft_comm_barrier(comm));
  for (int run = 0; run < 5; run++) {
    double begin = ft_now_s();
    ft_add_scaled(FT_F32, c, a, b, 1, count);
    seconds = FT_MIN(seconds, ft_now_s() - begin);
  }
  FT_TRY(rate_of_all(comm, 3 * sizeof(float) * (double)count, seconds, bytes_per_s));
out:
  ft_free(a);
  ft_free(b);
  ft_free(c);
  return err;
}

/* ---------------------------------------------------------------- disk */

/* A file that is written, synced and removed; random bytes, which no file system can compress. */
static ft_err write_and_remove(const char *path, void *data, size_t bytes, double *seconds) {
  for (size_t i = 0; i < bytes / 16; i++)
    ft_random_words(1, FT_RANDOM_BENCH, 1, i, (uint32_t *)data + 4 * i);
  double begin = ft_now_s();
  ft_err err = ft_write_file(path, data, bytes);
  *seconds = ft_now_s() - begin;
  ft_err removed = ft_remove_tree(path);
  return err == FT_OK ? removed : err;
}

/* All ranks write at once, as for a checkpoint. */
ft_err ft_bench_disk(ft_comm *comm, const char *dir, double *bytes_per_s) {
  ft_err err = FT_OK;
  void *data = NULL;
  char *path = NULL;
  double seconds = 0;
  const int64_t all_bytes = (int64_t)256 << 20, least = (int64_t)4 << 20;
  size_t bytes = (size_t)FT_MAX(all_bytes / ft_comm_size(comm), least) & ~(size_t)15;
  err = ft_alloc(FT_MEM_IO, bytes, &data);
  if (err == FT_OK)
    err = ft_format(&path, "%s/.ftrun-bench-%d-%llx", dir, ft_comm_rank(comm),
                    (unsigned long long)(ft_now_s() * 1e9));
  if (err == FT_OK && !ft_path_is_dir(dir))
    err = ft_fail(FT_ERR_NOINPUT, "%s: no such directory, to measure its write rate (--disk)", dir);
  FT_TRY(ft_comm_agree(comm, err)); /* and all begin together */
  FT_TRY(ft_comm_agree(comm, write_and_remove(path, data, bytes, &seconds)));
  FT_TRY(rate_of_all(comm, (double)bytes, seconds, bytes_per_s));
out:
  ft_free(path);
  ft_free(data);
  return err;
}

/* ---------------------------------------------------------------- a step's matmuls alone */

typedef struct matmuls {
  ft_dtype type;
  int64_t tokens;
  void *x, *y, *w, *dw; /* large enough for any of them; the weights of one layer or the head */
  float *logits;
  double flops;
} matmuls;

static void fill_random(ft_dtype type, int64_t count, void *out) {
  const int64_t piece = 1024; /* a number of one piece serves for all */
  float values[1024];
  for (int64_t i = 0; i < piece; i++)
    values[i] = (float)ft_random_uniform(1, FT_RANDOM_BENCH, 2, (uint64_t)i) - 0.5f;
  for (int64_t i = 0; i < count; i += piece)
    ft_convert(type, (char *)out + (size_t)i * ft_dtype_bytes(type), FT_F32, values,
               FT_MIN(piece, count - i));
}

/* What a step computes with a matrix. */
typedef enum work { FORWARD = 2, FORWARD_AND_INPUT = 4, ALL_THREE = 6 } work;

/* A matrix [n, k], forward and backward, `at` elements into w. */
static ft_err linear(matmuls *m, int64_t rows, int64_t n, int64_t k, int64_t at, bool head,
                     work products) {
  ft_err err = FT_OK;
  const ft_matmul forward = {.type = m->type,
                             .out_type = head ? FT_F32 : m->type,
                             .m = rows,
                             .n = n,
                             .k = k,
                             .x = m->x,
                             .x_stride = k,
                             .w = (const char *)m->w + (size_t)at * ft_dtype_bytes(m->type),
                             .out = head ? m->logits : m->y,
                             .out_stride = n};
  ft_matmul backward = forward;
  backward.out_type = m->type;
  backward.dy = m->y, backward.dy_stride = n;
  FT_TRY(ft_matmul_forward(&forward));
  backward.out = m->x, backward.out_stride = k;
  if (products >= FORWARD_AND_INPUT) FT_TRY(ft_matmul_backward_input(&backward));
  backward.out = m->dw;
  if (products == ALL_THREE) FT_TRY(ft_matmul_backward_weight(&backward));
  m->flops += (double)products * (double)rows * (double)n * (double)k;
out:
  return err;
}

/* Rows of one piece of the loss: their f32 logits stay within what the model allows itself. */
static int64_t head_rows(const ft_arch *arch, int64_t tokens) {
  int64_t rows = ((int64_t)256 << 20) / (arch->vocab * (int64_t)sizeof(float));
  return FT_MIN(FT_MAX(rows, 1), tokens);
}

/* Whether a tensor is a matrix that tokens are multiplied with. */
static bool is_multiplied(const ft_tensor *t) {
  return t->num_dims == 2 && (ft_role_is_own(t->role) || ft_role_is_part(t->role, NULL, NULL));
}

static ft_err run_block(matmuls *m, const ft_block *b, bool passed) {
  ft_err err = FT_OK;
  work products = b->trained ? ALL_THREE : passed ? FORWARD_AND_INPUT : FORWARD;
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    if (is_multiplied(t))
      FT_TRY(linear(m, m->tokens, t->rows, t->cols, t->offset, false, products));
  }
out:
  return err;
}

static bool head_is_trained(const ft_layout *l) {
  const ft_tensor *t;
  int64_t block = l->arch.tied ? ft_layout_find(l, &l->embedding, FT_ROLE_EMBEDDING, &t)
                               : ft_layout_find(l, &l->head, FT_ROLE_HEAD, &t);
  return l->blocks[block].trained;
}

static ft_err run_matmuls(matmuls *m, const ft_layout *l) {
  ft_err err = FT_OK;
  const ft_arch *arch = &l->arch;
  int64_t lowest = ft_layout_lowest_trained(l);
  work head = head_is_trained(l) ? ALL_THREE : FORWARD_AND_INPUT;
  m->flops = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    if (l->blocks[b].place == FT_PLACE_LAYER)
      FT_TRY(run_block(m, &l->blocks[b], l->blocks[b].layer >= lowest));
  for (int64_t done = 0, n; done < m->tokens; done += n) {
    n = FT_MIN(head_rows(arch, m->tokens), m->tokens - done);
    FT_TRY(linear(m, n, arch->vocab, arch->hidden, 0, true, head));
  }
out:
  return err;
}

static ft_err allocate(matmuls *m, const ft_layout *l) {
  ft_err err = FT_OK;
  const ft_arch *arch = &l->arch;
  void *logits;
  size_t size = ft_dtype_bytes(m->type);
  int64_t layer_elements = 0, wide = arch->hidden, rows = head_rows(arch, m->tokens);
  for (int64_t b = 0; b < l->num_blocks; b++) {
    const ft_block *block = &l->blocks[b];
    if (block->place != FT_PLACE_LAYER) continue;
    layer_elements = FT_MAX(layer_elements, block->num_elements);
    for (int i = 0; i < block->num_tensors; i++)
      if (is_multiplied(&block->tensors[i]))
        wide = FT_MAX(wide, FT_MAX(block->tensors[i].rows, block->tensors[i].cols));
  }
  int64_t y = FT_MAX(m->tokens * wide, rows * arch->vocab);
  int64_t w = FT_MAX(layer_elements, arch->vocab * arch->hidden);
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, m->tokens * wide, size, &m->x));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, y, size, &m->y));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, w, size, &m->w));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, w, size, &m->dw));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, rows * arch->vocab, sizeof(float), &logits));
  m->logits = logits;
  fill_random(m->type, m->tokens * wide, m->x);
  fill_random(m->type, y, m->y);
  fill_random(m->type, w, m->w);
out:
  return err;
}

ft_err ft_bench_matmuls(ft_comm *comm, const ft_bench_options *options,
                        double flops_per_s[FT_BENCH_MATMUL_RUNS]) {
  ft_err err = FT_OK;
  matmuls m = {.type = options->precision, .tokens = options->micro_batch * options->seq_len};
  FT_TRY(ft_comm_agree(comm, allocate(&m, options->layout)));
  err = run_matmuls(&m, options->layout); /* creates what is reused */
  FT_TRY(ft_comm_agree(comm, err));
  for (int run = 0; run < FT_BENCH_MATMUL_RUNS; run++) {
    double begin = ft_now_s();
    err = run_matmuls(&m, options->layout);
    double seconds = ft_now_s() - begin;
    FT_TRY(ft_comm_agree(comm, err));
    FT_TRY(rate_of_all(comm, m.flops, seconds, &flops_per_s[run]));
  }
out:
  ft_free(m.x);
  ft_free(m.y);
  ft_free(m.w);
  ft_free(m.dw);
  ft_free(m.logits);
  return err;
}
