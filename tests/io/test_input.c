/* Proves that compressed files are read as what was compressed, in pieces of any size, also several
 * members one after the other, and that damage and cuts are errors.
 * Run alone: meson test -C build io-input */
#include <fcntl.h>
#include <zlib.h>
#include <zstd.h>

#include "ft/io_input.h"
#include "io_test.h"

enum { TEXT_BYTES = 700000 };
static char text[TEXT_BYTES];

/* Text that neither compresses to nothing nor stays as large. */
static void make_text(void) {
  for (size_t i = 0; i < TEXT_BYTES; i++)
    text[i] = "etaoin shrdlu\n"[ft_random_u64(1, FT_RANDOM_BENCH, 0, i) % 14];
}

static size_t gzip(const char *data, size_t bytes, unsigned char *out, size_t room) {
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = (unsigned char *)(uintptr_t)data;
  z.avail_in = (uInt)bytes;
  z.next_out = out;
  z.avail_out = (uInt)room;
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  size_t used = room - z.avail_out;
  deflateEnd(&z);
  return used;
}

static size_t zstd(const char *data, size_t bytes, unsigned char *out, size_t room) {
  ZSTD_CCtx *c = ZSTD_createCCtx(); /* with a checksum, as the command line's */
  ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
  size_t used = ZSTD_compress2(c, out, room, data, bytes);
  assert_false(ZSTD_isError(used));
  ZSTD_freeCCtx(c);
  return used;
}

/* Reads a file in pieces; *got: bytes until the end or the error. */
static ft_err read_all(const char *path, size_t piece, char *out, size_t room, size_t *got) {
  ft_input *in;
  size_t now = 1;
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  *got = 0;
  ft_err err = ft_input_new(fd, path, &in);
  if (err != FT_OK) close(fd);
  while (err == FT_OK && now > 0) {
    assert_true(*got < room);
    err = ft_input_read(in, out + *got, FT_MIN(piece, room - *got), &now);
    if (err == FT_OK) *got += now;
  }
  if (err == FT_OK) assert_int_equal(ft_input_taken(in), file_size(path));
  ft_input_free(in);
  return err;
}

static void check_file(const char *path, size_t expected) {
  static const size_t pieces[] = {1 << 20, 4096, 777};
  char *out = malloc(2 * TEXT_BYTES + 1);
  size_t got;
  for (size_t i = 0; i < FT_ARRAY_SIZE(pieces); i++) {
    assert_ok(read_all(path, pieces[i], out, 2 * TEXT_BYTES + 1, &got));
    assert_int_equal(got, expected);
    for (size_t at = 0; at < got; at += TEXT_BYTES)
      assert_memory_equal(out + at, text, FT_MIN(got - at, (size_t)TEXT_BYTES));
  }
  free(out);
}

static void round_trips(void **state) {
  (void)state;
  unsigned char *packed = malloc(4 * TEXT_BYTES);
  make_text();
  write_bytes(in_scratch("plain"), text, TEXT_BYTES);
  check_file(in_scratch("plain"), TEXT_BYTES);
  size_t used = gzip(text, TEXT_BYTES, packed, 4 * TEXT_BYTES);
  write_bytes(in_scratch("a"), packed, used);
  check_file(in_scratch("a"), TEXT_BYTES);
  used += gzip(text, TEXT_BYTES, packed + used, 2 * TEXT_BYTES);
  memset(packed + used, 0, 512); /* filled up */
  write_bytes(in_scratch("b"), packed, used + 512);
  check_file(in_scratch("b"), 2 * TEXT_BYTES);
  used = zstd(text, TEXT_BYTES, packed, 4 * TEXT_BYTES);
  used += zstd(text, TEXT_BYTES, packed + used, 2 * TEXT_BYTES);
  write_bytes(in_scratch("c"), packed, used);
  check_file(in_scratch("c"), 2 * TEXT_BYTES);
  write_bytes(in_scratch("short"), "ab", 2);
  char out[8];
  size_t got;
  assert_ok(read_all(in_scratch("short"), 1, out, 8, &got));
  assert_int_equal(got, 2);
  write_bytes(in_scratch("empty"), "", 0);
  assert_ok(read_all(in_scratch("empty"), 1, out, 8, &got));
  assert_int_equal(got, 0);
  free(packed);
}

static void damage_is_found(void **state) {
  (void)state;
  unsigned char *packed = malloc(2 * TEXT_BYTES);
  char *out = malloc(4 * TEXT_BYTES);
  size_t got;
  make_text();
  for (int kind = 0; kind < 2; kind++) {
    size_t used = kind ? zstd(text, TEXT_BYTES, packed, 2 * TEXT_BYTES)
                       : gzip(text, TEXT_BYTES, packed, 2 * TEXT_BYTES);
    write_bytes(in_scratch("cut"), packed, used / 2);
    assert_fails(read_all(in_scratch("cut"), 4096, out, 4 * TEXT_BYTES, &got), FT_ERR_DATA,
                 "is compressed, and cut off");
    memset(packed + used / 2, 0xff, 64);
    write_bytes(in_scratch("bad"), packed, used);
    assert_fails(read_all(in_scratch("bad"), 4096, out, 4 * TEXT_BYTES, &got), FT_ERR_DATA,
                 "is damaged near byte");
  }
  free(packed);
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(round_trips), TEST(damage_is_found)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
