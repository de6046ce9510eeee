/* Reading a file from start to end, and unpacking it on the way. */
#include "ft/io_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 128 << 10, MAX_WINDOW_LOG = 27 };

typedef enum packing { PLAIN, GZIP, ZSTD } packing;

struct ft_input {
  char *path;
  int fd;
  packing packing;
  unsigned char *raw; /* [RAW_BYTES]: bytes begin … end are to be unpacked */
  size_t begin, end;
  int64_t taken; /* from the file */
  bool at_end;   /* of the file */
  bool inside;   /* a member or frame has begun and not ended */
  z_stream gzip;
  bool has_gzip;
  ZSTD_DStream *zstd;
};

static ft_err fill(ft_input *in) {
  ssize_t got;
  in->begin = in->end = 0;
  do
    got = read(in->fd, in->raw, RAW_BYTES);
  while (got < 0 && errno == EINTR);
  if (got < 0) return ft_fail(FT_ERR_IO, "%s: cannot be read: %s", in->path, strerror(errno));
  in->end = (size_t)got;
  in->taken += got;
  in->at_end = got == 0;
  return FT_OK;
}

/* Reads at least four bytes, where there are so many, and looks at them. */
static ft_err find_packing(ft_input *in) {
  ft_err err = FT_OK;
  FT_TRY(fill(in));
  while (in->end < 4 && !in->at_end) {
    ssize_t got = read(in->fd, in->raw + in->end, RAW_BYTES - in->end);
    if (got < 0 && errno == EINTR) continue;
    FT_CHECK(got >= 0, FT_ERR_IO, "%s: cannot be read: %s", in->path, strerror(errno));
    in->at_end = got == 0;
    in->end += (size_t)got;
    in->taken += got;
  }
  if (in->end >= 2 && in->raw[0] == 0x1f && in->raw[1] == 0x8b) in->packing = GZIP;
  if (in->end >= 4 && memcmp(in->raw, "\x28\xb5\x2f\xfd", 4) == 0) in->packing = ZSTD;
  if (in->packing == GZIP) {
    FT_CHECK(inflateInit2(&in->gzip, 15 + 16) == Z_OK, FT_ERR_MEMORY, "%s: no memory to unpack it",
             in->path);
    in->has_gzip = true;
  }
  if (in->packing == ZSTD) {
    in->zstd = ZSTD_createDStream();
    FT_CHECK(in->zstd, FT_ERR_MEMORY, "%s: no memory to unpack it", in->path);
    (void)ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, MAX_WINDOW_LOG);
  }
out:
  return err;
}

ft_err ft_input_new(int fd, const char *path, ft_input **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_input), &memory));
  ft_input *in = memory;
  in->fd = fd;
  FT_TRY(ft_strdup(path, &in->path));
  FT_TRY(ft_alloc(FT_MEM_IO, RAW_BYTES, (void **)&in->raw));
  FT_TRY(find_packing(in));
  *out = in;
  memory = NULL;
out:
  if (memory) ((ft_input *)memory)->fd = -1; /* the caller's still */
  ft_input_free(memory);
  return err;
}

void ft_input_free(ft_input *in) {
  if (!in) return;
  if (in->has_gzip) (void)inflateEnd(&in->gzip);
  (void)ZSTD_freeDStream(in->zstd);
  if (in->fd >= 0) close(in->fd);
  ft_free(in->raw);
  ft_free(in->path);
  ft_free(in);
}

static ft_err damaged(const ft_input *in, const char *what) {
  return ft_fail(FT_ERR_DATA, "%s: %s, which is damaged near byte %lld: %s", in->path,
                 in->packing == GZIP ? "is compressed with gzip" : "is compressed with zstd",
                 (long long)(in->taken - (int64_t)(in->end - in->begin)), what);
}

static ft_err unpack_gzip(ft_input *in, void *out, size_t room, size_t *got) {
  in->gzip.next_in = in->raw + in->begin;
  in->gzip.avail_in = (uInt)(in->end - in->begin);
  in->gzip.next_out = out;
  in->gzip.avail_out = (uInt)FT_MIN(room, (size_t)1 << 30);
  uInt before = in->gzip.avail_out;
  in->inside = true;
  int result = inflate(&in->gzip, Z_NO_FLUSH);
  in->begin = in->end - in->gzip.avail_in;
  *got = before - in->gzip.avail_out;
  if (result == Z_STREAM_END) {
    in->inside = false;
    if (inflateReset(&in->gzip) != Z_OK) return damaged(in, "it cannot be begun again");
  } else if (result != Z_OK && result != Z_BUF_ERROR) {
    return damaged(in, in->gzip.msg ? in->gzip.msg : "it cannot be unpacked");
  }
  return FT_OK;
}

static ft_err unpack_zstd(ft_input *in, void *out, size_t room, size_t *got) {
  ZSTD_inBuffer from = {in->raw, in->end, in->begin};
  ZSTD_outBuffer to = {out, room, 0};
  size_t left = ZSTD_decompressStream(in->zstd, &to, &from);
  in->begin = from.pos;
  *got = to.pos;
  in->inside = left != 0;
  return ZSTD_isError(left) ? damaged(in, ZSTD_getErrorName(left)) : FT_OK;
}

static bool only_zeros(const unsigned char *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (data[i]) return false;
  return true;
}

ft_err ft_input_read(ft_input *in, void *out, size_t room, size_t *got) {
  ft_err err = FT_OK;
  *got = 0;
  while (*got == 0 && room > 0) {
    if (in->begin == in->end && !in->at_end) FT_TRY(fill(in));
    size_t held = in->end - in->begin;
    if (held == 0 && !in->inside) break;
    if (in->packing == PLAIN) {
      *got = FT_MIN(held, room);
      memcpy(out, in->raw + in->begin, *got);
      in->begin += *got;
    } else {
      /* gzip files may be filled up with zeros, as tapes were */
      if (in->packing == GZIP && !in->inside && only_zeros(in->raw + in->begin, held)) {
        in->begin = in->end;
        continue;
      }
      FT_TRY(in->packing == GZIP ? unpack_gzip(in, out, room, got)
                                 : unpack_zstd(in, out, room, got));
      FT_CHECK(*got > 0 || held > 0, FT_ERR_DATA, "%s: is compressed, and cut off at byte %lld",
               in->path, (long long)in->taken);
    }
  }
out:
  return err;
}

int64_t ft_input_taken(const ft_input *in) {
  return in->taken - (int64_t)(in->end - in->begin);
}
