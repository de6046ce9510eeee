/* Proves of every cleaning rule that it finds what it says and leaves alone what only looks like
 * it; what fixing and dropping leave; and how well near duplicates are found among texts with known
 * edits. Run alone: meson test -C build clean */
#include "../../src/prep/clean.h"
#include "../../src/prep/shingles.h"
#include "prep_bench.h"

/* ---------------------------------------------------------------- personal data */

/* What is found in a text, as "rule:stretch|…". */
static void find_all(const char *text, char *out, size_t room) {
  size_t at, bytes, used = 0;
  ft_rule rule;
  ft_personal search;
  out[0] = 0;
  ft_personal_begin(&search, ~0u, text);
  while ((rule = ft_personal_next(&search, &at, &bytes)) != FT_NUM_RULES)
    used += (size_t)snprintf(out + used, room - used, "%s:%.*s|", ft_rule_name(rule), (int)bytes,
                             text + at);
}

static void personal_data(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      /* found */
      {"write to joe.doe+x@mail.example.org.", "email:joe.doe+x@mail.example.org|"},
      {"(a_b@c-d.co)", "email:a_b@c-d.co|"},
      {"card 4111 1111 1111 1111, thanks", "card:4111 1111 1111 1111|"},
      {"5500-0000-0000-0004", "card:5500-0000-0000-0004|"},
      {"pay DE89 3704 0044 0532 0130 00 now", "iban:DE89 3704 0044 0532 0130 00|"},
      {"GB82WEST12345698765432.", "iban:GB82WEST12345698765432|"},
      {"call +49 (0)30 123456-78!", "phone:+49 (0)30 123456-78|"},
      {"(212) 555-0187 or 212-555-0187", "phone:(212) 555-0187|phone:212-555-0187|"},
      {"Tel. 030 1234567", "phone:030 1234567|"},
      {"0171/1234567", "phone:0171/1234567|"},
      {"from 192.168.10.4 and 8.8.4.4", "ip:192.168.10.4|ip:8.8.4.4|"},
      {"2001:db8:85a3:0:0:8a2e:370:7334", "ip:2001:db8:85a3:0:0:8a2e:370:7334|"},
      /* not found */
      {"@user, a@b, me@localhost and x @ y.org", ""},
      {"4111 1111 1111 1112 and 1234567890123456", ""}, /* check digit */
      {"4444444444444444", ""},
      {"order 20231201123456789", ""},
      {"DE89370400440532013001", ""},
      {"version 1.2.3.4, section 3.1.4.1, 300.1.1.1", ""},
      {"127.0.0.1 and 0.0.0.0 and 255.255.255.255", ""},
      {"std::vector a::b::c 12:30:45 ::1", ""},
      {"on 2023-12-01 and 01.12.2023 and 1999-2003", ""},
      {"+1 and +5 points, 1+23456789", ""},
      {"ISBN 978-3-16-148410-0, 0.12345678", ""},
      {"no numbers at all", ""}};
  char found[512];
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    find_all(cases[i][0], found, sizeof found);
    if (strcmp(found, cases[i][1]) != 0)
      fail_msg("\"%s\": \"%s\", not \"%s\"", cases[i][0], found, cases[i][1]);
  }
}

/* ---------------------------------------------------------------- quality */

static char *times(const char *text, int count) {
  char *out = calloc((size_t)count, strlen(text) + 1);
  for (int i = 0; i < count; i++)
    strcat(out, text);
  return out;
}

static const char prose[] =
    "The mill stood at the end of the lane, where the water ran fast under two old willows.\n"
    "Nobody remembered who had built it, but every child in the village knew its sound.\n"
    "In spring the wheel turned day and night; in August it often stood still for weeks.\n"
    "Anna's father had been the miller until his hands grew too stiff to lift the sacks.\n"
    "She took the work over at nineteen, with one helper and a ledger full of debts.\n"
    "People said she would sell within a year, and they were wrong about that, too.\n"
    "By the third winter the debts were paid and a second stone had been ordered.\n"
    "It came by cart from the quarry, wrapped in straw, on the shortest day of all.\n"
    "They rolled it in by lamplight and drank plum brandy when it lay where it should.\n";

static const char code[] =
    "static int sum(const int *a, int n) {\n  int s = 0;\n  for (int i = 0; i < n; i++)\n"
    "    s += a[i];\n  return s;\n}\n\nint main(void) {\n  int a[] = {1, 2, 3};\n"
    "  printf(\"%d\\n\", sum(a, 3));\n  return 0;\n}\n";

static void check_quality(const char *text, uint32_t expected) {
  uint32_t tripped;
  ft_workroom room = {0};
  assert_ok(ft_quality(&room, text, strlen(text), &tripped));
  ft_workroom_fini(&room);
  if (tripped != expected) fail_msg("%.60s…: %x, not %x", text, tripped, expected);
}

/* A byte too often in a row is found wherever it stands, and not one time earlier. */
static void same_bytes(void **state) {
  (void)state;
  char text[600];
  for (size_t before = 0; before < 320; before += 7)
    for (size_t length = 200; length <= 201; length++) {
      memset(text, '.', sizeof text);
      for (size_t i = 0; i < before; i++)
        text[i] = i % 2 ? 'x' : 'y';
      memset(text + before, 'a', length);
      memset(text + before + length, 0, 1);
      check_quality(text, length > 200 ? 1u << FT_RULE_REPETITION : 0);
    }
}

static void quality(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int count;
    uint32_t rule;
  } bad[] = {{"click here to read more\n", 12, 1u << FT_RULE_REPETITION},
             {"buy ", 60, 1u << FT_RULE_REPETITION},
             {"a", 300, 1u << FT_RULE_REPETITION},
             {"we are the best choice in town ", 12, 1u << FT_RULE_REPETITION},
             {"$#@! ", 40, 1u << FT_RULE_SYMBOLS},
             {"\xEF\xBF\xBD", 80, 1u << FT_RULE_SYMBOLS}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(bad); i++) {
    char *text = times(bad[i].text, bad[i].count);
    check_quality(text, bad[i].rule);
    free(text);
  }
  char open[2000] = "";
  for (int i = 0; i < 10; i++)
    sprintf(open + strlen(open), "Teaser number %d about something else%s\n", i,
            i % 2 ? "..." : "");
  check_quality(open, 1u << FT_RULE_LINES);
  /* good texts, in several scripts, and short or odd ones */
  static const char *const good[] = {prose,
                                     code,
                                     "",
                                     "ok",
                                     "1, 2, 3, 4, 5, 6, 7, 8",
                                     "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE6\x96\x87"
                                     "\xE7\xAB\xA0\xE3\x81\xA7\xE3\x81\x99"
                                     "\xE3\x80\x82\xE7\x8C\xAB\xE3\x81\x8C\xE5\xA5\xBD\xE3\x81\x8D"
                                     "\xE3\x81\xA7\xE3\x81\x99\xE3\x80\x82",
                                     "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
                                     "ha ha ha ha ha",
                                     "No, no, no, no!"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(good); i++)
    check_quality(good[i], 0);
}

/* ---------------------------------------------------------------- actions */

static ft_findings clean(const char *json, ft_rule rule, ft_action action, char **text) {
  static const ft_record_rules rules = {0};
  cJSON *parsed;
  ft_record record;
  ft_findings findings = {0};
  ft_clean_options options = {0};
  ft_workroom room = {0};
  options.actions[rule] = action;
  assert_ok(ft_json_parse_data(json, strlen(json), "test", &parsed));
  assert_ok(ft_record_read(&rules, parsed, &record));
  assert_ok(ft_clean_record(&options, &room, &record, &findings));
  ft_workroom_fini(&room);
  if (text) assert_ok(ft_strdup(record.text ? record.text : record.messages[0].content, text));
  ft_record_fini(&record);
  cJSON_Delete(parsed);
  return findings;
}

static void actions(void **state) {
  (void)state;
  static const char mail[] = "{\"text\":\"ask joe@example.org or a@b.de!\"}";
  static const char control[] = "{\"text\":\"a\\u0007b\\u0000c\\td\\u0085\"}";
  char *text;
  ft_findings f = clean(mail, FT_RULE_EMAIL, FT_ACTION_FIX, &text);
  assert_string_equal(text, "ask [EMAIL] or [EMAIL]!");
  assert_true(f.fixed == 1u << FT_RULE_EMAIL && f.drop == FT_NUM_RULES);
  assert_string_equal(f.excerpt[FT_RULE_EMAIL], "joe@example.org");
  ft_free(text);
  f = clean(mail, FT_RULE_EMAIL, FT_ACTION_FLAG, &text);
  assert_string_equal(text, "ask joe@example.org or a@b.de!");
  assert_true(f.hits == 1u << FT_RULE_EMAIL && f.fixed == 0 && f.drop == FT_NUM_RULES);
  ft_free(text);
  f = clean(mail, FT_RULE_EMAIL, FT_ACTION_DROP, NULL);
  assert_int_equal(f.drop, FT_RULE_EMAIL);
  f = clean(mail, FT_RULE_EMAIL, FT_ACTION_OFF, NULL);
  assert_int_equal(f.hits, 0);
  f = clean(control, FT_RULE_CONTROL_CHARACTERS, FT_ACTION_FIX, &text);
  assert_string_equal(text, "abc\td");
  assert_string_equal(f.excerpt[FT_RULE_CONTROL_CHARACTERS], "0x07");
  ft_free(text);
  f = clean("{\"text\":\"a\\tb\\r\\nc\"}", FT_RULE_CONTROL_CHARACTERS, FT_ACTION_FLAG, NULL);
  assert_int_equal(f.hits, 0);
  f = clean("{\"prompt\":\"q\",\"completion\":\" \\n\"}", FT_RULE_EMPTY_ANSWER, FT_ACTION_DROP,
            NULL);
  assert_int_equal(f.drop, FT_RULE_EMPTY_ANSWER);
  f = clean("{\"prompt\":\" \",\"completion\":\"a\"}", FT_RULE_EMPTY_ANSWER, FT_ACTION_DROP, NULL);
  assert_int_equal(f.hits, 0);
}

static void lengths(void **state) {
  (void)state;
  ft_clean_options o;
  ft_clean_defaults(&o);
  o.min_tokens = 5;
  o.max_tokens = 9;
  for (int64_t tokens = 3; tokens < 12; tokens++) {
    ft_findings f = {.drop = FT_NUM_RULES};
    ft_clean_length(&o, tokens, &f);
    assert_int_equal((f.hits & 1u << FT_RULE_TOO_SHORT) != 0, tokens < 5);
    assert_int_equal((f.hits & 1u << FT_RULE_TOO_LONG) != 0, tokens > 9);
  }
}

/* ---------------------------------------------------------------- among documents */

static void equal_and_contaminated(void **state) {
  (void)state;
  workbench *b = open_bench();
  const char *against[1];
  char *path;
  add_lines(b, "a.jsonl",
            "{\"prompt\":\"one\",\"completion\":\"a\"}\n"
            "{\"instruction\":\"one\",\"output\":\"a\"}\n" /* the same, in another form */
            "{\"prompt\":\"one\",\"completion\":\"b\"}\n"  /* another answer */
            "{\"prompt\":\"one\",\"completion\":\"a\",\"label\":true}\n" /* another kind */
            "{\"text\":\"a b c d e f g h i j\"}\n"
            "{\"text\":\"x A, b. C d e y\"}\n"
            "{\"text\":\"x a b c d y e\"}\n");
  tiny_write(b->folder, "bench.jsonl", "{\"text\":\"q a b c d e r\"}\n");
  assert_ok(ft_path_join(b->folder, "bench.jsonl", &path));
  against[0] = path;
  b->options.clean.actions[FT_RULE_DUPLICATES] = FT_ACTION_DROP;
  b->options.clean.actions[FT_RULE_CONTAMINATION] = FT_ACTION_DROP;
  b->options.clean.ngram = 5;
  b->options.clean.against = against;
  b->options.clean.num_against = 1;
  assert_ok(run_alone(b));
  assert_int_equal(rule_count(b, FT_RULE_DUPLICATES, "dropped"), 1);
  assert_int_equal(rule_count(b, FT_RULE_CONTAMINATION, "dropped"), 2);
  assert_int_equal(b->report.documents[FT_SPLIT_TRAIN], 4);
  char *list, *text;
  size_t bytes;
  assert_ok(ft_path_join(b->out, "dropped.jsonl", &list));
  assert_ok(ft_read_file(list, 1 << 20, &text, &bytes));
  assert_non_null(strstr(text, "\"rule\":\"duplicates\""));
  assert_non_null(strstr(text, "\"line\":2"));
  assert_non_null(strstr(text, "\"line\":6"));
  ft_free(text);
  ft_free(list);
  ft_free(path);
  close_bench(b);
}

enum { BASES = 300, WORDS = 120 };

static const char *word(uint64_t seed, uint64_t i) {
  static char text[16];
  /* as rare and as frequent as words are: a few hundred often, others seldom */
  double u = ft_random_uniform(seed, FT_RANDOM_BENCH, 1, i);
  snprintf(text, sizeof text, "w%lld", (long long)(4000 * u * u * u));
  return text;
}

/* A text of a base, some of whose words are replaced, left out or put in. */
static void edited(FILE *out, uint64_t base, uint64_t edits, uint64_t salt) {
  fprintf(out, "{\"text\":\"");
  for (uint64_t i = 0; i < WORDS; i++) {
    uint64_t draw = ft_random_u64(salt, FT_RANDOM_BENCH, 2, base * 1000 + i) % WORDS;
    bool edit = draw < edits;
    if (edit && draw % 3 == 0) continue;
    fprintf(out, "%s ", word(base, i));
    if (edit) fprintf(out, "%s ", word(base + 7777, i + salt));
  }
  fprintf(out, "\"}\n");
}

/* Of each base: the original, three copies with up to 4 % of their words edited (near), and one
 * with half of them (another text). Precision and recall over documents. */
static void near_duplicates(void **state) {
  (void)state;
  workbench *b = open_bench();
  char *text = NULL;
  size_t text_bytes;
  FILE *lines = open_memstream(&text, &text_bytes);
  assert_non_null(lines);
  for (uint64_t base = 0; base < BASES; base++) {
    edited(lines, base, 0, 1);
    for (uint64_t copy = 1; copy <= 3; copy++)
      edited(lines, base, 1 + copy * 4 / 3, copy + 1);
    edited(lines, base, WORDS / 2, 9);
  }
  assert_int_equal(fclose(lines), 0);
  add_lines(b, "a.jsonl", text);
  free(text);
  b->options.clean.actions[FT_RULE_NEAR_DUPLICATES] = FT_ACTION_DROP;
  assert_ok(run_alone(b));
  char *list, *dropped, *line, *rest = NULL;
  size_t bytes;
  int64_t right = 0, wrong = 0;
  assert_ok(ft_path_join(b->out, "dropped.jsonl", &list));
  assert_ok(ft_read_file(list, 1 << 24, &dropped, &bytes));
  for (line = strtok_r(dropped, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    int64_t place = (strtoll(strstr(line, "\"line\":") + 7, NULL, 10) - 1) % 5;
    right += place >= 1 && place <= 3;
    wrong += place == 0 || place == 4;
  }
  double precision = (double)right / (double)(right + wrong),
         recall = (double)right / (3.0 * BASES);
  double f1 = 2 * precision * recall / (precision + recall);
  print_message("near duplicates: precision %.4f, recall %.4f, F1 %.4f\n", precision, recall, f1);
  assert_true(f1 >= 0.95);
  ft_free(dropped);
  ft_free(list);
  close_bench(b);
}

/* The estimate of a signature is near the similarity of the sets. */
static void signatures(void **state) {
  (void)state;
  ft_clean_options o;
  ft_words words = {0};
  ft_clean_defaults(&o);
  o.near_shingle = 1;
  for (int shared = 0; shared <= 200; shared += 50) {
    char a[4000] = "", c[4000] = "";
    for (int i = 0; i < 200; i++) {
      sprintf(a + strlen(a), "a%d ", i);
      sprintf(c + strlen(c), "%c%d ", i < shared ? 'a' : 'c', i);
    }
    ft_record one = {.text = a}, other = {.text = c};
    ft_signature x, y;
    bool found;
    assert_ok(ft_signature_of(&o, &one, &words, &x, &found));
    assert_ok(ft_signature_of(&o, &other, &words, &y, &found));
    double expected = (double)shared / (400 - shared);
    double estimate = ft_signature_similarity(&x, &y);
    assert_true(estimate > expected - 0.14 && estimate < expected + 0.14);
  }
  ft_words_fini(&words);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(personal_data),   cmocka_unit_test(same_bytes),
      cmocka_unit_test(quality),         cmocka_unit_test(actions),
      cmocka_unit_test(lengths),         cmocka_unit_test(equal_and_contaminated),
      cmocka_unit_test(near_duplicates), cmocka_unit_test(signatures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
