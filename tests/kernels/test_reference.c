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
  ft_norm norm;
  ft_activation activation;
  ft_rope rope;
  ft_loss loss;
  ft_rows shape;
  int32_t target[8], position[8];
  uint32_t ids[8];
} context;

enum { M = 5, N = 7, K = 6, HEADS = 3, DIM = 8, ROWS = 4 };

static ft_matmul linear_map(const context *x) {
  return (ft_matmul){.type = FT_F32,
                     .out_type = FT_F32,
                     .m = M,
                     .n = N,
                     .k = K,
                     .x = x->a.data,
                     .x_stride = K,
                     .w = x->b.data,
                     .bias = x->c.data};
}

static void matmul_forward(void *p, array *out) {
  context *x = p;
  ft_matmul product = linear_map(x);
  product.out = out->data, product.out_stride = N;
  ft_ref_matmul_forward(&product);
}

static void matmul_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, M * K, 1, 1),
               .b = array_random(FT_F32, N * K, 2, 1),
               .c = array_random(FT_F32, N, 3, 1)};
  array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 4, 1);
  array dx = array_new(FT_F32, M * K), dw = array_new(FT_F32, N * K), db = array_new(FT_F32, N);
  ft_matmul p = linear_map(&x);
  p.dy = dy.data, p.dy_stride = N, p.out = dx.data, p.out_stride = K;
  ft_ref_matmul_backward_input(&p);
  p.out = dw.data;
  ft_ref_matmul_backward_weight(&p);
  ft_ref_bias_backward(FT_F32, FT_F32, M, N, dy.data, N, db.data);
  check_gradient("dx", matmul_forward, &x, &out, &dy, &x.a, &dx);
  check_gradient("dw", matmul_forward, &x, &out, &dy, &x.b, &dw);
  check_gradient("db", matmul_forward, &x, &out, &dy, &x.c, &db);
  array *all[] = {&x.a, &x.b, &x.c, &out, &dy, &dx, &dw, &db};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}

static const ft_norm norms[] = {{FT_NORM_RMS, false, 1e-5f},
                                {FT_NORM_RMS, true, 1e-5f},
                                {FT_NORM_LAYER, false, 1e-5f},
                                {FT_NORM_LAYER, true, 1e-5f}};

static void norm_forward(void *p, array *out) {
  context *x = p;
  ft_ref_norm_forward(&x->norm, FT_F32, out->data, x->other.data, x->a.data, x->b.data,
                      x->norm.kind == FT_NORM_LAYER ? x->c.data : NULL, &x->shape);
}

/* Over rows, and over heads of rows. */
static void norm_gradient(void **state) {
  (void)state;
  const ft_rows shapes[] = {ft_rows_whole(M, N), {ROWS, HEADS, DIM, HEADS * DIM}};
  for (int i = 0; i < 8; i++) {
    context x = {.norm = norms[i / 2], .shape = shapes[i % 2]};
    int64_t n = x.shape.width, heads = x.shape.rows * x.shape.heads, count = heads * n;
    x.a = array_random(FT_F32, count, 1, 2);
    x.b = array_random(FT_F32, n, 2, 1);
    x.c = array_random(FT_F32, n, 3, 1);
    x.other = array_new(FT_F32, heads);
    array out = array_new(FT_F32, count), dy = array_random(FT_F32, count, 4, 1);
    array dx = array_new(FT_F32, count), dw = array_new(FT_F32, n), db = array_new(FT_F32, n);
    const ft_norm_gradient gradient = {.dx = dx.data, .dw = dw.data, .db = db.data};
    norm_forward(&x, &out);
    assert_ok(ft_ref_norm_backward(&x.norm, FT_F32, &gradient, dy.data, x.a.data, x.other.data,
                                   x.b.data, &x.shape));
    check_gradient("dx", norm_forward, &x, &out, &dy, &x.a, &dx);
    check_gradient("dw", norm_forward, &x, &out, &dy, &x.b, &dw);
    if (x.norm.kind == FT_NORM_LAYER) check_gradient("db", norm_forward, &x, &out, &dy, &x.c, &db);
    ARRAYS_FREE(&x.a, &x.b, &x.c, &x.other, &out, &dy, &dx, &dw, &db);
  }
}

static void activation_forward(void *p, array *out) {
  context *x = p;
  ft_activation act = x->activation;
  act.alpha_p = (float)get(&x->b, 0);
  act.alpha_n = (float)get(&x->b, 1);
  ft_ref_activation_forward(&act, FT_F32, out->data, x->a.data, M * N);
}

static void activation_gradient(void **state) {
  (void)state;
  for (int kind = 0; kind < FT_ACT_NUM; kind++) {
    context x = {.a = array_random(FT_F32, M * N, 1, 2), .b = array_new(FT_F32, 2)};
    array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 2, 1);
    array dx = array_new(FT_F32, M * N), d_alpha = array_new(FT_F32, 2);
    bool trained = kind == FT_ACT_XIELU;
    x.activation = (ft_activation){(ft_activation_kind)kind, 0.3f, -0.2f, 0.5f, -1e-6f};
    set(&x.b, 0, 0.3);
    set(&x.b, 1, -0.2);
    for (int64_t i = 0; i < M * N; i++) /* differences must not reach over a kink */
      if (fabs(get(&x.a, i)) < 0.05) set(&x.a, i, 0.3);
    ft_ref_activation_backward(&x.activation, FT_F32, dx.data, NULL, trained ? d_alpha.data : NULL,
                               dy.data, x.a.data, M * N);
    check_gradient("dx", activation_forward, &x, &out, &dy, &x.a, &dx);
    if (trained) check_gradient("d_alpha", activation_forward, &x, &out, &dy, &x.b, &d_alpha);
    ARRAYS_FREE(&x.a, &x.b, &out, &dy, &dx, &d_alpha);
  }
}

static void gated_forward(void *p, array *out) {
  context *x = p;
  ft_ref_gated_forward(x->activation.kind, FT_F32, out->data, x->a.data, x->b.data, &x->shape);
}

static void gated_gradient(void **state) {
  (void)state;
  for (int kind = 0; kind < FT_ACT_XIELU; kind++) {
    context x = {.a = array_random(FT_F32, M * N, 1, 2),
                 .b = array_random(FT_F32, M * N, 2, 1),
                 .activation = {.kind = (ft_activation_kind)kind},
                 .shape = ft_rows_whole(M, N)};
    array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 3, 1);
    array dgate = array_new(FT_F32, M * N), dup = array_new(FT_F32, M * N);
    for (int64_t i = 0; i < M * N; i++)
      if (fabs(get(&x.a, i)) < 0.05) set(&x.a, i, 0.3);
    ft_ref_gated_backward(x.activation.kind, FT_F32, dgate.data, dup.data, NULL, dy.data, x.a.data,
                          x.b.data, &x.shape);
    check_gradient("dgate", gated_forward, &x, &out, &dy, &x.a, &dgate);
    check_gradient("dup", gated_forward, &x, &out, &dy, &x.b, &dup);
    ARRAYS_FREE(&x.a, &x.b, &out, &dy, &dgate, &dup);
  }
}

static void rope_forward(void *p, array *out) {
  context *x = p;
  memcpy(out->data, x->a.data, (size_t)out->count * 4);
  ft_ref_rope_apply(&x->rope, FT_F32, out->data, x->position, NULL, 1, &x->shape, false);
}

static void rope_gradient(void **state) {
  (void)state;
  int64_t count = ROWS * HEADS * DIM;
  for (int variant = 0; variant < 4; variant++) {
    context x = {.a = array_random(FT_F32, count, 1, 1),
                 .b = array_random(FT_F32, DIM / 2, 2, 1),
                 .position = {0, 1, 2, 300},
                 .shape = {ROWS, HEADS, DIM, HEADS * DIM}};
    x.rope = (ft_rope){.width = variant & 1 ? DIM / 2 : DIM,
                       .neighbours = (variant & 2) != 0,
                       .attention_factor = variant ? 1.2f : 1.0f,
                       .inv_freq = x.b.data,
                       .query_beta = variant ? 0.5f : 0,
                       .query_positions = 2};
    array out = array_new(FT_F32, count), dy = array_random(FT_F32, count, 3, 1);
    array dx = array_copy(&dy);
    ft_ref_rope_apply(&x.rope, FT_F32, dx.data, x.position, NULL, 1, &x.shape, true);
    check_gradient("dx", rope_forward, &x, &out, &dy, &x.a, &dx);
    ARRAYS_FREE(&x.a, &x.b, &out, &dy, &dx);
  }
}

static void loss_forward(void *p, array *out) {
  context *x = p;
  array logits = array_copy(&x->a);
  const ft_loss_out wanted = {.loss = out->data};
  ft_ref_loss_rows(&x->loss, FT_F32, &wanted, logits.data, x->target, NULL, M, N);
  array_free(&logits);
}

static void loss_gradient(void **state) {
  (void)state;
  const ft_loss losses[] = {{.logits = {1, 0}},
                            {.logits = {0.7f, 4}},
                            {.logits = {1, 3}, .label_smoothing = 0.2f, .z_loss = 0.05f}};
  for (size_t l = 0; l < FT_ARRAY_SIZE(losses); l++) {
    context x = {.a = array_random(FT_F32, M * N, 1, 2), .target = {0, 6, 3, 3, 1}};
    array out = array_new(FT_F32, M), weight = array_random(FT_F32, M, 2, 1);
    array d = array_new(FT_F32, M * N), logits = array_copy(&x.a);
    const ft_loss_out wanted = {.dlogits = d.data};
    x.loss = losses[l];
    ft_ref_loss_rows(&x.loss, FT_F32, &wanted, logits.data, x.target, weight.data, M, N);
    check_gradient("dlogits", loss_forward, &x, &out, &weight, &x.a, &d);
    ARRAYS_FREE(&x.a, &out, &weight, &d, &logits);
  }
}

static void embeddings_forward(void *p, array *out) {
  context *x = p;
  const ft_embedding e = {x->a.data, x->ids, 3};
  ft_ref_embeddings_forward(FT_F32, out->data, &e, 1, M, N);
}

static void embeddings_gradient(void **state) {
  (void)state;
  context x = {.a = array_random(FT_F32, 4 * N, 1, 1), .ids = {2, 0, 2, 1, 2}};
  array out = array_new(FT_F32, M * N), dy = array_random(FT_F32, M * N, 2, 1);
  array d = array_new(FT_F32, 4 * N);
  const ft_embedding e = {x.a.data, x.ids, 3};
  ft_ref_embeddings_backward(FT_F32, d.data, &e, dy.data, NULL, 0, 4, -1, M, N);
  check_gradient("table", embeddings_forward, &x, &out, &dy, &x.a, &d);
  ARRAYS_FREE(&x.a, &out, &dy, &d);
}

static ft_attention_in attention_in(const context *x) {
  const ft_attention *a = &x->attention;
  return (ft_attention_in){.q = x->a.data,
                           .k = x->b.data,
                           .v = x->c.data,
                           .q_stride = a->heads * a->head_dim,
                           .k_stride = a->kv_heads * a->head_dim,
                           .v_stride = a->kv_heads * a->head_dim};
}

static void attention_forward(void *p, array *out) {
  context *x = p;
  const ft_attention *a = &x->attention;
  const ft_attention_in in = attention_in(x);
  const ft_attention_out to = {out->data, in.q_stride, x->other.data};
  assert_ok(ft_ref_attention_forward(a, &in, &to));
}

static void attention_gradient(void **state) {
  (void)state;
  enum { TOKENS = 14, KV_HEADS = 2, Q_HEADS = 4 };
  const int64_t offsets[] = {0, 9, 9, TOKENS};
  const int64_t windows[] = {0, 4, 0, 3, 4}, aheads[] = {0, 0, FT_ATTENTION_WHOLE, 2, 0};
  const float caps[] = {0, 0, 0, 1.5f, 0.7f}, scales[] = {0, 0.4f, 0, 0.6f, 0};
  int64_t q = Q_HEADS * DIM, kv = KV_HEADS * DIM;
  for (int w = 0; w < 5; w++) {
    context x = {.a = array_random(FT_F32, TOKENS * q, 1, 1),
                 .b = array_random(FT_F32, TOKENS * kv, 2, 1),
                 .c = array_random(FT_F32, TOKENS * kv, 3, 1),
                 .other = array_new(FT_F32, Q_HEADS * TOKENS),
                 .attention = {.type = FT_F32,
                               .heads = Q_HEADS,
                               .kv_heads = KV_HEADS,
                               .head_dim = DIM,
                               .window = windows[w],
                               .ahead = aheads[w],
                               .scale = scales[w],
                               .soft_cap = caps[w],
                               .num_documents = 3,
                               .offsets = offsets}};
    array out = array_new(FT_F32, TOKENS * q), d_o = array_random(FT_F32, TOKENS * q, 4, 1);
    array dq = array_new(FT_F32, TOKENS * q), dk = array_new(FT_F32, TOKENS * kv);
    array dv = array_new(FT_F32, TOKENS * kv);
    attention_forward(&x, &out);
    const ft_attention_in in = attention_in(&x);
    const ft_attention_out to = {out.data, q, x.other.data};
    const ft_attention_gradient gradient = {d_o.data, dq.data, dk.data, dv.data};
    assert_ok(ft_ref_attention_backward(&x.attention, &in, &to, &gradient));
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
      cmocka_unit_test(matmul_gradient),     cmocka_unit_test(norm_gradient),
      cmocka_unit_test(activation_gradient), cmocka_unit_test(gated_gradient),
      cmocka_unit_test(rope_gradient),       cmocka_unit_test(loss_gradient),
      cmocka_unit_test(embeddings_gradient), cmocka_unit_test(attention_gradient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
