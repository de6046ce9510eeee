/* Conversions, norms, SwiGLU, rotary embedding, embedding, cross-entropy and AdamW against the
 * reference, in both types and odd sizes, on every instruction set; equal bits for any number of
 * threads. Alone: meson test -C build kernels-elementwise */
#include "support.h"

static const int64_t row_shapes[][2] = {{1, 1}, {3, 17}, {17, 63}, {65, 65}, {130, 200}, {2, 4096}};

/* Calls `run` with 1 to 3 threads on copies of `out`, and compares all copies with the first. */
#define FOR_THREADS for (int threads = 1; threads <= 3; threads++)

/* ---------------------------------------------------------------- conversions */

/* Bit patterns that rounding may get wrong, and random ones; signalling NaNs aside. */
static float special(int64_t i) {
  static const uint32_t bits[] = {0,          0x80000000, 0x3f800000, 0x7f800000, 0xff800000,
                                  0x7fc00000, 0x7fffffff, 0x00000001, 0x007fffff, 0x3f808000,
                                  0x3f818000, 0x3f808001, 0x7f7fffff, 0x477fe000, 0x477ff000,
                                  0x33000000, 0x33000001, 0x387fffff, 0x38800000, 0xc0490fdb};
  if (i < (int64_t)FT_ARRAY_SIZE(bits)) return ft_f32_from_bits(bits[i]);
  uint32_t words[4];
  ft_random_words(3, FT_RANDOM_BENCH, 0, (uint64_t)i, words);
  float value = ft_f32_from_bits(words[0]);
  return value != value ? 1.0f : value;
}

static void check_convert(void) {
  enum { MOST = 777 };
  float in[MOST] = {0}, back[MOST], sums[MOST];
  uint16_t half[MOST], other[MOST];
  for (int64_t count = 0; count <= MOST; count = count < 40 ? count + 1 : count * 2 + 1) {
    for (int64_t i = 0; i < count; i++)
      in[i] = special(i), sums[i] = 1.0f;
    ft_convert(FT_BF16, half, FT_F32, in, count);
    for (int64_t i = 0; i < count; i++)
      assert_int_equal(half[i], ft_bf16_from_f32(in[i]));
    ft_convert(FT_F32, back, FT_BF16, half, count);
    ft_accumulate(sums, FT_BF16, half, count);
    ft_convert(FT_F16, other, FT_BF16, half, count);
    for (int64_t i = 0; i < count; i++) {
      float expected = ft_f32_from_bf16(half[i]);
      assert_memory_equal(&back[i], &expected, 4);
      assert_int_equal(other[i], ft_f16_from_f32(expected));
      expected += 1.0f;
      assert_true(memcmp(&sums[i], &expected, 4) == 0 || expected != expected);
    }
    ft_convert(FT_F16, half, FT_F32, in, count);
    for (int64_t i = 0; i < count; i++)
      assert_int_equal(half[i], ft_f16_from_f32(in[i]));
    ft_convert(FT_F32, back, FT_F16, half, count);
    for (int64_t i = 0; i < count; i++) {
      float expected = ft_f32_from_f16(half[i]);
      assert_memory_equal(&back[i], &expected, 4);
    }
  }
}

static void conversions_equal_base(void **state) {
  (void)state;
  for_each_level(check_convert);
}

static double first_sum;
static void check_sum(void) {
  array a = array_random(FT_F32, 4096, 9, 1);
  double sum = ft_sum_of_squares(a.data, 4095), expected = 0;
  for (int64_t i = 0; i < 4095; i++)
    expected += get(&a, i) * get(&a, i);
  assert_true(fabs(sum - expected) < 1e-9 * expected);
  if (first_sum == 0) first_sum = sum;
  assert_true(sum == first_sum); /* on every instruction set */
  assert_true(ft_sum_of_squares(a.data, 0) == 0);
  array_free(&a);
}
static void sum_of_squares(void **state) {
  (void)state;
  for_each_level(check_sum);
}

/* ---------------------------------------------------------------- norms */

static void check_norm(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(row_shapes); s++)
    for (int t = 0; t < 2; t++)
      for (int residual = 0; residual < 2; residual++) {
        ft_dtype type = both_types[t];
        int64_t rows = row_shapes[s][0], n = row_shapes[s][1], count = rows * n;
        array x = array_random(type, count, 1, 1), other = array_random(type, count, 2, 1);
        array w = array_random(type, n, 3, 1), dy = array_random(type, count, 4, 1);
        array sum = array_copy(&x), y = array_new(type, count), rstd = array_new(FT_F32, rows);
        array ref_sum = array_copy(&x), ref_y = array_new(type, count);
        array ref_rstd = array_new(FT_F32, rows);
        void *r = residual ? other.data : NULL;
        ft_ref_rmsnorm_forward(type, rows, n, x.data, r, ref_sum.data, w.data, 1e-5f, ref_y.data,
                               ref_rstd.data);
        array dx0 = array_random(FT_F32, count, 5, 1), ref_dx = array_copy(&dx0);
        array ref_dx16 = array_new(type, count), ref_dw = array_new(FT_F32, n);
        ft_ref_rmsnorm_backward(type, rows, n, dy.data, ref_sum.data, ref_rstd.data, w.data,
                                ref_dx.data, ref_dx16.data, ref_dw.data);
        FOR_THREADS {
          omp_set_num_threads(threads);
          ft_rmsnorm_forward(type, rows, n, x.data, r, sum.data, w.data, 1e-5f, y.data, rstd.data);
          assert_true(array_equal(&sum, &ref_sum));
          assert_near("y", &y, &ref_y, relative_of(type), 1e-6);
          assert_near("rstd", &rstd, &ref_rstd, 2e-6, 0);
          array dx = array_copy(&dx0), dx16 = array_new(type, count), dw = array_new(FT_F32, n);
          ft_rmsnorm_backward(type, rows, n, dy.data, ref_sum.data, ref_rstd.data, w.data, dx.data,
                              dx16.data, dw.data);
          assert_near("dx", &dx, &ref_dx, 1e-5, 2e-5);
          assert_near("dx16", &dx16, &ref_dx16, relative_of(type), 2e-5);
          assert_near("dw", &dw, &ref_dw, 1e-5, 2e-5);
          static array first; /* the weight's gradient is the sum that threads could change */
          if (threads == 1) first = array_copy(&dw);
          assert_true(array_equal(&first, &dw));
          if (threads == 3) array_free(&first);
          array_free(&dx), array_free(&dx16), array_free(&dw);
        }
        array *all[] = {&x,       &other,    &w,   &dy,     &sum,      &y,     &rstd,
                        &ref_sum, &ref_rstd, &dx0, &ref_dx, &ref_dx16, &ref_y, &ref_dw};
        for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
          array_free(all[i]);
      }
}
static void rmsnorm_equals_reference(void **state) {
  (void)state;
  for_each_level(check_norm);
}

static const int64_t head_shapes[][4] = {/* rows, heads, head_dim, gap */
                                         {1, 1, 2, 0},
                                         {3, 2, 24, 5},
                                         {65, 3, 64, 0},
                                         {40, 5, 80, 1},
                                         {100, 1, 128, 32}};

static void check_heads(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(head_shapes); s++)
    for (int t = 0; t < 2; t++) {
      ft_dtype type = both_types[t];
      int64_t rows = head_shapes[s][0], heads = head_shapes[s][1], dim = head_shapes[s][2];
      int64_t stride = heads * dim + head_shapes[s][3], count = rows * stride;
      array x = array_random(type, count, 1, 1), w = array_random(type, dim, 2, 1);
      array dy = array_random(type, count, 3, 1), ref_y = array_copy(&x), ref_dx = array_copy(&dy);
      array rstd = array_new(FT_F32, rows * heads), ref_rstd = array_new(FT_F32, rows * heads);
      array ref_dw = array_new(FT_F32, dim), first = array_new(FT_F32, dim);
      ft_ref_head_norm_forward(type, rows, heads, dim, x.data, stride, w.data, 1e-6f, ref_y.data,
                               ref_rstd.data);
      ft_ref_head_norm_backward(type, rows, heads, dim, dy.data, x.data, stride, ref_rstd.data,
                                w.data, ref_dx.data, ref_dw.data);
      FOR_THREADS {
        omp_set_num_threads(threads);
        array y = array_copy(&x), dx = array_copy(&dy), dw = array_new(FT_F32, dim);
        ft_head_norm_forward(type, rows, heads, dim, y.data, stride, w.data, 1e-6f, y.data,
                             rstd.data); /* in place */
        ft_head_norm_backward(type, rows, heads, dim, dx.data, x.data, stride, ref_rstd.data,
                              w.data, dx.data, dw.data);
        assert_near("y", &y, &ref_y, relative_of(type), 1e-6);
        assert_near("rstd", &rstd, &ref_rstd, 2e-6, 0);
        assert_near("dx", &dx, &ref_dx, relative_of(type), 2e-5);
        assert_near("dw", &dw, &ref_dw, 2e-5, 2e-5);
        if (threads == 1) memcpy(first.data, dw.data, (size_t)dim * 4);
        assert_true(array_equal(&first, &dw));
        array_free(&y), array_free(&dx), array_free(&dw);
      }
      array *all[] = {&x, &w, &dy, &ref_y, &ref_dx, &rstd, &ref_rstd, &ref_dw, &first};
      for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
        array_free(all[i]);
    }
}
static void head_norm_equals_reference(void **state) {
  (void)state;
  for_each_level(check_heads);
}

/* ---------------------------------------------------------------- rotary embedding */

static void check_rotary(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(head_shapes); s++)
    for (int t = 0; t < 2; t++) {
      ft_dtype type = both_types[t];
      int64_t rows = head_shapes[s][0], heads = head_shapes[s][1], dim = head_shapes[s][2];
      int64_t stride = heads * dim + head_shapes[s][3];
      array x = array_random(type, rows * stride, 1, 1), inv_freq = array_new(FT_F32, dim / 2);
      int32_t *position = calloc((size_t)rows, sizeof *position);
      for (int64_t r = 0; r < rows; r++)
        position[r] = (int32_t)(r < 4 ? r : (r * 7919) % 131072); /* short and very long */
      for (int64_t i = 0; i < dim / 2; i++)
        set(&inv_freq, i, pow(10000.0, -2.0 * (double)i / (double)dim));
      for (int backward = 0; backward < 2; backward++) {
        array expected = array_copy(&x);
        ft_ref_rotary(type, rows, heads, dim, expected.data, stride, position, inv_freq.data,
                      backward);
        FOR_THREADS {
          omp_set_num_threads(threads);
          array found = array_copy(&x);
          ft_rotary(type, rows, heads, dim, found.data, stride, position, inv_freq.data, backward);
          assert_near("rotary", &found, &expected, type == FT_F32 ? 1e-6 : 8e-3, 5e-7);
          array_free(&found);
        }
        array_free(&expected);
      }
      free(position);
      array_free(&x), array_free(&inv_freq);
    }
}
static void rotary_equals_reference(void **state) {
  (void)state;
  for_each_level(check_rotary);
}

/* ---------------------------------------------------------------- SwiGLU, residual */

static void check_swiglu(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(row_shapes); s++)
    for (int t = 0; t < 2; t++) {
      ft_dtype type = both_types[t];
      int64_t rows = row_shapes[s][0], n = row_shapes[s][1], count = rows * n;
      array gate = array_random(type, count, 1, 4), up = array_random(type, count, 2, 1);
      array da = array_random(type, count, 3, 1);
      set(&gate, 0, 200); /* far out on both sides */
      set(&gate, count - 1, -200);
      array a = array_new(type, count), sum = array_new(type, count);
      array ref_a = array_new(type, count), ref_sum = array_new(type, count);
      array ref_dgate = array_new(type, count), ref_dup = array_new(type, count);
      ft_ref_swiglu_forward(type, rows, n, gate.data, up.data, ref_a.data);
      ft_ref_add(type, count, gate.data, up.data, ref_sum.data);
      ft_ref_swiglu_backward(type, rows, n, da.data, gate.data, up.data, ref_dgate.data,
                             ref_dup.data, NULL);
      FOR_THREADS {
        omp_set_num_threads(threads);
        ft_swiglu_forward(type, rows, n, gate.data, up.data, a.data);
        assert_near("a", &a, &ref_a, relative_of(type), 1e-7);
        ft_add(type, count, gate.data, up.data, sum.data);
        assert_true(array_equal(&sum, &ref_sum));
        array d = array_copy(&da), g = array_copy(&gate), u = array_copy(&up); /* in place */
        ft_swiglu_backward(type, rows, n, d.data, g.data, u.data, g.data, u.data, d.data);
        assert_true(array_equal(&d, &a));
        assert_near("dgate", &g, &ref_dgate, relative_of(type), 1e-6);
        assert_near("dup", &u, &ref_dup, relative_of(type), 1e-6);
        array_free(&d), array_free(&g), array_free(&u);
      }
      array *all[] = {&gate, &up, &da, &a, &sum, &ref_a, &ref_sum, &ref_dgate, &ref_dup};
      for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
        array_free(all[i]);
    }
}
static void swiglu_equals_reference(void **state) {
  (void)state;
  for_each_level(check_swiglu);
}

/* ---------------------------------------------------------------- embedding */

static void check_embedding(void) {
  enum { TOKENS = 100, VOCAB = 37 };
  const int64_t widths[] = {1, 17, 600};
  uint32_t ids[TOKENS];
  for (uint32_t i = 0; i < TOKENS; i++)
    ids[i] = i * i % VOCAB;
  for (size_t s = 0; s < FT_ARRAY_SIZE(widths); s++)
    for (int t = 0; t < 2; t++)
      for (int with_base = 0; with_base < 2; with_base++) {
        int64_t n = widths[s], row0 = 5, rows = 20;
        ft_dtype type = both_types[t];
        array table = array_random(type, VOCAB * n, 1, 1),
              dx = array_random(FT_F32, TOKENS * n, 2, 1);
        array base = array_random(FT_F32, rows * n, 3, 1);
        array out = array_new(type, TOKENS * n), ref_out = array_new(type, TOKENS * n);
        array d = array_new(type, rows * n), ref_d = array_new(type, rows * n);
        void *b = with_base ? base.data : NULL;
        ft_ref_embedding_forward(type, TOKENS, n, ids, table.data, ref_out.data);
        ft_ref_embedding_backward(type, TOKENS, n, ids, dx.data, row0, rows, b, ref_d.data);
        FOR_THREADS {
          omp_set_num_threads(threads);
          ft_embedding_forward(type, TOKENS, n, ids, table.data, out.data);
          assert_true(array_equal(&out, &ref_out));
          assert_ok(ft_embedding_backward(type, TOKENS, n, ids, dx.data, row0, rows, b, d.data));
          assert_true(array_equal(&d, &ref_d)); /* the order of the sums is part of the contract */
        }
        array *all[] = {&table, &dx, &base, &out, &ref_out, &d, &ref_d};
        for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
          array_free(all[i]);
      }
}
static void embedding_equals_reference(void **state) {
  (void)state;
  for_each_level(check_embedding);
}

/* ---------------------------------------------------------------- loss */

static void check_loss_of(ft_dtype type, int64_t rows, int64_t vocab, double spread) {
  array logits = array_random(FT_F32, rows * vocab, 1, spread), loss = array_new(FT_F32, rows);
  array ref_loss = array_new(FT_F32, rows), ref_d = array_new(type, rows * vocab);
  int32_t *target = calloc((size_t)rows, sizeof *target);
  for (int64_t r = 0; r < rows; r++)
    target[r] = (int32_t)((r * 131 + vocab - 1) % vocab);
  ft_ref_cross_entropy(type, rows, vocab, logits.data, target, 0.01f, ref_loss.data, ref_d.data);
  array first = array_new(type, rows * vocab);
  FOR_THREADS {
    omp_set_num_threads(threads);
    array apart = array_new(type, rows * vocab), in_place = array_copy(&logits);
    ft_cross_entropy(type, rows, vocab, logits.data, target, 0.01f, loss.data, NULL);
    assert_near("loss alone", &loss, &ref_loss, 2e-6, 1e-6);
    ft_cross_entropy(type, rows, vocab, logits.data, target, 0.01f, loss.data, apart.data);
    assert_near("loss", &loss, &ref_loss, 2e-6, 1e-6);
    assert_near("dlogits", &apart, &ref_d, relative_of(type), 1e-9);
    ft_cross_entropy(type, rows, vocab, in_place.data, target, 0.01f, loss.data, in_place.data);
    assert_near("loss in place", &loss, &ref_loss, 2e-6, 1e-6);
    assert_memory_equal(in_place.data, apart.data, (size_t)(rows * vocab) * ft_dtype_bytes(type));
    if (threads == 1) memcpy(first.data, apart.data, (size_t)(rows * vocab) * ft_dtype_bytes(type));
    assert_true(array_equal(&first, &apart));
    array_free(&apart), array_free(&in_place);
  }
  free(target);
  array *all[] = {&logits, &loss, &ref_loss, &ref_d, &first};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    array_free(all[i]);
}
static void check_loss(void) {
  for (int t = 0; t < 2; t++) {
    check_loss_of(both_types[t], 1, 1, 1);
    check_loss_of(both_types[t], 3, 17, 5);
    check_loss_of(both_types[t], 37, 320, 3);
    check_loss_of(both_types[t], 5, 5001, 100);
  }
}
static void cross_entropy_equals_reference(void **state) {
  (void)state;
  for_each_level(check_loss);
}

/* ---------------------------------------------------------------- AdamW */

static void check_adamw(void) {
  const int64_t counts[] = {1, 3, 17, 65, 20000};
  const ft_adamw a = {.lr = 1e-3f,
                      .beta1 = 0.9f,
                      .beta2 = 0.95f,
                      .eps = 1e-8f,
                      .weight_decay = 0.1f,
                      .correction1 = 0.19f,
                      .correction2 = 0.0975f,
                      .gradient_scale = 0.7f};
  for (size_t s = 0; s < FT_ARRAY_SIZE(counts); s++)
    FOR_THREADS {
      array w = array_random(FT_F32, counts[s], 1, 1), m = array_random(FT_F32, counts[s], 2, 0.1);
      array v = array_random(FT_F32, counts[s], 3, 0.1), g = array_random(FT_F32, counts[s], 4, 1);
      for (int64_t i = 0; i < counts[s]; i++)
        set(&v, i, fabs(get(&v, i)));
      set(&g, 0, 0);
      array ref_w = array_copy(&w), ref_m = array_copy(&m), ref_v = array_copy(&v);
      omp_set_num_threads(threads);
      ft_adamw_update(&a, counts[s], w.data, m.data, v.data, g.data);
      ft_ref_adamw_update(&a, counts[s], ref_w.data, ref_m.data, ref_v.data, g.data);
      assert_true(array_equal(&w, &ref_w));
      assert_true(array_equal(&m, &ref_m));
      assert_true(array_equal(&v, &ref_v));
      array *all[] = {&w, &m, &v, &g, &ref_w, &ref_m, &ref_v};
      for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
        array_free(all[i]);
    }
}
static void adamw_equals_reference(void **state) {
  (void)state;
  for_each_level(check_adamw);
}

/* ---------------------------------------------------------------- choice of instruction set */

static void an_unknown_cpu_is_refused(void **state) {
  (void)state;
  setenv("FTRUN_CPU", "quantum", 1);
  assert_fails(ft_kernels_init(), FT_ERR_CONFIG, "FTRUN_CPU=quantum is none of plain, avx2");
  setenv("FTRUN_CPU", "plain", 1);
  assert_ok(ft_kernels_init());
  assert_false(ft_kernels_native_bf16());
  assert_non_null(strstr(ft_kernels_describe(), "plain, bf16 by f32, f32 by OpenBLAS"));
  assert_non_null(strstr(ft_kernels_describe(), "OpenBLAS 0."));
  unsetenv("FTRUN_CPU");
  assert_ok(ft_kernels_init());
}

static int setup(void **state) {
  (void)state;
  return ft_kernels_init() == FT_OK ? 0 : -1;
}
static int teardown(void **state) {
  (void)state;
  ft_kernels_fini();
  return ft_mem_of(FT_MEM_WORKSPACE).current_bytes == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conversions_equal_base),
      cmocka_unit_test(sum_of_squares),
      cmocka_unit_test(rmsnorm_equals_reference),
      cmocka_unit_test(head_norm_equals_reference),
      cmocka_unit_test(rotary_equals_reference),
      cmocka_unit_test(swiglu_equals_reference),
      cmocka_unit_test(embedding_equals_reference),
      cmocka_unit_test(cross_entropy_equals_reference),
      cmocka_unit_test(adamw_equals_reference),
      cmocka_unit_test(an_unknown_cpu_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
