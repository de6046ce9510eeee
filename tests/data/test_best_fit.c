/* Proves that best-fit packing puts every document into one row, does what the plain algorithm
 * does, keeps the order of documents within rows and of rows, and fills rows of real lengths.
 * Run alone: meson test -C build data-best_fit */
#include "../../src/data/data_internal.h"
#include "data_fixtures.h"

/* The plain algorithm: the room of every row is looked at for every document, longest first. */
static int64_t plainly(const int64_t *lengths, int64_t count, int64_t seq_len, int64_t *rooms) {
  int64_t rows = 0;
  for (int64_t length = seq_len; length >= 1; length--)
    for (int64_t i = 0; i < count; i++) {
      if (lengths[i] != length) continue;
      int64_t best = -1;
      for (int64_t r = 0; r < rows; r++)
        if (rooms[r] >= length && (best < 0 || rooms[r] < rooms[best])) best = r;
      if (best < 0) rooms[best = rows++] = seq_len;
      rooms[best] -= length;
    }
  return rows;
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static void check_packing(const int64_t *lengths, int64_t count, int64_t seq_len) {
  int64_t *order = calloc((size_t)count, 8), *starts = calloc((size_t)count + 1, 8), rows;
  int64_t *rooms = calloc((size_t)count, 8), *wanted = calloc((size_t)count, 8);
  bool *seen = calloc((size_t)count, 1);
  assert_ok(ft_data_best_fit(lengths, count, seq_len, order, starts, &rows));
  assert_int_equal(rows, plainly(lengths, count, seq_len, wanted));
  assert_int_equal(starts[rows], count);
  for (int64_t r = 0; r < rows; r++) {
    rooms[r] = seq_len;
    for (int64_t i = starts[r]; i < starts[r + 1]; i++) {
      assert_false(seen[order[i]]);
      seen[order[i]] = true;
      rooms[r] -= lengths[order[i]];
      if (i > starts[r]) assert_true(order[i] > order[i - 1]);
    }
    assert_true(rooms[r] >= 0 && starts[r + 1] > starts[r]);
    if (r > 0) assert_true(order[starts[r]] > order[starts[r - 1]]);
  }
  qsort(rooms, (size_t)rows, 8, by_size);
  qsort(wanted, (size_t)rows, 8, by_size);
  assert_memory_equal(rooms, wanted, (size_t)rows * 8);
  free(order);
  free(starts);
  free(rooms);
  free(wanted);
  free(seen);
}

static void as_the_plain_algorithm(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 63, 64, 65, 300, 5000};
  int64_t lengths[400];
  for (size_t s = 0; s < FT_ARRAY_SIZE(sizes); s++)
    for (int64_t count = 1; count <= 400; count += 57) {
      for (int64_t i = 0; i < count; i++)
        lengths[i] =
            1 + (int64_t)(ft_random_u64(3, FT_RANDOM_BENCH, s, (uint64_t)i) % (uint64_t)sizes[s]);
      check_packing(lengths, count, sizes[s]);
    }
}

/* Chats have lengths of many sizes, most of them short: nothing is left but the last rows. */
static void rows_are_full(void **state) {
  (void)state;
  enum { COUNT = 20000, SEQ_LEN = 2048 };
  static int64_t lengths[COUNT], order[COUNT], starts[COUNT + 1];
  int64_t rows, tokens = 0;
  for (int64_t i = 0; i < COUNT; i++) {
    double u = ft_random_uniform(4, FT_RANDOM_BENCH, 0, (uint64_t)i);
    lengths[i] = 20 + (int64_t)((SEQ_LEN - 20) * u * u * u);
    tokens += lengths[i];
  }
  assert_ok(ft_data_best_fit(lengths, COUNT, SEQ_LEN, order, starts, &rows));
  double used = (double)tokens / ((double)rows * SEQ_LEN);
  print_message("best-fit uses %.4f of the positions\n", used);
  assert_true(used >= 0.99);
}

/* Whole streams: texts are cut, every token is there once, and next-fit takes more rows. */
static void streams(void **state) {
  (void)state;
  write_many("many.h5", 0, 200, 30);
  ft_data_source source = {in_root("many.h5"), 1};
  for (int shuffle = 0; shuffle < 2; shuffle++) {
    ft_data_options options = options_of(&source, 1);
    ft_data *best, *next;
    ft_batch batch = {0};
    bool seen[200] = {false};
    int64_t tokens = 0;
    options.packing = true;
    options.shuffle = shuffle;
    assert_ok(ft_data_open(&options, &next));
    options.best_fit = true;
    assert_ok(ft_data_open(&options, &best));
    assert_true(ft_data_num_rows(best) < ft_data_num_rows(next));
    for (int64_t r = 0; r < ft_data_num_rows(best); r++) {
      assert_ok(ft_data_rows(best, r, 1, &batch));
      assert_true(batch.num_tokens <= 32);
      tokens += batch.num_tokens;
      for (int64_t d = 0; d < batch.num_documents; d++) {
        assert_false(seen[document_of(&batch, d)]);
        seen[document_of(&batch, d)] = true;
      }
    }
    assert_int_equal(tokens, ft_data_num_tokens(best));
    ft_batch_fini(&batch);
    ft_data_close(best);
    ft_data_close(next);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_the_plain_algorithm),
      cmocka_unit_test(rows_are_full),
      cmocka_unit_test(streams),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
