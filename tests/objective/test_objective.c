/* Proves what an objective asks of a model, the weight of a row, and the figures of an evaluation
 * against counting by hand. Run alone: meson test objective */
#include "ft_test.h"

#include "ft/objective.h"

static void rows_weigh_alike(void **state) {
  (void)state;
  const ft_objective o = {.kind = FT_OBJECTIVE_TOKENS, .label_smoothing = 0.1f, .z_loss = 1e-4f};
  ft_loss loss = ft_objective_loss(&o, 8);
  assert_true(loss.weight == 0.125f && loss.label_smoothing == 0.1f && loss.z_loss == 1e-4f);
}

static void models_are_refused_by_reason(void **state) {
  (void)state;
  const ft_objective tokens = {.kind = FT_OBJECTIVE_TOKENS};
  const ft_objective masked = {.kind = FT_OBJECTIVE_MASKED_TOKENS};
  const ft_objective classes = {.kind = FT_OBJECTIVE_CLASSES};
  assert_ok(ft_objective_check(&tokens, false, 0));
  assert_ok(ft_objective_check(&masked, true, 0));
  assert_ok(ft_objective_check(&classes, true, 3));
  assert_ok(ft_objective_check(&classes, false, 3));
  assert_fails(ft_objective_check(&tokens, true, 0), FT_ERR_CONFIG, "masked-tokens");
  assert_fails(ft_objective_check(&masked, false, 0), FT_ERR_CONFIG, "\"tokens\"");
  assert_fails(ft_objective_check(&classes, true, 0), FT_ERR_CONFIG, "gives tokens");
  assert_fails(ft_objective_check(&classes, true, 1), FT_ERR_CONFIG, "one number");
  assert_fails(ft_objective_check(&tokens, false, 3), FT_ERR_CONFIG, "3 labels");
}

static void classes_are_counted(void **state) {
  (void)state;
  static const int32_t targets[] = {0, 0, 1, 2, 2, 2}, predicted[] = {0, 1, 1, 2, 0, 2};
  ft_scores s;
  ft_score out[FT_SCORES_MOST];
  assert_ok(ft_scores_init(&s, FT_OBJECTIVE_CLASSES, 5)); /* two classes never occur */
  assert_int_equal(ft_scores_read(&s, out), 0);
  ft_scores_add(&s, 4, targets, predicted);
  ft_scores_add(&s, 2, targets + 4, predicted + 4);
  assert_int_equal(ft_scores_read(&s, out), 2);
  assert_string_equal(out[0].name, "accuracy");
  assert_true(out[0].value == 4.0 / 6);
  /* F1: 2·1/(2+2), 2·1/(2+1), 2·2/(2+3) */
  assert_float_equal(out[1].value, (0.5 + 2.0 / 3 + 0.8) / 3, 1e-12);
  ft_scores_fini(&s);
}

static void masked_tokens_are_counted(void **state) {
  (void)state;
  static const int32_t targets[] = {7, 8, 9, 7}, predicted[] = {7, 8, 7, 7};
  ft_scores s;
  ft_score out[FT_SCORES_MOST];
  assert_ok(ft_scores_init(&s, FT_OBJECTIVE_MASKED_TOKENS, 0));
  ft_scores_add(&s, 4, targets, predicted);
  assert_int_equal(ft_scores_read(&s, out), 1);
  assert_true(out[0].value == 0.75);
  ft_scores_fini(&s);
  assert_ok(ft_scores_init(&s, FT_OBJECTIVE_TOKENS, 0));
  ft_scores_add(&s, 4, targets, predicted);
  assert_int_equal(ft_scores_read(&s, out), 0);
  ft_scores_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_weigh_alike),
      cmocka_unit_test(models_are_refused_by_reason),
      cmocka_unit_test(classes_are_counted),
      cmocka_unit_test(masked_tokens_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
