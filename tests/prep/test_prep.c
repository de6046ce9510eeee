/* Proves that prep puts every usable document into exactly one set, by its content alone; that
 * nothing appears unless all of it is complete; and that bad input is refused or left out as asked.
 * Run alone: meson test -C build prep */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/prep/output.h"
#include "ft_test.h"
#include "../tokenizer/tiny_tokenizer.h"

static const char *const chatml_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};

/* ---------------------------------------------------------------- lines */

/* The lines of a file as "number:text|", too long ones as "number!|". */
static char *lines_of(const char *content, size_t bytes) {
  char *folder = tiny_folder(), *path, *out;
  char found[512] = "";
  ft_lines *lines;
  const char *text;
  size_t length, used = 0;
  bool too_long;
  assert_ok(ft_path_join(folder, "lines", &path));
  assert_ok(ft_write_file(path, content, bytes));
  assert_ok(ft_lines_open(path, &lines));
  for (;;) {
    assert_ok(ft_lines_next(lines, &text, &length, &too_long));
    if (!text) break;
    assert_int_equal(strlen(text), length);
    used += (size_t)snprintf(found + used, sizeof found - used, "%lld%s%.20s|",
                             (long long)ft_lines_number(lines), too_long ? "!" : ":", text);
  }
  assert_ok(ft_lines_next(lines, &text, &length, &too_long));
  assert_null(text);
  ft_lines_close(lines);
  ft_free(path);
  tiny_remove(folder);
  assert_ok(ft_strdup(found, &out));
  return out;
}

static void check_lines(const char *content, const char *expected) {
  char *found = lines_of(content, strlen(content));
  assert_string_equal(found, expected);
  ft_free(found);
}

static void line_ends(void **state) {
  (void)state;
  check_lines("", "");
  check_lines("\n", "1:|");
  check_lines("a", "1:a|");
  check_lines("a\n", "1:a|");
  check_lines("a\r\n\r\nb\rc\n", "1:a|2:|3:b\rc|");
  check_lines("\xEF\xBB\xBF"
              "a\n\xEF\xBB\xBF"
              "b",
              "1:a|2:\xEF\xBB\xBF"
              "b|");
  check_lines("\xEF\xBB\xBF", "1:|");
}

/* Lines that end just before, at and after the borders of what is read at once, and of the limit.
 */
static void line_lengths(void **state) {
  (void)state;
  static const size_t sizes[] = {(1 << 20) - 1, 1 << 20, (1 << 20) + 1, FT_LINE_MAX,
                                 FT_LINE_MAX + 1};
  for (size_t i = 0; i < FT_ARRAY_SIZE(sizes); i++) {
    size_t n = sizes[i];
    char *content = malloc(n + 3), expected[64];
    assert_non_null(content);
    memset(content, 'x', n);
    memcpy(content + n, "\nb", 3);
    char *found = lines_of(content, n + 2);
    snprintf(expected, sizeof expected, "1%s|2:b|",
             n > FT_LINE_MAX ? "!" : ":xxxxxxxxxxxxxxxxxxxx");
    assert_string_equal(found, expected);
    ft_free(found);
    if (n > FT_LINE_MAX) { /* and at the end of the file */
      found = lines_of(content, n);
      assert_string_equal(found, "1!|");
      ft_free(found);
    }
    free(content);
  }
}

static void line_files(void **state) {
  (void)state;
  ft_lines *lines;
  char *folder = tiny_folder();
  assert_fails(ft_lines_open("/nonexistent/file", &lines), FT_ERR_NOINPUT, "/nonexistent/file");
  assert_fails(ft_lines_open(folder, &lines), FT_ERR_DATA, "is a directory");
  tiny_remove(folder);
}

/* ---------------------------------------------------------------- split */

static void shares(void **state) {
  (void)state;
  int64_t counts[FT_NUM_SPLITS] = {0};
  for (uint64_t i = 0; i < 100000; i++)
    counts[ft_split_of(ft_hash64(&i, sizeof i, 0), 1, 0.1, 0.05)]++;
  assert_in_range(counts[FT_SPLIT_VALIDATION], 9700, 10300);
  assert_in_range(counts[FT_SPLIT_TEST], 4750, 5250);
  /* a larger share of validation takes from train only */
  for (uint64_t i = 0; i < 10000; i++) {
    ft_split before = ft_split_of(i, 1, 0.1, 0.05), after = ft_split_of(i, 1, 0.2, 0.05);
    assert_true(before == after || (before == FT_SPLIT_TRAIN && after == FT_SPLIT_VALIDATION));
    assert_int_equal(ft_split_of(i, 1, 0, 0), FT_SPLIT_TRAIN);
  }
}

/* ---------------------------------------------------------------- whole runs */

typedef struct bench {
  char *folder, *input, *out;
  ft_prep_options options;
  ft_prep_report report;
  const char *inputs[1];
} bench;

static bench *new_bench(const char *lines) {
  bench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->folder = tiny_folder();
  ft_tokenizer_close(tiny_tokenizer(b->folder, &(tiny_spec){.specials = chatml_tokens}));
  tiny_write(b->folder, "config.json", "{\"eos_token_id\":256}");
  assert_ok(ft_path_join(b->folder, "in.jsonl", &b->input));
  assert_ok(ft_path_join(b->folder, "out", &b->out));
  tiny_write(b->folder, "in.jsonl", lines);
  b->inputs[0] = b->input;
  b->options = (ft_prep_options){.model_dir = b->folder,
                                 .inputs = b->inputs,
                                 .num_inputs = 1,
                                 .out_dir = b->out,
                                 .seed = 1,
                                 .max_positions = 64,
                                 .model_vocab = 300,
                                 .bos = -1,
                                 .pad = -1,
                                 .eos = -1,
                                 .num_threads = 1,
                                 .num_ranks = 1};
  ft_clean_defaults(&b->options.clean);
  return b;
}

static void free_bench(bench *b) {
  tiny_remove(b->folder);
  ft_prep_report_fini(&b->report);
  ft_free(b->input);
  ft_free(b->out);
  free(b);
}

static ft_err run(bench *b) {
  ft_prep_report_fini(&b->report);
  return ft_prep(&b->options, &b->report);
}

/* Documents of a set, in order, as text: printable bytes, * for tokens of the tokenizer, each
 * document ended by a line feed. Empty if the set has no shard. */
static char *documents(const bench *b, const char *set, ft_tokens_kind kind) {
  char *dir, **names, *out = calloc(1, 1 << 20);
  int64_t num_names;
  size_t used = 0;
  assert_non_null(out);
  assert_ok(ft_path_join(b->out, set, &dir));
  assert_ok(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    ft_tokens_file *f;
    int64_t *offsets;
    char *path;
    assert_ok(ft_path_join(dir, names[i], &path));
    assert_ok(ft_tokens_open(path, &f));
    assert_int_equal(f->vocab_size, 300);
    assert_int_equal(strlen(f->tokenizer_sha256), 64);
    assert_ok(ft_tokens_offsets(f, &offsets));
    for (int64_t d = 0; f->kind == kind && d < f->num_documents; d++) {
      int64_t count = offsets[d + 1] - offsets[d];
      uint32_t ids[512];
      uint8_t mask[512];
      assert_true(count <= 512);
      assert_ok(ft_tokens_read(f, offsets[d], count, ids, mask));
      assert_int_equal(mask[0], 0);
      for (int64_t k = 0; k < count && used < (1 << 20) - 2; k++)
        if (ids[k] >= 256 || mask[k]) out[used++] = ids[k] >= 256 ? '*' : 'x';
      out[used++] = '\n';
    }
    ft_free(offsets);
    ft_tokens_close(f);
    ft_free(path);
  }
  ft_free_names(names, num_names);
  ft_free(dir);
  return out;
}

static void check_documents(const bench *b, const char *set, ft_tokens_kind kind,
                            const char *expected) {
  char *found = documents(b, set, kind);
  assert_string_equal(found, expected);
  free(found);
}

/* Nothing of a failed run is left: neither OUT nor a temporary folder. */
static void nothing_written(const bench *b) {
  char **names;
  int64_t num_names;
  assert_ok(ft_list_dir(b->folder, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++)
    if (strncmp(names[i], "out", 3) == 0) fail_msg("%s is left", names[i]);
  ft_free_names(names, num_names);
}

#define CHAT(user, assistant)                                                                      \
  "{\"messages\":[{\"role\":\"user\",\"content\":\"" user "\"},{\"role\":\"assistant\","           \
  "\"content\":\"" assistant "\"}]}\n"

static void writes_shards(void **state) {
  (void)state;
  bench *b =
      new_bench("\xEF\xBB\xBF" CHAT("a", "b") "\n  \r\n" CHAT("c", "de") "{\"text\":\"fgh\"}");
  assert_ok(run(b));
  assert_int_equal(b->report.lines, 3);
  assert_int_equal(b->report.bad_lines, 0);
  assert_int_equal(b->report.documents[FT_SPLIT_TRAIN], 3);
  assert_int_equal(b->report.text_documents, 1);
  assert_int_equal(b->report.targets[FT_SPLIT_TRAIN], 2 + 3 + 3);
  assert_int_equal(b->report.seq_len, 64);
  assert_int_equal(b->report.template, FT_TEMPLATE_CHATML);
  check_documents(b, "train", FT_TOKENS_SFT, "***x*\n***xx*\n");
  check_documents(b, "train", FT_TOKENS_TEXT, "xx*\n");
  check_documents(b, "validation", FT_TOKENS_SFT, "");
  check_documents(b, "test", FT_TOKENS_SFT, "");
  free_bench(b);
}

/* Many chats, some of them twice in other forms and with members in another order. */
static char *many(int64_t count) {
  char *text = calloc((size_t)count, 512);
  size_t used = 0;
  assert_non_null(text);
  for (int64_t i = 0; i < count; i++) {
    long long n = (long long)(i % (count / 2));
    if (i < count / 2)
      used += (size_t)sprintf(text + used, CHAT("question %lld", "answer %lld"), n, n);
    else
      used += (size_t)sprintf(
          text + used, "{\"output\":\"answer %lld\",\"instruction\":\"question %lld\"}\n", n, n);
  }
  return text;
}

/* Every set's documents are the same whatever the threads, and no document is in two sets. */
static void split_by_content(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  char *text = many(COUNT), *first[FT_NUM_SPLITS];
  bench *b = new_bench(text);
  b->options.validation = 0.2;
  b->options.test = 0.1;
  assert_ok(run(b));
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    /* each document came twice: if twins shared sets, counts are even */
    assert_int_equal(b->report.documents[set] % 2, 0);
    first[set] = documents(b, ft_split_name((ft_split)set), FT_TOKENS_SFT);
  }
  assert_in_range(b->report.documents[FT_SPLIT_VALIDATION], COUNT * 15 / 100, COUNT * 25 / 100);
  assert_in_range(b->report.documents[FT_SPLIT_TEST], COUNT * 6 / 100, COUNT * 14 / 100);
  b->options.num_threads = 3;
  b->options.overwrite = true;
  assert_ok(run(b));
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    check_documents(b, ft_split_name((ft_split)set), FT_TOKENS_SFT, first[set]);
    free(first[set]);
  }
  int64_t before = b->report.documents[FT_SPLIT_TEST];
  b->options.seed = 2;
  assert_ok(run(b));
  assert_int_not_equal(b->report.documents[FT_SPLIT_TEST], before);
  free(text);
  free_bench(b);
}

static void bad_lines(void **state) {
  (void)state;
  bench *b =
      new_bench(CHAT("a", "b") "{\"foo\":1}\nnot json\n{\"text\":\"\xFF\"}\n" CHAT("c", "d"));
  assert_fails(run(b), FT_ERR_DATA, "3 of 5 lines cannot be used");
  assert_int_equal(b->report.bad_lines, 3);
  nothing_written(b);
  b->options.skip_bad_lines = true;
  assert_ok(run(b));
  assert_int_equal(b->report.bad_lines, 3);
  check_documents(b, "train", FT_TOKENS_SFT, "***x*\n***x*\n");
  free_bench(b);
}

static void all_masked(void **state) {
  (void)state;
  bench *b = new_bench("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n" CHAT("c", "d"));
  assert_fails(run(b), FT_ERR_DATA, "1 of 2 documents have no target");
  nothing_written(b);
  b->options.skip_bad_lines = true;
  assert_fails(run(b), FT_ERR_DATA, "--skip-all-masked");
  nothing_written(b);
  b->options.skip_all_masked = true;
  assert_ok(run(b));
  assert_int_equal(b->report.all_masked, 1);
  check_documents(b, "train", FT_TOKENS_SFT, "***x*\n");
  free_bench(b);
}

static void too_long(void **state) {
  (void)state;
  /* <im_start>user\n a <im_end> \n <im_start>assistant\n: 20 tokens, then the answer, 2 at the end
   */
  bench *b = new_bench(CHAT("a", "bcdef"));
  b->options.seq_len = 24;
  assert_fails(run(b), FT_ERR_DATA, "1 of 1 lines");
  nothing_written(b);
  b->options.truncate = true;
  assert_ok(run(b));
  assert_int_equal(b->report.truncated, 1);
  assert_int_equal(b->report.tokens[FT_SPLIT_TRAIN], 24);
  check_documents(b, "train", FT_TOKENS_SFT, "***xxxx\n");
  b->options.overwrite = true;
  b->options.seq_len = 20; /* nothing of the answer is left */
  assert_fails(run(b), FT_ERR_DATA, "no target");
  check_documents(b, "train", FT_TOKENS_SFT, "***xxxx\n");
  free_bench(b);
}

static void long_texts_stay_whole(void **state) {
  (void)state;
  bench *b = new_bench("{\"text\":\"0123456789\"}");
  b->options.seq_len = 4;
  assert_ok(run(b));
  assert_int_equal(b->report.tokens[FT_SPLIT_TRAIN], 11);
  free_bench(b);
}

static void vocabulary(void **state) {
  (void)state;
  bench *b = new_bench(CHAT("a", "b"));
  b->options.model_vocab = 258;
  assert_fails(run(b), FT_ERR_DATA, "/tokenizer.json has ids up to 258, but ");
  assert_fails(run(b), FT_ERR_DATA, "/config.json has a vocab_size of 258");
  nothing_written(b);
  b->options.model_vocab = 300;
  b->options.eos = 300;
  assert_fails(run(b), FT_ERR_DATA, "eos_token_id 300");
  free_bench(b);
}

static void empty_inputs(void **state) {
  (void)state;
  bench *b = new_bench("\n \n");
  assert_fails(run(b), FT_ERR_DATA, "no record was found");
  nothing_written(b);
  free_bench(b);
  b = new_bench(CHAT("a", "b"));
  b->options.test = 0.999999;
  assert_fails(run(b), FT_ERR_DATA, "no document is left for train");
  nothing_written(b);
  b->inputs[0] = "/nonexistent.jsonl";
  assert_fails(run(b), FT_ERR_NOINPUT, "/nonexistent.jsonl");
  char *empty;
  assert_ok(ft_path_join(b->folder, "empty", &empty));
  assert_ok(ft_make_dirs(empty));
  b->inputs[0] = empty;
  assert_fails(run(b), FT_ERR_NOINPUT, "is a directory without data");
  ft_free(empty);
  nothing_written(b);
  free_bench(b);
}

static void impossible_options(void **state) {
  (void)state;
  bench *b = new_bench(CHAT("a", "b"));
  b->options.seq_len = 65;
  assert_fails(run(b), FT_ERR_USAGE, "knows 64 positions");
  b->options.seq_len = 0;
  b->options.validation = 0.5;
  b->options.test = 0.5;
  assert_fails(run(b), FT_ERR_USAGE, "together less than 1");
  nothing_written(b);
  free_bench(b);
}

static void existing_output(void **state) {
  (void)state;
  bench *b = new_bench(CHAT("a", "b"));
  char *notes, *train;
  assert_ok(ft_make_dirs(b->out)); /* empty: fine */
  assert_ok(run(b));
  tiny_write(b->out, "notes.txt", "mine");
  assert_fails(run(b), FT_ERR_CREATE, "--overwrite");
  b->options.overwrite = true;
  tiny_write(b->folder, "in.jsonl", CHAT("a", "bb"));
  assert_ok(run(b));
  check_documents(b, "train", FT_TOKENS_SFT, "***xx*\n");
  assert_ok(ft_path_join(b->out, "notes.txt", &notes));
  assert_true(ft_path_exists(notes));
  assert_ok(ft_path_join(b->out, "train", &train));
  tiny_write(train, "raw.jsonl", "{}");
  assert_fails(run(b), FT_ERR_CREATE, "raw.jsonl");
  char **names;
  int64_t num_names;
  assert_ok(ft_list_dir(b->out, &names, &num_names));
  assert_int_equal(num_names, 7); /* notes, three sets, two reports, a list */
  ft_free_names(names, num_names);
  ft_free(notes);
  ft_free(train);
  free_bench(b);
}

static void stopped(void **state) {
  (void)state;
  bench *b = new_bench(CHAT("a", "b"));
  atomic_bool stop = true;
  b->options.stop = &stop;
  assert_fails(run(b), FT_ERR_STOPPED, "nothing was written");
  nothing_written(b);
  free_bench(b);
}

static ft_err lend(void *arg, const ft_document **out) {
  *out = arg;
  return FT_OK;
}

/* Shards are closed when full, of each kind on its own, and numbered through, whoever writes them.
 */
static void full_shards(void **state) {
  (void)state;
  bench *b = new_bench("");
  uint32_t ids[4] = {1, 2, 3, 4};
  uint8_t mask[4] = {0, 1, 1, 1};
  ft_document d = {.kind = FT_TOKENS_SFT, .ids = {.ids = ids, .mask = mask, .count = 4}};
  for (int rank = 1; rank >= 0; rank--) {
    ft_prep_output o = {.vocab_size = 300,
                        .tokenizer = "",
                        .shard_tokens = 10,
                        .shard_documents = 3,
                        .rank = rank,
                        .num_ranks = 2};
    assert_ok(ft_prep_output_init(&o, b->out));
    if (rank == 1) assert_ok(ft_prep_output_begin(&o));
    d.kind = FT_TOKENS_SFT;
    d.ids.count = 4;
    for (int i = 0; i < 5; i++)
      assert_ok(ft_prep_output_add(&o, FT_SPLIT_TRAIN, d.kind, 4, lend, &d));
    d.kind = FT_TOKENS_TEXT;
    d.ids.count = 2;
    for (int i = 0; i < 4; i++)
      assert_ok(ft_prep_output_add(&o, FT_SPLIT_TRAIN, d.kind, 2, lend, &d));
    assert_ok(ft_prep_output_close(&o));
    if (rank == 0) assert_ok(ft_prep_output_commit(&o, NULL, 0));
    ft_prep_output_fini(&o);
  }
  static const int64_t expected[] = {2, 2, 1, 3, 1};
  for (int i = 0; i < 5; i++) {
    char *path;
    ft_tokens_file *f;
    assert_ok(ft_format(&path, "%s/train/%05d.h5", b->out, i));
    assert_ok(ft_tokens_open(path, &f));
    assert_int_equal(f->num_documents, expected[i]);
    ft_tokens_close(f);
    ft_free(path);
  }
  free_bench(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(line_ends),
      cmocka_unit_test(line_lengths),
      cmocka_unit_test(line_files),
      cmocka_unit_test(shares),
      cmocka_unit_test(writes_shards),
      cmocka_unit_test(split_by_content),
      cmocka_unit_test(bad_lines),
      cmocka_unit_test(all_masked),
      cmocka_unit_test(too_long),
      cmocka_unit_test(long_texts_stay_whole),
      cmocka_unit_test(vocabulary),
      cmocka_unit_test(empty_inputs),
      cmocka_unit_test(impossible_options),
      cmocka_unit_test(existing_output),
      cmocka_unit_test(stopped),
      cmocka_unit_test(full_shards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
