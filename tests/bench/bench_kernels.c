/* Speed of the kernels as shares of what this machine can do: matmul and attention of the bf16 (or
 * f32) peak, which is measured beside each of them with a loop of dot products in registers;
 * elementwise kernels of the speed of copying memory; AdamW in every form that it can keep, of the
 * speed of copying arrays as large.
 *
 *   bench_kernels [matmul] [attention] [elementwise] [optimizer] [decode] [threads=N] [type=f32]
 *                 [seconds=S]
 *
 * With one thread CPU time is taken, which other programs on the machine disturb less; with more,
 * wall time. Each number is the best of several runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <omp.h>

#include "ft/kernels_packed.h"

static double seconds_each = 0.4;
static ft_dtype type = FT_BF16;
static int threads = 1;

static double now(void) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(ft_err err) {
  if (err == FT_OK) return;
  fprintf(stderr, "bench_kernels: %s\n", ft_error_message());
  exit((int)err);
}

/* ---------------------------------------------------------------- runs */

/* Something to run; `work` is FLOP or bytes of one run. */
typedef struct job {
  void (*run)(void *context);
  void *context;
  double work;
} job;

static double best_rate(const job *j) {
  double best = 0, spent = 0;
  j->run(j->context);
  for (int run = 0; run < 100 && (spent < seconds_each || run < 3); run++) {
    double start = now();
    j->run(j->context);
    double took = now() - start;
    best = FT_MAX(best, j->work / took);
    spent += took;
  }
  return best;
}

/* FLOP/s of all threads. */
static double peak_rate(void) {
  double best = 0;
  for (int run = 0; run < 4; run++) {
    double start = now(), flops = ft_kernels_dot_products(type, 1000000);
    best = FT_MAX(best, flops / (now() - start));
  }
  return best;
}

static void report(const char *name, const job *j) {
  double peak = peak_rate(), rate = best_rate(j);
  peak = FT_MAX(peak, peak_rate());
  printf("%-44s %8.1f GFLOP/s  %5.3f of peak (%.0f)\n", name, rate / 1e9, rate / peak, peak / 1e9);
  fflush(stdout);
}

static void *random_array(int64_t count, double scale) {
  void *out;
  check(ft_alloc_array(FT_MEM_OTHER, count, ft_dtype_bytes(type), &out));
#pragma omp parallel for
  for (int64_t i = 0; i < count; i++) {
    float value = (float)(scale * (ft_random_uniform(1, FT_RANDOM_BENCH, 0, (uint64_t)i) - 0.5));
    ft_convert(type, (char *)out + i * (int64_t)ft_dtype_bytes(type), FT_F32, &value, 1);
  }
  return out;
}

/* ---------------------------------------------------------------- matmul */

typedef struct matmul {
  int64_t m, n, k;
  void *x, *w, *y;
  ft_dtype y_type;
} matmul;

static void run_forward(void *p) {
  matmul *a = p;
  check(ft_matmul_forward(type, a->y_type, a->m, a->n, a->k, a->x, a->k, a->w, NULL, a->y, a->n,
                          false));
}
static void run_backward_input(void *p) {
  matmul *a = p;
  check(
      ft_matmul_backward_input(type, type, a->m, a->n, a->k, a->y, a->n, a->w, a->x, a->k, false));
}
static void run_backward_weight(void *p) {
  matmul *a = p;
  check(
      ft_matmul_backward_weight(type, type, a->m, a->n, a->k, a->y, a->n, a->x, a->k, a->w, false));
}

static void bench_matmul(void) {
  static const int64_t shapes[][3] = {{2048, 768, 768},    {2048, 2048, 768},   {2048, 768, 2048},
                                      {2048, 256, 768},    {2048, 32000, 768},  {2048, 4096, 4096},
                                      {2048, 11008, 4096}, {2048, 4096, 11008}, {2000, 2048, 768}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++) {
    matmul a = {.m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2], .y_type = type};
    a.x = random_array(a.m * a.k, 1);
    a.w = random_array(a.n * a.k, 1);
    a.y = random_array(a.m * a.n, 1);
    job j = {.context = &a, .work = 2.0 * (double)a.m * (double)a.n * (double)a.k};
    static const struct {
      const char *name;
      void (*run)(void *);
    } kinds[] = {{"forward", run_forward},
                 {"backward_input", run_backward_input},
                 {"backward_weight", run_backward_weight}};
    for (size_t kind = 0; kind < FT_ARRAY_SIZE(kinds); kind++) {
      char name[96];
      snprintf(name, sizeof name, "matmul %lld x %lld x %lld %s", (long long)a.m, (long long)a.n,
               (long long)a.k, kinds[kind].name);
      j.run = kinds[kind].run;
      report(name, &j);
    }
    ft_free(a.x), ft_free(a.w), ft_free(a.y);
  }
}

/* ---------------------------------------------------------------- attention */

typedef struct attention {
  ft_attention a;
  void *q, *k, *v, *o, *d_o, *dq, *dk, *dv;
  float *lse;
} attention;

static void run_attention_forward(void *p) {
  attention *x = p;
  int64_t q = x->a.heads * x->a.head_dim, kv = x->a.kv_heads * x->a.head_dim;
  check(ft_attention_forward(&x->a, x->q, q, x->k, kv, x->v, kv, x->o, q, x->lse));
}
static void run_attention_backward(void *p) {
  attention *x = p;
  int64_t q = x->a.heads * x->a.head_dim, kv = x->a.kv_heads * x->a.head_dim;
  check(ft_attention_backward(&x->a, x->q, q, x->k, kv, x->v, kv, x->o, x->d_o, q, x->lse, x->dq,
                              x->dk, x->dv));
}

static void bench_attention(void) {
  static const struct {
    int64_t documents, length, heads, kv_heads, head_dim;
  } shapes[] = {{4, 512, 12, 4, 64},  {1, 2048, 12, 4, 64}, {1, 8192, 12, 4, 64},
                {1, 2048, 8, 8, 128}, {1, 8192, 4, 4, 128}, {32, 64, 12, 4, 64}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++) {
    int64_t offsets[64], tokens = shapes[i].documents * shapes[i].length;
    for (int64_t d = 0; d <= shapes[i].documents; d++)
      offsets[d] = d * shapes[i].length;
    attention x = {.a = {.type = type,
                         .heads = shapes[i].heads,
                         .kv_heads = shapes[i].kv_heads,
                         .head_dim = shapes[i].head_dim,
                         .num_documents = shapes[i].documents,
                         .offsets = offsets}};
    int64_t q = tokens * x.a.heads * x.a.head_dim, kv = tokens * x.a.kv_heads * x.a.head_dim;
    void **arrays[] = {&x.q, &x.o, &x.d_o, &x.dq, &x.k, &x.v, &x.dk, &x.dv};
    for (int n = 0; n < 8; n++)
      *arrays[n] = random_array(n < 4 ? q : kv, 4);
    check(ft_alloc_array(FT_MEM_OTHER, x.a.heads * tokens, sizeof(float), (void **)&x.lse));
    /* the FLOP that DESIGN.md counts: two products forward, four backward */
    double pairs =
        (double)(shapes[i].documents * shapes[i].length) * (double)(shapes[i].length + 1) / 2;
    double product = 2.0 * pairs * (double)(x.a.heads * x.a.head_dim);
    char name[96];
    snprintf(name, sizeof name, "attention %lld x %lld, %lld/%lld heads of %lld",
             (long long)shapes[i].documents, (long long)shapes[i].length, (long long)x.a.heads,
             (long long)x.a.kv_heads, (long long)x.a.head_dim);
    size_t length = strlen(name);
    snprintf(name + length, sizeof name - length, " fwd");
    report(name, &(job){run_attention_forward, &x, 2 * product});
    snprintf(name + length, sizeof name - length, " bwd");
    report(name, &(job){run_attention_backward, &x, 4 * product});
    for (int n = 0; n < 8; n++)
      ft_free(*arrays[n]);
    ft_free(x.lse);
  }
}

/* ---------------------------------------------------------------- elementwise */

typedef struct rows {
  int64_t rows, n;
  void *a, *b, *c, *d, *e;
  float *dx, *rstd, *dw;
  int32_t *position, *target;
} rows;

static void run_copy(void *p) {
  rows *x = p;
  int64_t part = x->rows * x->n * (int64_t)ft_dtype_bytes(type) / threads;
#pragma omp parallel for
  for (int t = 0; t < threads; t++)
    memcpy((char *)x->b + t * part, (char *)x->a + t * part, (size_t)part);
}
static void run_norm(void *p) {
  rows *x = p;
  ft_rmsnorm_forward(type, x->rows, x->n, x->a, x->b, x->c, x->d, 1e-5f, x->e, x->rstd);
}
static void run_norm_backward(void *p) {
  rows *x = p;
  ft_rmsnorm_backward(type, x->rows, x->n, x->a, x->b, x->rstd, x->d, x->dx, x->c, x->dw);
}
static void run_swiglu(void *p) {
  rows *x = p;
  ft_swiglu_forward(type, x->rows, x->n, x->a, x->b, x->c);
}
static void run_swiglu_backward(void *p) {
  rows *x = p;
  ft_swiglu_backward(type, x->rows, x->n, x->a, x->b, x->c, x->b, x->c, x->a);
}
static void run_rotary(void *p) {
  rows *x = p;
  ft_rotary(type, x->rows, x->n / 64, 64, x->a, x->n, x->position, x->dw, false);
}
static void run_loss(void *p) {
  rows *x = p;
  ft_cross_entropy(type, x->rows, x->n, x->dx, x->target, 1.0f, x->rstd, x->a);
}
static void run_adamw(void *p) {
  rows *x = p;
  const ft_adamw a = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1.0f};
  int64_t count = x->rows * x->n / 4;
  ft_adamw_update(&a, count, x->dx, x->dx + count, x->dx + 2 * count, x->dx + 3 * count);
}

static void bench_elementwise(void) {
  rows x = {.rows = 2048, .n = 2048};
  int64_t count = x.rows * x.n;
  void **arrays[] = {&x.a, &x.b, &x.c, &x.d, &x.e};
  for (int i = 0; i < 5; i++)
    *arrays[i] = random_array(count, 1);
  float **floats[] = {&x.dx, &x.rstd, &x.dw};
  for (int i = 0; i < 3; i++)
    check(ft_alloc_array(FT_MEM_OTHER, count, sizeof(float), (void **)floats[i]));
  check(ft_alloc_array(FT_MEM_OTHER, x.rows, sizeof(int32_t), (void **)&x.position));
  check(ft_alloc_array(FT_MEM_OTHER, x.rows, sizeof(int32_t), (void **)&x.target));
  double element = (double)count * (double)ft_dtype_bytes(type), of_f32 = 4.0 * (double)count;
  const struct {
    const char *name;
    job j;
  } jobs[] = {{"copy", {run_copy, &x, 2 * element}},
              {"rmsnorm forward with residual", {run_norm, &x, 4 * element}},
              {"rmsnorm backward", {run_norm_backward, &x, 3 * element + 2 * of_f32}},
              {"swiglu forward", {run_swiglu, &x, 3 * element}},
              {"swiglu backward", {run_swiglu_backward, &x, 6 * element}},
              {"rotary", {run_rotary, &x, 2 * element}},
              {"cross-entropy", {run_loss, &x, element + of_f32}},
              {"adamw", {run_adamw, &x, 7 * of_f32 / 4}}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(jobs); i++) {
    double rate = best_rate(&jobs[i].j);
    printf("%-44s %8.1f GB/s  %.3f ms for 2048 x 2048\n", jobs[i].name, rate / 1e9,
           1e3 * jobs[i].j.work / rate);
  }
  for (int i = 0; i < 5; i++)
    ft_free(*arrays[i]);
  for (int i = 0; i < 3; i++)
    ft_free(*floats[i]);
  ft_free(x.position), ft_free(x.target);
}

/* ---------------------------------------------------------------- optimizer */

enum { PARAMETERS = 32 << 20 };

/* Room for the largest form of everything. */
typedef struct packed {
  ft_adamw_arrays arrays;
  char *memory[7];
} packed;

static void run_packed(void *p) {
  const ft_adamw a = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1.0f};
  ft_adamw_update_packed(&a, &((packed *)p)->arrays, 1, 1, 0, PARAMETERS);
}
static void run_large_copy(void *p) {
  packed *x = p;
  const int64_t piece = 1 << 20;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < 4 * (int64_t)PARAMETERS; at += piece)
    memcpy(x->memory[0] + at, x->memory[1] + at, (size_t)piece);
}
static void run_bf16_sums(void *p) {
  packed *x = p;
  const int64_t piece = 4096;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < PARAMETERS; at += piece)
    ft_accumulate_bf16(1, 1, (uint64_t)at, (uint16_t *)(void *)x->memory[0] + at, FT_BF16,
                       x->memory[1] + 2 * at, piece);
}

static void run_rounding(void *p) {
  packed *x = p;
  const int64_t piece = 4096;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < PARAMETERS; at += piece)
    ft_round_stochastic(1, 1, (uint64_t)at, piece, (const float *)(void *)x->memory[1] + at,
                        (uint16_t *)(void *)x->memory[0] + at);
}

/* Numbers as training has them: moments of gradients whose sizes differ by some decades. */
static void fill_forms(packed *x, ft_master master, ft_moments moments, ft_dtype gradient) {
  void *m = x->memory[2], *v = x->memory[3];
  x->arrays = (ft_adamw_arrays){.master = master,
                                .w = x->memory[0],
                                .w_low = master == FT_MASTER_BF16_8 ? (void *)x->memory[1] : NULL,
                                .moments = moments,
                                .m = m,
                                .v = v,
                                .m_scale = (void *)x->memory[5],
                                .v_scale = (void *)x->memory[6],
                                .gradient = gradient,
                                .g = x->memory[4]};
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < PARAMETERS; at += FT_QUANTUM) {
    float w[FT_QUANTUM], g[FT_QUANTUM], first[FT_QUANTUM], second[FT_QUANTUM];
    for (int64_t i = 0; i < FT_QUANTUM; i++) {
      uint32_t r[4];
      ft_random_words(1, FT_RANDOM_BENCH, 3, (uint64_t)(at + i), r);
      w[i] = ((float)r[0] - 0x1p31f) * 0x1p-36f;
      g[i] = ldexpf((float)r[1] - 0x1p31f, -(int)(r[2] % 16) - 41);
      first[i] = 0.3f * g[i];
      second[i] = g[i] * g[i];
    }
    ft_master_write(master, w, FT_QUANTUM, x->memory[0] + at * (int64_t)ft_master_bytes(master),
                    (uint8_t *)x->memory[1] + at);
    ft_convert(gradient, x->memory[4] + at * (int64_t)ft_dtype_bytes(gradient), FT_F32, g,
               FT_QUANTUM);
    if (moments == FT_MOMENTS_F32) {
      memcpy((float *)m + at, first, sizeof first);
      memcpy((float *)v + at, second, sizeof second);
    } else {
      ft_quantize(true, FT_QUANTUM, first, (uint8_t *)m + at, x->arrays.m_scale + at / FT_QUANTUM);
      ft_quantize(false, FT_QUANTUM, second, (uint8_t *)v + at,
                  x->arrays.v_scale + at / FT_QUANTUM);
    }
  }
}

static void report_bytes(const char *name, job j, double bytes, packed *x) {
  const job copy = {run_large_copy, x, 8.0 * PARAMETERS};
  j.work = bytes * PARAMETERS;
  double roof = best_rate(&copy), rate = best_rate(&j);
  roof = FT_MAX(roof, best_rate(&copy));
  printf("%-44s %8.1f GB/s  %5.3f of copying (%.1f)  %.3f ns each\n", name, rate / 1e9, rate / roof,
         roof / 1e9, bytes * 1e9 / rate);
  fflush(stdout);
}

static void bench_optimizer(void) {
  packed x;
  for (size_t i = 0; i < FT_ARRAY_SIZE(x.memory); i++)
    check(ft_alloc_array(FT_MEM_OTHER, PARAMETERS, 4, (void **)&x.memory[i]));
  for (int master = 0; master < FT_MASTER_NUM; master++)
    for (int moments = 0; moments < FT_MOMENTS_NUM; moments++)
      for (int g = FT_F32; g <= FT_BF16; g++) {
        char name[96];
        double w = (double)ft_master_bytes(master) + (double)ft_master_low_bytes(master);
        double both = moments == FT_MOMENTS_F32 ? 8 : 2 + 8.0 / FT_QUANTUM;
        snprintf(name, sizeof name, "adamw %s, moments %s, gradient %s", ft_master_name(master),
                 ft_moments_name(moments), ft_dtype_name(g));
        fill_forms(&x, master, moments, g);
        report_bytes(name, (job){run_packed, &x, 0}, 2 * (w + both) + (double)ft_dtype_bytes(g),
                     &x);
      }
  report_bytes("adding gradients in bf16", (job){run_bf16_sums, &x, 0}, 6, &x);
  report_bytes("rounding weights to bf16", (job){run_rounding, &x, 0}, 6, &x);
  for (size_t i = 0; i < FT_ARRAY_SIZE(x.memory); i++)
    ft_free(x.memory[i]);
}

/* ---------------------------------------------------------------- generation */

typedef struct decode {
  matmul a;
  int64_t keys;
  void *q, *k, *v, *o;
} decode;

static void run_decode_matmul(void *p) {
  run_forward(&((decode *)p)->a);
}
static void run_decode_attention(void *p) {
  decode *x = p;
  ft_attention_decode(type, 32, 8, 128, 0, x->keys, x->q, x->k, x->v, 8 * 128, x->o);
}

static void bench_decode(void) {
  decode x = {.a = {.m = 1, .n = 11008, .k = 4096, .y_type = type}, .keys = 16384};
  x.a.x = random_array(x.a.k, 1);
  x.a.w = random_array(x.a.n * x.a.k, 1);
  x.a.y = random_array(x.a.n, 1);
  x.q = random_array(32 * 128, 1);
  x.o = random_array(32 * 128, 1);
  x.k = random_array(x.keys * 8 * 128, 1);
  x.v = random_array(x.keys * 8 * 128, 1);
  double size = (double)ft_dtype_bytes(type);
  job products = {run_decode_matmul, &x, (double)(x.a.n * x.a.k) * size};
  job attends = {run_decode_attention, &x, (double)(x.keys * 8 * 128 * 2) * size};
  printf("%-44s %8.1f GB/s\n", "matmul 1 x 11008 x 4096", best_rate(&products) / 1e9);
  printf("%-44s %8.1f GB/s\n", "attention of one query, 16384 keys", best_rate(&attends) / 1e9);
  void *all[] = {x.a.x, x.a.w, x.a.y, x.q, x.o, x.k, x.v};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    ft_free(all[i]);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"matmul", bench_matmul},
               {"attention", bench_attention},
               {"elementwise", bench_elementwise},
               {"optimizer", bench_optimizer},
               {"decode", bench_decode}};
  bool chosen[FT_ARRAY_SIZE(parts)] = {false}, any = false;
  for (int i = 1; i < argc; i++) {
    bool known = sscanf(argv[i], "threads=%d", &threads) == 1 ||
                 sscanf(argv[i], "seconds=%lf", &seconds_each) == 1;
    if (strcmp(argv[i], "type=f32") == 0) known = true, type = FT_F32;
    for (size_t p = 0; p < FT_ARRAY_SIZE(parts); p++)
      if (strcmp(argv[i], parts[p].name) == 0) known = any = chosen[p] = true;
    if (!known) {
      fprintf(stderr, "bench_kernels: %s is not understood\n", argv[i]);
      return FT_ERR_USAGE;
    }
  }
  omp_set_num_threads(threads);
  check(ft_kernels_init());
  printf("%s, %d threads, %s\n", ft_kernels_describe(), threads, ft_dtype_name(type));
  for (size_t p = 0; p < FT_ARRAY_SIZE(parts); p++)
    if (!any || chosen[p]) parts[p].run();
  ft_kernels_fini();
  return 0;
}
