/* Proves that random weights are normal numbers and a pure function. Run alone: meson test
 * hf-random */
#include "hf_fixtures.h"

#include <math.h>

static void random_weights_are_normal(void **state) {
  (void)state;
  ft_hf_config config =
      config_of("{\"model_type\":\"llama\",\"vocab_size\":1000,\"hidden_size\":100,"
                "\"num_attention_heads\":2,\"initializer_range\":0.5}");
  ft_hf_source source;
  enum { N = 100000 };
  float *values = malloc(N * sizeof *values);
  assert_ok(ft_hf_random_source(&config, 3, &source));
  assert_ok(source.read(source.arg, 0, 0, N, values));
  double sum = 0, squares = 0, fourth = 0, lagged = 0;
  for (int i = 0; i < N; i++) {
    double z = (double)values[i] / 0.5, before = i ? (double)values[i - 1] / 0.5 : 0;
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
    lagged += z * before;
  }
  assert_true(fabs(sum / N) < 4 / sqrt(N));
  assert_true(fabs(squares / N - 1) < 4 * sqrt(2.0 / N));
  assert_true(fabs(fourth / N - 3) < 4 * sqrt(96.0 / N));
  assert_true(fabs(lagged / N) < 4 / sqrt(N));
  free(values);
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
}

static void random_weights_do_not_depend_on_pieces(void **state) {
  (void)state;
  for (int c = 0; c < NUM_TINY; c++) {
    ft_hf_config config = config_of(tiny_configs[c]);
    ft_hf_source source, other;
    assert_ok(ft_hf_random_source(&config, 3, &source));
    assert_ok(ft_hf_random_source(&config, 4, &other));
    ft_block block = layout_of(&config.arch)->blocks[1];
    int64_t n = block.num_elements;
    float *whole = malloc((size_t)n * sizeof *whole), *pieces = malloc((size_t)n * sizeof *pieces);
    assert_ok(source.read(source.arg, 1, 0, n, whole));
    for (int64_t start = 0, count = 1; start < n; start += count, count = count % 37 + 3)
      assert_ok(source.read(source.arg, 1, start, FT_MIN(count, n - start), pieces + start));
    assert_memory_equal(whole, pieces, (size_t)n * sizeof *whole);
    assert_ok(other.read(other.arg, 1, 0, n, pieces));
    assert_memory_not_equal(whole, pieces, (size_t)n * sizeof *whole);
    for (int i = 0; i < block.num_tensors; i++) {
      const ft_tensor *t = &block.tensors[i];
      float first = whole[t->offset];
      bool norm = t->role == FT_ROLE_MLP_NORM || t->role == FT_ROLE_ATTN_NORM ||
                  t->role == FT_ROLE_Q_NORM || t->role == FT_ROLE_K_NORM;
      if (t->num_dims == 1) assert_true(first == (norm ? 1.0f : 0.0f));
      if (t->num_dims == 2) assert_true(first != 0);
    }
    free(whole);
    free(pieces);
    ft_hf_random_source_free(&source);
    ft_hf_random_source_free(&other);
    ft_hf_config_fini(&config);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_weights_are_normal),
      cmocka_unit_test(random_weights_do_not_depend_on_pieces),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
