/* Proves of what a method puts beside a frozen model that its backward pass is the derivative of
 * its forward pass, that nothing else changes, that activation checkpointing changes no bit, and
 * that what starts as nothing computes what the model alone does. Run alone: meson test 'model
 * methods' */
#include "fixture.h"

static bool all_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer, (void)role;
  return true;
}

static bool all_but_biases(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer;
  return role != FT_ROLE_Q_BIAS && role != FT_ROLE_DOWN_BIAS && role != FT_ROLE_O_BIAS;
}

/* ---------------------------------------------------------------- what is beside which map */

static bool is_map(ft_role role) {
  static const ft_role maps[] = {FT_ROLE_Q,    FT_ROLE_K,  FT_ROLE_V,   FT_ROLE_O,
                                 FT_ROLE_GATE, FT_ROLE_UP, FT_ROLE_DOWN};
  for (size_t i = 0; i < FT_ARRAY_SIZE(maps); i++)
    if (maps[i] == role) return true;
  return false;
}

/* Ranks 2 to 4 everywhere, but nothing in layer 0, so that the backward pass ends above it. */
static ft_beside low_ranks(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg;
  if (place != FT_PLACE_LAYER || layer == 0 || !is_map(role)) return (ft_beside){.rank = 0};
  return (ft_beside){.rank = 2 + (int64_t)role % 3, .scale = 0.7f};
}

static ft_beside one_tensor_in_the_files(const void *arg, ft_place place, int64_t layer,
                                         ft_role role) {
  (void)arg;
  if (place != FT_PLACE_LAYER || layer == 2 || !is_map(role)) return (ft_beside){.rank = 0};
  bool shares = role == FT_ROLE_K || role == FT_ROLE_V || role == FT_ROLE_UP;
  return (ft_beside){.rank = 3, .scale = 1.5f, .shares_a = shares};
}

static ft_beside magnitudes(const void *arg, ft_place place, int64_t layer, ft_role role) {
  ft_beside b = low_ranks(arg, place, layer, role);
  b.magnitude = b.rank > 0;
  return b;
}

static ft_beside scales(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)layer;
  ft_beside b = {.rank = 0};
  if (place != FT_PLACE_LAYER || !is_map(role)) return b;
  b.input_scale = role == FT_ROLE_DOWN || role == FT_ROLE_O;
  b.output_scale = !b.input_scale;
  return b;
}

static ft_beside output_scales_of_all(const void *arg, ft_place place, int64_t layer,
                                      ft_role role) {
  (void)arg, (void)layer;
  return (ft_beside){.output_scale = place == FT_PLACE_LAYER && is_map(role)};
}

/* Only in the last layer, of whose attention nothing is trained. */
static ft_beside last_map(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg;
  bool there = place == FT_PLACE_LAYER && layer == 2 && role == FT_ROLE_DOWN;
  return (ft_beside){.rank = there ? 3 : 0, .scale = 1};
}

/* Embedding and head, as far as the head has a matrix of its own. */
static ft_beside ends(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer;
  bool end = role == FT_ROLE_EMBEDDING || role == FT_ROLE_HEAD;
  return (ft_beside){.rank = end ? 3 + (role == FT_ROLE_HEAD) : 0, .scale = 0.7f};
}

/* ---------------------------------------------------------------- models */

static void plain(ft_arch *a) {
  (void)a;
}

static void with_biases(ft_arch *a) {
  a->qkv_bias = a->o_bias = a->mlp_bias = true;
  a->qk_norm = FT_QK_NORM_HEADS;
  a->tied = true;
}

static void scaled_embedding(ft_arch *a) {
  a->embedding_scale = 3;
  a->embedding_norm = true;
  a->logits_softcap = 5;
}

/* Windows that end within a prefix, norms after the rotation, learned positions nowhere. */
static void windows(ft_arch *a) {
  a->kinds[0].window = 4;
  a->num_kinds = 2;
  a->kinds[1] = a->kinds[0];
  a->kinds[1].window = 0;
  a->kind_of[1] = 1;
  a->qk_norm = FT_QK_NORM_HEADS_ROTATED;
  a->tied = true;
}

static void learned_positions(ft_arch *a) {
  a->norm.kind = FT_NORM_LAYER;
  a->norm_bias = true;
  a->gated = false;
  a->activation = FT_ACT_GELU_TANH;
  a->qkv_bias = a->o_bias = a->mlp_bias = true;
  a->num_ropes = 0;
  a->kinds[0].rope = -1;
  a->learned_positions = a->max_positions;
  a->embedding_norm = true;
  a->tied = true;
}

static void multipliers(ft_arch *a) {
  a->embedding_scale = 2.5f;
  a->residual_scale = 0.4f;
  a->logits_scale = 0.7f;
}

static void encoder(ft_arch *a) {
  a->norm.kind = FT_NORM_LAYER;
  a->norm_bias = true;
  a->norm_places = FT_NORM_AFTER_SUM;
  a->two_way = true;
  a->gated = false;
  a->activation = FT_ACT_GELU;
  a->qkv_bias = a->o_bias = a->mlp_bias = true;
}

typedef struct trial {
  const char *name;
  void (*make)(ft_arch *a);
  ft_method method;
  ft_choice choice;
} trial;

static const trial trials[] = {
    {"low rank", plain, {.dropout = 0}, {all_frozen, low_ranks, NULL}},
    {"low rank, biases", with_biases, {.dropout = 0}, {all_but_biases, low_ranks, NULL}},
    {"low rank of an encoder", encoder, {.dropout = 0}, {all_frozen, low_ranks, NULL}},
    {"one A of several maps", plain, {.dropout = 0}, {all_frozen, one_tensor_in_the_files, NULL}},
    {"dropout", plain, {.dropout = 0.3f}, {all_frozen, low_ranks, NULL}},
    {"one A and dropout", plain, {.dropout = 0.4f}, {all_frozen, one_tensor_in_the_files, NULL}},
    {"scales", with_biases, {.dropout = 0}, {all_but_biases, scales, NULL}},
    {"scales of an encoder", encoder, {.dropout = 0}, {all_frozen, output_scales_of_all, NULL}},
    {"the last map alone", plain, {.dropout = 0}, {all_frozen, last_map, NULL}},
    {"ends", plain, {.dropout = 0}, {all_frozen, ends, NULL}},
    {"ends, dropout", scaled_embedding, {.dropout = 0.3f}, {all_frozen, ends, NULL}},
    {"both ends", with_biases, {.both_ends = true}, {all_but_biases, ends, NULL}},
    {"both ends alone",
     with_biases,
     {.both_ends = true, .dropout = 0.3f},
     {all_frozen, ends, NULL}},
    {"magnitudes", with_biases, {.dropout = 0}, {all_but_biases, magnitudes, NULL}},
    {"a prompt", multipliers, {.prompt_tokens = 3}, {all_frozen, NULL, NULL}},
    {"a prompt and positions", learned_positions, {.prompt_tokens = 2}, {all_frozen, NULL, NULL}},
    {"a prompt and biases", with_biases, {.prompt_tokens = 1}, {all_but_biases, NULL, NULL}},
    {"a prefix", with_biases, {.prefix_tokens = 3}, {all_but_biases, NULL, NULL}},
    {"a prefix and windows", windows, {.prefix_tokens = 3}, {all_frozen, NULL, NULL}},
    {"a prefix and positions", learned_positions, {.prefix_tokens = 2}, {all_frozen, NULL, NULL}},
    {"bottlenecks of branches",
     with_biases,
     {.bottleneck = 3, .bottleneck_activation = FT_ACT_SILU, .bottleneck_after_attention = true},
     {all_but_biases, NULL, NULL}},
    {"bottlenecks of the stream",
     learned_positions,
     {.bottleneck = 5, .bottleneck_activation = FT_ACT_GELU, .bottleneck_reads_sum = true},
     {all_frozen, NULL, NULL}}};

static ft_layout *layout_for(const trial *t, const ft_method *method) {
  ft_arch a = base;
  ft_layout *l;
  t->make(&a);
  ft_arch_complete(&a);
  assert_ok(ft_arch_check(&a));
  assert_ok(ft_layout_new(&a, method, method ? &t->choice : NULL, &l));
  return l;
}

static void open_trial(setup *s, const ft_layout *l, int64_t again) {
  const ft_model_options options = {.compute = FT_F32,
                                    .max_tokens = MOST_ROWS,
                                    .training = true,
                                    .activation_checkpointing = again,
                                    .seed = 4};
  open_layout(s, l, &options, 700);
  s->batch.view.draw = 77;
}

/* ---------------------------------------------------------------- what holds for each */

/* The norms of rows are constants to DoRA's backward pass: only its magnitudes are derivatives. */
static bool is_derivative(const trial *t, ft_role role) {
  ft_part_kind part;
  if (t->choice.beside != magnitudes || !ft_role_is_part(role, NULL, &part)) return true;
  return part == FT_PART_MAGNITUDE;
}

static void gradients_are_derivatives(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(trials); i++) {
    ft_layout *l = layout_for(&trials[i], &trials[i].method);
    setup s;
    open_trial(&s, l, 0);
    train(&s);
    for (int64_t b = 0; b < l->num_blocks; b++)
      for (int k = 0; l->blocks[b].trained && k < l->blocks[b].num_tensors; k++) {
        train(&s);
        if (is_derivative(&trials[i], l->blocks[b].tensors[k].role))
          compare_tensor(&s, b, k, trials[i].name);
      }
    close_setup(&s);
    ft_layout_free(l);
  }
}

static void computing_again_changes_no_bit(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(trials); i++) {
    ft_layout *l = layout_for(&trials[i], &trials[i].method);
    uint64_t hashes[2];
    for (int again = 0; again < 2; again++) {
      setup s;
      open_trial(&s, l, again);
      train(&s);
      hashes[again] = hash_gradients(&s);
      close_setup(&s);
    }
    if (hashes[0] != hashes[1])
      fail_msg("%s: activation checkpointing changes bits", trials[i].name);
    ft_layout_free(l);
  }
}

/* Whether it is a tensor that makes nothing of what is added, and then what it is filled with: what
 * parts begin with, and of a bottleneck its second map. */
static bool is_silent(ft_role role, float *value) {
  ft_part_kind part;
  *value = 0;
  if (ft_role_is_part(role, NULL, &part)) {
    *value = part == FT_PART_B ? 0 : 1;
    return part != FT_PART_A;
  }
  int number = (int)role;
  return number == FT_ROLE_ATTN_BOTTLENECK_UP || number == FT_ROLE_ATTN_BOTTLENECK_UP_BIAS ||
         number == FT_ROLE_MLP_BOTTLENECK_UP || number == FT_ROLE_MLP_BOTTLENECK_UP_BIAS;
}

static void start_parts(ft_shard *shard) {
  for (int64_t n = 0; n < ft_shard_num_blocks(shard); n++) {
    const ft_block *b = ft_shard_block(shard, n);
    for (int i = 0; i < b->num_tensors; i++) {
      const ft_tensor *t = &b->tensors[i];
      float value;
      if (!is_silent(t->role, &value)) continue;
      for (int64_t e = 0; e < ft_tensor_elements(t); e++)
        ft_shard_set_weights(shard, n, t->offset + e, 1, &value);
    }
  }
  assert_ok(ft_shard_weights_changed(shard));
}

static void the_beginning_is_the_model_alone(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(trials); i++) {
    if (trials[i].choice.beside == magnitudes || trials[i].method.dropout > 0) continue;
    if (ft_method_virtual_rows(&trials[i].method) > 0) continue;
    ft_layout *with = layout_for(&trials[i], &trials[i].method);
    ft_layout *alone = layout_for(&trials[i], NULL);
    double losses[2];
    for (int k = 0; k < 2; k++) {
      setup s;
      open_trial(&s, k ? with : alone, 0);
      start_parts(s.shard);
      losses[k] = loss_of(&s);
      close_setup(&s);
    }
    if (trials[i].choice.frozen == all_frozen) assert_true(fabs(losses[0] - losses[1]) < 1e-6);
    ft_layout_free(with);
    ft_layout_free(alone);
  }
}

/* Another draw leaves out other elements; the same one the same. */
static void dropout_follows_its_draw(void **state) {
  (void)state;
  ft_layout *l = layout_for(&trials[4], &trials[4].method);
  setup s;
  open_trial(&s, l, 0);
  double first = train(&s), again = train(&s);
  s.batch.view.draw++;
  double other = train(&s);
  assert_true(first == again && first != other);
  s.draws = false;
  assert_true(loss_of(&s) == loss_of(&s) && loss_of(&s) != first);
  close_setup(&s);
  ft_layout_free(l);
}

/* Of the activations, per token: what two lower layers share, and the inputs of maps that nobody
 * trains. */
static void nothing_is_kept_for_what_is_frozen(void **state) {
  (void)state;
  const ft_model_options options = {.compute = FT_F32, .max_tokens = 16, .training = true};
  const trial top = {"", plain, {.dropout = 0}, {all_frozen, last_map, NULL}};
  ft_layout *whole = layout_for(&top, NULL), *part = layout_for(&top, &top.method);
  const ft_arch *a = &whole->arch;
  ft_footprint all, some;
  assert_int_equal(a->layers, 3);
  assert_ok(ft_model_footprint(whole, &options, &all));
  assert_ok(ft_model_footprint(part, &options, &some));
  int64_t qkv = (a->heads + 2 * a->kv_heads) * a->head_dim, q = a->heads * a->head_dim;
  int64_t without_inputs = qkv + q + a->hidden + 2 * a->ffn + 2 + a->heads;
  int64_t lower = without_inputs + 2 * a->hidden; /* of one of the two lower layers */
  assert_int_equal(all.rank[FT_MEM_ACTIVATIONS] - some.rank[FT_MEM_ACTIVATIONS],
                   4 * 16 * (lower + 2 * 2 * a->hidden - 2 * 3)); /* both sets have A x */
  ft_layout_free(whole);
  ft_layout_free(part);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_derivatives),
      cmocka_unit_test(computing_again_changes_no_bit),
      cmocka_unit_test(the_beginning_is_the_model_alone),
      cmocka_unit_test(dropout_follows_its_draw),
      cmocka_unit_test(nothing_is_kept_for_what_is_frozen),
  };
  return cmocka_run_group_tests(tests, start, end);
}
