/* Attention forward, backward and decode against the reference: head sizes, groups, windows and
 * documents of odd lengths, both types, every instruction set; equal bits for any number of
 * threads; documents do not see each other. Alone: meson test -C build kernels-attention */
#include "support.h"

enum { MOST_DOCUMENTS = 8 };

typedef struct attention_case {
  int64_t heads, kv_heads, head_dim, window, documents;
  int64_t lengths[MOST_DOCUMENTS];
  int64_t gap;   /* unused elements at the end of each row */
  int64_t ahead; /* as in ft_attention, these three */
  float scale, soft_cap;
} attention_case;

static const attention_case cases[] = {
    {1, 1, 2, 0, 1, {1}, 0, 0, 0, 0},
    {4, 2, 24, 0, 3, {3, 1, 17}, 6, 0, 0, 0},
    {6, 2, 64, 0, 2, {65, 130}, 0, 0, 0, 0},
    {3, 3, 80, 0, 1, {63}, 2, 0, 0, 0},
    {4, 1, 16, 12, 3, {64, 0, 100}, 0, 0, 0, 0},
    {2, 1, 128, 0, 1, {300}, 0, 0, 0, 0},
    {2, 1, 64, 70, 2, {260, 515}, 0, 0, 0, 0},
    {5, 1, 32, 1, 2, {33, 5}, 4, 0, 0, 0},
    {1, 1, 256, 0, 2, {70, 9}, 0, 0, 0, 0},
    {3, 1, 12, 0, 2, {70, 300}, 0, 0, 0.3f, 0},
    {2, 2, 96, 0, 1, {130}, 0, 0, 0.05f, 5},
    {4, 2, 16, 33, 2, {270, 65}, 3, 0, 0, 2},
    {3, 3, 24, 0, 4, {1, 63, 0, 300}, 0, FT_ATTENTION_WHOLE, 0, 0},
    {4, 1, 16, 9, 2, {500, 40}, 0, 8, 0, 0},
    {2, 1, 64, 129, 2, {400, 3}, 0, 128, 0, 0},
    {2, 1, 32, 0, 1, {300}, 2, 100, 0, 0},
    {2, 2, 32, 65, 1, {290}, 0, FT_ATTENTION_WHOLE, 0.2f, 1.5f},
};

typedef struct operands {
  ft_attention a;
  int64_t offsets[MOST_DOCUMENTS + 1], tokens, q_stride, kv_stride;
  array q, k, v, d_o;
} operands;

typedef struct results {
  array o, lse, dq, dk, dv;
} results;

static operands *operands_new(const attention_case *c, ft_dtype type) {
  operands *x = calloc(1, sizeof *x);
  assert_non_null(x);
  for (int64_t d = 0; d < c->documents; d++)
    x->offsets[d + 1] = x->offsets[d] + c->lengths[d];
  x->a = (ft_attention){.type = type,
                        .heads = c->heads,
                        .kv_heads = c->kv_heads,
                        .head_dim = c->head_dim,
                        .window = c->window,
                        .ahead = c->ahead,
                        .scale = c->scale,
                        .soft_cap = c->soft_cap,
                        .num_documents = c->documents,
                        .offsets = x->offsets};
  x->tokens = x->offsets[c->documents];
  x->q_stride = c->heads * c->head_dim + c->gap;
  x->kv_stride = c->kv_heads * c->head_dim + c->gap;
  x->q = array_random(type, x->tokens * x->q_stride, 1, 1.5);
  x->k = array_random(type, x->tokens * x->kv_stride, 2, 1.5);
  x->v = array_random(type, x->tokens * x->kv_stride, 3, 1);
  x->d_o = array_random(type, x->tokens * x->q_stride, 4, 1);
  return x;
}
static void operands_free(operands *x) {
  array_free(&x->q);
  array_free(&x->k);
  array_free(&x->v);
  array_free(&x->d_o);
  free(x);
}

static results results_new(const operands *x) {
  ft_dtype type = x->a.type;
  return (results){.o = array_random(type, x->tokens * x->q_stride, 5, 1),
                   .lse = array_new(FT_F32, x->a.heads * x->tokens),
                   .dq = array_random(type, x->tokens * x->q_stride, 6, 1),
                   .dk = array_random(type, x->tokens * x->kv_stride, 7, 1),
                   .dv = array_random(type, x->tokens * x->kv_stride, 8, 1)};
}
static void results_free(results *r) {
  array_free(&r->o);
  array_free(&r->lse);
  array_free(&r->dq);
  array_free(&r->dk);
  array_free(&r->dv);
}

/* The arrays of a call, forward and backward. */
typedef struct arrays {
  ft_attention_in in;
  ft_attention_out out;
  ft_attention_gradient gradient;
} arrays;

static arrays arrays_of(const operands *x, results *r) {
  return (arrays){
      .in = {.q = x->q.data,
             .k = x->k.data,
             .v = x->v.data,
             .q_stride = x->q_stride,
             .k_stride = x->kv_stride,
             .v_stride = x->kv_stride},
      .out = {.o = r->o.data, .o_stride = x->q_stride, .lse = r->lse.data},
      .gradient = {.d_o = x->d_o.data, .dq = r->dq.data, .dk = r->dk.data, .dv = r->dv.data}};
}

static void run_fast(const operands *x, results *r) {
  const arrays y = arrays_of(x, r);
  assert_ok(ft_attention_forward(&x->a, &y.in, &y.out));
  assert_ok(ft_attention_backward(&x->a, &y.in, &y.out, &y.gradient));
}
static void run_reference(const operands *x, results *r) {
  const arrays y = arrays_of(x, r);
  assert_ok(ft_ref_attention_forward(&x->a, &y.in, &y.out));
  assert_ok(ft_ref_attention_backward(&x->a, &y.in, &y.out, &y.gradient));
}

static void assert_same_bits(const results *a, const results *b) {
  assert_true(array_equal(&a->o, &b->o));
  assert_true(array_equal(&a->lse, &b->lse));
  assert_true(array_equal(&a->dq, &b->dq));
  assert_true(array_equal(&a->dk, &b->dk));
  assert_true(array_equal(&a->dv, &b->dv));
}

/* What the reference gave for the case at hand, which every instruction set has to give. */
static const operands *current;
static const results *expected;

static void check_current(void) {
  results first = results_new(current);
  omp_set_num_threads(1);
  run_fast(current, &first);
  /* probabilities are rounded to bf16 before they are multiplied */
  bool bf16 = current->a.type == FT_BF16;
  double relative = bf16 ? 2e-2 : 1e-4, absolute = bf16 ? 3e-2 : 2e-5;
  assert_near("o", &first.o, &expected->o, relative, absolute);
  assert_near("lse", &first.lse, &expected->lse, 1e-5, 1e-5);
  assert_near("dv", &first.dv, &expected->dv, relative, absolute);
  assert_near("dq", &first.dq, &expected->dq, relative, absolute);
  assert_near("dk", &first.dk, &expected->dk, relative, absolute);
  for (int threads = 2; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    results found = results_new(current);
    run_fast(current, &found);
    assert_same_bits(&first, &found);
    results_free(&found);
  }
  results_free(&first);
}

static void equals_reference(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    for (int t = 0; t < 2; t++) {
      operands *x = operands_new(&cases[i], both_types[t]);
      results r = results_new(x);
      run_reference(x, &r);
      current = x;
      expected = &r;
      for_each_level(check_current);
      results_free(&r);
      operands_free(x);
    }
}

/* One long document with one key/value head: all threads add to the same dq. */
static void threads_do_not_change_bits(void **state) {
  (void)state;
  const attention_case cases_of[] = {{2, 1, 32, 0, 1, {1500}, 0, 0, 0, 0},
                                     {2, 1, 32, 0, 1, {1500}, 0, FT_ATTENTION_WHOLE, 0, 3}};
  for (int t = 0; t < 4; t++) {
    operands *x = operands_new(&cases_of[t / 2], both_types[t % 2]);
    results first = results_new(x);
    omp_set_num_threads(1);
    run_fast(x, &first);
    for (int threads = 2; threads <= 6; threads++) {
      omp_set_num_threads(threads);
      results found = results_new(x);
      run_fast(x, &found);
      assert_same_bits(&first, &found);
      results_free(&found);
    }
    results_free(&first);
    operands_free(x);
  }
}

/* A document's results are the same bits alone and between others. */
static void documents_do_not_see_each_other(void **state) {
  (void)state;
  for (int t = 0; t < 4; t++) {
    int64_t ahead = t < 2 ? 0 : FT_ATTENTION_WHOLE;
    const attention_case alone = {4, 2, 16, 0, 1, {100}, 0, ahead, 0, 0};
    const attention_case between = {4, 2, 16, 0, 3, {37, 100, 250}, 0, ahead, 0, 0};
    ft_dtype type = both_types[t % 2];
    operands *x = operands_new(&alone, type), *y = operands_new(&between, type);
    size_t size = ft_dtype_bytes(type);
    size_t q_at = 37 * (size_t)x->q_stride * size, kv_at = 37 * (size_t)x->kv_stride * size;
    size_t q_bytes = 100 * (size_t)x->q_stride * size, kv_bytes = 100 * (size_t)x->kv_stride * size;
    memcpy((char *)y->q.data + q_at, x->q.data, q_bytes);
    memcpy((char *)y->k.data + kv_at, x->k.data, kv_bytes);
    memcpy((char *)y->v.data + kv_at, x->v.data, kv_bytes);
    memcpy((char *)y->d_o.data + q_at, x->d_o.data, q_bytes);
    results a = results_new(x), b = results_new(y);
    run_fast(x, &a);
    run_fast(y, &b);
    assert_memory_equal(a.o.data, (char *)b.o.data + q_at, q_bytes);
    assert_memory_equal(a.dq.data, (char *)b.dq.data + q_at, q_bytes);
    assert_memory_equal(a.dk.data, (char *)b.dk.data + kv_at, kv_bytes);
    assert_memory_equal(a.dv.data, (char *)b.dv.data + kv_at, kv_bytes);
    results_free(&a);
    results_free(&b);
    operands_free(x);
    operands_free(y);
  }
}

/* Scores far apart and far from zero: the softmax must neither overflow nor lose its sum. */
static void large_scores(void **state) {
  (void)state;
  const attention_case c = {1, 1, 16, 0, 1, {90}, 0, 0, 0, 0};
  operands *x = operands_new(&c, FT_F32);
  for (int64_t i = 0; i < x->q.count; i++)
    set(&x->q, i, get(&x->q, i) * 60);
  results found = results_new(x), exact = results_new(x);
  run_fast(x, &found);
  run_reference(x, &exact);
  assert_near("o", &found.o, &exact.o, 1e-3, 1e-3);
  assert_near("dv", &found.dv, &exact.dv, 1e-3, 1e-3);
  results_free(&found);
  results_free(&exact);
  operands_free(x);
}

static void no_documents(void **state) {
  (void)state;
  const attention_case c = {2, 1, 8, 0, 2, {0, 0}, 0, 0, 0, 0};
  operands *x = operands_new(&c, FT_BF16);
  results r = results_new(x);
  run_fast(x, &r);
  results_free(&r);
  operands_free(x);
}

/* Beside two other sequences, which are shorter. */
static void attend_one(const operands *x, const void *q, array *out) {
  array beside = array_new(x->a.type, 2 * x->a.heads * x->a.head_dim);
  ft_attention_row rows[3];
  for (int r = 0; r < 3; r++)
    rows[r] = (ft_attention_row){.q = q, .k = x->k.data, .v = x->v.data, .num_keys = x->tokens};
  rows[0].num_keys = ft_ceil_div(x->tokens, 2);
  rows[0].o = beside.data;
  rows[1].o = out->data;
  rows[2].num_keys = 1;
  rows[2].o =
      (char *)beside.data + (size_t)(x->a.heads * x->a.head_dim) * ft_dtype_bytes(x->a.type);
  assert_ok(ft_attention_rows(&x->a, rows, 3, x->kv_stride, x->a.head_dim));
  array alone = array_new(x->a.type, x->a.heads * x->a.head_dim);
  rows[1].o = alone.data;
  assert_ok(ft_attention_rows(&x->a, &rows[1], 1, x->kv_stride, x->a.head_dim));
  assert_true(array_equal(&alone, out));
  array_free(&alone);
  array_free(&beside);
}

static void check_decode_of(const attention_case *c, ft_dtype type) {
  operands *x = operands_new(c, type);
  int64_t width = c->heads * c->head_dim;
  array first = array_new(type, width), found = array_new(type, width);
  array exact = array_new(type, width);
  assert_ok(ft_ref_attention_query(&x->a, exact.data, x->q.data, x->k.data, x->v.data, x->kv_stride,
                                   x->tokens));
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    attend_one(x, x->q.data, threads == 1 ? &first : &found);
    if (threads > 1) assert_true(array_equal(&first, &found));
  }
  assert_near("decode", &first, &exact, relative_of(type), 1e-5);
  array_free(&first);
  array_free(&found);
  array_free(&exact);
  operands_free(x);
}

static void check_decode(void) {
  const attention_case lengths[] = {{4, 2, 64, 0, 1, {1}, 0, 0, 0, 0},
                                    {6, 2, 24, 0, 1, {77}, 5, 0, 0, 0},
                                    {2, 1, 128, 0, 1, {1300}, 0, 0, 0, 0},
                                    {2, 2, 16, 50, 1, {600}, 0, 0, 0, 0},
                                    {3, 1, 12, 0, 1, {700}, 0, 0, 0.3f, 2}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(lengths); i++)
    for (int t = 0; t < 2; t++)
      check_decode_of(&lengths[i], both_types[t]);
}

/* The last row of a document's forward pass is what decoding its last token gives. */
static void decode_continues_forward(void **state) {
  (void)state;
  const attention_case c = {4, 2, 64, 0, 1, {101}, 0, 0, 0, 0};
  operands *x = operands_new(&c, FT_F32);
  results r = results_new(x);
  int64_t width = c.heads * c.head_dim;
  array last = array_new(FT_F32, width), found = array_new(FT_F32, width);
  run_fast(x, &r);
  memcpy(last.data, (float *)r.o.data + 100 * width, (size_t)width * 4);
  attend_one(x, (float *)x->q.data + 100 * width, &found);
  assert_near("decode", &found, &last, 1e-5, 1e-5);
  array_free(&last);
  array_free(&found);
  results_free(&r);
  operands_free(x);
}

static void decode_equals_reference(void **state) {
  (void)state;
  for_each_level(check_decode);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_reference),
      cmocka_unit_test(threads_do_not_change_bits),
      cmocka_unit_test(documents_do_not_see_each_other),
      cmocka_unit_test(large_scores),
      cmocka_unit_test(no_documents),
      cmocka_unit_test(decode_equals_reference),
      cmocka_unit_test(decode_continues_forward),
  };
  return cmocka_run_group_tests(tests, kernels_start, kernels_end);
}
