/* Proves data: targets and positions, cutting, packing, the order of epochs, mixing of sources, all
 * of it the same from any starting point, and what is refused. Run alone: meson test data */
#include "ft_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/data.h"

/* ---------------------------------------------------------------- fixtures */

enum { VOCAB = 1 << 30, STRIDE = 64, MAX_PATH = 256 };

static char root[] = "/tmp/ft-data-XXXXXX";

static int make_root(void **state) {
  (void)state;
  return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
  (void)state;
  return ft_remove_tree(root) == FT_OK ? 0 : -1;
}

static const char *in_root(const char *name) {
  static char path[4][MAX_PATH];
  static int next;
  char *p = path[next++ % 4];
  snprintf(p, MAX_PATH, "%s/%s", root, name);
  return p;
}

/* A shard of documents of these lengths; token i of document d is (first + d) * STRIDE + i. All
 * masks are 1. */
static void write_shard(const char *name, ft_tokens_kind kind, int first, const int *lengths,
                        int num_documents) {
  ft_tokens_writer *w;
  uint32_t tokens[STRIDE];
  uint8_t mask[STRIDE];
  assert_ok(ft_tokens_writer_new(in_root(name), kind, VOCAB, "", &w));
  for (int d = 0; d < num_documents; d++) {
    for (int i = 0; i < lengths[d]; i++) {
      tokens[i] = (uint32_t)((first + d) * STRIDE + i);
      mask[i] = 1;
    }
    assert_ok(ft_tokens_write(w, tokens, mask, lengths[d]));
  }
  assert_ok(ft_tokens_writer_close(w, true));
}

/* num_documents documents of lengths that look random: 1 … longest. */
static void write_many(const char *name, int first, int num_documents, int longest) {
  int *lengths = calloc((size_t)num_documents, sizeof *lengths);
  for (int d = 0; d < num_documents; d++)
    lengths[d] = 1 + (int)(ft_random_u64(7, FT_RANDOM_BENCH, (uint64_t)first, (uint64_t)d) %
                           (uint64_t)longest);
  write_shard(name, FT_TOKENS_SFT, first, lengths, num_documents);
  free(lengths);
}

static ft_data_options options_of(const ft_data_source *sources, int64_t num_sources) {
  return (ft_data_options){.sources = sources,
                           .num_sources = num_sources,
                           .seq_len = 32,
                           .seed = 1,
                           .model_vocab = VOCAB,
                           .tokenizer_sha256 = "",
                           .model_path = "the-model"};
}

static uint32_t document_of(const ft_batch *b, int64_t d) {
  return b->tokens[b->offsets[d]] / STRIDE;
}

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
  assert_int_equal(ft_data_num_targets(data), 3);
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
  assert_ok(ft_data_count_targets(data, 5, 3, &count));
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
  assert_ok(ft_data_count_targets(data, 3, 0, &count));
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
  assert_int_equal(ft_data_num_targets(data), 20 - 7);
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

static void a_long_sft_document_is_refused(void **state) {
  (void)state;
  const int lengths[] = {3, 33, 32, 40};
  write_shard("long.h5", FT_TOKENS_SFT, 0, lengths, 4);
  ft_data_source source = {in_root("long.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  ft_data *data;
  assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, "long.h5: document 1 has 33 tokens");
  assert_non_null(strstr(ft_error_message(), "2 such documents, the longest 40"));
  assert_null(data);
  options.seq_len = 40;
  assert_ok(ft_data_open(&options, &data));
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
      assert_ok(ft_data_count_targets(data, epoch * rows, rows, &count));
      assert_int_equal(count, batch.num_targets);
      assert_int_equal(count, ft_data_num_targets(data));
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

static void assert_same_batches(ft_data *a, ft_data *b, int64_t first, int64_t num_rows) {
  ft_batch x = {0}, y = {0};
  assert_ok(ft_data_rows(a, first, num_rows, &x));
  assert_ok(ft_data_rows(b, first, num_rows, &y));
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

static ft_data *open_mixture(mixture *m, const double *weights, int64_t num_sources) {
  m->num_sources = num_sources;
  m->total = 0;
  for (int64_t k = 0; k < num_sources; k++) {
    char name[32];
    snprintf(name, sizeof name, "mix-%d.h5", (int)k);
    snprintf(m->paths[k], MAX_PATH, "%s", in_root(name));
    m->sources[k] = (ft_data_source){m->paths[k], weights[k]};
    m->total += weights[k];
    write_many(name, (int)k * 1000, 5 + 3 * (int)k, 6);
  }
  ft_data_options options = options_of(m->sources, num_sources);
  options.shuffle = true;
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
    ft_data *data = open_mixture(&m, weights[i], counts[i]);
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
  ft_data *data = open_mixture(&m, weights, 2);
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
  ft_data *data = open_mixture(&m, weights, 2);
  ft_batch batch = {0};
  for (int64_t far = 1; far < INT64_MAX / 4000; far = far * 1000 + 7) {
    int64_t second = 0;
    for (int64_t p = far; p < far + 300; p++)
      second += source_of(data, p, &batch);
    assert_in_range(second, 99, 101);
  }
  ft_batch_fini(&batch);
  ft_data_close(data);
}

static void impossible_weights_are_refused(void **state) {
  (void)state;
  const double bad[] = {0, -1, NAN, INFINITY};
  for (size_t i = 0; i < FT_ARRAY_SIZE(bad); i++) {
    ft_data_source sources[] = {{in_root("many.h5"), 1}, {in_root("targets.h5"), bad[i]}};
    ft_data_options options = options_of(sources, 2);
    ft_data *data;
    assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "targets.h5 has weight");
  }
  ft_data_source sources[] = {{in_root("many.h5"), 1e308}, {in_root("many.h5"), 1e-308}};
  ft_data_options options = options_of(sources, 2);
  ft_data *data;
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
}

/* ---------------------------------------------------------------- folders and odd shards */

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
  assert_int_equal(ft_data_num_targets(data), 6);
  ft_data_close(data);
}

static void sources_without_rows_are_refused(void **state) {
  (void)state;
  const int empty[] = {0, 0};
  write_shard("empty.h5", FT_TOKENS_TEXT, 0, empty, 0);
  write_shard("hollow.h5", FT_TOKENS_TEXT, 0, empty, 2);
  assert_ok(ft_make_dirs(in_root("bare")));
  const struct {
    const char *path, *part;
    ft_err code;
  } cases[] = {{"empty.h5", "empty.h5 holds no tokens", FT_ERR_DATA},
               {"hollow.h5", "hollow.h5 holds no tokens", FT_ERR_DATA},
               {"bare", "without token shards", FT_ERR_DATA},
               {"absent.h5", "absent.h5", FT_ERR_NOINPUT}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_data_source sources[] = {{in_root("many.h5"), 1}, {in_root(cases[i].path), 1}};
    ft_data_options options = options_of(sources, 2);
    ft_data *data;
    assert_fails(ft_data_open(&options, &data), cases[i].code, cases[i].part);
  }
}

/* ---------------------------------------------------------------- what does not fit the model */

static void write_marked(const char *name, ft_tokens_kind kind, uint32_t vocab, const char *sha) {
  ft_tokens_writer *w;
  const uint32_t tokens[] = {1, 2, 3};
  const uint8_t mask[] = {0, 1, 1};
  assert_ok(ft_tokens_writer_new(in_root(name), kind, vocab, sha, &w));
  assert_ok(ft_tokens_write(w, tokens, mask, 3));
  assert_ok(ft_tokens_writer_close(w, true));
}

static const char sha_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char sha_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void shards_of_other_models_are_refused(void **state) {
  (void)state;
  write_marked("vocab.h5", FT_TOKENS_SFT, 101, "");
  write_marked("sha.h5", FT_TOKENS_SFT, 100, sha_a);
  write_marked("preference.h5", FT_TOKENS_PREFERENCE, 100, "");
  const struct {
    const char *path, *part;
  } cases[] = {{"vocab.h5", "101 tokens, the model the-model only 100"},
               {"sha.h5", "the-model/tokenizer.json"},
               {"preference.h5", "preference"}};
  ft_data_source all[3];
  ft_data *data;
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    all[i] = (ft_data_source){in_root(cases[i].path), 1};
    ft_data_options options = options_of(&all[i], 1);
    options.model_vocab = 100;
    options.tokenizer_sha256 = sha_b;
    assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, cases[i].part);
    assert_non_null(strstr(ft_error_message(), cases[i].path));
  }
  ft_data_options options = options_of(all, 3);
  options.model_vocab = 100;
  options.tokenizer_sha256 = sha_b;
  assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, "3 mistakes");
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    assert_non_null(strstr(ft_error_message(), cases[i].path));
  options = options_of(&all[1], 1); /* the tokenizer it was made with; or one that is unknown */
  options.tokenizer_sha256 = sha_a;
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
  options.tokenizer_sha256 = "";
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
}

/* Writes over bytes of a shard, as a broken disk or a broken tool would. */
static void damage(const char *name, bool mask, int64_t at, uint8_t value) {
  ft_tokens_file *file;
  assert_ok(ft_tokens_open(in_root(name), &file));
  int64_t offset = mask ? file->mask_at + at : file->tokens_at + 4 * at + 3;
  ft_tokens_close(file);
  FILE *f = fopen(in_root(name), "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
  assert_int_equal(fputc(value, f), value);
  assert_int_equal(fclose(f), 0);
}

static void damaged_tokens_and_masks_are_refused(void **state) {
  (void)state;
  write_marked("ids.h5", FT_TOKENS_SFT, 100, "");
  write_marked("masks.h5", FT_TOKENS_SFT, 100, "");
  damage("ids.h5", false, 1, 0x7f);
  damage("masks.h5", true, 2, 2);
  const char *names[] = {"ids.h5", "masks.h5"};
  for (int i = 0; i < 2; i++) {
    ft_data_source source = {in_root(names[i]), 1};
    ft_data_options options = options_of(&source, 1);
    ft_data *data;
    ft_batch batch = {0};
    int64_t count;
    assert_ok(ft_data_open(&options, &data));
    assert_fails(ft_data_rows(data, 0, 1, &batch), FT_ERR_DATA, names[i]);
    assert_fails(ft_data_scan(data), FT_ERR_DATA, names[i]);
    assert_int_equal(ft_data_num_targets(data), -1);
    if (i == 1) assert_fails(ft_data_count_targets(data, 0, 1, &count), FT_ERR_DATA, names[i]);
    ft_batch_fini(&batch);
    ft_data_close(data);
  }
}

static void impossible_options_are_refused(void **state) {
  (void)state;
  ft_data_source source = {in_root("many.h5"), 1};
  ft_data *data;
  ft_data_options options = options_of(&source, 0);
  assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "no data sources");
  const int64_t lengths[] = {0, -5, (int64_t)INT32_MAX + 1};
  for (size_t i = 0; i < FT_ARRAY_SIZE(lengths); i++) {
    options = options_of(&source, 1);
    options.seq_len = lengths[i];
    assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "seq_len");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets_stay_inside_documents),
      cmocka_unit_test(no_rows_make_an_empty_batch),
      cmocka_unit_test(text_is_cut_at_multiples_of_seq_len),
      cmocka_unit_test(a_long_sft_document_is_refused),
      cmocka_unit_test(every_document_comes_once_an_epoch),
      cmocka_unit_test(packed_rows_are_full_and_fit),
      cmocka_unit_test(epochs_and_seeds_have_orders_of_their_own),
      cmocka_unit_test(file_order_wraps_around),
      cmocka_unit_test(rows_do_not_depend_on_what_was_read_before),
      cmocka_unit_test(sources_keep_to_their_shares),
      cmocka_unit_test(far_positions_are_exact),
      cmocka_unit_test(far_shares_are_kept),
      cmocka_unit_test(impossible_weights_are_refused),
      cmocka_unit_test(a_folder_is_read_in_name_order),
      cmocka_unit_test(sources_without_rows_are_refused),
      cmocka_unit_test(shards_of_other_models_are_refused),
      cmocka_unit_test(damaged_tokens_and_masks_are_refused),
      cmocka_unit_test(impossible_options_are_refused),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
