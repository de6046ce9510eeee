/* Proves what prep makes of pairs: documents 2i and 2i + 1 with one prompt that is masked in both,
 * both in one set, with every other pair of that prompt; and that pairs whose answers are equal or
 * whose prompts differ are counted, shown, and left out or refused as asked.
 * Run alone: meson test -C build pairs */
#include "../../src/prep/clean.h"
#include "prep_bench.h"

#define USER(q) "{\"role\":\"user\",\"content\":\"" q "\"}"
#define ANSWER(a) "{\"role\":\"assistant\",\"content\":\"" a "\"}"
#define WHOLE(q, a) "[" USER(q) "," ANSWER(a) "]"

/* prompt: "" or a member with its comma. */
#define LINE(prompt, chosen, rejected)                                                             \
  "{" prompt "\"chosen\":" chosen ",\"rejected\":" rejected "}\n"

static workbench *faulty_bench(void) {
  static const char *const lines[] = {
      LINE("\"prompt\":\"one\",", "\"good\"", "\"bad\""),
      LINE("\"prompt\":\"two\",", "\"same\"", "\"same\""),
      LINE("", WHOLE("three", "a"), WHOLE("four", "b")),
      LINE("\"prompt\":\"five\",", WHOLE("six", "a"), WHOLE("six", "b")),
      LINE("\"prompt\":\" seven\",", WHOLE("seven", "a"), WHOLE("seven", "b")),
      LINE("", WHOLE("eight", "a"), WHOLE("eight", "a"))};
  char text[2048] = "";
  for (size_t i = 0; i < FT_ARRAY_SIZE(lines); i++)
    strcat(text, lines[i]);
  workbench *b = open_bench();
  add_lines(b, "pairs.jsonl", text);
  return b;
}

static int64_t pairs(const workbench *b) {
  int64_t sum = 0;
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    sum +=
        (int64_t)ft_json_get(ft_json_get(b->report.tree, "documents"), ft_split_name((ft_split)set))
            ->valuedouble;
  return sum;
}

static void faults_are_left_out(void **state) {
  (void)state;
  workbench *b = faulty_bench();
  assert_ok(run_alone(b));
  assert_int_equal(rule_count(b, FT_RULE_EQUAL_ANSWERS, "found"), 2);
  assert_int_equal(rule_count(b, FT_RULE_EQUAL_ANSWERS, "dropped"), 2);
  assert_int_equal(rule_count(b, FT_RULE_PROMPTS_DIFFER, "found"), 2);
  assert_int_equal(rule_count(b, FT_RULE_PROMPTS_DIFFER, "dropped"), 2);
  assert_int_equal(pairs(b), 2);
  const cJSON *rule = ft_json_get(ft_json_get(b->report.tree, "rules"), "equal_answers");
  const cJSON *example = ft_json_get(rule, "examples")->child;
  assert_int_equal(ft_json_get(example, "line")->valuedouble, 2);
  assert_non_null(strstr(ft_json_get(example, "text")->valuestring, "same"));
  close_bench(b);
}

static void faults_are_kept_or_refused(void **state) {
  (void)state;
  workbench *b = faulty_bench();
  assert_ok(ft_clean_set(&b->options.clean, "equal_answers", "flag"));
  assert_ok(ft_clean_set(&b->options.clean, "prompts_differ", "off"));
  assert_ok(run_alone(b));
  assert_int_equal(rule_count(b, FT_RULE_EQUAL_ANSWERS, "found"), 2);
  assert_int_equal(rule_count(b, FT_RULE_PROMPTS_DIFFER, "found"), 0);
  assert_int_equal(pairs(b), 6);
  assert_ok(ft_clean_set(&b->options.clean, "prompts_differ", "refuse"));
  assert_fails(run_alone(b), FT_ERR_DATA, "2 of 6");
  b->options.skip_bad_lines = true;
  assert_ok(run_alone(b));
  assert_int_equal(rule_count(b, FT_RULE_PROMPTS_DIFFER, "refused"), 2);
  assert_int_equal(pairs(b), 4);
  const cJSON *bad = ft_json_get(b->report.tree, "bad_lines")->child;
  assert_int_equal(ft_json_get(bad, "line")->valuedouble, 3);
  assert_non_null(strstr(ft_json_get(bad, "text")->valuestring, "prompts_differ"));
  assert_fails(ft_clean_set(&b->options.clean, "duplicates", "refuse"), FT_ERR_USAGE,
               "off, flag or drop was expected");
  close_bench(b);
}

static bool prompts_differ(const ft_tokenizer *t, const char *a, const char *b) {
  ft_document pair = {.kind = FT_TOKENS_PREFERENCE};
  ft_clean_options options;
  ft_findings findings;
  ft_clean_defaults(&options);
  ft_findings_init(&findings);
  assert_ok(ft_tokenizer_encode(t, a, strlen(a), false, 0, &pair.ids));
  assert_ok(ft_tokenizer_encode(t, b, strlen(b), false, 0, &pair.rejected));
  assert_ok(ft_tokenizer_encode(t, "yes", 3, false, 1, &pair.ids));
  assert_ok(ft_tokenizer_encode(t, "no", 2, false, 1, &pair.rejected));
  assert_ok(ft_clean_pair(&options, t, &pair, &findings));
  ft_document_fini(&pair);
  assert_int_equal(findings.hits & 1u << FT_RULE_EQUAL_ANSWERS, 0);
  return findings.drop == FT_RULE_PROMPTS_DIFFER;
}

/* What the template wrote counts, too; it may open the answer in two ways. */
static void rendered_prompts_are_compared(void **state) {
  (void)state;
  workbench *b = open_bench();
  ft_tokenizer *t;
  assert_ok(ft_tokenizer_open(b->folder, &t));
  assert_false(prompts_differ(t, "a question: ", "a question: "));
  assert_false(prompts_differ(t, "a question: ", "a question: and then "));
  assert_true(prompts_differ(t, "a question: ", "b question: "));
  assert_true(prompts_differ(t, "a question: ", "a questing: "));
  ft_tokenizer_close(t);
  close_bench(b);
}

/* A layout without control tokens: a token at the border may hold bytes of both sides. */
static void continuations_have_one_prompt(void **state) {
  (void)state;
  workbench *b = open_bench();
  add_lines(b, "pairs.jsonl",
            "{\"prompt\":\"the answer is th\",\"chosen\":\"e one\",\"rejected\":\"zat\"}\n"
            "{\"chosen\":\"the sky is blue\",\"rejected\":\"the sky is black\"}\n");
  b->options.template = FT_TEMPLATE_PLAIN;
  assert_ok(run_alone(b));
  assert_int_equal(rule_count(b, FT_RULE_PROMPTS_DIFFER, "found"), 0);
  assert_int_equal(pairs(b), 2);
  close_bench(b);
}

/* Both of a pair, and all pairs of a prompt: one hash of a prompt's ids a set. */
static void check_shard(const char *path, ft_split set, char *sets) {
  ft_tokens_file *f;
  int64_t *offsets;
  assert_ok(ft_tokens_open(path, &f));
  assert_ok(ft_tokens_offsets(f, &offsets));
  assert_int_equal(f->kind, FT_TOKENS_PREFERENCE);
  uint64_t prompts[2];
  for (int64_t d = 0; d < f->num_documents; d++) {
    uint32_t ids[256];
    uint8_t mask[256];
    int64_t count = offsets[d + 1] - offsets[d], prompt = 0;
    assert_ok(ft_tokens_read(f, offsets[d], count, ids, mask));
    while (prompt < count && !mask[prompt])
      prompt++;
    assert_in_range(prompt, 3, count - 1);
    prompts[d % 2] = ft_hash64(ids, (size_t)prompt * sizeof *ids, 0);
    if (d % 2) assert_int_equal(prompts[0], prompts[1]);
    char *seen = &sets[prompts[d % 2] % 65536];
    assert_true(*seen == 0 || *seen == 1 + (char)set);
    *seen = 1 + (char)set;
  }
  ft_free(offsets);
  ft_tokens_close(f);
}

static void sets_keep_prompts_together(void **state) {
  (void)state;
  static char sets[65536], text[40000];
  workbench *b = open_bench();
  size_t used = 0;
  for (int i = 0; i < 300; i++)
    used += (size_t)sprintf(
        text + used, "{\"prompt\":\"question %d\",\"chosen\":\"c%d\",\"rejected\":\"r%d\"}\n",
        i % 100, i, i);
  add_lines(b, "many.jsonl", text);
  b->options.validation = 0.3;
  b->options.test = 0.1;
  assert_ok(run_alone(b));
  assert_int_equal(pairs(b), 300);
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s/00000.h5", b->out, ft_split_name((ft_split)set));
    check_shard(path, (ft_split)set, sets);
  }
  close_bench(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(faults_are_left_out),
      cmocka_unit_test(faults_are_kept_or_refused),
      cmocka_unit_test(rendered_prompts_are_compared),
      cmocka_unit_test(continuations_have_one_prompt),
      cmocka_unit_test(sets_keep_prompts_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
