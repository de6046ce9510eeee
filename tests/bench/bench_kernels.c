/* Speed of the kernels as shares of what this machine can do: matmul and attention of the bf16 (or
 * f32) peak, which is measured beside each of them with a loop of dot products in registers;
 * elementwise kernels of the speed of copying memory; AdamW in every form that it can keep, of the
 * speed of copying arrays as large.
 *
 *   bench_kernels [matmul] [attention] [elementwise] [codes] [optimizer] [decode] [threads=N]
 *                 [type=f32] [seconds=S]
 *
 * bench.c says how time is taken. */
#include <math.h>
#include <string.h>

#include <omp.h>

#include "bench.h"
#include "ft/kernels_packed.h"

/* ---------------------------------------------------------------- matmul */

static void run_forward(void *p) {
  check(ft_matmul_forward(p));
}
static void run_backward_input(void *p) {
  check(ft_matmul_backward_input(p));
}
static void run_backward_weight(void *p) {
  check(ft_matmul_backward_weight(p));
}

static void bench_matmul(void) {
  static const int64_t shapes[][3] = {{2048, 768, 768},    {2048, 2048, 768},   {2048, 768, 2048},
                                      {2048, 256, 768},    {2048, 32000, 768},  {2048, 4096, 4096},
                                      {2048, 11008, 4096}, {2048, 4096, 11008}, {2000, 2048, 768}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++) {
    int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
    void *x = random_array(m * k, 1), *w = random_array(n * k, 1), *y = random_array(m * n, 1);
    const ft_matmul like = {.type = type,
                            .out_type = type,
                            .m = m,
                            .n = n,
                            .k = k,
                            .x = x,
                            .x_stride = k,
                            .w = w,
                            .dy = y,
                            .dy_stride = n,
                            .out_stride = k};
    ft_matmul forward = like, input = like, weight = like;
    forward.out = y, forward.out_stride = n;
    input.out = x;
    weight.out = w;
    job j = {.work = 2.0 * (double)m * (double)n * (double)k};
    const struct {
      const char *name;
      void (*run)(void *);
      ft_matmul *product;
    } kinds[] = {{"forward", run_forward, &forward},
                 {"backward_input", run_backward_input, &input},
                 {"backward_weight", run_backward_weight, &weight}};
    for (size_t kind = 0; kind < FT_ARRAY_SIZE(kinds); kind++) {
      char name[96];
      snprintf(name, sizeof name, "matmul %lld x %lld x %lld %s", (long long)m, (long long)n,
               (long long)k, kinds[kind].name);
      j.run = kinds[kind].run, j.context = kinds[kind].product;
      report(name, &j);
    }
    ft_free(x), ft_free(w), ft_free(y);
  }
}

/* ---------------------------------------------------------------- attention */

typedef struct attention {
  ft_attention a;
  ft_attention_in in;
  ft_attention_out out;
  ft_attention_gradient gradient;
} attention;

static void run_attention_forward(void *p) {
  attention *x = p;
  check(ft_attention_forward(&x->a, &x->in, &x->out));
}
static void run_attention_backward(void *p) {
  attention *x = p;
  check(ft_attention_backward(&x->a, &x->in, &x->out, &x->gradient));
}

/* Keys that all queries of a document see, together. */
static double visible_pairs(const ft_attention *a, int64_t length) {
  double pairs = 0;
  for (int64_t i = 0; i < length; i++) {
    int64_t first = a->window > 0 ? FT_MAX((int64_t)0, i - a->window + 1) : 0;
    pairs += (double)((a->ahead < length - i ? i + a->ahead + 1 : length) - first);
  }
  return pairs;
}

/* Documents of one length; the FLOP that are counted: two products forward, four
 * backward. */
static void bench_attention_of(const char *name, const ft_attention *like, int64_t documents,
                               int64_t length) {
  int64_t offsets[64], tokens = documents * length;
  for (int64_t d = 0; d <= documents; d++)
    offsets[d] = d * length;
  attention x = {.a = *like};
  x.a.type = type;
  x.a.num_documents = documents;
  x.a.offsets = offsets;
  int64_t q = x.a.heads * x.a.head_dim, kv = x.a.kv_heads * x.a.head_dim;
  void *arrays[8];
  for (int n = 0; n < 8; n++)
    arrays[n] = random_array(tokens * (n < 4 ? q : kv), 4);
  x.in = (ft_attention_in){arrays[0], arrays[4], arrays[5], q, kv, kv};
  x.out = (ft_attention_out){.o = arrays[1], .o_stride = q};
  x.gradient = (ft_attention_gradient){arrays[2], arrays[3], arrays[6], arrays[7]};
  check(ft_alloc_array(FT_MEM_OTHER, x.a.heads * tokens, sizeof(float), (void **)&x.out.lse));
  double pairs = (double)documents * visible_pairs(&x.a, length);
  double product = 2.0 * pairs * (double)(x.a.heads * x.a.head_dim);
  char line[96];
  for (int backward = 0; backward < 2; backward++) {
    snprintf(line, sizeof line, "%s%lld x %lld, %lld/%lld heads of %lld %s", name,
             (long long)documents, (long long)length, (long long)x.a.heads, (long long)x.a.kv_heads,
             (long long)x.a.head_dim, backward ? "bwd" : "fwd");
    if (backward)
      report(line, &(job){run_attention_backward, &x, 4 * product});
    else
      report(line, &(job){run_attention_forward, &x, 2 * product});
  }
  for (int n = 0; n < 8; n++)
    ft_free(arrays[n]);
  ft_free(x.out.lse);
}

static void bench_attention(void) {
  static const struct {
    const char *name;
    int64_t documents, length;
    ft_attention a;
  } shapes[] = {
      {"causal ", 4, 512, {.heads = 12, .kv_heads = 4, .head_dim = 64}},
      {"causal ", 1, 2048, {.heads = 12, .kv_heads = 4, .head_dim = 64}},
      {"causal ", 1, 8192, {.heads = 12, .kv_heads = 4, .head_dim = 64}},
      {"causal ", 1, 2048, {.heads = 8, .kv_heads = 8, .head_dim = 128}},
      {"causal ", 1, 8192, {.heads = 4, .kv_heads = 4, .head_dim = 128}},
      {"causal ", 32, 64, {.heads = 12, .kv_heads = 4, .head_dim = 64}},
      {"two-way ", 1, 2048, {.heads = 12, .kv_heads = 12, .head_dim = 64, .ahead = INT64_MAX}},
      {"65 around ",
       1,
       8192,
       {.heads = 12, .kv_heads = 12, .head_dim = 64, .window = 65, .ahead = 64}},
      {"capped ", 1, 2048, {.heads = 8, .kv_heads = 4, .head_dim = 256, .soft_cap = 50}},
      {"capped ", 1, 2048, {.heads = 12, .kv_heads = 4, .head_dim = 64, .soft_cap = 50}}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++)
    bench_attention_of(shapes[i].name, &shapes[i].a, shapes[i].documents, shapes[i].length);
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
  int64_t keys;
  void *q, *k, *v, *o;
} decode;

static void run_decode_attention(void *p) {
  decode *x = p;
  const ft_attention a = {.type = type, .heads = 32, .kv_heads = 8, .head_dim = 128};
  const ft_attention_row row = {.o = x->o, .q = x->q, .k = x->k, .v = x->v, .num_keys = x->keys};
  check(ft_attention_rows(&a, &row, 1, 128, x->keys * 128));
}

/* The products of a step of 32 sequences, whose rows must not depend on each other. */
static void bench_rows(void) {
  static const int64_t shapes[][2] = {{11008, 4096}, {4096, 11008}, {1536, 576}, {576, 1536}};
  enum { ROWS = 32 };
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++) {
    int64_t n = shapes[i][0], k = shapes[i][1];
    char name[64];
    void *x = random_array(ROWS * k, 1), *w = random_array(n * k, 1),
         *out = random_array(ROWS * n, 1);
    ft_matmul product = {.type = type,
                         .out_type = type,
                         .m = ROWS,
                         .n = n,
                         .k = k,
                         .x = x,
                         .x_stride = k,
                         .w = w,
                         .out = out,
                         .out_stride = n,
                         .rows_alone = true};
    job products = {run_forward, &product, 2 * (double)(ROWS * n * k)};
    snprintf(name, sizeof name, "rows alone %d x %lld x %lld", ROWS, (long long)n, (long long)k);
    printf("%-44s %8.1f GFLOP/s\n", name, best_rate(&products) / 1e9);
    ft_free(x);
    ft_free(w);
    ft_free(out);
  }
}

static void bench_decode(void) {
  const int64_t n = 11008, k = 4096;
  void *row = random_array(k, 1), *w = random_array(n * k, 1), *out = random_array(n, 1);
  ft_matmul product = {.type = type,
                       .out_type = type,
                       .m = 1,
                       .n = n,
                       .k = k,
                       .x = row,
                       .x_stride = k,
                       .w = w,
                       .out = out,
                       .out_stride = n};
  decode x = {.keys = 16384};
  x.q = random_array(32 * 128, 1);
  x.o = random_array(32 * 128, 1);
  x.k = random_array(x.keys * 8 * 128, 1);
  x.v = random_array(x.keys * 8 * 128, 1);
  double size = (double)ft_dtype_bytes(type);
  job products = {run_forward, &product, (double)(n * k) * size};
  job attends = {run_decode_attention, &x, (double)(x.keys * 8 * 128 * 2) * size};
  printf("%-44s %8.1f GB/s\n", "matmul 1 x 11008 x 4096", best_rate(&products) / 1e9);
  printf("%-44s %8.1f GB/s\n", "attention of one query, 16384 keys", best_rate(&attends) / 1e9);
  bench_rows();
  void *all[] = {row, w, out, x.q, x.o, x.k, x.v};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    ft_free(all[i]);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"matmul", bench_matmul},           {"attention", bench_attention},
               {"elementwise", bench_elementwise}, {"codes", bench_codes},
               {"optimizer", bench_optimizer},     {"decode", bench_decode}};
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
