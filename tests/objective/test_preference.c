/* Proves every loss over pairs and rated documents against values that TRL 1.16 computed, its
 * derivatives against finite differences, that sums do not depend on how documents are dealt to
 * micro-batches, and which options an objective refuses. Run alone: meson test preference */
#include "ft_test.h"

#include <math.h>

#include "ft/objective_preference.h"

/* Log-probabilities of eight pairs (chosen, rejected) by two tiny models. */
static const double policy[16] = {-55.4432373, -142.451401, -32.8497543, -144.476974,
                                  -30.2871265, -53.7300377, -47.01968,   -100.192535,
                                  -56.4957733, -80.4855728, -68.244133,  -147.855972,
                                  -40.6732178, -44.9503288, -127.004585, -91.41082};
static const double reference[16] = {-56.6696892, -143.65451,  -34.3271408, -143.15625,
                                     -30.0108242, -53.7655487, -46.3383179, -98.999321,
                                     -55.2417755, -77.8522186, -67.2892456, -148.177078,
                                     -39.4409828, -47.6565857, -126.697968, -91.5261841};
static const int64_t targets[16] = {10, 24, 5, 24, 5, 9, 8, 17, 9, 14, 11, 24, 7, 7, 20, 15};

static void assert_near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance))
    fail_msg("%.12g is not %.12g within %g", value, expected, tolerance);
}

static const ft_objective_numbers not_given = {NAN, NAN, NAN, NAN, NAN, NAN};

static ft_objective make(ft_objective_kind kind, ft_pair_loss loss, float smoothing, double beta) {
  ft_objective o = {.kind = kind, .loss = loss, .label_smoothing = smoothing, .numbers = not_given};
  o.numbers.beta = beta;
  assert_ok(ft_objective_resolve(&o));
  return o;
}

static ft_preference_batch pairs(const ft_objective *o) {
  return (ft_preference_batch){.num = 16,
                               .value = policy,
                               .targets = targets,
                               .reference =
                                   ft_objective_form_of(o->kind)->reference ? reference : NULL};
}

static double loss_of(const ft_objective *o, const ft_preference_batch *b) {
  const ft_preference_whole whole = {.rows = 8, .nll_targets = 75};
  ft_preference_sums sums = {0};
  ft_preference_weigh(o, b, &whole, NULL, NULL, &sums);
  return ft_preference_loss(o, &sums);
}

/* The weight of each document is the derivative of the loss by its value. */
static void check_weights(const ft_objective *o, const ft_preference_batch *b) {
  const ft_preference_whole whole = {.rows = 8, .nll_targets = 75};
  ft_preference_sums sums = {0};
  double weight[16], value[16], step = 1e-5;
  ft_preference_batch moved = *b;
  ft_preference_weigh(o, b, &whole, weight, NULL, &sums);
  moved.value = value;
  for (int d = 0; d < 16; d++) {
    memcpy(value, b->value, sizeof value);
    value[d] = b->value[d] + step;
    double above = loss_of(o, &moved);
    value[d] = b->value[d] - step;
    double slope = (above - loss_of(o, &moved)) / (2 * step);
    assert_near(weight[d], slope, 1e-6 + 1e-6 * fabs(slope));
  }
}

static void losses_are_those_of_trl(void **state) {
  (void)state;
  static const struct {
    ft_objective_kind kind;
    ft_pair_loss loss;
    float smoothing;
    double beta, expected;
  } cases[] = {
      {FT_OBJECTIVE_DPO, FT_PAIR_SIGMOID, 0, 0.1, 0.7051327228546143},
      {FT_OBJECTIVE_DPO, FT_PAIR_SIGMOID, 0, 1, 1.0877755880355835},
      {FT_OBJECTIVE_DPO, FT_PAIR_CONSERVATIVE, 0.1f, 0.1, 0.7035881876945496},
      {FT_OBJECTIVE_DPO, FT_PAIR_HINGE, 0, 0.1, 1.0154452323913574},
      {FT_OBJECTIVE_DPO, FT_PAIR_HINGE, 0, 1, 1.4266357421875},
      {FT_OBJECTIVE_DPO, FT_PAIR_IPO, 0, 0.1, 25.41798210144043},
      {FT_OBJECTIVE_DPO, FT_PAIR_ROBUST, 0.1f, 0.1, 0.7070633172988892},
      {FT_OBJECTIVE_DPO, FT_PAIR_SIGMOID_NORM, 0, 0.1, 0.6950207948684692},
      {FT_OBJECTIVE_DPO, FT_PAIR_APO_ZERO, 0, 0.1, 1.003862977027893},
      {FT_OBJECTIVE_DPO, FT_PAIR_APO_DOWN, 0, 0.1, 0.9975079298019409},
      {FT_OBJECTIVE_DPO, FT_PAIR_SPPO_HARD, 0, 0.1, 54.9589958190918},
      {FT_OBJECTIVE_DPO, FT_PAIR_EXO_PAIR, 0.1f, 0.1, 0.5233166813850403},
      {FT_OBJECTIVE_DPO, FT_PAIR_NCA_PAIR, 0, 0.1, 1.3935856819152832},
      {FT_OBJECTIVE_DPO, FT_PAIR_BCO_PAIR, 0, 0.1, 1.3982772827148438},
      {FT_OBJECTIVE_SIMPO, FT_PAIR_SIGMOID, 0, NAN, 1.4514259099960327},
      {FT_OBJECTIVE_SIMPO, FT_PAIR_SIGMOID, 0.1f, NAN, 1.3402515649795532},
      {FT_OBJECTIVE_CPO, FT_PAIR_SIGMOID, 0, NAN, 6.6410698890686035},
      {FT_OBJECTIVE_CPO, FT_PAIR_SIGMOID, 0.1f, NAN, 7.0754899978637695},
      {FT_OBJECTIVE_CPO, FT_PAIR_HINGE, 0, NAN, 6.748358249664307},
      {FT_OBJECTIVE_CPO, FT_PAIR_IPO, 0, NAN, 31.813549041748047},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_objective o = make(cases[i].kind, cases[i].loss, cases[i].smoothing, cases[i].beta);
    const ft_preference_batch b = pairs(&o);
    assert_near(loss_of(&o, &b), cases[i].expected, 1e-6 * (1 + cases[i].expected));
    check_weights(&o, &b);
  }
}

/* β log σ(odds) alone; the mean of −log p over prompts and answers comes beside it. */
static void orpo_has_odds_and_all_tokens(void **state) {
  (void)state;
  ft_objective o = make(FT_OBJECTIVE_ORPO, FT_PAIR_SIGMOID, 0, NAN);
  double rest[16], weight[16], rest_weight[16];
  int64_t rest_targets[16];
  ft_preference_batch b = pairs(&o);
  b.rest = rest;
  b.rest_targets = rest_targets;
  for (int d = 0; d < 16; d++) {
    rest[d] = d % 2 == 0 ? -10 : NAN; /* of chosen documents only */
    rest_targets[d] = d % 2 == 0 ? 3 : 0;
  }
  const ft_preference_whole whole = {.rows = 8,
                                     .nll_targets = ft_preference_nll_targets(&o, 75, 75 + 24)};
  ft_preference_sums sums = {0};
  ft_preference_weigh(&o, &b, &whole, weight, rest_weight, &sums);
  double nll = 80;
  for (int d = 0; d < 16; d += 2)
    nll -= policy[d];
  assert_near(ft_preference_loss(&o, &sums), 0.07394734 + nll / 99, 1e-6);
  assert_near(rest_weight[0], -1.0 / 99, 1e-12);
  assert_true(rest_weight[1] == 0);
  o.numbers.nll = 0;
  check_weights(&o, &b);
}

static void rewards_are_those_of_trl(void **state) {
  (void)state;
  ft_preference_column c[FT_PREFERENCE_COLUMNS];
  const ft_preference_whole whole = {.rows = 8, .nll_targets = 75};
  static const struct {
    ft_objective_kind kind;
    double expected[6]; /* chosen, rejected, margin, accuracy; logps chosen, rejected */
  } cases[] = {
      {FT_OBJECTIVE_DPO,
       {-0.025019553, -0.009574318, -0.01544524, 0.5, -57.25218582, -100.6942062}},
      {FT_OBJECTIVE_SIMPO,
       {-12.17279243, -12.06104946, -0.111743093, 0.375, -6.086396218, -6.030524731}},
      {FT_OBJECTIVE_CPO,
       {-5.72521925, -10.06942081, 4.344201565, 0.875, -57.25218582, -100.6942062}},
      {FT_OBJECTIVE_ORPO,
       {-0.608639657, -0.603052497, -0.005587153, 0.375, -6.086396218, -6.030524731}},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_objective o = make(cases[i].kind, FT_PAIR_SIGMOID, 0, NAN);
    o.numbers.nll = 0;
    const ft_preference_batch b = pairs(&o);
    ft_preference_sums sums = {0};
    ft_preference_weigh(&o, &b, &whole, NULL, NULL, &sums);
    assert_int_equal(ft_preference_columns(&o, &sums, 0, c), 6);
    for (int k = 0; k < 6; k++)
      assert_near(c[k].value, cases[i].expected[k], 1e-5);
    assert_string_equal(c[3].name, "accuracy");
  }
}

/* Eight rated documents under z of their global batch. */
static void kto_weighs_documents(void **state) {
  (void)state;
  static const double mismatched = 0.48162079 + 1.15185547 - 0.06803894 + 2.72805786 + 2.15453339 -
                                   0.10840225 + 1.39101410 - 0.17225266;
  static const double rewards[8] = {-0.109074406, -0.145710751, 0.000291443,  0.101065829,
                                    0.179549024,  0.022430038,  -0.048947524, 0.141027078};
  static const double losses[8] = {0.5507135391, 0.5597606301, 0.5235297084, 0.4983534813,
                                   0.4787455201, 0.5180046558, 0.4642044902, 0.4883652925};
  bool desirable[8];
  double value[8], zero[8] = {0};
  for (int d = 0; d < 8; d++) {
    desirable[d] = d != 6;
    value[d] = rewards[d] / 0.1;
  }
  ft_objective o = make(FT_OBJECTIVE_KTO, FT_PAIR_SIGMOID, 0, NAN);
  double kl = ft_preference_kl(mismatched, 8);
  assert_near(kl, 0.944798469543457, 1e-6);
  assert_true(ft_preference_kl(-1, 8) == 0);
  const ft_preference_whole whole = {.rows = 8, .kl = kl};
  double weight[8], above[8], sum = 0;
  ft_preference_sums all = {0};
  ft_preference_batch b = {
      .num = 8, .value = value, .targets = targets, .reference = zero, .desirable = desirable};
  ft_preference_weigh(&o, &b, &whole, weight, NULL, &all);
  assert_near(ft_preference_loss(&o, &all), 0.5102096796, 1e-6);
  for (int d = 0; d < 8; d++) {
    ft_preference_sums one = {0};
    const ft_preference_batch single = {.num = 1,
                                        .value = value + d,
                                        .targets = targets,
                                        .reference = zero,
                                        .desirable = desirable + d};
    ft_preference_weigh(&o, &single, &whole, NULL, NULL, &one);
    assert_near(one.loss, losses[d], 1e-6);
    sum += one.loss;
    memcpy(above, value, sizeof above);
    above[d] += 1e-5;
    ft_preference_sums moved = {0};
    b.value = above;
    ft_preference_weigh(&o, &b, &whole, NULL, NULL, &moved);
    b.value = value;
    assert_near(weight[d], (moved.loss - all.loss) / 8 / 1e-5, 1e-6);
  }
  assert_near(sum, all.loss, 1e-12);
  o.numbers.desirable_weight = 1.5;
  o.numbers.undesirable_weight = 0.75;
  ft_preference_sums weighed = {0};
  ft_preference_weigh(&o, &b, &whole, NULL, NULL, &weighed);
  assert_near(ft_preference_loss(&o, &weighed), 0.7217954397, 1e-6);
}

static void scores_are_compared(void **state) {
  (void)state;
  double score[16];
  for (int d = 0; d < 16; d++)
    score[d] = (d * 7 % 16 - 6) / 4.0;
  ft_objective o = make(FT_OBJECTIVE_REWARD, FT_PAIR_SIGMOID, 0, NAN);
  ft_preference_batch b = pairs(&o);
  b.value = score;
  double plain = loss_of(&o, &b), expected = 0, centre = 0;
  for (int d = 0; d < 16; d += 2) {
    expected += log1p(exp(score[d + 1] - score[d])) / 8;
    centre += 0.01 * pow(score[d] + score[d + 1], 2) / 8;
  }
  assert_near(plain, expected, 1e-12);
  o.numbers.centre = 0.01;
  assert_near(loss_of(&o, &b), expected + centre, 1e-12);
  check_weights(&o, &b);
}

/* Documents in one micro-batch or in several: the same sums and weights. */
static void sums_add_up(void **state) {
  (void)state;
  ft_objective o = make(FT_OBJECTIVE_CPO, FT_PAIR_SIGMOID, 0, NAN);
  const ft_preference_whole whole = {.rows = 8, .nll_targets = 75};
  ft_preference_batch b = pairs(&o);
  double once[16], apart[16];
  ft_preference_sums all = {0}, sum = {0};
  ft_preference_weigh(&o, &b, &whole, once, NULL, &all);
  for (int d = 0; d < 16; d += 4) {
    b = (ft_preference_batch){.num = 4, .value = policy + d, .targets = targets + d};
    ft_preference_weigh(&o, &b, &whole, apart + d, NULL, &sum);
  }
  assert_memory_equal(once, apart, sizeof once);
  assert_memory_equal(&all, &sum, sizeof all);
}

static void options_are_refused_by_name(void **state) {
  (void)state;
  ft_objective o = {.kind = FT_OBJECTIVE_DPO, .numbers = not_given};
  o.numbers.gamma = 1;
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "objective.gamma");
  o = (ft_objective){.kind = FT_OBJECTIVE_TOKENS, .numbers = not_given};
  o.numbers.beta = 0.1;
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "objective.beta");
  o = (ft_objective){.kind = FT_OBJECTIVE_DPO, .label_smoothing = 0.1f, .numbers = not_given};
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "conservative");
  o.loss = FT_PAIR_ROBUST;
  assert_ok(ft_objective_resolve(&o));
  o.label_smoothing = 0.5f;
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "below 0.5");
  o.loss = FT_PAIR_EXO_PAIR;
  o.label_smoothing = 0;
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "above 0");
  o = (ft_objective){.kind = FT_OBJECTIVE_KTO, .loss = FT_PAIR_IPO, .numbers = not_given};
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "objective.loss");
  o = (ft_objective){.kind = FT_OBJECTIVE_CPO, .loss = FT_PAIR_IPO, .numbers = not_given};
  assert_ok(ft_objective_resolve(&o));
  o = (ft_objective){.kind = FT_OBJECTIVE_DPO, .z_loss = 1e-4f, .numbers = not_given};
  assert_fails(ft_objective_resolve(&o), FT_ERR_CONFIG, "objective.z_loss");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(losses_are_those_of_trl),     cmocka_unit_test(orpo_has_odds_and_all_tokens),
      cmocka_unit_test(rewards_are_those_of_trl),    cmocka_unit_test(kto_weighs_documents),
      cmocka_unit_test(scores_are_compared),         cmocka_unit_test(sums_add_up),
      cmocka_unit_test(options_are_refused_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
