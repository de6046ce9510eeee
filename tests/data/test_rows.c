/* Proves the stream of rows: targets and positions, cutting, packing, the order of epochs, mixing
 * of sources, all of it the same from any starting point. Run alone: meson test data-rows */
#include "data_fixtures.h"

/* ---------------------------------------------------------------- targets */

static void targets_stay_inside_documents(void **state) {
  (void)state;
  ft_tokens_writer *w;
  const uint32_t a[] = {10, 11, 12, 13}, b[] = {20, 21};
  const uint8_t mask_a[] = {1, 0, 1, 1}, mask_b[] = {1, 1};
  assert_ok(ft_tokens_writer_new(in_root("targets.h5"), FT_TOKENS_SFT, 30, "", &w));
  assert_ok(ft_tokens_write(w, a, mask_a, 4));
  assert_ok(ft_tokens_write(w, b, mask_b, 2));
  assert_ok(ft_tokens_writer_close(w, true));
  ft_data_source source = {in_root("targets.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  options.packing = true;
  options.model_vocab = 30;
  ft_data *data;
  ft_batch batch = {0};
  assert_ok(ft_data_open(&options, &data));
  assert_int_equal(ft_data_num_rows(data), 1);
  assert_int_equal(ft_data_num_documents(data), 2);
  assert_int_equal(ft_data_num_tokens(data), 6);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), 3);
  assert_int_equal(ft_data_max_tokens(data, 2), 12);
  assert_ok(ft_data_rows(data, 0, 2, &batch)); /* the only row, twice */
  const int32_t targets[] = {-1, 12, 13, -1, 21, -1}, positions[] = {0, 1, 2, 3, 0, 1};
  const int64_t offsets[] = {0, 4, 6, 10, 12};
  assert_int_equal(batch.num_tokens, 12);
  assert_int_equal(batch.num_documents, 4);
  assert_int_equal(batch.num_targets, 6);
  assert_memory_equal(batch.offsets, offsets, sizeof offsets);
  for (int copy = 0; copy < 2; copy++) {
    assert_memory_equal(batch.targets + 6 * copy, targets, sizeof targets);
    assert_memory_equal(batch.positions + 6 * copy, positions, sizeof positions);
    assert_memory_equal(batch.tokens + 6 * copy, a, sizeof a);
    assert_memory_equal(batch.tokens + 6 * copy + 4, b, sizeof b);
  }
  int64_t count;
  count = targets_of(data, 5, 3);
  assert_int_equal(count, 9);
  ft_batch_fini(&batch);
  ft_data_close(data);
}

static void no_rows_make_an_empty_batch(void **state) {
  (void)state;
  ft_data_source source = {in_root("targets.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  ft_data *data;
  ft_batch batch = {0};
  int64_t count;
  assert_ok(ft_data_open(&options, &data));
  assert_ok(ft_data_rows(data, 3, 0, &batch));
  assert_int_equal(batch.num_tokens, 0);
  assert_int_equal(batch.num_documents, 0);
  assert_int_equal(batch.offsets[0], 0);
  count = targets_of(data, 3, 0);
  assert_int_equal(count, 0);
  ft_batch_fini(&batch);
  ft_data_close(data);
}

/* ---------------------------------------------------------------- cutting */

static void text_is_cut_at_multiples_of_seq_len(void **state) {
  (void)state;
  const int lengths[] = {10, 0, 5, 4, 1};
  write_shard("text.h5", FT_TOKENS_TEXT, 0, lengths, 5);
  ft_data_source source = {in_root("text.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  options.seq_len = 4;
  ft_data *data;
  ft_batch batch = {0};
  assert_ok(ft_data_open(&options, &data));
  const int64_t expected[] = {4, 4, 2, 4, 1, 4, 1};
  assert_int_equal(ft_data_num_documents(data), 7);
  assert_int_equal(ft_data_num_rows(data), 7);
  assert_int_equal(ft_data_num_tokens(data), 20);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), 20 - 7);
  assert_ok(ft_data_rows(data, 0, 7, &batch));
  for (int i = 0; i < 7; i++)
    assert_int_equal(batch.offsets[i + 1] - batch.offsets[i], expected[i]);
  assert_int_equal(batch.tokens[4], 4); /* the second part begins where the first ended */
  assert_int_equal(batch.positions[4], 0);
  assert_int_equal(batch.targets[3], -1);
  assert_int_equal(batch.num_targets, 13);
  ft_batch_fini(&batch);
  ft_data_close(data);
}

/* ---------------------------------------------------------------- packing and epochs */

enum { DOCUMENTS = 203 };

static ft_data *open_many(bool packing, bool shuffle, uint64_t seed) {
  static ft_data_source source;
  source = (ft_data_source){in_root("many.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  options.packing = packing;
  options.shuffle = shuffle;
  options.seed = seed;
  ft_data *data;
  assert_ok(ft_data_open(&options, &data));
  return data;
}

static void every_document_comes_once_an_epoch(void **state) {
  (void)state;
  write_many("many.h5", 0, DOCUMENTS, 20);
  for (int mode = 0; mode < 4; mode++) {
    ft_data *data = open_many(mode & 1, mode & 2, 1);
    int64_t rows = ft_data_num_rows(data), count, tokens = 0;
    ft_batch batch = {0};
    assert_true((mode & 1) ? rows < DOCUMENTS : rows == DOCUMENTS);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
      uint8_t seen[DOCUMENTS] = {0};
      assert_ok(ft_data_rows(data, epoch * rows, rows, &batch));
      assert_int_equal(batch.num_documents, DOCUMENTS);
      for (int64_t d = 0; d < DOCUMENTS; d++)
        seen[document_of(&batch, d)]++;
      for (int64_t d = 0; d < DOCUMENTS; d++)
        assert_int_equal(seen[d], 1);
      count = targets_of(data, epoch * rows, rows);
      assert_int_equal(count, batch.num_targets);
      assert_int_equal(count, targets_of(data, 0, ft_data_num_rows(data)));
      tokens = batch.num_tokens;
    }
    assert_int_equal(tokens, ft_data_num_tokens(data));
    ft_batch_fini(&batch);
    ft_data_close(data);
  }
}

static void packed_rows_are_full_and_fit(void **state) {
  (void)state;
  for (int shuffle = 0; shuffle < 2; shuffle++) {
    ft_data *data = open_many(true, shuffle, 1);
    int64_t rows = ft_data_num_rows(data), longest = 0;
    ft_batch batch = {0}, next = {0};
    for (int64_t r = 0; r < rows; r++) {
      assert_ok(ft_data_rows(data, r, 1, &batch));
      assert_true(batch.num_tokens <= 32 && batch.num_documents >= 1);
      longest = FT_MAX(longest, batch.num_tokens);
      if (shuffle || r + 1 == rows) continue;
      assert_ok(ft_data_rows(data, r + 1, 1, &next)); /* its first document did not fit here */
      assert_true(batch.num_tokens + next.offsets[1] > 32);
    }
    assert_int_equal(ft_data_max_tokens(data, 5), 5 * longest);
    ft_batch_fini(&batch);
    ft_batch_fini(&next);
    ft_data_close(data);
  }
}

/* The first token of each of the first `count` rows. */
/* A row has room for seq_len tokens and the virtual rows of one document; documents hold what they
 * hold without. */
static void virtual_rows_stand_before_each_document(void **state) {
  (void)state;
  const int lengths[] = {4, 1, 2, 3};
  write_shard("virtual.h5", FT_TOKENS_SFT, 0, lengths, 4);
  ft_data_source source = {in_root("virtual.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  options.seq_len = 5;
  options.virtual_rows = 2;
  options.packing = true;
  ft_data *data;
  ft_batch batch = {0};
  assert_ok(ft_data_open(&options, &data));
  assert_int_equal(ft_data_num_rows(data), 3); /* 2 + 4; 2 + 1, 2 + 2; 2 + 3 */
  assert_int_equal(ft_data_max_tokens(data, 2), 14);
  assert_int_equal(ft_data_num_tokens(data), 10);
  for (int again = 0; again < 2; again++) {
    assert_ok(ft_data_rows(data, 1, 2, &batch));
    const uint32_t tokens[] = {FT_NO_TOKEN, FT_NO_TOKEN, STRIDE,         FT_NO_TOKEN,
                               FT_NO_TOKEN, 2 * STRIDE,  2 * STRIDE + 1, FT_NO_TOKEN,
                               FT_NO_TOKEN, 3 * STRIDE,  3 * STRIDE + 1, 3 * STRIDE + 2};
    const int32_t targets[] = {
        -1, -1, -1, -1, -1, 2 * STRIDE + 1, -1, -1, -1, 3 * STRIDE + 1, 3 * STRIDE + 2, -1};
    const int32_t positions[] = {0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4};
    const int64_t offsets[] = {0, 3, 7, 12};
    assert_int_equal(batch.num_tokens, 12);
    assert_int_equal(batch.virtual_rows, 2);
    assert_int_equal(batch.num_targets, 3);
    assert_memory_equal(batch.tokens, tokens, sizeof tokens);
    assert_memory_equal(batch.targets, targets, sizeof targets);
    assert_memory_equal(batch.positions, positions, sizeof positions);
    assert_memory_equal(batch.offsets, offsets, sizeof offsets);
  }
  ft_batch_drop_virtual(&batch);
  const uint32_t tokens[] = {STRIDE,     2 * STRIDE,     2 * STRIDE + 1,
                             3 * STRIDE, 3 * STRIDE + 1, 3 * STRIDE + 2};
  const int32_t targets[] = {-1, 2 * STRIDE + 1, -1, 3 * STRIDE + 1, 3 * STRIDE + 2, -1};
  const int32_t positions[] = {0, 0, 1, 0, 1, 2};
  const int64_t offsets[] = {0, 1, 3, 6};
  assert_int_equal(batch.num_tokens, 6);
  assert_memory_equal(batch.tokens, tokens, sizeof tokens);
  assert_memory_equal(batch.targets, targets, sizeof targets);
  assert_memory_equal(batch.positions, positions, sizeof positions);
  assert_memory_equal(batch.offsets, offsets, sizeof offsets);
  ft_batch_fini(&batch);
  ft_data_close(data);
}

static void first_tokens(ft_data *data, int64_t first, int count, uint32_t *out) {
  ft_batch batch = {0};
  for (int i = 0; i < count; i++) {
    assert_ok(ft_data_rows(data, first + i, 1, &batch));
    out[i] = batch.tokens[0];
  }
  ft_batch_fini(&batch);
}

static void epochs_and_seeds_have_orders_of_their_own(void **state) {
  (void)state;
  uint32_t a[50], b[50];
  ft_data *one = open_many(true, true, 1), *two = open_many(true, true, 2);
  first_tokens(one, 0, 50, a);
  first_tokens(one, ft_data_num_rows(one), 50, b);
  assert_memory_not_equal(a, b, sizeof a);
  first_tokens(two, 0, 50, b);
  assert_memory_not_equal(a, b, sizeof a);
  ft_data_close(one);
  ft_data_close(two);
}

static void file_order_wraps_around(void **state) {
  (void)state;
  ft_data *data = open_many(false, false, 1);
  uint32_t tokens[20];
  first_tokens(data, 5 * DOCUMENTS - 10, 20, tokens);
  for (uint32_t i = 0; i < 20; i++)
    assert_int_equal(tokens[i], (DOCUMENTS - 10 + i) % DOCUMENTS * STRIDE);
  ft_data_close(data);
}

static void assert_same_from(ft_data *a, int64_t first, ft_data *b, int64_t first_b,
                             int64_t num_rows) {
  ft_batch x = {0}, y = {0};
  assert_ok(ft_data_rows(a, first, num_rows, &x));
  assert_ok(ft_data_rows(b, first_b, num_rows, &y));
  assert_int_equal(x.num_tokens, y.num_tokens);
  assert_int_equal(x.num_documents, y.num_documents);
  assert_int_equal(x.num_targets, y.num_targets);
  size_t n = (size_t)x.num_tokens;
  assert_memory_equal(x.tokens, y.tokens, n * sizeof *x.tokens);
  assert_memory_equal(x.targets, y.targets, n * sizeof *x.targets);
  assert_memory_equal(x.positions, y.positions, n * sizeof *x.positions);
  ft_batch_fini(&x);
  ft_batch_fini(&y);
}

static void assert_same_batches(ft_data *a, ft_data *b, int64_t first, int64_t num_rows) {
  assert_same_from(a, first, b, first, num_rows);
}

/* One walks from row 0 on, the other jumps about: epochs back and forth, batches over their ends.
 */
static void rows_do_not_depend_on_what_was_read_before(void **state) {
  (void)state;
  ft_data *walker = open_many(true, true, 3), *jumper = open_many(true, true, 3);
  ft_batch batch = {0};
  for (int64_t i = 0; i < 40; i++) {
    int64_t far = (int64_t)(ft_random_u64(5, FT_RANDOM_BENCH, 0, (uint64_t)i) % 100000);
    assert_ok(ft_data_rows(jumper, far, 3, &batch));
    assert_same_batches(walker, jumper, 13 * i, 13);
  }
  ft_batch_fini(&batch);
  ft_data_close(walker);
  ft_data_close(jumper);
}

/* ---------------------------------------------------------------- several sources */

enum { MAX_SOURCES = 9 };

typedef struct mixture {
  ft_data_source sources[MAX_SOURCES];
  char paths[MAX_SOURCES][MAX_PATH];
  int64_t num_sources;
  double total;
} mixture;

/* weights NULL: concatenated. */
static ft_data *open_mixture(mixture *m, const double *weights, int64_t num_sources, bool shuffle) {
  m->num_sources = num_sources;
  m->total = 0;
  for (int64_t k = 0; k < num_sources; k++) {
    char name[32];
    snprintf(name, sizeof name, "mix-%d.h5", (int)k);
    snprintf(m->paths[k], MAX_PATH, "%s", in_root(name));
    m->sources[k] = (ft_data_source){m->paths[k], weights ? weights[k] : 1};
    m->total += m->sources[k].weight;
    write_many(name, (int)k * 1000, 5 + 3 * (int)k, 6);
  }
  ft_data_options options = options_of(m->sources, num_sources);
  options.shuffle = shuffle;
  options.concatenate = weights == NULL;
  ft_data *data;
  assert_ok(ft_data_open(&options, &data));
  return data;
}

static int64_t source_of(ft_data *data, int64_t p, ft_batch *batch) {
  assert_ok(ft_data_rows(data, p, 1, batch));
  return document_of(batch, 0) / 1000;
}

static void sources_keep_to_their_shares(void **state) {
  (void)state;
  static const double weights[][MAX_SOURCES] = {
      {0.8, 0.2}, {1, 1, 1}, {3, 0.5, 1e-3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {100, 1, 1, 1, 1, 1, 1}};
  static const int64_t counts[] = {2, 3, 3, 9, 7};
  for (size_t i = 0; i < FT_ARRAY_SIZE(weights); i++) {
    mixture m;
    ft_data *data = open_mixture(&m, weights[i], counts[i], true);
    int64_t count[MAX_SOURCES] = {0};
    double worst = 0;
    ft_batch batch = {0};
    for (int64_t p = 0; p < 3000; p++) {
      int64_t k = source_of(data, p, &batch);
      assert_true(k < m.num_sources);
      count[k]++;
      for (int64_t j = 0; j < m.num_sources; j++)
        worst = fmax(worst, fabs((double)count[j] - (double)(p + 1) * weights[i][j] / m.total));
    }
    assert_true(worst < 2);
    ft_batch_fini(&batch);
    ft_data_close(data);
  }
}

/* Two equal sources far out: rows alternate, and every row of a source comes once an epoch. */
static void far_positions_are_exact(void **state) {
  (void)state;
  mixture m;
  const double weights[] = {0.5, 0.5};
  ft_data *data = open_mixture(&m, weights, 2, true);
  ft_batch batch = {0};
  for (int64_t far = 4; far < INT64_MAX / 4; far *= 1024) {
    uint8_t seen[8] = {0};
    int64_t start = far - far % 16; /* source 1 has 8 rows: an epoch of it is 16 rows */
    for (int64_t p = start; p < start + 16; p++) {
      assert_int_equal(source_of(data, p, &batch), p % 2);
      if (p % 2) seen[document_of(&batch, 0) % 1000]++;
    }
    for (int i = 0; i < 8; i++)
      assert_int_equal(seen[i], 1);
  }
  ft_batch_fini(&batch);
  ft_data_close(data);
}

static void far_shares_are_kept(void **state) {
  (void)state;
  mixture m;
  const double weights[] = {2, 1};
  ft_data *data = open_mixture(&m, weights, 2, false);
  ft_batch batch = {0};
  for (int64_t far = 3; far < 10000000000; far *= 10) {
    assert_int_equal(source_of(data, far, &batch), 0); /* two of three rows before were its own */
    assert_int_equal(document_of(&batch, 0), far / 3 * 2 % 5);
    int64_t second = 0;
    for (int64_t p = far; p < far + 300; p++)
      second += source_of(data, p, &batch);
    assert_int_equal(second, 100);
  }
  ft_batch_fini(&batch);
  ft_data_close(data);
}

/* A set that is replayed has its share of every stretch of rows, and what is left of the stream is
 * the stream without it. */
static void a_replayed_source_has_its_share(void **state) {
  (void)state;
  mixture m;
  ft_data *plain = open_mixture(&m, NULL, 3, true);
  write_many("general.h5", 9000, 40, 6);
  m.sources[3] = (ft_data_source){in_root("general.h5"), 1};
  ft_data_options options = options_of(m.sources, 4);
  options.shuffle = options.concatenate = true;
  ft_batch batch = {0};
  ft_data *data;
  for (double share = 0.01; share < 1; share += 0.07) {
    options.replay_share = share;
    assert_ok(ft_data_open(&options, &data));
    int64_t rows = ft_data_num_rows(data), general = 0;
    assert_true(fabs((double)rows * (1 - share) - (double)ft_data_num_rows(plain)) < 2);
    for (int64_t p = 0; p < 2000; p++) {
      assert_true(fabs((double)general - (double)p * share) <= 0.5001);
      if (source_of(data, p, &batch) == 9)
        general++;
      else
        assert_same_from(data, p, plain, p - general, 1);
    }
    ft_data_close(data);
  }
  options.replay_share = 1;
  assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "data.replay");
  ft_batch_fini(&batch);
  ft_data_close(plain);
}

/* Each pass has every row of every source once, near the beginning and far out; no source waits for
 * the end of a pass. */
static void concatenated_passes_have_every_row_once(void **state) {
  (void)state;
  mixture m;
  ft_data *data = open_mixture(&m, NULL, 4, true);
  int64_t rows = ft_data_num_rows(data); /* 5 + 8 + 11 + 14 */
  ft_batch batch = {0};
  assert_int_equal(rows, 38);
  for (int64_t pass = 0; pass < (int64_t)1 << 50; pass = 5 * pass + 1) {
    uint8_t seen[MAX_SOURCES][20] = {{0}};
    int64_t of_last = 0;
    for (int64_t i = 0; i < rows; i++) {
      int64_t source = source_of(data, pass * rows + i, &batch);
      seen[source][document_of(&batch, 0) % 1000]++;
      if (i < rows / 2) of_last += source == 3;
    }
    for (int64_t k = 0; k < 4; k++)
      for (int64_t d = 0; d < 5 + 3 * k; d++)
        assert_int_equal(seen[k][d], 1);
    assert_in_range(of_last, 6, 8);
  }
  ft_batch_fini(&batch);
  ft_data_close(data);
}

/* Without shuffling they are read as one after the other. */
static void concatenated_files_keep_their_order(void **state) {
  (void)state;
  mixture m;
  ft_data *data = open_mixture(&m, NULL, 3, false);
  ft_batch batch = {0};
  for (int64_t pass = 0; pass < 3; pass++)
    for (int64_t k = 0, p = 24 * pass; k < 3; k++)
      for (int64_t d = 0; d < 5 + 3 * k; d++, p++) {
        assert_int_equal(source_of(data, p, &batch), k);
        assert_int_equal(document_of(&batch, 0) % 1000, d);
      }
  ft_batch_fini(&batch);
  ft_data_close(data);
}

static void a_folder_is_read_in_name_order(void **state) {
  (void)state;
  const int lengths[] = {2, 3}, single[] = {1};
  assert_ok(ft_make_dirs(in_root("folder")));
  write_shard("folder/c.h5", FT_TOKENS_SFT, 30, lengths, 2);
  write_shard("folder/a.h5", FT_TOKENS_TEXT, 10, lengths, 2);
  write_shard("folder/b.h5", FT_TOKENS_SFT, 20, lengths, 0); /* no documents */
  write_shard("folder/d.h5", FT_TOKENS_SFT, 40, single, 1);  /* no target */
  assert_ok(ft_write_file(in_root("folder/notes.txt"), "x", 1));
  ft_data_source source = {in_root("folder"), 1};
  ft_data_options options = options_of(&source, 1);
  ft_data *data;
  assert_ok(ft_data_open(&options, &data));
  assert_int_equal(ft_data_num_rows(data), 5);
  uint32_t tokens[5];
  first_tokens(data, 0, 5, tokens);
  const uint32_t expected[] = {10 * STRIDE, 11 * STRIDE, 30 * STRIDE, 31 * STRIDE, 40 * STRIDE};
  assert_memory_equal(tokens, expected, sizeof expected);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), 6);
  ft_data_close(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets_stay_inside_documents),
      cmocka_unit_test(no_rows_make_an_empty_batch),
      cmocka_unit_test(text_is_cut_at_multiples_of_seq_len),
      cmocka_unit_test(every_document_comes_once_an_epoch),
      cmocka_unit_test(packed_rows_are_full_and_fit),
      cmocka_unit_test(virtual_rows_stand_before_each_document),
      cmocka_unit_test(epochs_and_seeds_have_orders_of_their_own),
      cmocka_unit_test(file_order_wraps_around),
      cmocka_unit_test(rows_do_not_depend_on_what_was_read_before),
      cmocka_unit_test(sources_keep_to_their_shares),
      cmocka_unit_test(far_positions_are_exact),
      cmocka_unit_test(far_shares_are_kept),
      cmocka_unit_test(a_replayed_source_has_its_share),
      cmocka_unit_test(concatenated_passes_have_every_row_once),
      cmocka_unit_test(concatenated_files_keep_their_order),
      cmocka_unit_test(a_folder_is_read_in_name_order),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
