/* Matmuls against the reference in every combination of types, with odd shapes, strides, bias and
 * accumulation, on every instruction set; equal bits for any number of threads.
 * Alone: meson test -C build kernels-matmul */
#include "support.h"

typedef struct matmul_case {
  int64_t m, n, k, x_gap, y_gap;
  bool bias, accumulate;
} matmul_case;

/* Tokens m, outputs n, inputs k; gaps are unused elements at the end of each row. */
static const matmul_case cases[] = {
    {1, 1, 1, 0, 0, false, false},     {1, 17, 33, 0, 0, true, false},
    {3, 65, 63, 5, 3, false, true},    {4, 130, 128, 0, 0, true, true},
    {5, 7, 1, 2, 1, false, false},     {17, 1, 65, 0, 4, true, true},
    {2, 3, 700, 1, 0, false, false},   {63, 17, 3, 0, 0, true, false},
    {65, 129, 257, 7, 9, true, true},  {64, 64, 64, 0, 0, false, false},
    {300, 70, 40, 0, 2, false, true},  {520, 33, 48, 3, 0, true, false},
    {33, 1100, 17, 0, 0, true, false}, {7, 16, 520, 0, 0, false, true}};

enum { FORWARD, INPUT, WEIGHT, NUM_PRODUCTS };

typedef struct operands {
  array x, w, bias, dy, out; /* out: y, dx or dw */
  int64_t x_stride, y_stride;
} operands;

static operands operands_new(const matmul_case *c, int product, ft_dtype type, ft_dtype out_type) {
  operands o = {.x_stride = c->k + c->x_gap, .y_stride = c->n + c->y_gap};
  int64_t out_count = product == FORWARD ? c->m * o.y_stride
                      : product == INPUT ? c->m * o.x_stride
                                         : c->n * c->k;
  o.x = array_random(type, c->m * o.x_stride, 1, 1);
  o.w = array_random(type, c->n * c->k, 2, 1);
  o.bias = array_random(type, c->n, 3, 1);
  o.dy = array_random(type, c->m * o.y_stride, 4, 1);
  o.out = array_random(out_type, out_count, 5, 1);
  return o;
}

static void operands_free(operands *o) {
  array_free(&o->x);
  array_free(&o->w);
  array_free(&o->bias);
  array_free(&o->dy);
  array_free(&o->out);
}

/* The product named `product`, which reads what it needs of all operands. */
static ft_matmul call_of(const matmul_case *c, int product, const operands *o, array *out) {
  return (ft_matmul){.type = o->x.type,
                     .out_type = out->type,
                     .m = c->m,
                     .n = c->n,
                     .k = c->k,
                     .x = o->x.data,
                     .x_stride = o->x_stride,
                     .w = o->w.data,
                     .bias = c->bias ? o->bias.data : NULL,
                     .dy = o->dy.data,
                     .dy_stride = o->y_stride,
                     .out = out->data,
                     .out_stride = product == FORWARD ? o->y_stride : o->x_stride,
                     .accumulate = c->accumulate};
}

static void run_fast(const matmul_case *c, int product, const operands *o, array *out) {
  const ft_matmul call = call_of(c, product, o, out);
  if (product == FORWARD)
    assert_ok(ft_matmul_forward(&call));
  else if (product == INPUT)
    assert_ok(ft_matmul_backward_input(&call));
  else
    assert_ok(ft_matmul_backward_weight(&call));
}

static void run_reference(const matmul_case *c, int product, const operands *o, array *out) {
  const ft_matmul call = call_of(c, product, o, out);
  if (product == FORWARD)
    ft_ref_matmul_forward(&call);
  else if (product == INPUT)
    ft_ref_matmul_backward_input(&call);
  else
    ft_ref_matmul_backward_weight(&call);
}

static void check_case(const matmul_case *c, int product, ft_dtype type, ft_dtype out_type) {
  char what[128];
  snprintf(what, sizeof what, "product %d, %s to %s, m %lld n %lld k %lld", product,
           ft_dtype_name(type), ft_dtype_name(out_type), (long long)c->m, (long long)c->n,
           (long long)c->k);
  operands o = operands_new(c, product, type, out_type);
  array expected = array_copy(&o.out);
  run_reference(c, product, &o, &expected);
  int64_t depth = product == FORWARD ? c->k : product == INPUT ? c->n : c->m;
  array first = {0};
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    array found = array_copy(&o.out);
    run_fast(c, product, &o, &found);
    assert_near(what, &found, &expected, relative_of(out_type), 3e-6 * sqrt((double)depth) + 1e-6);
    if (threads == 1) {
      first = found;
      continue;
    }
    if (!array_equal(&first, &found)) fail_msg("%s: %d threads give other bits", what, threads);
    array_free(&found);
  }
  array_free(&first);
  array_free(&expected);
  operands_free(&o);
}

static void check_all(void) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    for (int product = 0; product < NUM_PRODUCTS; product++)
      for (int t = 0; t < 2; t++)
        for (int u = 0; u < 2; u++)
          check_case(&cases[i], product, both_types[t], both_types[u]);
}

static void products_equal_reference(void **state) {
  (void)state;
  for_each_level(check_all);
}

/* Sums longer than own kernels keep in registers at a time, tiles of several panels, blocks of rows
 * and what remains of each. */
static void own_kernels_equal_reference(void **state) {
  (void)state;
  const matmul_case large[] = {{9, 50, 4500, 0, 0, true, true},
                               {150, 100, 2100, 3, 0, true, false},
                               {2100, 50, 20, 0, 1, false, true},
                               {130, 401, 32, 0, 0, false, false}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(large); i++)
    for (int product = 0; product < NUM_PRODUCTS; product++)
      for (int t = 0; t < 2; t++)
        check_case(&large[i], product, both_types[t], both_types[(i + t) % 2]);
}

/* The libraries compute what own kernels do not, on other CPUs or when asked to. */
static void libraries_equal_reference(void **state) {
  (void)state;
  ft_kernels_fini();
  setenv("FTRUN_MATMUL", "library", 1);
  assert_ok(ft_kernels_init());
  check_all();
  ft_kernels_fini();
  setenv("FTRUN_MATMUL", "fast", 1);
  assert_int_equal(ft_kernels_init(), FT_ERR_CONFIG);
  assert_non_null(strstr(ft_error_message(), "FTRUN_MATMUL=fast is neither own nor library"));
  unsetenv("FTRUN_MATMUL");
  assert_ok(ft_kernels_init());
}

/* Several tiles in both dimensions, and a long sum: where a library left to itself would divide
 * differently for another number of threads. */
static void check_threads(void) {
  const matmul_case large[] = {{1030, 700, 1500, 0, 0, true, false},
                               {70, 2100, 300, 4, 0, false, true}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(large); i++)
    for (int product = 0; product < NUM_PRODUCTS; product++)
      for (int t = 0; t < 2; t++) {
        operands o = operands_new(&large[i], product, both_types[t], FT_F32);
        array first = array_copy(&o.out);
        omp_set_num_threads(1);
        run_fast(&large[i], product, &o, &first);
        for (int threads = 2; threads <= 5; threads++) {
          omp_set_num_threads(threads);
          array found = array_copy(&o.out);
          run_fast(&large[i], product, &o, &found);
          assert_true(array_equal(&first, &found));
          array_free(&found);
        }
        array_free(&first);
        operands_free(&o);
      }
}

static void threads_do_not_change_bits(void **state) {
  (void)state;
  check_threads();
  ft_kernels_fini();
  setenv("FTRUN_MATMUL", "library", 1);
  assert_ok(ft_kernels_init());
  check_threads();
  unsetenv("FTRUN_MATMUL");
  ft_kernels_fini();
  setenv("FTRUN_CPU", "avx2", 1);
  if (ft_kernels_init() == FT_OK) check_threads();
  ft_kernels_fini();
  unsetenv("FTRUN_CPU");
  assert_ok(ft_kernels_init());
}

/* More shapes than oneDNN's cache of primitives holds, then the first again. */
static void many_shapes(void **state) {
  (void)state;
  ft_kernels_fini();
  setenv("FTRUN_MATMUL", "library", 1);
  assert_ok(ft_kernels_init());
  omp_set_num_threads(2);
  matmul_case c = {5, 16, 16, 0, 0, false, false};
  for (c.m = 5; c.m < 300; c.m++) {
    operands o = operands_new(&c, FORWARD, FT_BF16, FT_F32);
    run_fast(&c, FORWARD, &o, &o.out);
    operands_free(&o);
  }
  c.m = 5;
  check_case(&c, FORWARD, FT_BF16, FT_F32);
  ft_kernels_fini();
  unsetenv("FTRUN_MATMUL");
  assert_ok(ft_kernels_init());
}

static void bias_gradient_equals_reference(void **state) {
  (void)state;
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 65, 70}, {200, 129, 129}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(shapes); i++)
    for (int t = 0; t < 2; t++) {
      int64_t m = shapes[i][0], n = shapes[i][1], stride = shapes[i][2];
      array dy = array_random(both_types[t], m * stride, 1, 1);
      array found = array_new(FT_F32, n), expected = array_new(FT_F32, n);
      ft_bias_backward(dy.type, FT_F32, m, n, dy.data, stride, found.data);
      ft_ref_bias_backward(dy.type, FT_F32, m, n, dy.data, stride, expected.data);
      assert_near("bias", &found, &expected, 1e-5, 1e-5);
      array_free(&dy);
      array_free(&found);
      array_free(&expected);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_equal_reference),
      cmocka_unit_test(own_kernels_equal_reference),
      cmocka_unit_test(libraries_equal_reference),
      cmocka_unit_test(threads_do_not_change_bits),
      cmocka_unit_test(many_shapes),
      cmocka_unit_test(bias_gradient_equals_reference),
  };
  return cmocka_run_group_tests(tests, kernels_start, kernels_end);
}
