/* HDF5 files read without trust: attributes and contiguous datasets. */
#include "h5_read.h"

enum { CLASS_INTEGER = 0, CLASS_FLOAT = 1, CLASS_STRING = 3, CLASS_VARIABLE = 9 };
enum { MAX_RANK = 32 };

/* What a datatype message says, as far as it matters. */
typedef struct datatype {
  int class;
  bool big_endian, is_signed, variable_text, space_padded;
  uint64_t bytes;
  uint64_t bit_offset, precision; /* numbers */
} datatype;

static bool read_datatype(ft_span s, datatype *t) {
  uint64_t class_and_version = ft_span_number(&s, 1), bits = ft_span_number(&s, 3);
  *t = (datatype){.class = (int)(class_and_version & 15), .bytes = ft_span_number(&s, 4)};
  t->big_endian = bits & 1;
  t->is_signed = t->class == CLASS_INTEGER && (bits & 8);
  t->variable_text = t->class == CLASS_VARIABLE && (bits & 15) == 1;
  t->space_padded = t->class == CLASS_STRING && (bits & 15) == 2;
  if (t->class == CLASS_INTEGER || t->class == CLASS_FLOAT) {
    t->bit_offset = ft_span_number(&s, 2);
    t->precision = ft_span_number(&s, 2);
  }
  uint64_t version = class_and_version >> 4;
  return !s.bad && version >= 1 && version <= 3;
}

/* *rank = number of dimensions (0: scalar), *count = elements. */
static bool read_dataspace(ft_span s, int *rank, uint64_t *count) {
  uint64_t version = ft_span_number(&s, 1);
  *rank = (int)ft_span_number(&s, 1);
  ft_span_take(&s, 1);
  uint64_t class = ft_span_number(&s, 1); /* version 2; scalar, simple or null */
  if (version == 1) ft_span_take(&s, 4);
  if ((version != 1 && version != 2) || *rank > MAX_RANK) return false;
  *count = version == 2 && class == 2 ? 0 : 1;
  for (int i = 0; i < *rank; i++)
    if (__builtin_mul_overflow(*count, ft_span_number(&s, 8), count)) return false;
  return !s.bad;
}

/* ---------------------------------------------------------------- attributes */

typedef struct attribute {
  datatype type;
  int rank;
  uint64_t count;
  ft_span data; /* at least count elements of it */
} attribute;

/* Splits an attribute message. *matches: it has that name; otherwise *a stays unset. */
static bool read_attribute(ft_span s, const char *name, bool *matches, attribute *a) {
  uint64_t version = ft_span_number(&s, 1), flags = ft_span_number(&s, 1);
  size_t sizes[3], padding = version == 1 ? 7 : 0;
  for (int i = 0; i < 3; i++)
    sizes[i] = ((size_t)ft_span_number(&s, 2) + padding) & ~padding;
  ft_span_take(&s, version == 3 ? 1 : 0);
  const uint8_t *found = ft_span_take(&s, sizes[0]), *type = ft_span_take(&s, sizes[1]),
                *space = ft_span_take(&s, sizes[2]);
  if (s.bad || version < 1 || version > 3 || !memchr(found, 0, sizes[0])) return false;
  *matches = strcmp((const char *)found, name) == 0;
  if (!*matches) return true;
  if (version > 1 && (flags & 3)) return false; /* its type lies elsewhere */
  uint64_t bytes;
  if (!read_datatype((ft_span){.at = type, .left = sizes[1]}, &a->type) ||
      !read_dataspace((ft_span){.at = space, .left = sizes[2]}, &a->rank, &a->count) ||
      __builtin_mul_overflow(a->count, a->type.bytes, &bytes) || bytes > s.left)
    return false;
  a->data = (ft_span){.at = s.at, .left = (size_t)bytes};
  return true;
}

/* *found tells whether the attribute is there. */
static ft_err find_attribute(const ft_h5_reader *reader, const ft_h5_object *object,
                             const char *name, bool *found, attribute *a) {
  *found = false;
  for (int64_t i = 0; i < object->num_messages && !*found; i++) {
    const ft_h5_message *m = &object->messages[i];
    if (m->type != FT_H5_ATTRIBUTE) continue;
    if (m->shared || !read_attribute(m->content, name, found, a))
      return ft_h5_damaged(reader, "an attribute");
  }
  if (*found) return FT_OK;
  const ft_h5_message *info = ft_h5_find(object, FT_H5_ATTRIBUTE_INFO);
  if (!info) return FT_OK;
  ft_span s = info->content;
  ft_span_take(&s, 1);
  ft_span_take(&s, ft_span_number(&s, 1) & 1 ? 2 : 0);
  if (ft_span_number(&s, 8) != FT_H5_UNDEFINED) return ft_h5_heap(reader, "attributes");
  return FT_OK;
}

static ft_err get_attribute(const ft_h5_reader *reader, const ft_h5_object *object,
                            const char *name, attribute *a) {
  bool found;
  ft_err err = find_attribute(reader, object, name, &found, a);
  if (err == FT_OK && !found)
    err = ft_fail(FT_ERR_DATA, "%s: has no attribute \"%s\"", reader->path, name);
  return err;
}

bool ft_h5_has_attribute(const ft_h5_object *object, const char *name) {
  attribute a;
  for (int64_t i = 0; i < object->num_messages; i++) {
    bool matches = false;
    if (object->messages[i].type == FT_H5_ATTRIBUTE &&
        read_attribute(object->messages[i].content, name, &matches, &a) && matches)
      return true;
  }
  return false;
}

/* Finds an object of a global heap collection: s covers its objects. */
static bool find_in_heap(ft_span s, uint64_t index, ft_span *out) {
  while (s.left >= 16) {
    uint64_t found = ft_span_number(&s, 2);
    ft_span_take(&s, 6);
    uint64_t bytes = ft_span_number(&s, 8);
    if (found == 0 || bytes > s.left) return false; /* 0: free space, the last */
    *out = (ft_span){.at = s.at, .left = (size_t)bytes};
    if (found == index) return true;
    ft_span_take(&s, (size_t)FT_MIN((bytes + 7) / 8 * 8, s.left));
  }
  return false;
}

/* Text of variable length: its length, the address of a heap and the object's number there. */
static ft_err read_variable(ft_h5_reader *reader, ft_span s, char *out, size_t room, bool *fits) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *block = NULL;
  uint64_t length = ft_span_number(&s, 4), address = ft_span_number(&s, 8);
  uint64_t index = ft_span_number(&s, 4);
  out[0] = 0;
  *fits = length <= room; /* a terminating zero may be counted */
  if (!*fits || length == 0) goto out;
  FT_TRY(ft_h5_block(reader, address, 16, &head));
  ft_span h = {.at = head, .left = 16};
  bool good = ft_span_matches(&h, "GCOL") && ft_span_number(&h, 1) == 1;
  ft_span_take(&h, 3);
  uint64_t bytes = ft_span_number(&h, 8);
  if (!good || bytes < 16) FT_TRY(ft_h5_damaged(reader, "a global heap"));
  FT_TRY(ft_h5_block(reader, address, bytes, &block));
  ft_span text = {0}, objects = {.at = block + 16, .left = (size_t)bytes - 16};
  if (!find_in_heap(objects, index, &text) || text.left < length)
    FT_TRY(ft_h5_damaged(reader, "a text outside its heap"));
  *fits = length < room || text.at[length - 1] == 0;
  if (*fits) memcpy(out, text.at, (size_t)length);
  if (*fits && length < room) out[length] = 0;
out:
  ft_free(head);
  ft_free(block);
  return err;
}

ft_err ft_h5_get_text(ft_h5_reader *reader, const ft_h5_object *object, const char *name, char *out,
                      size_t room) {
  ft_err err = FT_OK;
  attribute a;
  bool fits;
  FT_TRY(get_attribute(reader, object, name, &a));
  FT_CHECK(a.count == 1 && (a.type.class == CLASS_STRING || a.type.variable_text), FT_ERR_DATA,
           "%s: attribute \"%s\" is not one text", reader->path, name);
  if (a.type.variable_text) {
    FT_TRY(read_variable(reader, a.data, out, room, &fits));
  } else {
    size_t length = strnlen((const char *)a.data.at, a.data.left);
    while (a.type.space_padded && length > 0 && a.data.at[length - 1] == ' ')
      length--;
    fits = length < room;
    if (fits) memcpy(out, a.data.at, length);
    if (fits) out[length] = 0;
  }
  FT_CHECK(fits, FT_ERR_DATA, "%s: attribute \"%s\" is longer than the %zu bytes that are allowed",
           reader->path, name, room - 1);
out:
  return err;
}

static bool is_plain_integer(const datatype *t) {
  return t->class == CLASS_INTEGER && t->bytes >= 1 && t->bytes <= 8 && t->bit_offset == 0 &&
         t->precision == 8 * t->bytes && (!t->big_endian || t->bytes == 1);
}

ft_err ft_h5_get_number(ft_h5_reader *reader, const ft_h5_object *object, const char *name,
                        uint64_t max, uint64_t *out) {
  ft_err err = FT_OK;
  attribute a;
  *out = 0;
  FT_TRY(get_attribute(reader, object, name, &a));
  FT_CHECK(a.count == 1 && is_plain_integer(&a.type), FT_ERR_DATA,
           "%s: attribute \"%s\" is not one little-endian integer", reader->path, name);
  size_t bytes = a.data.left;
  *out = ft_span_number(&a.data, bytes);
  bool negative = a.type.is_signed && (*out >> (8 * bytes - 1)) & 1;
  FT_CHECK(!negative && *out <= max, FT_ERR_DATA,
           "%s: attribute \"%s\" is out of range (0 to %llu)", reader->path, name,
           (unsigned long long)max);
out:
  return err;
}

ft_err ft_h5_get_array(ft_h5_reader *reader, const ft_h5_object *object, const char *name,
                       int64_t **values, int64_t *count) {
  ft_err err = FT_OK;
  attribute a;
  void *memory = NULL;
  *values = NULL;
  FT_TRY(get_attribute(reader, object, name, &a));
  FT_CHECK(a.rank == 1 && is_plain_integer(&a.type) && a.type.bytes == 8, FT_ERR_DATA,
           "%s: attribute \"%s\" is not a list of 64-bit integers", reader->path, name);
  FT_TRY(ft_alloc(FT_MEM_IO, a.data.left, &memory));
  memcpy(memory, a.data.at, a.data.left);
  *values = memory;
  *count = (int64_t)a.count;
out:
  return err;
}

/* ---------------------------------------------------------------- datasets */

ft_err ft_h5_dataset_type(const ft_h5_reader *reader, const ft_h5_object *dataset, const char *name,
                          ft_h5_type *type) {
  ft_err err = FT_OK;
  datatype t;
  const ft_h5_message *m = ft_h5_find(dataset, FT_H5_DATATYPE);
  FT_CHECK(m, FT_ERR_DATA, "%s: \"%s\" is not a dataset", reader->path, name);
  if (m->shared || !read_datatype(m->content, &t))
    FT_TRY(ft_h5_damaged(reader, "the type of a dataset"));
  bool is_float = t.class == CLASS_FLOAT;
  bool plain = is_float ? t.bit_offset == 0 && t.precision == 8 * t.bytes && !t.big_endian
                        : is_plain_integer(&t);
  FT_CHECK(plain && t.bytes <= 8 && t.bytes > 0, FT_ERR_DATA,
           "%s: dataset \"%s\" does not hold little-endian integers or floats", reader->path, name);
  *type = (ft_h5_type){.is_float = is_float, .is_signed = t.is_signed, .width = (size_t)t.bytes};
out:
  return err;
}

/* Address and bytes of a contiguous layout. */
static bool read_layout(const ft_h5_object *dataset, uint64_t *address, uint64_t *bytes) {
  const ft_h5_message *m = ft_h5_find(dataset, FT_H5_LAYOUT);
  if (!m || m->shared || ft_h5_find(dataset, FT_H5_FILTERS) || ft_h5_find(dataset, FT_H5_EXTERNAL))
    return false;
  ft_span s = m->content;
  uint64_t version = ft_span_number(&s, 1), class = ft_span_number(&s, 1);
  *address = ft_span_number(&s, 8);
  *bytes = ft_span_number(&s, 8);
  return (version == 3 || version == 4) && class == 1 && !s.bad;
}

ft_err ft_h5_dataset_place(const ft_h5_reader *reader, const ft_h5_object *dataset,
                           const char *name, size_t width, ft_h5_place *place) {
  ft_err err = FT_OK;
  int rank = 0;
  uint64_t count = 0, address, stored, size = (uint64_t)reader->bytes;
  const ft_h5_message *m = ft_h5_find(dataset, FT_H5_DATASPACE);
  FT_CHECK(m && !m->shared && read_dataspace(m->content, &rank, &count) && rank == 1, FT_ERR_DATA,
           "%s: dataset \"%s\" does not have one dimension", reader->path, name);
  FT_CHECK(read_layout(dataset, &address, &stored), FT_ERR_DATA,
           "%s: dataset \"%s\" is not contiguous (chunked, compressed, compact or external): write "
           "it without chunks, compression and resizing",
           reader->path, name);
  uint64_t bytes = count <= size / width ? count * width : UINT64_MAX;
  FT_CHECK(bytes == 0 || (bytes <= size && address <= size - bytes && stored == bytes), FT_ERR_DATA,
           "%s: dataset \"%s\" does not lie inside the file's %lld bytes: it was never written, or "
           "the file is damaged",
           reader->path, name, (long long)reader->bytes);
  *place = (ft_h5_place){.count = (int64_t)count, .offset = bytes ? (int64_t)address : 0};
out:
  return err;
}
