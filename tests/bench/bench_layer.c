/* Elementwise kernels beside copying memory, and frozen weights in codes. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "ft/kernels_layer.h"
#include "ft/kernels_loss.h"
#include "ft/kernels_packed.h"

typedef struct rows {
  ft_rows shape;
  void *a, *b, *c, *d, *e;
  float *dx, *rstd, *dw;
  int32_t *position, *target;
  /* what is run */
  ft_norm norm;
  ft_activation act;
  ft_rope rope;
  ft_loss loss;
} rows;

static void copy_in_parts(void *to, const void *from, int64_t bytes) {
#pragma omp parallel for
  for (int t = 0; t < threads; t++)
    memcpy((char *)to + t * (bytes / threads), (const char *)from + t * (bytes / threads),
           (size_t)(bytes / threads));
}
static void run_copy(void *p) {
  rows *x = p;
  copy_in_parts(x->b, x->a, x->shape.rows * x->shape.width * (int64_t)ft_dtype_bytes(type));
}
static void run_norm(void *p) {
  rows *x = p;
  ft_norm_sum_forward(&x->norm, type, x->e, x->c, x->rstd, x->a, x->b, 1, x->d, NULL, &x->shape);
}
static void run_norm_backward(void *p) {
  rows *x = p;
  float *db = x->norm.kind == FT_NORM_LAYER ? x->dw + x->shape.width : NULL;
  const ft_norm_gradient out = {
      .dx = x->dx, .accumulate = true, .dx16 = x->c, .dw = x->dw, .db = db};
  ft_norm_backward(&x->norm, type, &out, x->a, x->b, x->rstd, x->d, &x->shape);
}
static void run_gated(void *p) {
  rows *x = p;
  ft_gated_forward(x->act.kind, type, x->c, x->a, x->b, &x->shape);
}
static void run_gated_backward(void *p) {
  rows *x = p;
  ft_gated_backward(x->act.kind, type, x->b, x->c, x->a, x->a, x->b, x->c, &x->shape);
}
static void run_activation(void *p) {
  rows *x = p;
  ft_activation_forward(&x->act, type, x->c, x->a, x->shape.rows * x->shape.width);
}
static void run_activation_backward(void *p) {
  rows *x = p;
  ft_activation_backward(&x->act, type, x->c, x->b, x->act.kind == FT_ACT_XIELU ? x->dw : NULL,
                         x->a, x->b, x->shape.rows * x->shape.width);
}
static void run_rope(void *p) {
  rows *x = p;
  const ft_rows heads = {
      .rows = x->shape.rows, .heads = x->shape.width / 64, .width = 64, .stride = x->shape.stride};
  ft_rope_apply(&x->rope, type, x->a, x->position, NULL, 0, &heads, false);
}
static void run_loss(void *p) {
  rows *x = p;
  const ft_loss_out out = {.nll = x->rstd, .dlogits = x->a};
  ft_loss_rows(&x->loss, type, &out, x->dx, x->target, NULL, x->shape.rows, x->shape.width);
}
static void run_adamw(void *p) {
  rows *x = p;
  const ft_adamw a = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1.0f};
  int64_t count = x->shape.rows * x->shape.width / 4;
  ft_adamw_update(&a, count, x->dx, x->dx + count, x->dx + 2 * count, x->dx + 3 * count);
}

static void show(const char *name, void (*run)(void *), rows *x, double bytes) {
  const job j = {run, x, bytes};
  double rate = best_rate(&j);
  printf("%-44s %8.1f GB/s  %.3f ms for 2048 x 2048\n", name, rate / 1e9, 1e3 * bytes / rate);
  fflush(stdout);
}

static void bench_kinds(rows *x, double element, double of_f32) {
  static const char *const activations[FT_ACT_NUM] = {"silu",  "gelu", "gelu (tanh)", "relu",
                                                      "relu2", "tanh", "xielu"};
  char name[64];
  for (int kind = FT_NORM_RMS; kind <= FT_NORM_LAYER; kind++) {
    x->norm = (ft_norm){.kind = (ft_norm_kind)kind, .eps = 1e-5f};
    const char *of = kind == FT_NORM_RMS ? "rmsnorm" : "layernorm";
    snprintf(name, sizeof name, "%s of a sum, forward", of);
    show(name, run_norm, x, 4 * element);
    snprintf(name, sizeof name, "%s backward", of);
    show(name, run_norm_backward, x, 3 * element + 2 * of_f32);
  }
  for (int kind = 0; kind < FT_ACT_NUM; kind++) {
    x->act = (ft_activation){.kind = (ft_activation_kind)kind, .beta = 0.5f, .eps = -1e-6f};
    snprintf(name, sizeof name, "%s forward", activations[kind]);
    show(name, run_activation, x, 2 * element);
    snprintf(name, sizeof name, "%s backward", activations[kind]);
    show(name, run_activation_backward, x, 4 * element);
    if (kind == FT_ACT_XIELU) continue;
    snprintf(name, sizeof name, "%s gated forward", activations[kind]);
    show(name, run_gated, x, 3 * element);
    snprintf(name, sizeof name, "%s gated backward", activations[kind]);
    show(name, run_gated_backward, x, 6 * element);
  }
}

void bench_elementwise(void) {
  rows x = {.shape = ft_rows_whole(2048, 2048)};
  int64_t count = x.shape.rows * x.shape.width;
  void **arrays[] = {&x.a, &x.b, &x.c, &x.d, &x.e};
  for (int i = 0; i < 5; i++)
    *arrays[i] = random_array(count, 1);
  float **floats[] = {&x.dx, &x.rstd, &x.dw};
  for (int i = 0; i < 3; i++)
    check(ft_alloc_array(FT_MEM_OTHER, count, sizeof(float), (void **)floats[i]));
  check(ft_alloc_array(FT_MEM_OTHER, x.shape.rows, sizeof(int32_t), (void **)&x.position));
  check(ft_alloc_array(FT_MEM_OTHER, x.shape.rows, sizeof(int32_t), (void **)&x.target));
  double element = (double)count * (double)ft_dtype_bytes(type), of_f32 = 4.0 * (double)count;
  show("copy", run_copy, &x, 2 * element);
  bench_kinds(&x, element, of_f32);
  x.rope = (ft_rope){.width = 64, .attention_factor = 1, .inv_freq = x.dw};
  show("rotary", run_rope, &x, 2 * element);
  x.rope.neighbours = true;
  show("rotary, neighbours", run_rope, &x, 2 * element);
  x.loss = (ft_loss){.logits = {.scale = 1}, .weight = 1};
  show("cross-entropy", run_loss, &x, element + of_f32);
  x.loss.logits.cap = 30;
  show("cross-entropy of capped logits", run_loss, &x, element + of_f32);
  x.loss = (ft_loss){.logits = {.scale = 1}, .weight = 1, .label_smoothing = 0.1f};
  show("cross-entropy, smoothed", run_loss, &x, element + of_f32);
  show("adamw", run_adamw, &x, 7 * of_f32 / 4);
  for (int i = 0; i < 5; i++)
    ft_free(*arrays[i]);
  for (int i = 0; i < 3; i++)
    ft_free(*floats[i]);
  ft_free(x.position), ft_free(x.target);
}

/* ---------------------------------------------------------------- codes */

enum { WEIGHTS = 32 << 20 };

typedef struct coded {
  ft_code code;
  void *weights, *codes, *other;
} coded;

static void run_copy_weights(void *p) {
  coded *x = p;
  copy_in_parts(x->other, x->weights, WEIGHTS * (int64_t)ft_dtype_bytes(type));
}
static void run_code_read(void *p) {
  coded *x = p;
  ft_code_read(x->code, type, x->weights, x->codes, WEIGHTS);
}
static void run_code_write(void *p) {
  coded *x = p;
  ft_code_write(x->code, x->codes, type, x->weights, WEIGHTS);
}

void bench_codes(void) {
  coded x = {.weights = random_array(WEIGHTS, 1), .other = random_array(WEIGHTS, 1)};
  double whole = (double)WEIGHTS * (double)ft_dtype_bytes(type);
  check(ft_alloc(FT_MEM_OTHER, ft_code_bytes(FT_CODE_INT8, WEIGHTS), &x.codes));
  const job copy = {run_copy_weights, &x, 2 * whole};
  double copying = best_rate(&copy);
  printf("%-44s %8.1f GB/s\n", "copy", copying / 1e9);
  for (int code = FT_CODE_INT8; code < FT_CODE_NUM; code++)
    for (int read = 0; read < 2; read++) {
      x.code = (ft_code)code;
      double bytes = whole + (double)ft_code_bytes(x.code, WEIGHTS);
      const job j = {read ? run_code_read : run_code_write, &x, bytes};
      double rate = best_rate(&j);
      printf("%s %-39s %8.1f GB/s  %.3f of copying, %.3f ns an element\n", ft_code_name(x.code),
             read ? "read" : "written", rate / 1e9, rate / copying, 1e9 * bytes / rate / WEIGHTS);
      fflush(stdout);
    }
  ft_free(x.weights), ft_free(x.other), ft_free(x.codes);
}
