/* Proves arch: flat layout, parameter counts of published models, visible pairs against counting.
 * Run alone: meson test arch */
#include "ft_test.h"

#include <string.h>

#include "layouts.h"

static const ft_arch llama2_7b =
    FT_ARCH_LLAMA(.vocab = 32000, .hidden = 4096, .ffn = 11008, .layers = 32, .heads = 32,
                  .kv_heads = 32, .head_dim = 128, .max_positions = 4096, .norm.eps = 1e-5f,
                  .ropes[0].theta = 10000, .ropes[0].width = 128, .attention_scale = 0.0883883476f);

static void counts_match_published_models(void **state) {
  (void)state;
  assert_int_equal(ft_arch_num_parameters(&llama2_7b), 6738415616);
  ft_arch qwen =
      FT_ARCH_LLAMA(.vocab = 151936, .hidden = 896, .ffn = 4864, .layers = 24, .heads = 14,
                    .kv_heads = 2, .head_dim = 64, .max_positions = 32768, .norm.eps = 1e-6f,
                    .ropes[0].theta = 1e6, .qkv_bias = true, .tied = true);
  ft_arch_complete(&qwen);
  assert_ok(ft_arch_check(&qwen));
  assert_int_equal(ft_arch_num_parameters(&qwen), 494032768);
}

static void tensors_are_aligned_and_in_order(void **state) {
  (void)state;
  ft_arch a =
      FT_ARCH_LLAMA(.vocab = 321, .hidden = 66, .ffn = 35, .layers = 2, .heads = 3, .kv_heads = 1,
                    .head_dim = 22, .max_positions = 64, .ropes[0].theta = 1e4, .qkv_bias = true,
                    .o_bias = true, .mlp_bias = true, .qk_norm = FT_QK_NORM_HEADS);
  for (int64_t n = 0; n < layout_of(&a)->num_blocks; n++) {
    ft_block b = layout_of(&a)->blocks[n];
    int64_t at = 0;
    for (int i = 0; i < b.num_tensors; i++) {
      assert_int_equal(b.tensors[i].offset % FT_TENSOR_ALIGN, 0);
      assert_true(b.tensors[i].offset >= at);
      assert_ptr_equal(ft_block_tensor(&b, b.tensors[i].role), &b.tensors[i]);
      at = b.tensors[i].offset + ft_tensor_elements(&b.tensors[i]);
    }
    assert_true(b.num_elements >= at && b.num_elements < at + FT_TENSOR_ALIGN);
    assert_int_equal(b.num_elements % FT_TENSOR_ALIGN, 0);
  }
}

static void visible_pairs_match_counting(void **state) {
  (void)state;
  for (int64_t window = 0; window < 9; window++)
    for (int64_t first = 0; first < 2; first++)
      for (int64_t length = 1; length < 12; length++) {
        ft_arch a = FT_ARCH_LLAMA(.layers = 2);
        a.num_kinds = 2;
        a.kinds[1].window = window;
        set_kind(&a, first, 1);
        int64_t count = 0;
        for (int64_t i = 0; i < length; i++)
          for (int64_t j = 0; j <= i; j++)
            count += window == 0 || first > 0 || i - j < window;
        assert_int_equal(ft_arch_visible_pairs(&a, 0, length), count);
      }
}

static void flops_follow_the_definition(void **state) {
  (void)state;
  int64_t lengths[] = {3, 5};
  double pairs = 32.0 * (6 + 15), matmul_weights = 6738415616 - 32000 * 4096 - (32 * 2 + 1) * 4096;
  double expected = 6.0 * 8 * matmul_weights + 12.0 * 4096 * pairs;
  assert_true(ft_layout_training_flops(layout_of(&llama2_7b), lengths, 2) == expected);
  ft_arch tied = llama2_7b;
  tied.tied = true;
  assert_true(ft_layout_training_flops(layout_of(&tied), lengths, 2) == expected);
}

static void impossible_dimensions_are_named(void **state) {
  (void)state;
  ft_arch a = llama2_7b;
  a.kv_heads = 5;
  assert_fails(ft_arch_check(&a), FT_ERR_DATA, "num_key_value_heads");
  a = llama2_7b;
  a.head_dim = 127;
  assert_fails(ft_arch_check(&a), FT_ERR_DATA, "head_dim");
  a = llama2_7b;
  a.vocab = (int64_t)1 << 40;
  assert_fails(ft_arch_check(&a), FT_ERR_DATA, "vocab_size");
  a = llama2_7b;
  a.layers = 0;
  assert_fails(ft_arch_check(&a), FT_ERR_DATA, "num_hidden_layers");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_match_published_models),
      cmocka_unit_test(tensors_are_aligned_and_in_order),
      cmocka_unit_test(visible_pairs_match_counting),
      cmocka_unit_test(flops_follow_the_definition),
      cmocka_unit_test(impossible_dimensions_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
