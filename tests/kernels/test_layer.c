/* Norms, activations, rotary embeddings, embeddings and residuals against the reference: every
 * kind, both types, odd sizes, every instruction set; equal bits for any number of threads. Alone:
 * meson test -C build kernels-layer */
#include "support.h"

/* rows, heads, width, gap at the end of a row */
static const int64_t shapes[][4] = {
    {1, 1, 1, 0},    {3, 1, 17, 0}, {17, 1, 63, 0}, {65, 1, 65, 7}, {130, 1, 200, 0},
    {2, 1, 4096, 0}, {3, 2, 24, 5}, {65, 3, 64, 0}, {40, 5, 80, 1}, {100, 1, 128, 32}};

static ft_rows shape_of(size_t i) {
  const int64_t *s = shapes[i];
  return (ft_rows){.rows = s[0], .heads = s[1], .width = s[2], .stride = s[1] * s[2] + s[3]};
}

/* ---------------------------------------------------------------- norms */

static const ft_norm norms[] = {{FT_NORM_RMS, false, 1e-5f},
                                {FT_NORM_RMS, true, 1e-3f},
                                {FT_NORM_LAYER, false, 1e-5f},
                                {FT_NORM_LAYER, true, 1e-12f}};

static void check_forward(const ft_norm *norm, ft_dtype type, const ft_rows *shape, bool summed) {
  int64_t count = shape->rows * shape->stride, heads = shape->rows * shape->heads;
  array x = array_random(type, count, 1, 1), branch = array_random(type, count, 2, 1);
  array w = array_random(type, shape->width, 3, 1), b = array_random(type, shape->width, 4, 1);
  array ref_y = array_copy(&x), ref_sum = array_copy(&x), ref_rstd = array_new(FT_F32, heads);
  const void *bias = norm->kind == FT_NORM_LAYER && shape->width != 17 ? b.data : NULL;
  if (summed)
    ft_ref_norm_sum_forward(norm, type, ref_y.data, ref_sum.data, ref_rstd.data, x.data,
                            branch.data, 0.22f, w.data, bias, shape);
  else
    ft_ref_norm_forward(norm, type, ref_y.data, ref_rstd.data, x.data, w.data, bias, shape);
  FOR_THREADS {
    omp_set_num_threads(threads);
    array y = array_copy(&x), sum = array_copy(&x), rstd = array_new(FT_F32, heads);
    if (summed)
      ft_norm_sum_forward(norm, type, y.data, sum.data, rstd.data, x.data, branch.data, 0.22f,
                          w.data, bias, shape);
    else
      ft_norm_forward(norm, type, y.data, rstd.data, y.data, w.data, bias, shape); /* in place */
    /* a plain CPU rounds the product too, which may take bf16 to its neighbour */
    assert_near("sum", &sum, &ref_sum, relative_of(type) / 2, 1e-7);
    bool one = shape->width == 1 && norm->kind == FT_NORM_LAYER; /* 0 · rstd, and rstd is large */
    bool rounded_sum = summed && type == FT_BF16;                /* whose rounding may differ */
    assert_near("y", &y, &ref_y, relative_of(type), rounded_sum ? 5e-2 : 2e-5);
    if (!one && !rounded_sum) assert_near("rstd", &rstd, &ref_rstd, 1e-5, 0);
    ARRAYS_FREE(&y, &sum, &rstd);
  }
  ARRAYS_FREE(&x, &branch, &w, &b, &ref_y, &ref_sum, &ref_rstd);
}

/* Which gradients are asked for. */
typedef struct wanted {
  bool dx, accumulate, dx16, dw;
} wanted;
static const wanted all_wanted[] = {{true, true, true, true},
                                    {true, false, true, true},
                                    {false, false, true, true},
                                    {true, true, false, false}};

static void check_backward(const ft_norm *norm, ft_dtype type, const ft_rows *shape, wanted want) {
  int64_t count = shape->rows * shape->stride, n = shape->width;
  array x = array_random(type, count, 1, 1), w = array_random(type, n, 3, 1);
  array dy = array_random(type, count, 4, 1), y = array_copy(&x);
  array rstd = array_new(FT_F32, shape->rows * shape->heads);
  array dx0 = array_random(FT_F32, count, 5, 1), ref_dx = array_copy(&dx0),
        ref_dx16 = array_copy(&dy);
  array ref_dw = array_new(FT_F32, n), ref_db = array_new(FT_F32, n), first_dw = {0},
        first_db = {0};
  ft_ref_norm_forward(norm, type, y.data, rstd.data, x.data, w.data, NULL, shape);
  ft_norm_gradient expected = {.dx = want.dx ? ref_dx.data : NULL,
                               .accumulate = want.accumulate,
                               .dx16 = want.dx16 ? ref_dx16.data : NULL,
                               .dw = ref_dw.data,
                               .db = ref_db.data};
  array dy0 = array_copy(&dy); /* the reference must not write over what it still reads */
  assert_ok(
      ft_ref_norm_backward(norm, type, &expected, dy0.data, x.data, rstd.data, w.data, shape));
  FOR_THREADS {
    omp_set_num_threads(threads);
    array dx = array_copy(&dx0), dx16 = array_copy(&dy), dw = array_new(FT_F32, n);
    array db = array_new(FT_F32, n);
    ft_norm_gradient out = {.dx = want.dx ? dx.data : NULL,
                            .accumulate = want.accumulate,
                            .dx16 = want.dx16 ? dx16.data : NULL, /* in place of dy */
                            .dw = want.dw ? dw.data : NULL,
                            .db = want.dw ? db.data : NULL};
    ft_norm_backward(norm, type, &out, want.dx16 ? dx16.data : dy.data, x.data, rstd.data, w.data,
                     shape);
    assert_near("dx", &dx, &ref_dx, 2e-5, 5e-5);
    if (want.dx16) assert_near("dx16", &dx16, &ref_dx16, relative_of(type), 5e-5);
    if (want.dw) {
      assert_near("dw", &dw, &ref_dw, 2e-5, 5e-5);
      assert_near("db", &db, &ref_db, 2e-5, 5e-5);
    }
    assert_same_for_threads(threads, &first_dw, &dw);
    assert_same_for_threads(threads, &first_db, &db);
    ARRAYS_FREE(&dx, &dx16, &dw, &db);
  }
  ARRAYS_FREE(&x, &w, &dy, &dy0, &y, &rstd, &dx0, &ref_dx, &ref_dx16, &ref_dw, &ref_db);
}

static void check_norms(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(shapes); s++)
    for (size_t k = 0; k < FT_ARRAY_SIZE(norms); k++)
      for (int t = 0; t < 2; t++) {
        ft_rows shape = shape_of(s);
        check_forward(&norms[k], both_types[t], &shape, false);
        check_forward(&norms[k], both_types[t], &shape, true);
        if (shape.width == 1 && norms[k].kind == FT_NORM_LAYER) continue; /* rstd without end */
        check_backward(&norms[k], both_types[t], &shape, all_wanted[(s + k) % 4]);
      }
}
static void norms_equal_reference(void **state) {
  (void)state;
  for_each_level(check_norms);
}

/* A mean that is large beside the deviation must not cost its digits. */
static void check_far_mean(void) {
  enum { N = 300 };
  const ft_norm norm = {FT_NORM_LAYER, false, 1e-12f};
  const ft_rows shape = ft_rows_whole(1, N);
  array x = array_random(FT_F32, N, 1, 1), w = array_new(FT_F32, N), y = array_new(FT_F32, N);
  array ref_y = array_new(FT_F32, N), rstd = array_new(FT_F32, 1);
  for (int64_t i = 0; i < N; i++) {
    set(&x, i, get(&x, i) + 1000);
    set(&w, i, 1);
  }
  ft_norm_forward(&norm, FT_F32, y.data, rstd.data, x.data, w.data, NULL, &shape);
  ft_ref_norm_forward(&norm, FT_F32, ref_y.data, rstd.data, x.data, w.data, NULL, &shape);
  assert_near("y", &y, &ref_y, 1e-4, 2e-4);
  ARRAYS_FREE(&x, &w, &y, &ref_y, &rstd);
}
static void far_mean(void **state) {
  (void)state;
  for_each_level(check_far_mean);
}

/* ---------------------------------------------------------------- activations */

static ft_activation activation_of(int kind) {
  return (ft_activation){.kind = (ft_activation_kind)kind,
                         .alpha_p = 0.7f,
                         .alpha_n = -0.4f,
                         .beta = 0.5f,
                         .eps = -1e-6f};
}

static void check_activation(ft_dtype type, const ft_activation *act, int64_t count) {
  array x = array_random(type, count, 1, 3), dy = array_random(type, count, 2, 1);
  set(&x, 0, 150); /* far out on both sides, and next to nothing */
  set(&x, count / 3, -150);
  set(&x, count / 2, -1e-7);
  set(&x, count - 1, 0);
  array ref_y = array_new(type, count), ref_dx = array_new(type, count);
  array ref_alpha = array_new(FT_F32, 2), first = {0};
  bool trained = act->kind == FT_ACT_XIELU;
  ft_ref_activation_backward(act, type, ref_dx.data, ref_y.data, trained ? ref_alpha.data : NULL,
                             dy.data, x.data, count);
  FOR_THREADS {
    omp_set_num_threads(threads);
    array y = array_new(type, count), dx = array_copy(&dy), again = array_copy(&x);
    array alpha = array_new(FT_F32, 2);
    ft_activation_forward(act, type, y.data, x.data, count);
    assert_near("act(x)", &y, &ref_y, relative_of(type), 1e-6);
    ft_activation_backward(act, type, dx.data, again.data, trained ? alpha.data : NULL, dx.data,
                           again.data, count); /* in place */
    assert_true(array_equal(&again, &y));
    assert_near("dx", &dx, &ref_dx, relative_of(type), 2e-6);
    assert_near("d_alpha", &alpha, &ref_alpha, 2e-5, 1e-5);
    assert_same_for_threads(threads, &first, &alpha);
    ARRAYS_FREE(&y, &dx, &again, &alpha);
  }
  ARRAYS_FREE(&x, &dy, &ref_y, &ref_dx, &ref_alpha);
}

static void check_activations(void) {
  const int64_t counts[] = {1, 3, 17, 63, 65, 20011};
  for (size_t c = 0; c < FT_ARRAY_SIZE(counts); c++)
    for (int kind = 0; kind < FT_ACT_NUM; kind++)
      for (int t = 0; t < 2; t++) {
        const ft_activation act = activation_of(kind);
        check_activation(both_types[t], &act, counts[c]);
      }
}
static void activations_equal_reference(void **state) {
  (void)state;
  for_each_level(check_activations);
}

/* In f32 over the whole range: how many roundings of f32 (of the value, but of at least `floor`)
 * the result is away from double. */
static double worst_error(const ft_activation *act, double floor) {
  enum { N = 24001 };
  static float x[N], y[N];
  double worst = 0;
  for (int i = 0; i < N; i++)
    x[i] = (float)(i - N / 2) / 1000.0f;
  ft_activation_forward(act, FT_F32, y, x, N);
  for (int i = 0; i < N; i++) {
    float exact_f32;
    double v = (double)x[i], exact;
    ft_ref_activation_forward(act, FT_F32, &exact_f32, &x[i], 1);
    exact = act->kind == FT_ACT_TANH   ? tanh(v)
            : act->kind == FT_ACT_GELU ? 0.5 * v * erfc(-v / sqrt(2.0))
                                       : (double)exact_f32;
    worst = fmax(worst, fabs((double)y[i] - exact) / fmax(fabs(exact), floor));
  }
  return worst / 0x1p-24;
}

/* tanh is right to 4 roundings everywhere and gelu to 100 even where it is 1e-32; the others to few
 * of a value that is not next to nothing: xIELU's terms may cancel. */
static void check_accuracy(void) {
  const ft_activation tanh_ = activation_of(FT_ACT_TANH), gelu = activation_of(FT_ACT_GELU);
  const ft_activation gelu_tanh = activation_of(FT_ACT_GELU_TANH);
  const ft_activation xielu = activation_of(FT_ACT_XIELU);
  assert_true(worst_error(&tanh_, 1e-30) < 4);
  assert_true(worst_error(&gelu, 1e-30) < 100);
  assert_true(worst_error(&gelu_tanh, 1e-5) < 40);
  assert_true(worst_error(&xielu, 1) < 8);
}
static void accuracy(void **state) {
  (void)state;
  for_each_level(check_accuracy);
}

/* What is not a number must not come out as one. */
static void check_not_a_number(void) {
  for (int kind = 0; kind < FT_ACT_NUM; kind++) {
    const ft_activation act = activation_of(kind);
    float x[3] = {1, NAN, -1}, y[3];
    ft_activation_forward(&act, FT_F32, y, x, 3);
    assert_true(y[0] == y[0] && y[1] != y[1] && y[2] == y[2]);
  }
}
static void not_a_number(void **state) {
  (void)state;
  for_each_level(check_not_a_number);
}

static void check_gated_of(ft_dtype type, ft_activation_kind act, const ft_rows *shape) {
  int64_t count = shape->rows * shape->stride, dense = shape->rows * shape->width;
  array gate = array_random(type, count, 1, 4), up = array_random(type, count, 2, 1);
  array da = array_random(type, dense, 3, 1), ref_a = array_new(type, dense);
  array ref_dgate = array_copy(&gate), ref_dup = array_copy(&up);
  set(&gate, 0, 200);
  set(&gate, count - 1, -200);
  ft_ref_gated_backward(act, type, ref_dgate.data, ref_dup.data, ref_a.data, da.data, gate.data,
                        up.data, shape);
  FOR_THREADS {
    omp_set_num_threads(threads);
    array a = array_new(type, dense);
    array d = array_copy(&da), g = array_copy(&gate), u = array_copy(&up); /* in place */
    ft_gated_forward(act, type, a.data, gate.data, up.data, shape);
    assert_near("a", &a, &ref_a, relative_of(type), 1e-6);
    ft_gated_backward(act, type, g.data, u.data, d.data, d.data, g.data, u.data, shape);
    assert_true(array_equal(&d, &a));
    for (int64_t r = 0; r < shape->rows; r++) /* gaps keep what they held */
      for (int64_t i = shape->width; i < shape->stride; i++)
        set(&ref_dgate, r * shape->stride + i, get(&gate, r * shape->stride + i));
    assert_near("dgate", &g, &ref_dgate, relative_of(type), 2e-6);
    assert_near("dup", &u, &ref_dup, relative_of(type), 2e-6);
    ARRAYS_FREE(&a, &d, &g, &u);
  }
  ARRAYS_FREE(&gate, &up, &da, &ref_a, &ref_dgate, &ref_dup);
}

static void check_gated(void) {
  const ft_rows of_gated[] = {{1, 1, 1, 1},     {3, 1, 17, 17},     {17, 1, 63, 65},
                              {65, 1, 65, 130}, {130, 1, 200, 200}, {3, 1, 5000, 10000}};
  for (size_t s = 0; s < FT_ARRAY_SIZE(of_gated); s++)
    for (int kind = 0; kind < FT_ACT_XIELU; kind++)
      for (int t = 0; t < 2; t++)
        check_gated_of(both_types[t], (ft_activation_kind)kind, &of_gated[s]);
}
static void gated_equals_reference(void **state) {
  (void)state;
  for_each_level(check_gated);
}

/* ---------------------------------------------------------------- rotary embedding */

static void check_rope(ft_dtype type, const ft_rope *rope, const uint8_t *table,
                       const int32_t *position, const ft_rows *shape) {
  array x = array_random(type, shape->rows * shape->stride, 1, 1);
  int64_t queries = shape->heads / 2;
  for (int backward = 0; backward < 2; backward++) {
    array expected = array_copy(&x);
    ft_ref_rope_apply(rope, type, expected.data, position, table, queries, shape, backward);
    FOR_THREADS {
      omp_set_num_threads(threads);
      array found = array_copy(&x);
      ft_rope_apply(rope, type, found.data, position, table, queries, shape, backward);
      assert_near("rope", &found, &expected, type == FT_F32 ? 2e-6 : 8e-3, 1e-6);
      array_free(&found);
    }
    array_free(&expected);
  }
  array_free(&x);
}

static void check_ropes(void) {
  enum { MOST_ROWS = 130, MOST_HALF = 200 };
  static int32_t position[MOST_ROWS];
  static uint8_t table[MOST_ROWS];
  static float inv_freq[2 * MOST_HALF];
  for (int r = 0; r < MOST_ROWS; r++) {
    position[r] = r < 4 ? r : r * 7919 % 131072; /* short and very long */
    table[r] = (uint8_t)(r % 3 == 1);
  }
  for (size_t s = 3; s < FT_ARRAY_SIZE(shapes); s++)
    for (int variant = 0; variant < 8; variant++) {
      ft_rows shape = shape_of(s);
      int64_t width = shape.width / (variant & 1 ? 2 : 1) / 2 * 2;
      if (shape.width > 2 * MOST_HALF) continue;
      for (int64_t i = 0; i < width; i++) /* two tables */
        inv_freq[i] = (float)pow(10000.0, -2.0 * (double)i / (double)width);
      const ft_rope rope = {.width = width,
                            .neighbours = (variant & 2) != 0,
                            .attention_factor = variant & 4 ? 1.19f : 1.0f,
                            .inv_freq = inv_freq,
                            .query_beta = variant & 4 ? 0.1f : 0,
                            .query_positions = 16};
      check_rope(both_types[variant % 3 == 0], &rope, variant & 1 ? table : NULL, position, &shape);
    }
}
static void rope_equals_reference(void **state) {
  (void)state;
  for_each_level(check_ropes);
}

/* ---------------------------------------------------------------- embedding, residuals */

enum { TOKENS = 100, VOCAB = 37 };

static void check_embeddings_of(ft_dtype type, int64_t n, bool with_base, bool several) {
  uint32_t ids[TOKENS], places[TOKENS];
  for (uint32_t i = 0; i < TOKENS; i++) {
    ids[i] = i % 9 == 4 ? FT_NO_TOKEN : i * i % VOCAB;
    places[i] = i % 11 == 3 ? FT_NO_TOKEN : i % 11;
  }
  const int64_t first = 5, entries = 20, padding = several ? 7 : -1;
  array table = array_random(type, VOCAB * n, 1, 1), other = array_random(type, 11 * n, 2, 1);
  array dx = array_random(FT_F32, TOKENS * n, 3, 1), base = array_random(FT_F32, entries * n, 4, 1);
  array out = array_new(type, TOKENS * n), ref_out = array_new(type, TOKENS * n);
  array d = array_new(type, entries * n), ref_d = array_new(type, entries * n);
  float scale = several ? 7.25f : 1.0f; /* few bits: products are exact, and so is the comparison */
  const ft_embedding e[] = {
      {table.data, ids, scale}, {other.data, places, 1}, {other.data, NULL, 1}};
  const float *b = with_base ? base.data : NULL;
  ft_ref_embeddings_forward(type, ref_out.data, e, several ? 3 : 1, TOKENS, n);
  ft_ref_embeddings_backward(type, ref_d.data, e, dx.data, b, first, entries, padding, TOKENS, n);
  FOR_THREADS {
    omp_set_num_threads(threads);
    ft_embeddings_forward(type, out.data, e, several ? 3 : 1, TOKENS, n);
    if (several)
      assert_near("out", &out, &ref_out, relative_of(type), 1e-6);
    else
      assert_true(array_equal(&out, &ref_out));
    assert_ok(
        ft_embeddings_backward(type, d.data, e, dx.data, b, first, entries, padding, TOKENS, n));
    if (several)
      assert_near("d", &d, &ref_d, relative_of(type), 1e-5);
    else
      assert_true(array_equal(&d, &ref_d)); /* the order of the sums is part of the contract */
  }
  ARRAYS_FREE(&table, &other, &dx, &base, &out, &ref_out, &d, &ref_d);
}

/* A table of token types that all tokens share: the first entry gets everything. */
static void check_shared_entry(void) {
  enum { N = 17 };
  const ft_embedding e = {.scale = 1};
  array dx = array_random(FT_F32, TOKENS * N, 1, 1), d = array_new(FT_F32, 2 * N);
  array ref_d = array_new(FT_F32, 2 * N);
  ft_ref_embeddings_backward(FT_F32, ref_d.data, &e, dx.data, NULL, 0, 2, -1, TOKENS, N);
  assert_ok(ft_embeddings_backward(FT_F32, d.data, &e, dx.data, NULL, 0, 2, -1, TOKENS, N));
  assert_true(array_equal(&d, &ref_d));
  assert_true(get(&d, 0) != 0 && get(&d, N) == 0);
  ARRAYS_FREE(&dx, &d, &ref_d);
}

static void check_embeddings(void) {
  const int64_t widths[] = {1, 17, 600};
  for (size_t s = 0; s < FT_ARRAY_SIZE(widths); s++)
    for (int variant = 0; variant < 8; variant++)
      check_embeddings_of(both_types[variant & 1], widths[s], (variant & 2) != 0,
                          (variant & 4) != 0);
  check_shared_entry();
}
static void embeddings_equal_reference(void **state) {
  (void)state;
  for_each_level(check_embeddings);
}

static void check_residuals(void) {
  const int64_t counts[] = {1, 3, 17, 63, 65, 20011};
  for (size_t c = 0; c < FT_ARRAY_SIZE(counts); c++)
    for (int t = 0; t < 2; t++) {
      ft_dtype type = both_types[t];
      array a = array_random(type, counts[c], 1, 1), b = array_random(type, counts[c], 2, 1);
      array sum = array_new(type, counts[c]), scaled = array_copy(&a), whole = array_copy(&b);
      array ref_sum = array_copy(&sum), ref_scaled = array_copy(&sum), ref_whole = array_copy(&sum);
      ft_ref_add_scaled(type, ref_sum.data, a.data, b.data, 0.22f, counts[c]);
      ft_ref_add_scaled(type, ref_whole.data, a.data, b.data, 1.0f, counts[c]);
      ft_ref_scale(type, ref_scaled.data, a.data, 0.22f, counts[c]);
      omp_set_num_threads(1 + (int)c % 3);
      ft_add_scaled(type, sum.data, a.data, b.data, 0.22f, counts[c]);
      ft_add_scaled(type, whole.data, a.data, whole.data, 1.0f, counts[c]); /* in place */
      ft_scale(type, scaled.data, scaled.data, 0.22f, counts[c]);
      assert_near("a + m b", &sum, &ref_sum, relative_of(type), 1e-7);
      assert_near("m a", &scaled, &ref_scaled, relative_of(type) / 2, 0);
      assert_true(array_equal(&whole, &ref_whole)); /* a sum is rounded once */
      ARRAYS_FREE(&a, &b, &sum, &scaled, &whole, &ref_sum, &ref_scaled, &ref_whole);
    }
}
static void residuals_equal_reference(void **state) {
  (void)state;
  for_each_level(check_residuals);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norms_equal_reference),
      cmocka_unit_test(far_mean),
      cmocka_unit_test(activations_equal_reference),
      cmocka_unit_test(accuracy),
      cmocka_unit_test(not_a_number),
      cmocka_unit_test(gated_equals_reference),
      cmocka_unit_test(rope_equals_reference),
      cmocka_unit_test(embeddings_equal_reference),
      cmocka_unit_test(residuals_equal_reference),
  };
  return cmocka_run_group_tests(tests, kernels_start, kernels_end);
}
