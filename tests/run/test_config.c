/* Proves that configurations are checked: defaults, overrides, all mistakes in one message, what
 * may change on resume; and that docs/configuration.md lists every key with its default. Run alone:
 * meson test config */
#include "ft_test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/kernels_packed.h"
#include "ft/run_config.h"

static const char *const minimal = "{\"model\": {\"path\": \"m\"}, \"data\": {\"train\": "
                                   "[{\"path\": \"d\"}]}, \"run\": {\"dir\": \"r\"},"
                                   " \"optimizer\": {\"lr\": 1e-3}, \"train\": {\"steps\": 5}}";

static ft_err load(const char *text, char *const *overrides, int64_t num, ft_config *config) {
  char path[] = "config-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
  ft_err err = ft_config_load(path, overrides, num, config);
  unlink(path);
  return err;
}

static void defaults_are_those_of_the_design(void **state) {
  (void)state;
  ft_config c;
  assert_ok(load(minimal, NULL, 0, &c));
  assert_string_equal(c.model_path, "m");
  assert_int_equal(c.num_train, 1);
  assert_true(c.train[0].weight == 1.0);
  assert_int_equal(c.steps, 5);
  assert_true(c.epochs == 0);
  assert_int_equal(c.seq_len, 4096);
  assert_true(c.packing && c.shuffle && c.activation_checkpointing == 1);
  assert_true(c.master == FT_MASTER_F32 && c.state == FT_MOMENTS_F32 && c.gradient == FT_F32);
  ft_config_settle(&c, -1, NULL);
  assert_int_equal(c.global_batch, 64);
  assert_int_equal(c.micro_batch, 1);
  assert_int_equal(c.precision, FT_BF16);
  assert_true(c.grad_clip == 1.0 && c.betas[0] == 0.9 && c.betas[1] == 0.95 && c.eps == 1e-8);
  assert_true(c.weight_decay == 0.1 && c.lr == 1e-3);
  assert_int_equal(c.schedule.name, FT_RATE_COSINE);
  assert_int_equal(c.schedule.warmup_steps, 0); /* a tenth of 5 steps */
  assert_int_equal(c.stage, 3);
  assert_int_equal(c.validation_every, 100);
  assert_int_equal(c.checkpoint_every, 200);
  assert_int_equal(c.keep, 2);
  assert_int_equal(c.seed, 1);
  assert_int_equal(c.resume, FT_RESUME_AUTO);
  assert_true(c.time_limit_s == 0 && c.stall_timeout_s == 1800);
  assert_int_equal(cJSON_GetArraySize(c.json), 11);
  ft_config_fini(&c);
}

/* Whether rows are filled best-fit, with these overrides and this run directory. */
static bool fills_best(const char *dir, char *override, bool *packing) {
  char run[300];
  ft_config c;
  snprintf(run, sizeof run, "run.dir=%s", dir);
  char *overrides[] = {run, override};
  assert_ok(load(minimal, overrides, 2, &c));
  bool best = c.fit == FT_FIT_BEST;
  *packing = c.packing;
  assert_string_equal(ft_config_value(&c, "data.fit")->valuestring, best ? "best" : "next");
  assert_int_equal(cJSON_IsTrue(ft_config_value(&c, "data.packing")), c.packing);
  ft_config_fini(&c);
  return best;
}

/* A new run packs best-fit where nobody asked for an order; one that goes on does what it did. */
static void how_rows_are_filled(void **state) {
  (void)state;
  char dir[] = "/tmp/ft-config-XXXXXX", path[64];
  bool packing;
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/config.json", dir);
  assert_true(fills_best(dir, "run.seed=1", &packing) && packing);
  assert_false(fills_best(dir, "data.shuffle=false", &packing));
  assert_false(fills_best(dir, "data.fit=next", &packing));
  assert_true(fills_best(dir, "data.packing=false", &packing) && !packing);
  const char next[] = "{\"data\":{\"fit\":\"next\",\"packing\":false}}", old[] = "{\"data\":{}}";
  assert_ok(ft_write_file(path, next, strlen(next)));
  assert_false(fills_best(dir, "run.seed=1", &packing) || packing);
  assert_true(fills_best(dir, "data.fit=best", &packing) && !packing);
  assert_ok(ft_write_file(path, old, strlen(old)));
  assert_true(!fills_best(dir, "run.seed=1", &packing) && packing);
  assert_ok(ft_remove_tree(dir));
}

/* data.replay is the last set of both lists, and its validation set lies beside it. */
static void replay_joins_the_sets(void **state) {
  (void)state;
  static const struct {
    const char *override, *validation;
  } good[] = {{"data.replay={\"path\":\"general/train\",\"share\":0.05}", "general/validation"},
              {"data.replay={\"path\":\"a/train/\",\"share\":0.05}", "a/validation"},
              {"data.replay={\"path\":\"g.h5\",\"share\":0.05}", NULL},
              {"data.replay={\"path\":\"g/train\",\"share\":0.05,\"validation\":null}", NULL},
              {"data.replay={\"path\":\"g\",\"share\":0.05,\"validation\":\"v\"}", "v"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(good); i++) {
    char *overrides[] = {(char *)(uintptr_t)good[i].override};
    ft_config c, again;
    assert_ok(load(minimal, overrides, 1, &c));
    assert_true(c.num_train == 2 && c.replay_share == 0.05);
    assert_int_equal(c.num_validation, good[i].validation ? 1 : 0);
    assert_int_equal(c.replay_set, good[i].validation ? 0 : -1);
    if (good[i].validation) assert_string_equal(c.validation[0].path, good[i].validation);
    if (good[i].validation) assert_true(c.monitor[0] == 0);
    assert_ok(ft_config_from_json(c.json, "itself", &again));
    assert_true(cJSON_Compare(c.json, again.json, true) && again.num_train == 2);
    ft_config_fini(&c);
    ft_config_fini(&again);
  }
}

static void overrides_win(void **state) {
  (void)state;
  ft_config c;
  char *overrides[] = {"train.steps=10",
                       "schedule.name=linear",
                       "data.packing=false",
                       "optimizer.betas=[0.8,0.9]",
                       "run.dir=elsewhere",
                       "train.grad_clip=null",
                       "data.train=[{\"path\":\"a\",\"weight\":0.25},{\"path\":\"b\"}]"};
  assert_ok(load(minimal, overrides, FT_ARRAY_SIZE(overrides), &c));
  assert_int_equal(c.steps, 10);
  assert_int_equal(c.schedule.name, FT_RATE_LINEAR);
  assert_false(c.packing);
  assert_true(c.betas[0] == 0.8 && c.grad_clip == 0);
  assert_string_equal(c.run_dir, "elsewhere");
  assert_int_equal(c.num_train, 2);
  assert_true(c.train[0].weight == 0.25);
  ft_config_fini(&c);
  char *epochs[] = {"train.epochs=1.5"};
  assert_ok(load(minimal, epochs, 1, &c));
  assert_true(c.epochs == 1.5 && c.steps == 0);
  ft_config_fini(&c);
}

static void memory_modes_are_read(void **state) {
  (void)state;
  static const char *const masters[] = {"fp32", "bf16+8", "bf16"};
  ft_config c;
  for (int i = 0; i < FT_MASTER_NUM; i++) {
    char master[40];
    snprintf(master, sizeof master, "optimizer.master=%s", masters[i]);
    char *overrides[] = {master, "optimizer.state=int8", "train.gradient=bf16",
                         "train.activation_checkpointing=3"};
    assert_ok(load(minimal, overrides, FT_ARRAY_SIZE(overrides), &c));
    assert_int_equal(c.master, i);
    assert_string_equal(ft_master_name(c.master), masters[i]);
    assert_true(c.state == FT_MOMENTS_INT8 && c.gradient == FT_BF16);
    assert_int_equal(c.activation_checkpointing, 3);
    ft_config_fini(&c);
  }
  char *off[] = {"train.activation_checkpointing=false"};
  assert_ok(load(minimal, off, 1, &c));
  assert_int_equal(c.activation_checkpointing, 0);
  ft_config_fini(&c);
}

/* The longest list of choices there is. */
static void every_method_is_known(void **state) {
  (void)state;
  static const char *const names[] = {"full", "lora", "ia3", "prefix", "prompt", "adapter"};
  for (int i = 0; i < (int)FT_ARRAY_SIZE(names); i++) {
    char text[64];
    char *override = text;
    ft_config c;
    snprintf(text, sizeof text, "method.name=%s", names[i]);
    assert_int_equal(load(minimal, &override, 1, &c), FT_OK);
    assert_int_equal(c.method.name, i);
    ft_config_fini(&c);
  }
}

static void three_mistakes_are_three_lines(void **state) {
  (void)state;
  ft_config c;
  char *overrides[] = {"train.stepz=1", "sharding.stage=7", "data.seq_len=\"long\""};
  assert_int_equal(load(minimal, overrides, 3, &c), FT_ERR_CONFIG);
  const char *message = ft_error_message();
  assert_non_null(strstr(message, "3 mistakes"));
  assert_non_null(strstr(message, "train.stepz: there is no such key; did you mean train.steps?"));
  assert_non_null(
      strstr(message, "sharding.stage: found 7; expected a whole number between 0 and 3"));
  assert_non_null(strstr(message, "data.seq_len: found \"long\""));
}

static void single_mistakes_are_named(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"train.global_batch=3.5", "whole number"},
      {"train.precision=fp8", "\"fp32\" or \"bf16\""},
      {"train.gradient=int8", "\"fp32\" or \"bf16\""},
      {"train.activation_checkpointing=0", "true, false or a whole number"},
      {"train.activation_checkpointing=1.5", "true, false or a whole number"},
      {"train.activation_checkpointing=often", "true, false or a whole number"},
      {"optimizer.master=fp16", "\"fp32\" or \"bf16+8\" or \"bf16\""},
      {"optimizer.state=bf16", "\"fp32\" or \"int8\""},
      {"optimizer.name=lion", "\"adamw\""},
      {"optimizer.betas=[0.9]", "two numbers"},
      {"optimizer.lr=-1", "between 0"},
      {"data.train=[]", "at least one training set"},
      {"data.train=[{\"path\":\"x\",\"wight\":1}]", "wight"},
      {"data.train=[{\"path\":\"x\",\"weight\":0}]", "positive"},
      {"data.validation=[{\"name\":\"a\",\"path\":\"x\"},{\"name\":\"a\",\"path\":\"y\"}]",
       "two sets"},
      {"data.packing=1", "true or false, or null"},
      {"data.replay={\"path\":\"a\",\"share\":0.009}", "between 0.01 and 0.99"},
      {"data.replay={\"path\":\"a\"}", "data.replay: found"},
      {"data.replay={\"path\":\"a\",\"share\":0.1,\"weight\":1}", "data.replay: found"},
      {"data.replay=0.1", "expected {\"path\""},
      {"run.dir=", "not empty"},
      {"data.mix=both", "\"concatenate\" or \"weights\""},
      {"schedule.steps=0", "between 1"},
      {"train.steps=null", "one of them is required"},
      {"validation.patience=3", "data.validation"},
      {"nonsense", "section.key=value"},
      {"steps=3", "train.steps"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_config c;
    char *overrides[] = {(char *)(uintptr_t)cases[i][0]};
    assert_fails(load(minimal, overrides, 1, &c), FT_ERR_CONFIG, cases[i][1]);
  }
  ft_config c;
  char *batches[] = {"train.global_batch=64", "train.micro_batch=7"};
  assert_fails(load(minimal, batches, 2, &c), FT_ERR_CONFIG, "multiple of train.micro_batch");
  assert_fails(load("{}", NULL, 0, &c), FT_ERR_CONFIG, "optimizer.lr: required");
  assert_fails(load("[]", NULL, 0, &c), FT_ERR_CONFIG, "object");
  assert_fails(load("{\"train\": {\"steps\": 1,}}", NULL, 0, &c), FT_ERR_CONFIG, "line 1");
  assert_int_equal(ft_config_load("absent.json", NULL, 0, &c), FT_ERR_NOINPUT);
}

/* Compares as a run that goes on does. */
static ft_err compare(const cJSON *earlier, const ft_config *now, char *const *allow, int64_t num) {
  ft_mistakes m = {0};
  ft_resume_rules rules = {.allow = allow, .num_allow = num};
  ft_config_compare(earlier, now, &rules, &m, NULL);
  return ft_mistakes_fail(&m, now->run_dir);
}

static void resume_refuses_what_changes_the_result(void **state) {
  (void)state;
  ft_config a, b;
  char *fine[] = {"train.steps=9", "sharding.stage=0", "run.time_limit=60", "validation.every=3"};
  char *wrong[] = {"optimizer.lr=2e-3", "train.micro_batch=2"};
  char *allow[] = {"optimizer.lr", "train.micro_batch"};
  char *unknown[] = {"optimizer.rate"};
  assert_ok(load(minimal, NULL, 0, &a));
  assert_ok(load(minimal, fine, 4, &b));
  assert_ok(compare(a.json, &b, NULL, 0));
  ft_config_fini(&b);
  assert_ok(load(minimal, wrong, 2, &b));
  assert_fails(compare(a.json, &b, NULL, 0), FT_ERR_CONFIG, "2 mistakes");
  assert_fails(compare(a.json, &b, allow, 1), FT_ERR_CONFIG,
               "train.micro_batch: the run had 1 so far, now it is 2");
  assert_ok(compare(a.json, &b, allow, 2));
  assert_fails(compare(a.json, &b, unknown, 1), FT_ERR_CONFIG, "no such key");
  ft_config_fini(&b);
  /* What a checkpoint holds in one form cannot be had in another, allowed or not. */
  char *other[] = {"optimizer.master=bf16+8", "train.activation_checkpointing=2"};
  char *allow_other[] = {"optimizer.master"};
  assert_ok(load(minimal, other, 2, &b));
  assert_fails(compare(a.json, &b, allow_other, 1), FT_ERR_CONFIG,
               "optimizer.master: the run had \"fp32\" so far and its checkpoint holds that, "
               "now it is \"bf16+8\"");
  ft_config_fini(&a);
  ft_config_fini(&b);
}

/* What is left open follows the rows of a pass; the design's numbers hold for large sets. */
static void defaults_follow_the_data(void **state) {
  (void)state;
  static const struct {
    int64_t rows, micro_batch, batch, steps, warmup;
  } cases[] = {{100000, 1, 64, 4688, 100}, {1024, 1, 64, 48, 4}, {1000, 1, 32, 94, 9},
               {60, 1, 2, 90, 9},          {7, 1, 1, 21, 2},     {1, 1, 1, 3, 0},
               {60, 4, 4, 45, 4},          {-1, 1, 64, -1, 100}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_config c;
    char micro_batch[40];
    snprintf(micro_batch, sizeof micro_batch, "train.micro_batch=%d", (int)cases[i].micro_batch);
    char *overrides[] = {"train.epochs=3", micro_batch};
    assert_ok(load(minimal, overrides, 2, &c));
    ft_config_settle(&c, cases[i].rows, NULL);
    assert_int_equal(c.global_batch, cases[i].batch);
    assert_int_equal(c.schedule.warmup_steps, cases[i].warmup);
    if (cases[i].rows > 0) assert_int_equal(ft_config_num_steps(&c, cases[i].rows), cases[i].steps);
    int64_t written;
    assert_true(ft_json_i64(ft_config_value(&c, "train.global_batch"), &written));
    assert_int_equal(written, cases[i].batch);
    ft_config_fini(&c);
  }
}

/* What was given stays, and what was decided when the run began stays when it goes on. */
static void what_was_decided_stays(void **state) {
  (void)state;
  ft_config a, b;
  char *given[] = {"train.global_batch=32", "schedule.warmup_steps=100", "train.steps=10"};
  assert_ok(load(minimal, given, 3, &a));
  ft_config_settle(&a, 7, NULL);
  assert_int_equal(a.global_batch, 32);
  assert_int_equal(a.schedule.warmup_steps, 100);
  char *more[] = {"train.steps=1000"};
  assert_ok(load(minimal, more, 1, &b));
  ft_config_settle(&b, 7, a.json);
  assert_int_equal(b.global_batch, 32);
  assert_int_equal(b.schedule.warmup_steps, 100);
  assert_ok(compare(a.json, &b, NULL, 0));
  ft_config_fini(&a);
  ft_config_fini(&b);
}

/* Sets without weights are concatenated, sets with one are not; runs from before that choice had
 * equal shares. */
static void sets_without_weights_are_concatenated(void **state) {
  (void)state;
  ft_config c;
  char *two[] = {"data.train=[{\"path\":\"a\"},{\"path\":\"b\"}]"};
  char *weighted[] = {"data.train=[{\"path\":\"a\",\"weight\":1},{\"path\":\"b\"}]"};
  char *both[] = {weighted[0], "data.mix=concatenate"};
  char *equal[] = {two[0], "data.mix=weights"};
  assert_ok(load(minimal, weighted, 1, &c));
  assert_int_equal(c.mix, FT_MIX_WEIGHTS);
  ft_config_fini(&c);
  assert_fails(load(minimal, both, 2, &c), FT_ERR_CONFIG, "1 sets of data.train have one");
  assert_ok(load(minimal, equal, 2, &c));
  assert_int_equal(c.mix, FT_MIX_WEIGHTS);
  ft_config_fini(&c);
  assert_ok(load(minimal, two, 1, &c));
  assert_int_equal(c.mix, FT_MIX_CONCATENATE);
  cJSON *earlier = cJSON_Duplicate(c.json, true);
  cJSON_DeleteItemFromObjectCaseSensitive(ft_json_get(earlier, "data"), "mix");
  assert_fails(compare(earlier, &c, NULL, 0), FT_ERR_CONFIG, "data.mix: the run had \"weights\"");
  cJSON_Delete(earlier);
  ft_config_fini(&c);
}

static void times_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double seconds;
  } cases[] = {{"90", 90},        {"24h", 86400},      {"1h30m", 5400},
               {"1.5d", 129600},  {"45s", 45},         {"12:30:00", 45000},
               {"1-12", 129600},  {"1-12:30", 131400}, {"1-12:00:00", 129600},
               {"0-00:00:30", 30}};
  static const char *const wrong[] = {"90:00",   "h",       "1h1h",  "1m1h",    "24 h", "-5",
                                      "1-24:00", "1:61:00", "1-2-3", "1:2:3:4", "soon", "24hours"};
  ft_config c;
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    char text[64], *overrides[] = {text};
    snprintf(text, sizeof text, "run.time_limit=%s", cases[i].text);
    assert_ok(load(minimal, overrides, 1, &c));
    assert_true(c.time_limit_s == cases[i].seconds);
    ft_config_fini(&c);
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(wrong); i++) {
    char text[64], *overrides[] = {text};
    snprintf(text, sizeof text, "run.time_limit=%s", wrong[i]);
    assert_fails(load(minimal, overrides, 1, &c), FT_ERR_CONFIG, "run.time_limit: found");
  }
}

/* The first set, a named one, or a sum; of sets that there are. */
static void monitored_sets_are_found(void **state) {
  (void)state;
  ft_config c;
  char sets[] = "data.validation=[{\"name\":\"a\",\"path\":\"x\"},{\"name\":\"b\",\"path\":\"y\"}]";
  char *first[] = {sets}, *named[] = {sets, "validation.monitor=b"};
  char *sum[] = {sets, "validation.monitor={\"a\":0.25,\"b\":2}"};
  char *unknown[] = {sets, "validation.monitor=c"},
       *zero[] = {sets, "validation.monitor={\"a\":0}"};
  assert_ok(load(minimal, first, 1, &c));
  assert_true(c.monitor[0] == 1 && c.monitor[1] == 0);
  ft_config_fini(&c);
  assert_ok(load(minimal, named, 2, &c));
  assert_true(c.monitor[0] == 0 && c.monitor[1] == 1);
  ft_config_fini(&c);
  assert_ok(load(minimal, sum, 2, &c));
  assert_true(c.monitor[0] == 0.25 && c.monitor[1] == 2);
  ft_config_fini(&c);
  assert_fails(load(minimal, unknown, 2, &c), FT_ERR_CONFIG, "no set named \"c\"");
  assert_fails(load(minimal, zero, 2, &c), FT_ERR_CONFIG, "positive number");
}

static void resolved_configs_read_back(void **state) {
  (void)state;
  ft_config a, b;
  assert_ok(load(minimal, NULL, 0, &a));
  assert_ok(ft_config_from_json(a.json, "resolved", &b));
  assert_true(cJSON_Compare(a.json, b.json, true));
  ft_config_fini(&a);
  ft_config_fini(&b);
}

/* Each key begins an item of the documentation, with its type and default. */
static void the_documentation_lists_every_key(void **state) {
  (void)state;
  char *text, item[256];
  size_t bytes;
  int64_t count, num_items = 0;
  const ft_config_key *keys = ft_config_keys(&count);
  assert_ok(ft_read_file(FT_SOURCE_DIR "/docs/configuration.md", 1 << 20, &text, &bytes));
  for (int64_t i = 0; i < count; i++) {
    bool required = strcmp(keys[i].initial, "required") == 0;
    snprintf(item, sizeof item, "\n- `%s` (%s, %s%s%s, ", keys[i].path, keys[i].type,
             required ? "" : "default `", keys[i].initial, required ? "" : "`");
    if (!strstr(text, item)) fail_msg("docs/configuration.md lacks the item%s", item);
  }
  for (const char *at = text; (at = strstr(at, "\n- `")); at++)
    num_items++;
  assert_int_equal(num_items, count);
  ft_free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_are_those_of_the_design),
      cmocka_unit_test(how_rows_are_filled),
      cmocka_unit_test(replay_joins_the_sets),
      cmocka_unit_test(overrides_win),
      cmocka_unit_test(memory_modes_are_read),
      cmocka_unit_test(every_method_is_known),
      cmocka_unit_test(three_mistakes_are_three_lines),
      cmocka_unit_test(single_mistakes_are_named),
      cmocka_unit_test(resume_refuses_what_changes_the_result),
      cmocka_unit_test(defaults_follow_the_data),
      cmocka_unit_test(what_was_decided_stays),
      cmocka_unit_test(sets_without_weights_are_concatenated),
      cmocka_unit_test(times_are_read),
      cmocka_unit_test(monitored_sets_are_found),
      cmocka_unit_test(resolved_configs_read_back),
      cmocka_unit_test(the_documentation_lists_every_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
