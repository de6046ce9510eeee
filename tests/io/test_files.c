/* Paths and whole files: what is written is read back, nothing half-written is ever seen, and
 * errors name the file. Alone: build/tests/io/test_files */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "io_test.h"

static void paths_join(void **state) {
  (void)state;
  static const char *const cases[][3] = {
      {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a//", "b", "a//b"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    char *path;
    assert_ok(ft_path_join(cases[i][0], cases[i][1], &path));
    assert_string_equal(path, cases[i][2]);
    ft_free(path);
  }
}

static void directories_are_made_listed_and_removed(void **state) {
  (void)state;
  assert_ok(ft_make_dirs(in_scratch("a/b//c/")));
  assert_ok(ft_make_dirs(in_scratch("a/b/c")));
  assert_true(ft_path_is_dir(in_scratch("a/b/c")));
  write_bytes(in_scratch("a/z"), "1", 1);
  write_bytes(in_scratch("a/Z"), "1", 1);
  assert_int_equal(symlink("/", in_scratch("a/root")), 0);
  char **names;
  int64_t count;
  assert_ok(ft_list_dir(in_scratch("a"), &names, &count));
  assert_int_equal(count, 4);
  assert_string_equal(names[0], "Z");
  assert_string_equal(names[1], "b");
  assert_string_equal(names[2], "root");
  assert_string_equal(names[3], "z");
  ft_free_names(names, count);
  assert_ok(ft_list_dir(in_scratch("a/b/c"), &names, &count));
  assert_int_equal(count, 0);
  ft_free_names(names, count);
  assert_fails(ft_make_dirs(in_scratch("a/z/y")), FT_ERR_CREATE, "a/z");
  assert_fails(ft_list_dir(in_scratch("none"), &names, &count), FT_ERR_NOINPUT, "none");
  assert_fails(ft_list_dir(in_scratch("a/z"), &names, &count), FT_ERR_NOINPUT, "not a directory");
  assert_ok(ft_remove_tree(in_scratch("a")));
  assert_false(ft_path_exists(in_scratch("a")));
  assert_true(ft_path_is_dir("/tmp")); /* the link was removed, not what it names */
  assert_ok(ft_remove_tree(in_scratch("a")));
}

static void files_round_trip(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 3, 4095, 4096, 65537, (4 << 20) + 1};
  for (size_t i = 0; i < FT_ARRAY_SIZE(sizes); i++) {
    char *data = malloc(sizes[i] + 1), *read, *copied;
    size_t bytes;
    for (size_t j = 0; j < sizes[i]; j++)
      data[j] = (char)(j * 7 + i);
    assert_ok(ft_write_file(in_scratch("f"), data, sizes[i]));
    assert_ok(ft_read_file(in_scratch("f"), sizes[i], &read, &bytes));
    assert_int_equal(bytes, sizes[i]);
    assert_memory_equal(read, data, bytes);
    assert_int_equal(read[bytes], 0);
    assert_ok(ft_copy_file(in_scratch("f"), in_scratch("g")));
    assert_ok(ft_read_file(in_scratch("g"), SIZE_MAX, &copied, &bytes));
    assert_int_equal(bytes, sizes[i]);
    assert_memory_equal(copied, data, bytes);
    char *refused;
    if (sizes[i] > 0)
      assert_fails(ft_read_file(in_scratch("f"), sizes[i] - 1, &refused, &bytes), FT_ERR_DATA,
                   "/f: ");
    free(data);
    ft_free(read);
    ft_free(copied);
  }
  char **names;
  int64_t count;
  assert_ok(ft_list_dir(scratch, &names, &count));
  assert_int_equal(count, 2); /* no temporary file is left */
  ft_free_names(names, count);
}

static void errors_name_the_file(void **state) {
  (void)state;
  char *data, byte[2];
  size_t bytes;
  assert_fails(ft_read_file(in_scratch("none"), 9, &data, &bytes), FT_ERR_NOINPUT,
               "/none: no such");
  assert_fails(ft_read_file(scratch, 9, &data, &bytes), FT_ERR_DATA, "is a directory");
  assert_fails(ft_write_file(in_scratch("none/f"), "", 0), FT_ERR_CREATE, "none/f");
  assert_fails(ft_copy_file(in_scratch("none"), in_scratch("f")), FT_ERR_NOINPUT, "/none");
  write_bytes(in_scratch("one"), "1", 1);
  int fd = open(in_scratch("one"), O_RDONLY);
  assert_fails(ft_pread_all(fd, "one", byte, 2, 0), FT_ERR_DATA, "one: ends at byte 1");
  assert_fails(ft_pread_all(fd, "one", byte, 1, 5), FT_ERR_DATA, "one: ends at byte 5");
  close(fd);
}

/* What may never end, or never begin, is not waited for, whether named or linked to. */
static void special_files_are_refused(void **state) {
  (void)state;
  char *data;
  size_t bytes;
  cJSON *json;
  assert_int_equal(symlink("/dev/zero", in_scratch("endless.json")), 0);
  assert_fails(ft_json_read(in_scratch("endless.json"), &json), FT_ERR_DATA,
               "is a pipe or a device; a JSON object was expected");
  assert_int_equal(mkfifo(in_scratch("fifo"), 0600), 0);
  assert_fails(ft_read_file(in_scratch("fifo"), 9, &data, &bytes), FT_ERR_DATA,
               "is a special file, a regular file was expected");
}

/* JSON of any size that a sparse file may have is not read into memory. */
static void oversized_json_is_refused(void **state) {
  (void)state;
  cJSON *json;
  write_bytes(in_scratch("big.json"), "{}", 2);
  assert_int_equal(truncate(in_scratch("big.json"), (off_t)1 << 40), 0);
  assert_fails(ft_json_read(in_scratch("big.json"), &json), FT_ERR_DATA,
               "has 1099511627776 bytes, at most 1073741824 are read here");
}

/* A file that cannot grow stands for a full disk: the old content stays, nothing else is left. */
static void failed_writes_leave_the_old_file(void **state) {
  (void)state;
  static char data[100000];
  struct rlimit old, small = {.rlim_cur = 4096};
  assert_ok(ft_write_file(in_scratch("f"), "old", 3));
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &old);
  small.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_FSIZE, &small);
  ft_err err = ft_write_file(in_scratch("f"), data, sizeof data);
  setrlimit(RLIMIT_FSIZE, &old);
  assert_int_equal(err, FT_ERR_IO);
  assert_non_null(strstr(ft_error_message(), "File too large"));
  assert_int_equal(file_size(in_scratch("f")), 3);
  assert_false(ft_path_exists(in_scratch("f.tmp")));
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(paths_join),
                                     TEST(directories_are_made_listed_and_removed),
                                     TEST(files_round_trip),
                                     TEST(errors_name_the_file),
                                     TEST(special_files_are_refused),
                                     TEST(oversized_json_is_refused),
                                     TEST(failed_writes_leave_the_old_file)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
