/* Proves of rows before documents that a prompt is what its rows would be as tokens, that documents
 * of one batch have it each for itself, that generation computes what the whole pass does, and that
 * a prompt begins with the rows that it is told. Run alone: meson test 'model virtual rows' */
#include "fixture.h"

enum { VIRTUAL = 3 };

static bool all_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer, (void)role;
  return true;
}

/* ---------------------------------------------------------------- forms */

static void plain(ft_arch *a) {
  (void)a;
}

/* Granite multiplies what is looked up behind the embedding, a prompt with it. */
static void multiplied_behind(ft_arch *a) {
  a->embedding_scale = 3;
}

/* Gemma multiplies in it; a prompt is what comes out. */
static void multiplied_inside(ft_arch *a) {
  a->embedding_scale = 4;
  a->round_embedding_scale = true;
}

static void windows(ft_arch *a) {
  a->kinds[0].window = 5;
  a->qk_norm = FT_QK_NORM_HEADS;
  a->tied = true;
}

/* A document of 14 rows turns by other frequencies than one of 13. */
static void two_sets_of_frequencies(ft_arch *a) {
  a->ropes[0].type = FT_ROPE_LONG;
  a->ropes[0].original_positions = 13;
  for (int i = 0; i < 3; i++) {
    a->ropes[0].short_factors[i] = 1 + 0.1 * i;
    a->ropes[0].long_factors[i] = 2 + 0.7 * i;
  }
}

static void learned_positions(ft_arch *a) {
  a->num_ropes = 0;
  a->kinds[0].rope = -1;
  a->learned_positions = a->max_positions;
}

typedef struct form {
  const char *name;
  void (*make)(ft_arch *a);
} form;

static const form forms[] = {{"plain", plain},
                             {"multiplied behind", multiplied_behind},
                             {"multiplied inside", multiplied_inside},
                             {"windows", windows},
                             {"two sets of frequencies", two_sets_of_frequencies},
                             {"learned positions", learned_positions}};

static const ft_method prompt = {.prompt_tokens = VIRTUAL};
static const ft_method prefix = {.prefix_tokens = VIRTUAL};

static ft_layout *layout_with(const form *f, const ft_method *method) {
  const ft_choice choice = {.frozen = all_frozen};
  ft_arch a = base;
  ft_layout *l;
  f->make(&a);
  ft_arch_complete(&a);
  assert_ok(ft_arch_check(&a));
  assert_ok(ft_layout_new(&a, method, method ? &choice : NULL, &l));
  return l;
}

static void open_for_reading(setup *s, const ft_layout *l, int64_t max_tokens) {
  const ft_shard_options shard = {.stage = 2, .compute = FT_F32};
  const ft_model_options options = {.compute = FT_F32, .max_tokens = max_tokens, .seed = 6};
  s->draws = false;
  assert_ok(ft_shard_new(comm, l, &shard, &s->shard));
  assert_ok(ft_model_new(s->shard, &options, &s->model));
  make_batch(&l->arch, ft_method_virtual_rows(&l->method), &s->batch);
  randomize(s->shard);
}

/* One document: `virtual_rows`, then tokens of the batch's from `first` on. */
static void one_document(const batch *from, int64_t virtual_rows, int64_t first, int64_t count,
                         batch *out) {
  for (int64_t i = 0; i < virtual_rows + count; i++) {
    bool is_virtual = i < virtual_rows;
    out->tokens[i] = is_virtual ? FT_NO_TOKEN : from->tokens[first + i - virtual_rows];
    out->targets[i] = is_virtual ? -1 : from->targets[first + i - virtual_rows];
    out->positions[i] = (int32_t)i;
  }
  out->offsets[0] = 0;
  out->offsets[1] = virtual_rows + count;
  out->view = (ft_model_batch){.num_tokens = virtual_rows + count,
                               .num_documents = 1,
                               .tokens = out->tokens,
                               .targets = out->targets,
                               .positions = out->positions,
                               .offsets = out->offsets};
}

/* ---------------------------------------------------------------- what holds */

static void documents_have_it_each_for_itself(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * FT_ARRAY_SIZE(forms); i++) {
    const form *f = &forms[i / 2];
    ft_layout *l = layout_with(f, i % 2 ? &prompt : &prefix);
    double together, sum = 0, loss;
    setup s;
    open_for_reading(&s, l, MOST_ROWS);
    assert_ok(ft_model_evaluate(s.model, &s.batch.view, &together, NULL));
    for (int d = 0; d < DOCUMENTS; d++) {
      batch one;
      int64_t first = s.batch.offsets[d] + VIRTUAL;
      one_document(&s.batch, VIRTUAL, first, s.batch.offsets[d + 1] - first, &one);
      assert_ok(ft_model_evaluate(s.model, &one.view, &loss, NULL));
      sum += loss;
    }
    if (fabs(together - sum) > 1e-6 * sum) fail_msg("%s: %g, alone %g", f->name, together, sum);
    close_setup(&s);
    ft_layout_free(l);
  }
}

/* A prompt that begins with tokens' rows, against a model that reads these tokens. */
static void a_prompt_is_what_its_rows_would_be_as_tokens(void **state) {
  (void)state;
  static const uint32_t tokens[VIRTUAL] = {5, 61, 5};
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    ft_layout *with = layout_with(&forms[i], &prompt), *alone = layout_with(&forms[i], NULL);
    float logits[2][67];
    for (int k = 0; k < 2; k++) {
      setup s;
      batch one;
      open_for_reading(&s, k ? with : alone, MOST_ROWS);
      int64_t first = k ? VIRTUAL : 0, last = VIRTUAL + 10;
      one_document(&s.batch, VIRTUAL, first, 11, &one);
      for (int p = 0; p < VIRTUAL && !k; p++)
        one.tokens[p] = tokens[p];
      if (k) assert_ok(ft_model_start_method(s.model, tokens));
      assert_ok(ft_model_logits(s.model, &one.view, &last, 1, logits[k]));
      close_setup(&s);
    }
    for (int64_t v = 0; v < base.vocab; v++)
      if (!(fabsf(logits[0][v] - logits[1][v]) < 1e-6f))
        fail_msg("%s: logit %d is %g, of tokens %g", forms[i].name, (int)v, (double)logits[1][v],
                 (double)logits[0][v]);
    ft_layout_free(with);
    ft_layout_free(alone);
  }
}

/* Pieces of at most 8 rows, the first of which have virtual ones. */
static void compare_generation(const form *f, const ft_layout *l) {
  static const int parts[][3] = {{11, 0, 0}, {1, 9, 1}, {2, 2, 7}};
  float whole[67], grown[67];
  setup s, pieces;
  batch one;
  int64_t last = VIRTUAL + 10;
  open_for_reading(&s, l, MOST_ROWS);
  open_for_reading(&pieces, l, 8);
  one_document(&s.batch, VIRTUAL, VIRTUAL, 11, &one);
  assert_ok(ft_model_logits(s.model, &one.view, &last, 1, whole));
  for (size_t p = 0; p < FT_ARRAY_SIZE(parts); p++) {
    ft_cache *cache;
    assert_ok(ft_cache_new(pieces.model, 1, 11, &cache));
    for (int i = 0, at = VIRTUAL; i < 3; at += parts[p][i++])
      if (parts[p][i] > 0) extend(pieces.model, cache, one.tokens + at, parts[p][i], grown);
    for (int64_t v = 0; v < base.vocab; v++)
      if (!(fabsf(whole[v] - grown[v]) < 5e-5f))
        fail_msg("%s, parts %d: logit %d is %g, in the whole pass %g", f->name, (int)p, (int)v,
                 (double)grown[v], (double)whole[v]);
    ft_cache_free(cache);
  }
  close_setup(&pieces);
  close_setup(&s);
}

static void generation_is_the_whole_pass(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * FT_ARRAY_SIZE(forms); i++) {
    ft_layout *l = layout_with(&forms[i / 2], i % 2 ? &prompt : &prefix);
    compare_generation(&forms[i / 2], l);
    ft_layout_free(l);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(documents_have_it_each_for_itself),
      cmocka_unit_test(a_prompt_is_what_its_rows_would_be_as_tokens),
      cmocka_unit_test(generation_is_the_whole_pass),
  };
  return cmocka_run_group_tests(tests, start, end);
}
