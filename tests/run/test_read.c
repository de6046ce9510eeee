/* Proves that what a run directory says is read as it was written: rows as columns, the newest rows
 * and the row of any step however long the file is, and who holds the run. Run alone:
 * meson test read */
#include "ft_test.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft/run_read.h"

static char directory[] = "read-XXXXXX";
static const char metrics[] = "metrics.jsonl";

static void write_in(const char *name, const char *text) {
  char *path;
  assert_ok(ft_path_join(directory, name, &path));
  assert_ok(ft_write_file(path, text, strlen(text)));
  ft_free(path);
}

static void remove_in(const char *name) {
  char *path;
  assert_ok(ft_path_join(directory, name, &path));
  (void)unlink(path);
  ft_free(path);
}

static double value(const ft_table *t, const char *group, const char *name, int64_t row) {
  const ft_column *c = ft_table_find(t, group, name);
  assert_non_null(c);
  assert_true(row < t->num_rows);
  return c->values[row];
}

static void rows_become_columns(void **state) {
  (void)state;
  ft_history h;
  write_in(metrics,
           "{\"step\":0,\"validation\":{\"a.b\":{\"loss\":2.5,\"rewards\":{\"accuracy\":0.25}}}}\n"
           "{\"step\":1,\"loss\":null,\"tokens\":7,\"rewards\":{\"margin\":0.5}}\n"
           "{\"step\":2,\"loss\":1.5,\"tokens\":8,\"rewards\":{\"margin\":null},\"new\":3}\n"
           "{\"step\":2,\"validation\":{\"a.b\":{\"loss\":2.25},\"c\":{\"loss\":null}},"
           "\"samples\":[{\"prompt\":\"p\",\"text\":\"t\"}]}\n"
           "{\"step\":3,\"loss\":1.25,\"tok");
  assert_ok(ft_history_read(directory, &h));
  assert_int_equal(h.steps.num_rows, 2); /* the third is still being written */
  assert_true(isnan(value(&h.steps, "", "loss", 0)));
  assert_true(value(&h.steps, "", "loss", 1) == 1.5);
  assert_true(value(&h.steps, "", "tokens", 0) == 7);
  assert_true(value(&h.steps, "rewards", "margin", 0) == 0.5);
  assert_true(isnan(value(&h.steps, "rewards", "margin", 1)));
  assert_true(isnan(value(&h.steps, "", "new", 0))); /* a column that begins later */
  assert_true(value(&h.steps, "", "new", 1) == 3);
  assert_null(ft_table_find(&h.steps, "", "step"));
  assert_int_equal(h.evaluations.num_rows, 2);
  assert_true(value(&h.evaluations, "a.b", "loss", 1) == 2.25);
  assert_true(value(&h.evaluations, "a.b", "accuracy", 0) == 0.25);
  assert_true(isnan(value(&h.evaluations, "a.b", "accuracy", 1)));
  assert_true(isnan(value(&h.evaluations, "c", "loss", 0)));
  assert_int_equal(h.num_samples, 1);
  assert_int_equal(h.samples[0].step, 2);
  assert_string_equal(h.samples[0].text, "t");
  assert_int_equal(ft_table_row_at(&h.steps, 0), -1);
  assert_int_equal(ft_table_row_at(&h.steps, 1), 0);
  assert_int_equal(ft_table_row_at(&h.steps, 9), 1);
  ft_history_fini(&h);
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
  ft_history h;
  write_in(metrics, "{\"step\":1,\"loss\":2}\n{\"step\":1,\"loss\":2}\n");
  assert_fails(ft_history_read(directory, &h), FT_ERR_DATA,
               "metrics.jsonl:2: step 1 follows step 1");
  ft_history_fini(&h);
  write_in(metrics, "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":}\n");
  assert_fails(ft_history_read(directory, &h), FT_ERR_DATA, "metrics.jsonl:2");
  ft_history_fini(&h);
  write_in(metrics, "[1]\n");
  assert_fails(ft_history_read(directory, &h), FT_ERR_DATA, "is no row of metrics");
  ft_history_fini(&h);
}

static void no_file_is_an_empty_history(void **state) {
  (void)state;
  ft_history h;
  ft_tail t;
  cJSON *row;
  remove_in(metrics);
  assert_ok(ft_history_read(directory, &h));
  assert_int_equal(h.steps.num_rows, 0);
  ft_history_fini(&h);
  assert_ok(ft_tail_read(directory, &t));
  assert_int_equal(t.num_steps, 0);
  assert_ok(ft_run_read_evaluation(directory, 0, &row));
  assert_null(row);
}

static int64_t step_of(const cJSON *row) {
  int64_t step;
  assert_true(ft_json_i64(ft_json_get(row, "step"), &step));
  return step;
}

/* A file of `steps` steps with an evaluation every `every`; each `long_every`th line is longer than
 * any block that is read. */
static void write_long(int64_t steps, int64_t every, int64_t long_every) {
  char *text = NULL;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  assert_non_null(f);
  for (int64_t s = 0; s <= steps; s++) {
    int width = long_every && s % long_every == 1 ? 200000 : 30;
    if (s > 0) fprintf(f, "{\"step\":%lld,\"pad\":\"%*s\"}\n", (long long)s, width, "x");
    if (s % every == 0)
      fprintf(f, "{\"step\":%lld,\"validation\":{\"v\":{\"loss\":%lld}}}\n", (long long)s,
              (long long)s);
  }
  fclose(f);
  write_in(metrics, text);
  free(text);
}

static void every_evaluation_is_found(int64_t steps, int64_t every) {
  cJSON *row;
  for (int64_t s = 0; s <= steps + 1; s++) {
    assert_ok(ft_run_read_evaluation(directory, s, &row));
    if (s % every == 0 && s <= steps) {
      assert_non_null(row);
      assert_int_equal(step_of(row), s);
      assert_non_null(ft_json_get(row, "validation"));
    } else {
      assert_null(row);
    }
    cJSON_Delete(row);
  }
}

static void the_row_of_any_step_is_found(void **state) {
  (void)state;
  write_long(3000, 7, 0);
  every_evaluation_is_found(3000, 7);
  write_long(60, 5, 13);
  every_evaluation_is_found(60, 5);
  write_long(1, 1, 0);
  every_evaluation_is_found(1, 1);
}

static void the_newest_rows_are_found(void **state) {
  (void)state;
  static const struct {
    int64_t steps, every, long_every;
  } cases[] = {{5, 2, 0}, {5000, 5000, 0}, {100, 40, 3}, {2500, 999, 17}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_tail t;
    int64_t steps = cases[i].steps;
    write_long(steps, cases[i].every, cases[i].long_every);
    assert_ok(ft_tail_read(directory, &t));
    assert_int_equal(t.num_steps, FT_MIN(steps, FT_TAIL_STEPS));
    for (int64_t k = 0; k < t.num_steps; k++)
      assert_int_equal(step_of(t.steps[k]), steps - k);
    assert_int_equal(step_of(t.evaluation), steps / cases[i].every * cases[i].every);
    ft_tail_fini(&t);
  }
}

static void checkpoints_count_when_committed(void **state) {
  (void)state;
  char *path;
  int64_t step;
  assert_ok(ft_run_newest_checkpoint(directory, &step));
  assert_int_equal(step, -1);
  static const char *const dirs[] = {"checkpoints/step-00000020", "checkpoints/step-00000100",
                                     "checkpoints/step-00000300", "checkpoints/other"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(dirs); i++) {
    assert_ok(ft_path_join(directory, dirs[i], &path));
    assert_ok(ft_make_dirs(path));
    ft_free(path);
  }
  write_in("checkpoints/step-00000020/manifest.json", "{}");
  write_in("checkpoints/step-00000100/manifest.json", "{}");
  assert_ok(ft_run_newest_checkpoint(directory, &step));
  assert_int_equal(step, 100); /* 300 was never finished */
}

static void who_holds_it_is_told(void **state) {
  (void)state;
  ft_run_holder h;
  char *path;
  assert_ok(ft_run_look_at_holder(directory, &h));
  assert_false(h.found);
  write_in("lock",
           "{\"host\":\"elsewhere\",\"pid\":77,\"job\":\"5\",\"restart\":\"\",\"started\":100}");
  assert_ok(ft_path_join(directory, "lock", &path));
  int fd = open(path, O_RDWR);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  assert_ok(ft_run_look_at_holder(directory, &h));
  assert_true(h.found && h.alive);
  assert_string_equal(h.host, "elsewhere");
  assert_string_equal(h.job, "5");
  assert_int_equal(h.pid, 77);
  assert_true(h.silence_s < 60 && h.held_s > 1e9);
  close(fd); /* gone without giving it up */
  struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
  assert_ok(ft_run_look_at_holder(directory, &h));
  assert_true(h.found && !h.alive && h.silence_s > 1e9);
  fd = open(path, O_RDWR);
  assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0); /* the look has left it free */
  close(fd);
  ft_free(path);
}

static int make_directory(void **state) {
  (void)state;
  return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
  (void)state;
  return ft_remove_tree(directory) == FT_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_become_columns),
                                     cmocka_unit_test(what_is_wrong_is_named),
                                     cmocka_unit_test(no_file_is_an_empty_history),
                                     cmocka_unit_test(the_row_of_any_step_is_found),
                                     cmocka_unit_test(the_newest_rows_are_found),
                                     cmocka_unit_test(checkpoints_count_when_committed),
                                     cmocka_unit_test(who_holds_it_is_told)};
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
