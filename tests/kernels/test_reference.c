/* The references' gradients against finite differences of the references' forward passes, in f32
 * inputs whose sums are taken in double. Alone: meson test -C build kernels-reference */
#include "support.h"

/* A function of several f32 arrays: writes `out`, whose dot product with `weights` is what is
 * differentiated. */
typedef void forward_function(void *context, array *out);

static double value_of(forward_function *forward, void *context, array *out, const array *weights) {
  forward(context, out);
  double sum = 0;
  for (int64_t i = 0; i < out->count; i++)
    sum += get(out, i) * get(weights, i);
  return sum;
}

/* Central differences of every `step`-th element of x. */
static void check_gradient(const char *what, forward_function *forward, void *context, array *out,
                           const array *weights, array *x, const array *gradient) {
  for (int64_t i = 0; i < x->count; i += 1 + x->count / 40) {
    double before = get(x, i), h = 1.0 / 64;
    set(x, i, before + h);
    double above = value_of(forward, context, out, weights);
    set(x, i, before - h);
    double below = value_of(forward, context, out, weights);
    set(x, i, before);
    double expected = (above - below) / (2 * h), found = get(gradient, i);
    if (!(fabs(found - expected) <= 2e-3 * (1 + fabs(expected))))
      fail_msg("%s: gradient of element %lld is %.6g, differences say %.6g", what, (long long)i,
               found, expected);
  }
}

/* ---------------------------------------------------------------- each kernel */

typedef struct context {
  array a, b, c, other;
  ft_attention attention;
  int32_t target[8], position[8];
} context;

enum { M = 5, N = 7, K = 6, HEADS = 3, DIM = 8, ROWS = 4 };

static void matmul_forward(void *p, array *out) {
  context *x = p;
  ft_ref_matmul_forward(FT_F32, FT_F32, M, N, K, x->a.data, K, x->b.data, x->c.data, out->data, N,
                        false);
}

static void matmul_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, M * K, 1, 1),
               .b = array_random(FT_F32, N * K, 2, 1),
               .c = array_random(FT_F32, N, 3, 1)};
  array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 4, 1);
  array dx = array_new(FT_F32, M * K), dw = array_new(FT_F32, N * K), db = array_new(FT_F32, N);
  ft_ref_matmul_backward_input(FT_F32, FT_F32, M, N, K, dy.data, N, x.b.data, dx.data, K, false);
  ft_ref_matmul_backward_weight(FT_F32, FT_F32, M, N, K, dy.data, N, x.a.data, K, dw.data, false);
  ft_ref_bias_backward(FT_F32, FT_F32, M, N, dy.data, N, db.data);
  check_gradient("dx", matmul_forward, &x, &out, &dy, &x.a, &dx);
  check_gradient("dw", matmul_forward, &x, &out, &dy, &x.b, &dw);
  check_gradient("db", matmul_forward, &x, &out, &dy, &x.c, &db);
  array *all[] = {&x.a, &x.b, &x.c, &out, &dy, &dx, &dw, &db};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void norm_forward(void *p, array *out) {
  context *x = p;
  ft_ref_rmsnorm_forward(FT_F32, M, N, x->a.data, NULL, NULL, x->b.data, 1e-5f, out->data,
                         x->other.data);
}

static void norm_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, M * N, 1, 2),
               .b = array_random(FT_F32, N, 2, 1),
               .other = array_new(FT_F32, M)};
  array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 3, 1);
  array dx = array_new(FT_F32, M * N), dw = array_new(FT_F32, N);
  norm_forward(&x, &out);
  ft_ref_rmsnorm_backward(FT_F32, M, N, dy.data, x.a.data, x.other.data, x.b.data, dx.data, NULL,
                          dw.data);
  check_gradient("dx", norm_forward, &x, &out, &dy, &x.a, &dx);
  check_gradient("dw", norm_forward, &x, &out, &dy, &x.b, &dw);
  array *all[] = {&x.a, &x.b, &x.other, &out, &dy, &dx, &dw};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void head_norm_forward(void *p, array *out) {
  context *x = p;
  ft_ref_head_norm_forward(FT_F32, ROWS, HEADS, DIM, x->a.data, HEADS * DIM, x->b.data, 1e-6f,
                           out->data, x->other.data);
}

static void head_norm_gradient(void **state) {
  (void)state;
  int64_t count = ROWS * HEADS * DIM;
  context x = {.a = array_random(FT_F32, count, 1, 2),
               .b = array_random(FT_F32, DIM, 2, 1),
               .other = array_new(FT_F32, ROWS * HEADS)};
  array out = array_new(FT_F32, count), dy = array_random(FT_F32, count, 3, 1);
  array dx = array_new(FT_F32, count), dw = array_new(FT_F32, DIM);
  head_norm_forward(&x, &out);
  ft_ref_head_norm_backward(FT_F32, ROWS, HEADS, DIM, dy.data, x.a.data, HEADS * DIM, x.other.data,
                            x.b.data, dx.data, dw.data);
  check_gradient("dx", head_norm_forward, &x, &out, &dy, &x.a, &dx);
  check_gradient("dw", head_norm_forward, &x, &out, &dy, &x.b, &dw);
  array *all[] = {&x.a, &x.b, &x.other, &out, &dy, &dx, &dw};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void swiglu_forward(void *p, array *out) {
  context *x = p;
  ft_ref_swiglu_forward(FT_F32, M, N, x->a.data, x->b.data, out->data);
}

static void swiglu_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, M * N, 1, 2), .b = array_random(FT_F32, M * N, 2, 1)};
  array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 3, 1);
  array dgate = array_new(FT_F32, M * N), dup = array_new(FT_F32, M * N);
  ft_ref_swiglu_backward(FT_F32, M, N, dy.data, x.a.data, x.b.data, dgate.data, dup.data, NULL);
  check_gradient("dgate", swiglu_forward, &x, &out, &dy, &x.a, &dgate);
  check_gradient("dup", swiglu_forward, &x, &out, &dy, &x.b, &dup);
  array *all[] = {&x.a, &x.b, &out, &dy, &dgate, &dup};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void rotary_forward(void *p, array *out) {
  context *x = p;
  memcpy(out->data, x->a.data, (size_t)out->count * 4);
  ft_ref_rotary(FT_F32, ROWS, HEADS, DIM, out->data, HEADS * DIM, x->position, x->b.data, false);
}

static void rotary_gradient(void **state) {
  (void)state;
  int64_t count = ROWS * HEADS * DIM;
  context x = {.a = array_random(FT_F32, count, 1, 1),
               .b = array_random(FT_F32, DIM / 2, 2, 1),
               .position = {0, 1, 2, 300}};
  array out = array_new(FT_F32, count), dy = array_random(FT_F32, count, 3, 1);
  array dx = array_copy(&dy);
  ft_ref_rotary(FT_F32, ROWS, HEADS, DIM, dx.data, HEADS * DIM, x.position, x.b.data, true);
  check_gradient("dx", rotary_forward, &x, &out, &dy, &x.a, &dx);
  array *all[] = {&x.a, &x.b, &out, &dy, &dx};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void loss_forward(void *p, array *out) {
  context *x = p;
  ft_ref_cross_entropy(FT_F32, M, N, x->a.data, x->target, 1, out->data, NULL);
}

static void loss_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, M * N, 1, 2), .target = {0, 6, 3, 3, 1}};
  array out = array_new(FT_F32, M), ones = array_new(FT_F32, M), d = array_new(FT_F32, M * N);
  for (int64_t i = 0; i < M; i++)
    set(&ones, i, 0.5);
  ft_ref_cross_entropy(FT_F32, M, N, x.a.data, x.target, 0.5f, out.data, d.data);
  check_gradient("dlogits", loss_forward, &x, &out, &ones, &x.a, &d);
  array *all[] = {&x.a, &out, &ones, &d};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static void attention_forward(void *p, array *out) {
  context *x = p;
  const ft_attention *a = &x->attention;
  int64_t q = a->heads * a->head_dim, kv = a->kv_heads * a->head_dim;
  assert_ok(ft_ref_attention_forward(a, x->a.data, q, x->b.data, kv, x->c.data, kv, out->data, q,
                                     x->other.data));
}

static void attention_gradient(void **state) {
  (void)state;
  enum { TOKENS = 14, KV_HEADS = 2, Q_HEADS = 4 };
  const int64_t offsets[] = {0, 9, 9, TOKENS}, windows[] = {0, 4};
  int64_t q = Q_HEADS * DIM, kv = KV_HEADS * DIM;
  for (int w = 0; w < 2; w++) {
    context x = {.a = array_random(FT_F32, TOKENS * q, 1, 1),
                 .b = array_random(FT_F32, TOKENS * kv, 2, 1),
                 .c = array_random(FT_F32, TOKENS * kv, 3, 1),
                 .other = array_new(FT_F32, Q_HEADS * TOKENS),
                 .attention = {.type = FT_F32,
                               .heads = Q_HEADS,
                               .kv_heads = KV_HEADS,
                               .head_dim = DIM,
                               .window = windows[w],
                               .num_documents = 3,
                               .offsets = offsets}};
    array out = array_new(FT_F32, TOKENS * q), d_o = array_random(FT_F32, TOKENS * q, 4, 1);
    array dq = array_new(FT_F32, TOKENS * q), dk = array_new(FT_F32, TOKENS * kv);
    array dv = array_new(FT_F32, TOKENS * kv);
    attention_forward(&x, &out);
    assert_ok(ft_ref_attention_backward(&x.attention, x.a.data, q, x.b.data, kv, x.c.data, kv,
                                        out.data, d_o.data, q, x.other.data, dq.data, dk.data,
                                        dv.data));
    check_gradient("dq", attention_forward, &x, &out, &d_o, &x.a, &dq);
    check_gradient("dk", attention_forward, &x, &out, &d_o, &x.b, &dk);
    check_gradient("dv", attention_forward, &x, &out, &d_o, &x.c, &dv);
    array *all[] = {&x.a, &x.b, &x.c, &x.other, &out, &d_o, &dq, &dk, &dv};
    for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
      array_free(all[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matmul_gradient),    cmocka_unit_test(norm_gradient),
      cmocka_unit_test(head_norm_gradient), cmocka_unit_test(swiglu_gradient),
      cmocka_unit_test(rotary_gradient),    cmocka_unit_test(loss_gradient),
      cmocka_unit_test(attention_gradient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
