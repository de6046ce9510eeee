/* Proves for every form that a description can give a model (norms and their places, rotary
 * embeddings, activations, caps and scales, encoders, heads) that the backward pass is the
 * derivative of the forward pass, that activation checkpointing changes no bit, and that generation
 * with a cache gives the logits of the whole pass. Run alone: meson test 'model forms' */
#include "fixture.h"

/* ---------------------------------------------------------------- forms */

static void soft_caps_and_four_norms(ft_arch *a) { /* as Gemma 2 */
  a->norm.plus_one = true;
  a->norm_places = FT_NORM_BEFORE | FT_NORM_OUTPUT;
  a->activation = FT_ACT_GELU_TANH;
  a->attention_scale = 0.3f;
  a->attention_softcap = 2;
  a->logits_softcap = 3;
  a->embedding_scale = 4.9f;
  a->tied = true;
  a->num_kinds = 2;
  a->kinds[0].window = 4;
  set_kind(a, 1, 1);
}

static void two_rotary_embeddings(ft_arch *a) { /* as Gemma 3 */
  soft_caps_and_four_norms(a);
  a->attention_softcap = a->logits_softcap = 0;
  a->qk_norm = FT_QK_NORM_HEADS;
  a->num_ropes = 2;
  a->ropes[1].theta = 1000;
  a->kinds[1].rope = 1;
}

static void norms_of_outputs_only(ft_arch *a) { /* as OLMo 2 */
  a->norm_places = FT_NORM_OUTPUT;
  a->qk_norm = FT_QK_NORM_WHOLE;
}

static void layers_without_rotation(ft_arch *a) { /* as SmolLM3 */
  a->num_kinds = 2;
  a->kinds[1].rope = -1;
  a->kind_of[1] = 1;
}

static void scales_everywhere(ft_arch *a) { /* as Granite */
  a->embedding_scale = 3;
  a->residual_scale = 0.4f;
  a->attention_scale = 0.2f;
  a->logits_scale = 0.5f;
}

static void scaled_norms_of_outputs(ft_arch *a) {
  scales_everywhere(a);
  norms_of_outputs_only(a);
}

static void part_of_a_head_turns_by_two_sets(ft_arch *a) { /* as Phi-3 */
  a->head_dim = 8;
  a->ropes[0].width = 6;
  a->ropes[0].type = FT_ROPE_LONG;
  a->ropes[0].original_positions = 11;
  a->ropes[0].attention_factor = 1.2;
  for (int i = 0; i < 3; i++) {
    a->ropes[0].short_factors[i] = 1 + 0.1 * i;
    a->ropes[0].long_factors[i] = 2 + i;
  }
}

static void neighbours_turn(ft_arch *a) { /* as GLM-4 */
  a->norm_places = FT_NORM_BEFORE | FT_NORM_OUTPUT;
  a->head_dim = 8;
  a->ropes[0].width = 4;
  a->ropes[0].neighbours = true;
  a->qkv_bias = true;
}

static void yarn_and_scaled_queries(ft_arch *a) { /* as Ministral 3 */
  a->ropes[0].type = FT_ROPE_YARN;
  a->ropes[0].factor = 4;
  a->ropes[0].beta_fast = 32;
  a->ropes[0].beta_slow = 1;
  a->ropes[0].truncate = true;
  a->ropes[0].original_positions = 4;
  a->ropes[0].query_beta = 0.3;
  a->ropes[0].attention_factor = 1.138629436;
}

static void plain_and_squared(ft_arch *a) { /* as Arcee */
  a->gated = false;
  a->activation = FT_ACT_RELU2;
  a->mlp_bias = true;
}

static void trained_activation(ft_arch *a) { /* as Apertus */
  a->gated = false;
  a->activation = FT_ACT_XIELU;
  a->qk_norm = FT_QK_NORM_HEADS;
}

static void norm_after_rotation(ft_arch *a) { /* as Hunyuan */
  a->qk_norm = FT_QK_NORM_HEADS_ROTATED;
}

static void layer_norms_and_learned_positions(ft_arch *a) { /* as GPT-2 */
  a->norm.kind = FT_NORM_LAYER;
  a->norm_bias = true;
  a->num_ropes = 0;
  a->kinds[0].rope = -1;
  a->learned_positions = 40;
  a->gated = false;
  a->activation = FT_ACT_GELU_TANH;
  a->kv_heads = a->heads;
  a->qkv_bias = a->o_bias = a->mlp_bias = true;
  a->scale_by_layer = true;
  a->tied = true;
}

static void norms_after_sums_two_ways(ft_arch *a) { /* as BERT, masked tokens */
  layer_norms_and_learned_positions(a);
  a->scale_by_layer = false;
  a->norm_places = FT_NORM_AFTER_SUM;
  a->activation = FT_ACT_GELU;
  a->two_way = true;
  a->token_types = 2;
  a->embedding_norm = true;
  a->final_norm = false;
  a->head_bias = true;
  a->transform = (ft_head_transform){
      .dense = true, .dense_bias = true, .norm = true, .activation = FT_ACT_GELU};
}

static void classes_from_the_first_token(ft_arch *a) { /* as BERT, classes */
  norms_after_sums_two_ways(a);
  a->tied = false;
  a->head = FT_HEAD_LABELS;
  a->num_labels = 5;
  a->transform = (ft_head_transform){.dense = true, .dense_bias = true, .activation = FT_ACT_TANH};
}

static void windows_two_ways(ft_arch *a) { /* as ModernBERT */
  a->norm.kind = FT_NORM_LAYER;
  a->two_way = true;
  a->activation = FT_ACT_GELU;
  a->embedding_norm = true;
  a->num_kinds = 2;
  a->kinds[0].no_input_norm = true;
  a->kinds[1].window = 4;
  set_kind(a, 1, 1);
  a->transform = (ft_head_transform){.dense = true, .norm = true, .activation = FT_ACT_GELU};
  a->head_bias = true;
  a->tied = true;
}

static void classes_from_the_mean(ft_arch *a) {
  windows_two_ways(a);
  a->tied = false;
  a->head = FT_HEAD_LABELS;
  a->pooling = FT_POOL_MEAN;
  a->num_labels = 4;
}

static void score_of_the_last_token(ft_arch *a) {
  a->head = FT_HEAD_LABELS;
  a->pooling = FT_POOL_LAST;
  a->num_labels = 2;
}

typedef struct form {
  const char *name;
  void (*make)(ft_arch *a);
} form;

static const form forms[] = {{"soft caps and four norms", soft_caps_and_four_norms},
                             {"two rotary embeddings", two_rotary_embeddings},
                             {"norms of outputs only", norms_of_outputs_only},
                             {"layers without rotation", layers_without_rotation},
                             {"scales everywhere", scales_everywhere},
                             {"scaled norms of outputs", scaled_norms_of_outputs},
                             {"two sets of frequencies", part_of_a_head_turns_by_two_sets},
                             {"neighbours turn", neighbours_turn},
                             {"yarn and scaled queries", yarn_and_scaled_queries},
                             {"plain and squared", plain_and_squared},
                             {"trained activation", trained_activation},
                             {"norm after rotation", norm_after_rotation},
                             {"learned positions", layer_norms_and_learned_positions},
                             {"norms after sums, two ways", norms_after_sums_two_ways},
                             {"classes from the first token", classes_from_the_first_token},
                             {"windows two ways", windows_two_ways},
                             {"classes from the mean", classes_from_the_mean},
                             {"score of the last token", score_of_the_last_token}};

static ft_arch make(const form *f) {
  ft_arch a = base;
  f->make(&a);
  ft_arch_complete(&a);
  return a;
}

/* ---------------------------------------------------------------- what holds for each */

static void gradients_are_derivatives(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    ft_arch a = make(&forms[i]);
    compare_all(&a, forms[i].name);
  }
}

/* The padding token's row learns nothing from being looked up, others do. */
static void padding_is_not_learnt_from_its_place(void **state) {
  (void)state;
  ft_arch a = base;
  batch b;
  make_batch(&a, 0, &b);
  a.padding_token = b.tokens[3];
  setup s;
  open_setup(&s, &a, 0, 700);
  train(&s);
  const float *gradient = ft_shard_gradient(s.shard, 0);
  for (int token = 3; token < 5; token++) {
    double size = 0;
    for (int64_t i = 0; i < a.hidden; i++)
      size += fabs((double)gradient[b.tokens[token] * a.hidden + i]);
    assert_true((size == 0) == (token == 3));
  }
  close_setup(&s);
}

static void computing_again_changes_no_bit(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    ft_arch a = make(&forms[i]);
    uint64_t hashes[2];
    for (int again = 0; again < 2; again++) {
      setup s;
      open_setup(&s, &a, again, 700);
      train(&s);
      hashes[again] = hash_gradients(&s);
      close_setup(&s);
    }
    if (hashes[0] != hashes[1])
      fail_msg("%s: activation checkpointing changes bits", forms[i].name);
  }
}

/* Logits of the last token, of a prompt at once and of one that grows token by token, the last of
 * which make another set of frequencies count. */
static void compare_generation(const form *f, const ft_arch *a) {
  ft_shard *shard;
  ft_model *model;
  ft_cache *cache;
  ft_shard_options options = {.stage = 2, .training = false, .compute = FT_F32};
  ft_model_options model_options = {.compute = FT_F32, .max_tokens = 8};
  ft_model_options whole_options = {.compute = FT_F32, .max_tokens = TOKENS};
  batch b;
  float whole[67], grown[67];
  make_batch(a, 0, &b);
  assert_ok(ft_shard_new(comm, layout_of(a), &options, &shard));
  randomize(shard);
  assert_ok(ft_model_new(shard, &model_options, &model));
  assert_ok(ft_cache_new(model, 1, TOKENS, &cache));
  for (int64_t length = 9; length <= 14; length++) {
    ft_model *other;
    int64_t offsets[] = {0, length}, last = length - 1;
    int32_t positions[TOKENS];
    for (int i = 0; i < TOKENS; i++)
      positions[i] = i;
    ft_model_batch view = {.num_tokens = length,
                           .num_documents = 1,
                           .tokens = b.tokens,
                           .positions = positions,
                           .offsets = offsets};
    assert_ok(ft_model_new(shard, &whole_options, &other));
    assert_ok(ft_model_logits(other, &view, &last, 1, whole));
    ft_model_free(other);
    int64_t from = length == 9 ? 0 : last;
    extend(model, cache, b.tokens + from, length - from, grown);
    for (int64_t i = 0; i < a->vocab; i++)
      if (!(fabsf(whole[i] - grown[i]) < 5e-5f))
        fail_msg("%s, %d tokens: logit %d is %g, in the whole pass %g", f->name, (int)length,
                 (int)i, (double)grown[i], (double)whole[i]);
  }
  ft_cache_free(cache);
  ft_model_free(model);
  ft_shard_free(shard);
}

static void generation_is_the_whole_pass(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    ft_arch a = make(&forms[i]);
    if (!a.two_way && a.head == FT_HEAD_TOKENS) compare_generation(&forms[i], &a);
  }
}

static void encoders_do_not_generate(void **state) {
  (void)state;
  ft_arch a = base;
  windows_two_ways(&a);
  ft_arch_complete(&a);
  ft_shard *shard;
  ft_model *model;
  ft_cache *cache;
  ft_shard_options options = {.stage = 2, .compute = FT_F32};
  ft_model_options model_options = {.compute = FT_F32, .max_tokens = 8};
  assert_ok(ft_shard_new(comm, layout_of(&a), &options, &shard));
  assert_ok(ft_model_new(shard, &model_options, &model));
  assert_fails(ft_cache_new(model, 1, 8, &cache), FT_ERR_DATA, "sees those that come later");
  ft_model_free(model);
  ft_shard_free(shard);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_derivatives),
      cmocka_unit_test(padding_is_not_learnt_from_its_place),
      cmocka_unit_test(computing_again_changes_no_bit),
      cmocka_unit_test(generation_is_the_whole_pass),
      cmocka_unit_test(encoders_do_not_generate),
  };
  return cmocka_run_group_tests(tests, start, end);
}
