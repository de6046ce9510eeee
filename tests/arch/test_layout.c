/* Blocks of a run: what a method adds, where it lies, and what of the model is frozen.
 * Run alone: meson test "arch layout" */
#include "ft_test.h"

#include "ft/arch_layout.h"

static const ft_arch small =
    FT_ARCH_LLAMA(.vocab = 320, .hidden = 64, .ffn = 176, .layers = 2, .heads = 8, .kv_heads = 2,
                  .head_dim = 8, .max_positions = 128, .attention_scale = 1);

static bool all_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer, (void)role;
  return true;
}

/* q of rank 4; v too, by the A of q; down of rank 2 with a magnitude; layer 1 has none of q. */
static ft_beside some(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg;
  if (place != FT_PLACE_LAYER) return (ft_beside){.rank = 0};
  if (role == FT_ROLE_Q && layer == 0) return (ft_beside){.rank = 4, .scale = 2};
  if (role == FT_ROLE_V && layer == 0) return (ft_beside){.rank = 4, .scale = 2, .shares_a = true};
  if (role == FT_ROLE_DOWN) return (ft_beside){.rank = 2, .scale = 0.5F, .magnitude = true};
  return (ft_beside){.rank = 0};
}

static void expect(const ft_block *b, int i, int role, int64_t rows, int64_t cols) {
  assert_int_equal(b->tensors[i].role, role);
  assert_int_equal(b->tensors[i].rows, rows);
  assert_int_equal(b->tensors[i].cols, cols);
}

static void what_stands_beside_maps_is_a_block(void **state) {
  (void)state;
  const ft_method method = {.dropout = 0};
  const ft_choice choice = {.frozen = all_frozen, .beside = some};
  ft_layout *l;
  assert_int_equal(ft_layout_new(&small, &method, &choice, &l), FT_OK);
  assert_int_equal(l->num_blocks, 6); /* nothing beside the embedding and the head */
  for (int i = 0; i < 4; i++)
    assert_false(l->blocks[i].trained);
  const ft_block *b = &l->blocks[4];
  assert_string_equal(b->name, "layer.0.adapter");
  assert_true(b->trained);
  assert_int_equal(b->num_tensors, 6);
  expect(b, 0, ft_role_part(FT_ROLE_DOWN, FT_PART_MAGNITUDE), 1, 64);
  expect(b, 1, ft_role_part(FT_ROLE_DOWN, FT_PART_B), 64, 2);
  expect(b, 2, ft_role_part(FT_ROLE_DOWN, FT_PART_A), 2, 176);
  expect(b, 3, ft_role_part(FT_ROLE_Q, FT_PART_B), 64, 4);
  expect(b, 4, ft_role_part(FT_ROLE_V, FT_PART_B), 16, 4);
  expect(b, 5, ft_role_part(FT_ROLE_Q, FT_PART_A), 4, 64);
  assert_true(b->tensors[5].scale == 2);
  assert_int_equal(l->blocks[5].num_tensors, 3);
  assert_int_equal(l->layers[1].blocks[0], 2);
  assert_int_equal(l->layers[1].blocks[1], 5);
  assert_int_equal(ft_layout_num_trained(l), 2 * (64 + 2 * 64 + 2 * 176) + 4 * (64 + 16 + 64));
  assert_int_equal(ft_layout_lowest_trained(l), 0);
  ft_layout_free(l);
}

static void prompts_prefixes_and_bottlenecks_have_tensors(void **state) {
  (void)state;
  const ft_method prompt = {.prompt_tokens = 5};
  const ft_method method = {
      .prefix_tokens = 3, .bottleneck = 4, .bottleneck_after_attention = true};
  const ft_choice choice = {.frozen = all_frozen};
  ft_layout *l;
  assert_int_equal(ft_method_virtual_rows(&prompt), 5);
  assert_int_equal(ft_layout_new(&small, &prompt, &choice, &l), FT_OK);
  assert_int_equal(l->num_blocks, 4 + 1);
  expect(&l->blocks[4], 0, FT_ROLE_PROMPT, 5, 64);
  ft_layout_free(l);
  assert_int_equal(ft_method_virtual_rows(&method), 3);
  assert_int_equal(ft_layout_new(&small, &method, &choice, &l), FT_OK);
  assert_int_equal(l->num_blocks, 4 + 2);
  const ft_block *b = &l->blocks[4];
  assert_int_equal(b->num_tensors, 9);
  expect(b, 0, FT_ROLE_MLP_BOTTLENECK_UP, 64, 4);
  expect(b, 2, FT_ROLE_MLP_BOTTLENECK_DOWN, 4, 64);
  expect(b, 4, FT_ROLE_ATTN_BOTTLENECK_UP, 64, 4);
  expect(b, 8, FT_ROLE_PREFIX, 3, 32);
  ft_layout_free(l);
}

static void rates_follow_depth_and_group(void **state) {
  (void)state;
  const ft_rate rate = {.lr = 0.5, .share = 0.25};
  const ft_rate_group groups[] = {{.lr = 8, .weight_decay = -1}, {.lr = -1, .weight_decay = 0.5}};
  ft_layout *l;
  assert_int_equal(ft_layout_new(&small, NULL, NULL, &l), FT_OK);
  const ft_block *embedding = &l->blocks[0], *layer = &l->blocks[1], *head = &l->blocks[3];
  ft_tensor *matrix = &l->blocks[1].tensors[0];
  ft_tensor *norm = (ft_tensor *)(uintptr_t)ft_block_tensor(layer, FT_ROLE_MLP_NORM);
  assert_true(ft_layout_lr(l, embedding, &embedding->tensors[0], &rate) == 0.5);
  assert_int_equal(ft_layout_set_rates(l, 0.5, groups, 2), FT_OK);
  assert_true(ft_layout_lr(l, embedding, &embedding->tensors[0], &rate) == 0.5 / 8);
  assert_true(ft_layout_lr(l, layer, matrix, &rate) == 0.5 / 4);
  assert_true(ft_layout_lr(l, &l->blocks[2], &l->blocks[2].tensors[0], &rate) == 0.5 / 2);
  assert_true(ft_layout_lr(l, head, &head->tensors[0], &rate) == 0.5);
  matrix->group = 1;
  norm->group = 2;
  assert_true(ft_layout_lr(l, layer, matrix, &rate) == 8 * 0.25 / 4);
  assert_true(ft_layout_lr(l, layer, norm, &rate) == 0.5 / 4);
  assert_true(ft_layout_weight_decay(l, matrix, 0.125) == 0.125);
  assert_true(ft_layout_weight_decay(l, norm, 0.125) == 0.5);
  norm->group = 0;
  assert_true(ft_layout_weight_decay(l, norm, 0.125) == 0);
  ft_layout_free(l);
}

static void parts_know_their_map(void **state) {
  (void)state;
  ft_role map;
  ft_part_kind part;
  assert_false(ft_role_is_part(FT_ROLE_HEAD, &map, &part));
  assert_false(ft_role_is_part((ft_role)FT_ROLE_PROMPT, NULL, NULL));
  for (int role = 0; role < FT_ROLE_NUM; role++)
    for (int i = 0; i < FT_PART_NUM; i++) {
      ft_role of = ft_role_part((ft_role)role, (ft_part_kind)i);
      assert_true((int)of < FT_ROLE_ALL && !ft_role_is_own(of));
      assert_true(ft_role_is_part(of, &map, &part));
      assert_int_equal(map, role);
      assert_int_equal(part, i);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_stands_beside_maps_is_a_block),
      cmocka_unit_test(prompts_prefixes_and_bottlenecks_have_tensors),
      cmocka_unit_test(rates_follow_depth_and_group),
      cmocka_unit_test(parts_know_their_map),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
