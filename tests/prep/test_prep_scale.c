/* Proves that bytes depend neither on ranks, pieces nor the order of files; that an interrupted
 * preparation goes on with what it had; that folders, patterns and compressed files are read; and
 * that pairs, ratings and classes come to shards of their kinds.
 * Run alone: meson test -C build prep_scale */
#include <unistd.h>
#include <zlib.h>

#include "prep_bench.h"

/* Records of several kinds, lengths and duplicates. */
static char *records(int first, int count) {
  char *text = calloc((size_t)count, 400);
  size_t used = 0;
  assert_non_null(text);
  for (int i = first; i < first + count; i++) {
    int n = i % 97;
    if (i % 20 == 0)
      used += (size_t)sprintf(text + used,
                              "{\"text\":\"one of many texts that have a good number of words in "
                              "common with the others of their kind, this is %d\"}\n",
                              n);
    else if (i % 5 == 0)
      used += (size_t)sprintf(text + used, "{\"text\":\"text %d of some words, number %d\"}\n", n,
                              n * n);
    else if (i % 5 == 1)
      used += (size_t)sprintf(
          text + used, "{\"prompt\":\"pair %d\",\"chosen\":\"good\",\"rejected\":\"bad\"}\n", n);
    else if (i % 5 == 2)
      used += (size_t)sprintf(text + used,
                              "{\"prompt\":\"rated %d\",\"completion\":\"x\",\"label\":%s}\n", n,
                              n % 2 ? "true" : "false");
    else if (i % 5 == 3)
      used += (size_t)sprintf(text + used, "{\"text\":\"class %d\",\"label\":%d}\n", n, n % 7);
    else
      used += (size_t)sprintf(text + used,
                              "{\"instruction\":\"question %d\",\"output\":\"%*s\",\"odd\":1}\n", n,
                              n, "answer");
  }
  return text;
}

static workbench *three_files(void) {
  static const char *const names[] = {"a.jsonl", "b.jsonl", "c.jsonl"};
  workbench *b = open_bench();
  b->options.validation = 0.2;
  b->options.test = 0.1;
  for (int i = 0; i < 3; i++) {
    char *text = records(i * 300, 300);
    add_lines(b, names[i], text);
    free(text);
  }
  ft_clean_all(&b->options.clean);
  b->options.clean.ngram = 4;
  return b;
}

static void ranks_pieces_and_order(void **state) {
  (void)state;
  workbench *b = three_files();
  assert_ok(run_alone(b));
  uint64_t expected = hash_out(b);
  int64_t dropped = rule_count(b, FT_RULE_DUPLICATES, "dropped");
  assert_true(dropped > 100);
  assert_true(rule_count(b, FT_RULE_NEAR_DUPLICATES, "dropped") > 0);
  static const int64_t pieces[] = {4001, 30000, 9000};
  for (int ranks = 1; ranks <= 3; ranks++) {
    b->options.piece_bytes = pieces[ranks - 1];
    b->options.num_threads = ranks;
    assert_ok(run_ranks(b, ranks));
    assert_int_equal(hash_out(b), expected);
    assert_int_equal(rule_count(b, FT_RULE_DUPLICATES, "dropped"), dropped);
  }
  const char *first = b->inputs[0];
  b->inputs[0] = b->inputs[2];
  b->inputs[2] = first;
  assert_ok(run_ranks(b, 2));
  assert_int_equal(hash_out(b), expected);
  b->options.clean.sort_bytes = 4096; /* sorting goes to the disk, in many runs */
  assert_ok(run_ranks(b, 2));
  assert_int_equal(hash_out(b), expected);
  close_bench(b);
}

/* Line numbers are those of the files, whoever read them. */
static void lines_are_counted_on(void **state) {
  (void)state;
  workbench *b = open_bench();
  char *text = records(0, 50), *more;
  assert_ok(ft_format(&more, "%s{\"foo\":1}\n", text));
  add_lines(b, "a.jsonl", more);
  b->options.piece_bytes = 500;
  assert_fails(run_ranks(b, 3), FT_ERR_DATA, "1 of 51 lines");
  const cJSON *bad = ft_json_get(b->report.tree, "bad_lines")->child;
  assert_int_equal(ft_json_get(bad, "line")->valuedouble, 51);
  b->options.skip_bad_lines = true;
  assert_ok(run_ranks(b, 2));
  assert_int_equal(b->report.bad_lines, 1);
  free(text);
  ft_free(more);
  close_bench(b);
}

/* A failure of the disk after some pieces: what was made is kept and used, and the result is that
 * of a run that was not interrupted. Runs first, since the faults of main() count pieces: 1 to 3
 * are the run that goes well. */
static void goes_on(void **state) {
  (void)state;
  workbench *b = three_files();
  char *work, *piece;
  ft_clean_defaults(&b->options.clean);
  assert_ok(run_alone(b));
  uint64_t expected = hash_out(b);
  assert_ok(ft_remove_tree(b->out));
  assert_ok(ft_format(&work, "%s.prep", b->out));
  assert_ok(ft_format(&piece, "%s/piece-000001.ids", work));
  assert_fails(run_alone(b), FT_ERR_IO, "made to fail"); /* 4, 5 */
  assert_true(ft_path_exists(piece));
  assert_false(ft_path_exists(b->out));
  /* a piece that is there is not made again: this one is not what it would be */
  FILE *f = fopen(piece, "r+b");
  assert_non_null(f);
  assert_int_equal(fputc('!', f), '!');
  fclose(f);
  assert_ok(run_alone(b)); /* 6 */
  assert_true(hash_out(b) != expected);
  assert_false(ft_path_exists(work));
  assert_ok(ft_remove_tree(b->out));
  assert_fails(run_alone(b), FT_ERR_IO, "made to fail"); /* 7, 8 */
  assert_ok(run_alone(b));                               /* 9 */
  assert_int_equal(hash_out(b), expected);
  /* other options begin anew */
  assert_ok(ft_remove_tree(b->out));
  assert_fails(run_alone(b), FT_ERR_IO, "made to fail"); /* 10, 11 */
  b->options.seed = 2;
  assert_ok(run_alone(b));
  b->options.seed = 1;
  assert_ok(run_alone(b));
  assert_int_equal(hash_out(b), expected);
  ft_free(work);
  ft_free(piece);
  close_bench(b);
}

static void kinds_of_documents(void **state) {
  (void)state;
  workbench *b = open_bench();
  char *text = records(0, 10);
  add_lines(b, "a.jsonl", text);
  assert_ok(run_alone(b));
  static const ft_tokens_kind kinds[] = {FT_TOKENS_TEXT, FT_TOKENS_PREFERENCE, FT_TOKENS_UNPAIRED,
                                         FT_TOKENS_CLASSES, FT_TOKENS_SFT};
  static const int64_t documents[] = {2, 4, 2, 2, 2};
  for (int i = 0; i < 5; i++) {
    char *path;
    ft_tokens_file *f;
    int32_t values[2];
    assert_ok(ft_format(&path, "%s/train/%05d.h5", b->out, i));
    assert_ok(ft_tokens_open(path, &f));
    assert_int_equal(f->kind, kinds[i]);
    assert_int_equal(f->num_documents, documents[i]);
    bool chat = kinds[i] != FT_TOKENS_TEXT && kinds[i] != FT_TOKENS_CLASSES;
    assert_string_equal(f->preparation.template_name, chat ? "chatml" : "");
    if (chat) assert_int_equal(f->preparation.end_of_turn[0], 258);
    if (kinds[i] == FT_TOKENS_CLASSES) {
      assert_ok(ft_tokens_values(f, 0, 2, values));
      assert_int_equal(values[0], 3);
      assert_int_equal(values[1], 1);
    }
    ft_tokens_close(f);
    ft_free(path);
  }
  free(text);
  close_bench(b);
}

/* A folder, a pattern and packed files give what the plain ones give. */
static void folders_and_patterns(void **state) {
  (void)state;
  workbench *b = three_files();
  char *data, *path, *pattern, *text;
  assert_ok(run_alone(b));
  int64_t documents = b->report.documents[0];
  assert_ok(ft_path_join(b->folder, "data", &data));
  assert_ok(ft_make_dirs(data));
  for (int i = 0; i < 3; i++) {
    assert_ok(ft_format(&path, "%s/%c.jsonl.gz", data, 'a' + i));
    text = records(i * 300, 300);
    gzFile z = gzopen(path, "wb");
    assert_int_equal(gzwrite(z, text, (unsigned)strlen(text)), strlen(text));
    gzclose(z);
    free(text);
    ft_free(path);
  }
  tiny_write(data, "notes.txt", "nothing to read");
  const char *inputs[] = {data};
  b->options.inputs = inputs;
  b->options.num_inputs = 1;
  assert_ok(run_ranks(b, 2));
  assert_int_equal(b->report.documents[0], documents);
  assert_ok(ft_path_join(data, "[ab].jsonl*", &pattern));
  inputs[0] = pattern;
  assert_ok(run_alone(b));
  assert_true(b->report.lines == 600);
  b->options.inputs = b->inputs;
  b->options.num_inputs = 3;
  ft_free(data);
  ft_free(pattern);
  close_bench(b);
}

static void reports(void **state) {
  (void)state;
  workbench *b = open_bench();
  char *text = records(0, 40), *path, *html;
  size_t bytes;
  cJSON *json;
  add_lines(b, "a.jsonl", text);
  add_lines(b, "b.jsonl", "{\"text\":\"<|im_end|> & <b> \\u0007 mail joe@example.org\"}\n");
  assert_ok(run_alone(b));
  assert_ok(ft_path_join(b->out, "report.json", &path));
  assert_ok(ft_json_read(path, &json));
  assert_int_equal(ft_json_get(json, "lines")->valuedouble, 41);
  assert_int_equal(ft_json_get(ft_json_get(json, "unread"), "odd")->valuedouble, 8);
  assert_int_equal(ft_json_get(ft_json_get(json, "spelled"), "<|im_end|>")->valuedouble, 1);
  assert_int_equal(cJSON_GetArraySize(ft_json_get(json, "samples")), 10);
  assert_int_equal(rule_count(b, FT_RULE_EMAIL, "found"), 1);
  assert_int_equal(rule_count(b, FT_RULE_CONTROL_CHARACTERS, "found"), 1);
  cJSON_Delete(json);
  ft_free(path);
  assert_ok(ft_path_join(b->out, "report.html", &path));
  assert_ok(ft_read_file(path, (size_t)1 << 24, &html, &bytes));
  assert_non_null(strstr(html, "<mark>"));
  assert_null(strstr(html, "<b>"));  /* people's text is no HTML */
  assert_null(strstr(html, "http")); /* and nothing is loaded */
  ft_free(html);
  ft_free(path);
  free(text);
  close_bench(b);
}

int main(void) {
  setenv("FT_FAULT", "prep.piece@5=fail,prep.piece@8=fail,prep.piece@11=fail", 1);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goes_on),
      cmocka_unit_test(ranks_pieces_and_order),
      cmocka_unit_test(lines_are_counted_on),
      cmocka_unit_test(kinds_of_documents),
      cmocka_unit_test(folders_and_patterns),
      cmocka_unit_test(reports),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
