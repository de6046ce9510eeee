/* Proves that an event file begins as TensorBoard wants it: the version, and the start of a session
 * whose step tells what older files say is made again, also where nothing is (a run whose first
 * file has none would be shown as two curves once it is resumed). */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "ft/base.h"
#include "ft/io.h"
#include "ft_test.h"
#include "tensorboard.h"

#define STEP_FIELD 2 /* of an Event: wire type 0 */

/* The data of record number `index`: 8 bytes of length, 4 of its sum, the data, 4 of their sum. */
static const uint8_t *record(const char *file, size_t bytes, int index, uint64_t *length) {
  size_t at = 0;
  for (;; index--) {
    assert_true(at + 12 <= bytes);
    memcpy(length, file + at, sizeof *length);
    assert_true(*length < bytes && at + 16 + *length <= bytes);
    if (index == 0) return (const uint8_t *)file + at + 12;
    at += 16 + *length;
  }
}

/* An event of a step below 128: wall time, step, and a field of `length` bytes. */
static void check_event(const uint8_t *event, uint64_t bytes, int64_t step, uint8_t field,
                        const void *content, size_t length) {
  assert_int_equal(bytes, 9 + 2 + 2 + length);
  assert_int_equal(event[0], 1 << 3 | 1);
  assert_int_equal(event[9], STEP_FIELD << 3);
  assert_int_equal(event[10], step);
  assert_int_equal(event[11], field << 3 | 2);
  assert_int_equal(event[12], length);
  assert_memory_equal(event + 13, content, length);
}

static void check_start(int64_t begun_after, int64_t session_step) {
  static const uint8_t start[] = {1 << 3, 1}; /* SessionLog: status START */
  char dir[] = "/tmp/ftrun-events.XXXXXX", path[512], *text;
  size_t size;
  uint64_t bytes;
  ft_tensorboard *tb;
  assert_non_null(mkdtemp(dir));
  assert_ok(ft_tensorboard_open(dir, begun_after, &tb));
  assert_ok(ft_tensorboard_scalar(tb, "loss/train", begun_after + 1, 2.5));
  ft_tensorboard_close(tb);
  DIR *listed = opendir(dir);
  const struct dirent *entry;
  assert_non_null(listed);
  while ((entry = readdir(listed)) && !strstr(entry->d_name, "tfevents"))
    continue;
  assert_non_null(entry);
  snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
  closedir(listed);
  assert_ok(ft_read_file(path, 1 << 20, &text, &size));
  const uint8_t *event = record(text, size, 0, &bytes);
  check_event(event, bytes, 0, 3, "brain.Event:2", 13);
  event = record(text, size, 1, &bytes);
  check_event(event, bytes, session_step, 7, start, sizeof start);
  event = record(text, size, 2, &bytes);
  assert_int_equal(event[10], begun_after + 1);
  ft_free(text);
  assert_int_equal(remove(path), 0);
  assert_int_equal(remove(dir), 0);
}

static void a_session_starts_at_step_0_too(void **state) {
  (void)state;
  check_start(0, 0);
}

static void what_follows_the_checkpoint_is_made_again(void **state) {
  (void)state;
  check_start(20, 21);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_starts_at_step_0_too),
      cmocka_unit_test(what_follows_the_checkpoint_is_made_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
