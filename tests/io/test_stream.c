/* Streams: what was written lies in the file whatever the pieces, past the page cache and through
 * it; errors are named. Alone: build/tests/io/test_stream */
#include "io_test.h"
#include "stream.h"

enum { FILE_BYTES = 21 * 1000 * 1000 + 7 }; /* six buffers */

static uint64_t draw(uint64_t seed, int piece, uint64_t what) {
  return ft_random_u64(seed, FT_RANDOM_INIT, (uint64_t)piece, what);
}

/* Pieces of every size with gaps between some; `expected` gets what the file must hold. */
static void write_pieces(ft_stream *s, char *expected, uint64_t seed) {
  int64_t at = 0;
  memset(expected, 0, FILE_BYTES);
  for (int piece = 0; at < FILE_BYTES; piece++) {
    int64_t most = piece % 3 ? 5000 : 6 << 20;
    int64_t gap = piece % 4 ? 0 : (int64_t)(draw(seed, piece, 0) % 9000);
    at = FT_MIN(at + gap, FILE_BYTES - 1);
    int64_t bytes = 1 + (int64_t)(draw(seed, piece, 1) % (uint64_t)most);
    bytes = FT_MIN(bytes, FILE_BYTES - at);
    for (int64_t i = 0; i < bytes; i++)
      expected[at + i] = (char)(at + i * 7 + piece);
    assert_int_equal(ft_stream_write(s, expected + at, (size_t)bytes, at), FT_OK);
    at += bytes;
  }
}

static void finish(ft_stream *s, const char *expected) {
  void *found;
  assert_int_equal(ft_stream_flush(s), FT_OK);
  assert_int_equal(ftruncate(s->fd, FILE_BYTES), 0);
  /* an ordinary descriptor: any alignment */
  assert_int_equal(ft_file_pwrite(s->fd, s->path, expected + 3, 5, 3), FT_OK);
  assert_int_equal(ft_alloc(FT_MEM_OTHER, FILE_BYTES, &found), FT_OK);
  assert_int_equal(ft_pread_all(s->fd, s->path, found, FILE_BYTES, 0), FT_OK);
  assert_memory_equal(found, expected, FILE_BYTES);
  ft_free(found);
  assert_int_equal(ft_file_sync_close(&s->fd, s->path), FT_OK);
  ft_stream_close(s);
}

static void round_trip(const char *path, uint64_t seed) {
  ft_stream s;
  void *expected;
  assert_int_equal(ft_alloc(FT_MEM_OTHER, FILE_BYTES, &expected), FT_OK);
  assert_int_equal(ft_stream_open(&s, path), FT_OK);
  write_pieces(&s, expected, seed);
  finish(&s, expected);
  ft_free(expected);
}

static void pieces_arrive(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 4; seed++)
    round_trip(in_scratch("disk"), seed);
  char memory[] = "/dev/shm/ft-io-XXXXXX"; /* a filesystem that is not written past the cache */
  int fd = mkstemp(memory);
  if (fd < 0) return;
  close(fd);
  round_trip(memory, 9);
  unlink(memory);
}

/* A buffer at an odd address is what no disk takes: the stream goes on through the page cache. */
static void a_disk_that_wants_more(void **state) {
  (void)state;
  ft_stream s;
  void *expected;
  assert_int_equal(ft_alloc(FT_MEM_OTHER, FILE_BYTES, &expected), FT_OK);
  assert_int_equal(ft_stream_open(&s, in_scratch("file")), FT_OK);
  if (s.direct) s.buffer++, s.other++;
  write_pieces(&s, expected, 5);
  assert_false(s.direct);
  finish(&s, expected);
  ft_free(expected);
}

static void errors(void **state) {
  (void)state;
  ft_stream s;
  static char data[9 << 20];
  assert_int_equal(ft_stream_open(&s, in_scratch("none/file")), FT_ERR_CREATE);
  ft_stream_close(&s);
  assert_int_equal(ft_stream_open(&s, in_scratch("file")), FT_OK);
  assert_int_equal(ft_stream_write(&s, data, 100, 50), FT_OK);
  assert_int_equal(ft_stream_write(&s, data, 100, 149), FT_ERR_INTERNAL);
  assert_non_null(strstr(ft_error_message(), "byte 149 is written after byte 150"));
  close(s.fd); /* a write in progress that fails is told by one of the next calls */
  ft_err err = ft_stream_write(&s, data, sizeof data, 150);
  if (err == FT_OK) err = ft_stream_flush(&s);
  assert_int_equal(err, FT_ERR_IO);
  assert_non_null(strstr(ft_error_message(), "file: cannot write: Bad file descriptor"));
  s.fd = -1;
  ft_stream_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(pieces_arrive), TEST(a_disk_that_wants_more),
                                     TEST(errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
