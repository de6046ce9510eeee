/* TensorBoard event files. A file is a sequence of TFRecords (length, its masked CRC-32C, data, its
 * masked CRC-32C), each an Event in protocol-buffer encoding: wall_time = 1 (double), step = 2
 * (varint), file_version = 3 (string), summary = 5 { value = 1 { tag = 1, simple_value = 2 (float)
 * } }, session_log = 7 { status = 1 }. */
#include "tensorboard.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ft_tensorboard {
  FILE *file;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* ---------------------------------------------------------------- encoding */

typedef struct bytes {
  uint8_t data[512];
  size_t count;
} bytes;

static void put(bytes *b, const void *data, size_t count) {
  FT_ASSERT(b->count + count <= sizeof b->data);
  memcpy(b->data + b->count, data, count);
  b->count += count;
}

static void put_varint(bytes *b, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    put(b, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
  put(b, &(uint8_t){(uint8_t)value}, 1);
}

static void put_key(bytes *b, unsigned field, unsigned wire) {
  put_varint(b, field << 3 | wire);
}

static void put_bytes(bytes *b, unsigned field, const void *data, size_t count) {
  put_key(b, field, WIRE_BYTES);
  put_varint(b, count);
  put(b, data, count);
}

/* CRC-32C (Castagnoli), bit by bit: records are short and rare. */
static uint32_t crc32c(const uint8_t *data, size_t count) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < count; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

static uint32_t masked_crc(const void *data, size_t count) {
  uint32_t crc = crc32c(data, count);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static ft_err write_record(ft_tensorboard *tb, const bytes *event) {
  uint64_t length = event->count;
  uint32_t length_crc = masked_crc(&length, sizeof length);
  uint32_t data_crc = masked_crc(event->data, event->count);
  bool good = fwrite(&length, sizeof length, 1, tb->file) == 1 &&
              fwrite(&length_crc, sizeof length_crc, 1, tb->file) == 1 &&
              fwrite(event->data, event->count, 1, tb->file) == 1 &&
              fwrite(&data_crc, sizeof data_crc, 1, tb->file) == 1 && fflush(tb->file) == 0;
  return good ? FT_OK : ft_fail(FT_ERR_IO, "cannot write TensorBoard events: %s", strerror(errno));
}

static void begin_event(bytes *b, int64_t step) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  b->count = 0;
  put_key(b, 1, WIRE_64);
  put(b, &seconds, sizeof seconds);
  put_key(b, 2, WIRE_VARINT);
  put_varint(b, (uint64_t)step);
}

/* ---------------------------------------------------------------- files */

static ft_err write_start(ft_tensorboard *tb, int64_t step) {
  static const char version[] = "brain.Event:2";
  static const uint8_t session_start[] = {1 << 3 | WIRE_VARINT, 1};
  ft_err err = FT_OK;
  bytes b;
  begin_event(&b, 0);
  put_bytes(&b, 3, version, sizeof version - 1);
  FT_TRY(write_record(tb, &b));
  /* Events from this step on are made again. At step 0 too: TensorBoard takes a run whose first
   * file has none, and whose second has one, for two. */
  begin_event(&b, step > 0 ? step + 1 : 0);
  put_bytes(&b, 7, session_start, sizeof session_start);
  FT_TRY(write_record(tb, &b));
out:
  return err;
}

ft_err ft_tensorboard_open(const char *dir, int64_t step, ft_tensorboard **out) {
  ft_err err = FT_OK;
  char *path = NULL, host[64] = "host";
  void *p;
  ft_tensorboard *tb = NULL;
  *out = NULL;
  gethostname(host, sizeof host - 1);
  FT_TRY(ft_format(&path, "%s/events.out.tfevents.%lld.%s.%ld", dir, (long long)time(NULL), host,
                   (long)getpid()));
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *tb, &p));
  tb = p;
  tb->file = fopen(path, "wb");
  FT_CHECK(tb->file, FT_ERR_CREATE, "cannot create %s: %s", path, strerror(errno));
  FT_TRY(write_start(tb, step));
  *out = tb;
  tb = NULL;
out:
  ft_tensorboard_close(tb);
  ft_free(path);
  return err;
}

ft_err ft_tensorboard_scalar(ft_tensorboard *tb, const char *tag, int64_t step, double value) {
  if (!tb) return FT_OK;
  bytes scalar = {.count = 0}, summary = {.count = 0}, event;
  float single = (float)value;
  put_bytes(&scalar, 1, tag, FT_MIN(strlen(tag), (size_t)256));
  put_key(&scalar, 2, WIRE_32);
  put(&scalar, &single, sizeof single);
  put_bytes(&summary, 1, scalar.data, scalar.count);
  begin_event(&event, step);
  put_bytes(&event, 5, summary.data, summary.count);
  return write_record(tb, &event);
}

void ft_tensorboard_close(ft_tensorboard *tb) {
  if (!tb) return;
  if (tb->file) fclose(tb->file);
  ft_free(tb);
}
