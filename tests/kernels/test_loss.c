/* Losses of rows and their gradients against the reference: plain, scaled and capped logits, label
 * smoothing, z-loss, weights of rows; both types, every instruction set; equal bits for any number
 * of threads. Alone: meson test -C build kernels-loss */
#include "support.h"

static const ft_loss losses[] = {
    {.logits = {1, 0}},
    {.logits = {1, 30}},
    {.logits = {0.125f, 0}},
    {.logits = {0.5f, 5}, .label_smoothing = 0.1f, .z_loss = 1e-3f},
    {.logits = {1, 0}, .label_smoothing = 0.2f},
    {.logits = {1, 0}, .z_loss = 1e-2f, .weight = 0.01f},
};

/* shape, type and loss of a check, and what the reference gave */
typedef struct loss_case {
  const ft_loss *loss;
  ft_dtype type;
  int64_t rows, columns;
  int32_t *target;
  array logits, weight, nll, of_loss, d;
} loss_case;

static loss_case case_new(const ft_loss *loss, ft_dtype type, int64_t rows, int64_t columns,
                          double spread) {
  loss_case c = {.loss = loss, .type = type, .rows = rows, .columns = columns};
  c.logits = array_random(FT_F32, rows * columns, 1, spread);
  c.weight = array_random(FT_F32, rows, 2, 0.01);
  c.nll = array_new(FT_F32, rows);
  c.of_loss = array_new(FT_F32, rows);
  c.d = array_new(type, rows * columns);
  c.target = calloc((size_t)rows, sizeof *c.target);
  assert_non_null(c.target);
  for (int64_t r = 0; r < rows; r++)
    c.target[r] = (int32_t)((r * 131 + columns - 1) % columns);
  return c;
}
static void case_free(loss_case *c) {
  ARRAYS_FREE(&c->logits, &c->weight, &c->nll, &c->of_loss, &c->d);
  free(c->target);
}

static void run_into(const loss_case *c, array *logits, array *nll, array *of_loss, void *d) {
  const ft_loss_out out = {.nll = nll->data, .loss = of_loss->data, .dlogits = d};
  ft_loss_rows(c->loss, c->type, &out, logits->data, c->target,
               c->loss->weight != 0 ? NULL : c->weight.data, c->rows, c->columns);
}

static void check_case(const loss_case *c) {
  size_t bytes = (size_t)(c->rows * c->columns) * ft_dtype_bytes(c->type);
  array first = {0};
  FOR_THREADS {
    omp_set_num_threads(threads);
    array logits = array_copy(&c->logits), in_place = array_copy(&c->logits);
    array nll = array_new(FT_F32, c->rows), of_loss = array_new(FT_F32, c->rows);
    array d = array_new(c->type, c->rows * c->columns);
    run_into(c, &logits, &nll, &of_loss, d.data);
    assert_near("nll", &nll, &c->nll, 4e-6, 4e-6);
    assert_near("loss", &of_loss, &c->of_loss, 4e-6, 4e-6);
    assert_near("dlogits", &d, &c->d, c->type == FT_F32 ? 1e-4 : 8e-3, 1e-8);
    run_into(c, &in_place, &nll, &of_loss, in_place.data);
    assert_memory_equal(in_place.data, d.data, bytes);
    assert_near("nll in place", &nll, &c->nll, 4e-6, 4e-6);
    assert_same_for_threads(threads, &first, &d);
    ARRAYS_FREE(&logits, &in_place, &nll, &of_loss, &d);
  }
}

/* Logits that were shaped before give the same, and without a backward pass, too. */
static void check_applied(const loss_case *c) {
  ft_loss applied = *c->loss;
  applied.applied = true;
  array logits = array_copy(&c->logits), z = array_copy(&c->logits);
  array nll = array_new(FT_F32, c->rows), again = array_new(FT_F32, c->rows);
  array d = array_new(c->type, c->rows * c->columns), d_again = array_copy(&d);
  run_into(c, &logits, &nll, &again, d.data);
  ft_logits_apply(&c->loss->logits, z.data, c->rows, c->columns, c->columns);
  assert_true(array_equal(&logits, &z));
  const ft_loss_out with = {.nll = again.data, .dlogits = d_again.data};
  const ft_loss_out without = {.nll = again.data};
  const float *weight = c->loss->weight != 0 ? NULL : c->weight.data;
  ft_loss_rows(&applied, c->type, &with, z.data, c->target, weight, c->rows, c->columns);
  assert_true(array_equal(&nll, &again));
  assert_true(array_equal(&d, &d_again));
  ft_loss_rows(&applied, c->type, &without, z.data, c->target, NULL, c->rows, c->columns);
  assert_true(array_equal(&nll, &again));
  ARRAYS_FREE(&logits, &z, &nll, &again, &d, &d_again);
}

static void check_losses(void) {
  const int64_t sizes[][2] = {{1, 1}, {3, 17}, {37, 320}, {5, 5001}};
  const double spreads[] = {1, 5, 3, 40};
  for (size_t l = 0; l < FT_ARRAY_SIZE(losses); l++)
    for (size_t s = 0; s < FT_ARRAY_SIZE(sizes); s++)
      for (int t = 0; t < 2; t++) {
        loss_case c = case_new(&losses[l], both_types[t], sizes[s][0], sizes[s][1], spreads[s]);
        array z = array_copy(&c.logits);
        const ft_loss_out out = {.nll = c.nll.data, .loss = c.of_loss.data, .dlogits = c.d.data};
        ft_ref_loss_rows(c.loss, c.type, &out, z.data, c.target,
                         c.loss->weight != 0 ? NULL : c.weight.data, c.rows, c.columns);
        check_case(&c);
        check_applied(&c);
        array_free(&z);
        case_free(&c);
      }
}
static void losses_equal_reference(void **state) {
  (void)state;
  for_each_level(check_losses);
}

/* Columns that stand for the rest of a vocabulary: smoothing counts what they stand for. */
static void vocabulary_larger_than_the_call(void **state) {
  (void)state;
  const ft_loss l = {.logits = {1, 0}, .label_smoothing = 0.5f, .vocab = 100, .weight = 1};
  float logits[4] = {0, 0, 0, 0}, nll, d[4];
  const int32_t target = 1;
  const ft_loss_out out = {.nll = &nll, .dlogits = d};
  ft_loss_rows(&l, FT_F32, &out, logits, &target, NULL, 1, 4);
  assert_true(fabs((double)nll - log(4.0)) < 1e-6);
  assert_true(fabs((double)d[0] - (0.25 - 0.005)) < 1e-6);
  assert_true(fabs((double)d[1] - (0.25 - 0.005 - 0.5)) < 1e-6);
}

/* Rows with gaps keep what lies in them. */
static void logits_with_a_stride(void **state) {
  (void)state;
  const ft_logits shape = {.scale = 2, .cap = 3};
  float x[2][5] = {{1, -2, 0, 7, 7}, {100, -100, 0.5f, 7, 7}};
  ft_logits_apply(&shape, x[0], 2, 3, 5);
  assert_true(fabs((double)x[0][0] - 3 * tanh(2.0 / 3)) < 1e-6);
  assert_true(x[1][0] == 3 && x[1][1] == -3);
  assert_true(x[0][3] == 7 && x[0][4] == 7 && x[1][4] == 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(losses_equal_reference),
      cmocka_unit_test(vocabulary_larger_than_the_call),
      cmocka_unit_test(logits_with_a_stride),
  };
  return cmocka_run_group_tests(tests, kernels_start, kernels_end);
}
