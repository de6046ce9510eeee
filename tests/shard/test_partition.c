/* Proves: every element of a block is owned by exactly one rank, for any number of ranks; pieces
 * start at row boundaries and keep their limit; chunks do not depend on the number of ranks.
 * Alone: meson test partition */
#include "fixture.h"

static const int64_t limits[] = {1, 256, 300, 5000, 20000, 100000, (int64_t)64 << 20};
static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 17, 63, 64, 65, 1000, 1024};

static ft_range *ranges_of(const ft_block *b, int64_t limit, int place, int size, int64_t *num) {
  int64_t room = ft_partition_num_pieces(b, limit);
  ft_range *r = malloc((size_t)FT_MAX(room, 1) * sizeof *r);
  assert_non_null(r);
  *num = ft_partition(b, limit, place, size, r);
  assert_true(*num <= room);
  return r;
}

/* Marks what a rank owns and checks its ranges; *chunks is increased by the number of chunks. */
static void check_rank(const ft_block *b, int64_t limit, int place, int size, uint8_t *owners,
                       int64_t *chunks) {
  int64_t num, local = 0, last = 0;
  ft_range *r = ranges_of(b, limit, place, size, &num);
  for (int64_t i = 0; i < num; i++) {
    assert_true(r[i].count > 0 && r[i].start >= last && r[i].local == local);
    assert_true(r[i].start % FT_TENSOR_ALIGN == 0 && r[i].count % FT_TENSOR_ALIGN == 0);
    assert_true(r[i].start + r[i].count <= b->num_elements);
    last = r[i].start + r[i].count;
    local += r[i].count;
    *chunks += ft_ceil_div(r[i].count, FT_CHUNK);
    for (int64_t k = r[i].start; owners && k < last; k++)
      owners[k]++;
  }
  free(r);
}

static void check_block(const ft_block *b) {
  for (size_t l = 0; l < FT_ARRAY_SIZE(limits); l++) {
    int64_t expected_chunks = 0;
    check_rank(b, limits[l], 0, 1, NULL, &expected_chunks);
    for (size_t s = 0; s < FT_ARRAY_SIZE(sizes); s++) {
      uint8_t *owners = calloc((size_t)b->num_elements, 1);
      int64_t chunks = 0;
      assert_non_null(owners);
      for (int place = 0; place < sizes[s]; place++)
        check_rank(b, limits[l], place, sizes[s], owners, &chunks);
      for (int64_t k = 0; k < b->num_elements; k++)
        assert_int_equal(owners[k], 1);
      assert_int_equal(chunks, expected_chunks);
      free(owners);
    }
  }
}

static void every_element_has_one_owner(void **state) {
  (void)state;
  for (int tied = 0; tied < 2; tied++) {
    ft_arch arch = small_arch(tied);
    const int64_t blocks[] = {0, 1, arch.layers + 1};
    for (size_t i = 0; i < FT_ARRAY_SIZE(blocks); i++) {
      ft_block b = layout_of(&arch)->blocks[blocks[i]];
      check_block(&b);
    }
  }
}

/* Whether `flat` begins a tensor, or a row of one (tensor: which). */
static bool begins_row(const ft_block *b, int64_t flat) {
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    if (flat >= t->offset && flat < t->offset + ft_tensor_elements(t))
      return (flat - t->offset) % t->cols == 0;
  }
  return flat == b->num_elements;
}

/* A piece longer than its limit is one granule of rows: those of 256 / gcd(256, cols) rows. */
static void check_pieces(const ft_block *b, int64_t limit) {
  int64_t num;
  ft_range *r = ranges_of(b, limit, 0, 1, &num);
  assert_int_equal(num, ft_partition_num_pieces(b, limit));
  for (int64_t i = 0; i < num; i++) {
    assert_true(begins_row(b, r[i].start));
    int64_t whole_rows = FT_TENSOR_ALIGN, longest = 0;
    for (int k = 0; k < b->num_tensors; k++) {
      const ft_tensor *t = &b->tensors[k];
      if (t->offset <= r[i].start && r[i].start < t->offset + ft_tensor_elements(t))
        longest = t->cols;
    }
    for (int64_t rest = longest; rest % 2 == 0 && whole_rows > 1; rest /= 2)
      whole_rows /= 2;
    int64_t granule = ft_round_up(whole_rows * longest, FT_TENSOR_ALIGN);
    assert_true(r[i].count <= FT_MAX(FT_MAX(limit, FT_TENSOR_ALIGN), granule));
  }
  free(r);
}

static void pieces_are_rows_within_the_limit(void **state) {
  (void)state;
  ft_arch arch = small_arch(false);
  const int64_t widths[] = {1, 2, 61, 64, 96, 256, 300};
  for (size_t w = 0; w < FT_ARRAY_SIZE(widths); w++) {
    arch.hidden = widths[w];
    for (int64_t number = 0; number <= arch.layers + 1; number += arch.layers + 1) {
      ft_block b = layout_of(&arch)->blocks[number];
      for (size_t l = 0; l < FT_ARRAY_SIZE(limits); l++)
        check_pieces(&b, limits[l]);
    }
  }
}

/* Whole tensors share a piece as long as they fit; a long one is cut by itself. */
static void pieces_of_a_known_block(void **state) {
  (void)state;
  const ft_block block = {.num_elements = 4096,
                          .num_tensors = 4,
                          .tensors = {{.rows = 1, .cols = 100, .offset = 0},
                                      {.rows = 2, .cols = 128, .offset = 256},
                                      {.rows = 25, .cols = 128, .offset = 512},
                                      {.rows = 1, .cols = 1, .offset = 3840}}};
  static const int64_t starts[] = {0, 512, 1536, 2560, 3584, 3840};
  int64_t num;
  ft_range *r = ranges_of(&block, 1100, 0, 1, &num);
  assert_int_equal(num, 6);
  for (int64_t i = 0; i < num; i++)
    assert_int_equal(r[i].start, starts[i]);
  free(r);
}

/* The sizes of a real model: 70B, 1024 ranks; owned elements add up, no rank has too much. */
static void large_model(void **state) {
  (void)state;
  const ft_arch arch = {.vocab = 128256,
                        .hidden = 8192,
                        .ffn = 28672,
                        .layers = 80,
                        .heads = 64,
                        .kv_heads = 8,
                        .head_dim = 128};
  for (int64_t number = 0; number < 2; number++) {
    ft_block b = layout_of(&arch)->blocks[number];
    int64_t limit = (int64_t)64 << 20, sum = 0, most = 0;
    for (int place = 0; place < 1024; place++) {
      int64_t num, own = 0;
      ft_range *r = ranges_of(&b, limit, place, 1024, &num);
      for (int64_t i = 0; i < num; i++)
        own += r[i].count;
      sum += own;
      most = FT_MAX(most, own);
      free(r);
    }
    assert_int_equal(sum, b.num_elements);
    assert_true(most <= b.num_elements / 1024 + FT_CHUNK * ft_partition_num_pieces(&b, limit));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_element_has_one_owner),
      cmocka_unit_test(pieces_are_rows_within_the_limit),
      cmocka_unit_test(pieces_of_a_known_block),
      cmocka_unit_test(large_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
