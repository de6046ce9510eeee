/* HDF5 files read without trust: the superblock, blocks of metadata and object headers. */
#include "file.h"
#include "h5_read.h"

enum { MAX_METADATA_BYTES = 64 << 20, BLOCK_COST = 64 };

ft_err ft_h5_damaged(const ft_h5_reader *reader, const char *what) {
  return ft_fail(FT_ERR_DATA, "%s: damaged or unsupported HDF5 file: %s", reader->path, what);
}

ft_err ft_h5_heap(const ft_h5_reader *reader, const char *what) {
  return ft_fail(
      FT_ERR_DATA,
      "%s: more than eight %s of a group, or a group that keeps their order: HDF5 puts them "
      "in a fractal heap, which is not read here. Write the shard with fewer, or with the "
      "library's earliest format (h5py.File(…, \"w\") without libver and track_order)",
      reader->path, what);
}

ft_err ft_h5_block(ft_h5_reader *reader, uint64_t address, uint64_t bytes, uint8_t **out) {
  ft_err err = FT_OK;
  void *block = NULL;
  *out = NULL;
  if (address > (uint64_t)reader->bytes || bytes > (uint64_t)reader->bytes - address)
    FT_TRY(ft_h5_damaged(reader, "its metadata lead beyond the end of the file"));
  reader->budget_bytes -= (int64_t)bytes + BLOCK_COST;
  if (reader->budget_bytes < 0) FT_TRY(ft_h5_damaged(reader, "more than 64 MiB of metadata"));
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)bytes, &block));
  FT_TRY(ft_pread_all(reader->fd, reader->path, block, (size_t)bytes, (int64_t)address));
  *out = block;
  block = NULL;
out:
  ft_free(block);
  return err;
}

/* ---------------------------------------------------------------- checksum */

static uint32_t rotate(uint32_t x, int by) {
  return (x << by) | (x >> (32 - by));
}

/* Up to four bytes as a little-endian word. */
static uint32_t word(const uint8_t *data, size_t bytes) {
  uint32_t w = 0;
  for (size_t i = 0; i < bytes && i < 4; i++)
    w |= (uint32_t)data[i] << (8 * i);
  return w;
}

static void mix(uint32_t s[3]) {
  static const int by[6] = {4, 6, 8, 16, 19, 4};
  for (int i = 0; i < 6; i++) {
    uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
    *a = (*a - *c) ^ rotate(*c, by[i]);
    *c += *b;
  }
}

static void finish(uint32_t s[3]) {
  static const int by[7] = {14, 11, 25, 16, 4, 14, 24};
  for (int i = 0; i < 7; i++) {
    uint32_t *to = &s[(i + 2) % 3], from = s[(i + 1) % 3];
    *to = (*to ^ from) - rotate(from, by[i]);
  }
}

uint32_t ft_h5_checksum(const uint8_t *data, size_t bytes) {
  uint32_t start = 0xdeadbeefu + (uint32_t)bytes, s[3] = {start, start, start};
  for (; bytes > 12; data += 12, bytes -= 12) {
    for (int i = 0; i < 3; i++)
      s[i] += word(data + 4 * i, 4);
    mix(s);
  }
  if (bytes == 0) return s[2];
  for (size_t i = 0; i < 3 && 4 * i < bytes; i++)
    s[i] += word(data + 4 * i, bytes - 4 * i);
  finish(s);
  return s[2];
}

/* Compares the checksum in the last four bytes of a block. */
static bool checksum_fits(const uint8_t *block, size_t bytes) {
  return bytes >= 4 && ft_h5_checksum(block, bytes - 4) == word(block + bytes - 4, 4);
}

/* ---------------------------------------------------------------- superblock */

static ft_err read_superblock(ft_h5_reader *reader) {
  ft_err err = FT_OK;
  uint8_t *block = NULL;
  uint64_t size = (uint64_t)FT_MIN(reader->bytes, 104), base, end;
  if (size < 48) FT_TRY(ft_h5_damaged(reader, "too short"));
  FT_TRY(ft_h5_block(reader, 0, size, &block));
  ft_span s = {.at = block, .left = (size_t)size};
  if (!ft_span_matches(&s, "\x89HDF\r\n\x1a\n"))
    FT_TRY(ft_h5_damaged(
        reader, "it does not begin with HDF5's signature (a user block before it is not read)"));
  uint64_t version = ft_span_number(&s, 1);
  if (version > 3) FT_TRY(ft_h5_damaged(reader, "a superblock of an unknown version"));
  if (version < 2) ft_span_take(&s, 4);
  if (ft_span_number(&s, 1) != 8 || ft_span_number(&s, 1) != 8)
    FT_TRY(ft_h5_damaged(reader, "offsets or lengths are not of 8 bytes"));
  if (version < 2) {
    ft_span_take(&s, version == 0 ? 9 : 13);
    base = ft_span_number(&s, 8);
    ft_span_take(&s, 8);
    end = ft_span_number(&s, 8);
    ft_span_take(&s, 16); /* driver information; offset of the root's name */
  } else {
    uint64_t flags = ft_span_number(&s, 1);
    FT_CHECK(
        version < 3 || (flags & 5) == 0, FT_ERR_DATA,
        "%s: a writer has this HDF5 file open, or ended without closing it (consistency flag "
        "%llu): what it holds is not complete. Close it; if its writer is gone, write it again",
        reader->path, (unsigned long long)flags);
    base = ft_span_number(&s, 8);
    ft_span_take(&s, 8);
    end = ft_span_number(&s, 8);
    if (!checksum_fits(block, 48)) FT_TRY(ft_h5_damaged(reader, "checksum of the superblock"));
  }
  reader->root = ft_span_number(&s, 8);
  if (s.bad || base != 0) FT_TRY(ft_h5_damaged(reader, "superblock"));
  FT_CHECK(end <= (uint64_t)reader->bytes, FT_ERR_DATA,
           "%s: has %lld bytes, by its own account %llu: the file is cut off", reader->path,
           (long long)reader->bytes, (unsigned long long)end);
out:
  ft_free(block);
  return err;
}

ft_err ft_h5_reader_init(const char *path, ft_h5_reader *reader) {
  ft_err err = FT_OK;
  *reader = (ft_h5_reader){.fd = -1, .budget_bytes = MAX_METADATA_BYTES};
  FT_TRY(ft_strdup(path, &reader->path));
  FT_TRY(ft_file_open(path, &reader->fd, &reader->bytes));
  FT_TRY(read_superblock(reader));
out:
  if (err != FT_OK) ft_h5_reader_fini(reader);
  return err;
}

void ft_h5_reader_fini(ft_h5_reader *reader) {
  ft_file_close(&reader->fd);
  ft_free(reader->path);
  reader->path = NULL;
}

/* ---------------------------------------------------------------- object headers */

static ft_err add_message(ft_h5_object *object, int type, bool shared, const uint8_t *content,
                          size_t bytes) {
  ft_err err = ft_grow(FT_MEM_IO, object->num_messages + 1, sizeof *object->messages,
                       &object->capacity, (void **)&object->messages);
  if (err != FT_OK) return err;
  object->messages[object->num_messages++] =
      (ft_h5_message){.type = type, .shared = shared, .content = {.at = content, .left = bytes}};
  return FT_OK;
}

/* Makes the object the owner of a block. */
static ft_err keep_block(ft_h5_object *object, uint8_t *block) {
  ft_err err =
      ft_grow_one(FT_MEM_IO, object->num_blocks, sizeof *object->blocks, (void **)&object->blocks);
  if (err != FT_OK) {
    ft_free(block);
    return err;
  }
  object->blocks[object->num_blocks++] = block;
  return FT_OK;
}

/* Splits a run of messages. flags < 0: of a version 1 header; else the version 2 header's flags. */
static ft_err split_messages(ft_h5_reader *reader, ft_h5_object *object, ft_span s, int flags) {
  ft_err err = FT_OK;
  size_t head = flags < 0 ? 8 : flags & 4 ? 6 : 4;
  while (s.left >= head) {
    int type = (int)ft_span_number(&s, flags < 0 ? 2 : 1);
    size_t bytes = (size_t)ft_span_number(&s, 2);
    int message_flags = (int)ft_span_number(&s, 1);
    ft_span_take(&s, flags < 0 ? 3 : flags & 4 ? 2 : 0);
    const uint8_t *content = ft_span_take(&s, bytes);
    if (!content) FT_TRY(ft_h5_damaged(reader, "a message longer than its object header"));
    FT_TRY(add_message(object, type, message_flags & 2, content, bytes));
  }
out:
  return err;
}

/* Reads the block that a continuation message names. */
static ft_err read_continuation(ft_h5_reader *reader, ft_h5_object *object, ft_span s, int flags) {
  ft_err err = FT_OK;
  uint8_t *block;
  uint64_t address = ft_span_number(&s, 8), bytes = ft_span_number(&s, 8);
  if (s.bad) FT_TRY(ft_h5_damaged(reader, "a continuation of an object header"));
  FT_TRY(ft_h5_block(reader, address, bytes, &block));
  FT_TRY(keep_block(object, block));
  ft_span content = {.at = block, .left = (size_t)bytes};
  if (flags >= 0) {
    bool good = ft_span_matches(&content, "OCHK") && content.left >= 4 &&
                checksum_fits(block, (size_t)bytes);
    if (!good) FT_TRY(ft_h5_damaged(reader, "checksum of an object header's continuation"));
    content.left -= 4;
  }
  FT_TRY(split_messages(reader, object, content, flags));
out:
  return err;
}

static ft_err read_header_1(ft_h5_reader *reader, uint64_t address, ft_h5_object *object) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *block;
  FT_TRY(ft_h5_block(reader, address, 16, &head));
  ft_span s = {.at = head + 8, .left = 8};
  uint64_t bytes = ft_span_number(&s, 4);
  FT_TRY(ft_h5_block(reader, address + 16, bytes, &block));
  FT_TRY(keep_block(object, block));
  FT_TRY(split_messages(reader, object, (ft_span){.at = block, .left = (size_t)bytes}, -1));
out:
  ft_free(head);
  return err;
}

static ft_err read_header_2(ft_h5_reader *reader, uint64_t address, ft_h5_object *object,
                            int *flags) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *block;
  uint64_t head_bytes = FT_MIN((uint64_t)reader->bytes - address, 34);
  FT_TRY(ft_h5_block(reader, address, head_bytes, &head));
  ft_span s = {.at = head, .left = (size_t)head_bytes};
  bool good = ft_span_matches(&s, "OHDR") && ft_span_number(&s, 1) == 2;
  *flags = (int)ft_span_number(&s, 1);
  ft_span_take(&s, (*flags & 0x20 ? 16u : 0u) + (*flags & 0x10 ? 4u : 0u));
  uint64_t bytes = ft_span_number(&s, (size_t)1 << (*flags & 3));
  uint64_t prefix = head_bytes - s.left;
  if (!good || s.bad || bytes > (uint64_t)reader->bytes)
    FT_TRY(ft_h5_damaged(reader, "an object header"));
  FT_TRY(ft_h5_block(reader, address, prefix + bytes + 4, &block));
  FT_TRY(keep_block(object, block));
  if (!checksum_fits(block, (size_t)(prefix + bytes + 4)))
    FT_TRY(ft_h5_damaged(reader, "checksum of an object header"));
  ft_span content = {.at = block + prefix, .left = (size_t)bytes};
  FT_TRY(split_messages(reader, object, content, *flags));
out:
  ft_free(head);
  return err;
}

ft_err ft_h5_object_init(ft_h5_reader *reader, uint64_t address, ft_h5_object *object) {
  ft_err err = FT_OK;
  uint8_t *first = NULL;
  int flags = -1;
  *object = (ft_h5_object){0};
  FT_TRY(ft_h5_block(reader, address, 16, &first));
  if (first[0] == 1)
    FT_TRY(read_header_1(reader, address, object));
  else
    FT_TRY(read_header_2(reader, address, object, &flags));
  for (int64_t i = 0; i < object->num_messages; i++) /* continuations may add more of them */
    if (object->messages[i].type == FT_H5_CONTINUATION)
      FT_TRY(read_continuation(reader, object, object->messages[i].content, flags));
out:
  ft_free(first);
  if (err != FT_OK) ft_h5_object_fini(object);
  return err;
}

void ft_h5_object_fini(ft_h5_object *object) {
  for (int64_t i = 0; i < object->num_blocks; i++)
    ft_free(object->blocks[i]);
  ft_free(object->blocks);
  ft_free(object->messages);
  *object = (ft_h5_object){0};
}

const ft_h5_message *ft_h5_find(const ft_h5_object *object, int type) {
  for (int64_t i = 0; i < object->num_messages; i++)
    if (object->messages[i].type == type) return &object->messages[i];
  return NULL;
}
