/* HDF5 files laid out in memory (HDF5 File Format Specification 2.0: superblock 2, object headers
 * 2, a global heap for texts). */
#include "h5_write.h"

enum {
  HEAP_BYTES = 4096, /* of the global heap: the least that HDF5 reads; it is a multiple of this */
  SUPERBLOCK_BYTES = 48,
  PAGE_BYTES = 4096,
  LARGE_BYTES = 65536 /* datasets from this size on begin on a page */
};

/* What is being laid out. Addresses of objects are file offsets, since metadata come first. */
typedef struct layout {
  ft_h5_image *image;
  size_t heap, heap_used; /* where the heap lies, and how much of it is taken */
  size_t heap_bytes;
  uint16_t heap_objects;
} layout;

/* ---------------------------------------------------------------- bytes */

static ft_err put(ft_h5_image *m, const void *data, size_t bytes) {
  ft_err err = ft_grow_bytes(FT_MEM_IO, m->used + bytes, &m->capacity, (void **)&m->bytes);
  if (err != FT_OK) return err;
  if (data)
    memcpy(m->bytes + m->used, data, bytes);
  else
    memset(m->bytes + m->used, 0, bytes);
  m->used += bytes;
  return FT_OK;
}

/* A little-endian number. */
static ft_err put_number(ft_h5_image *m, uint64_t value, size_t bytes) {
  uint8_t out[8];
  for (size_t i = 0; i < bytes; i++)
    out[i] = (uint8_t)(value >> (8 * i));
  return put(m, out, bytes);
}

static void set_number(ft_h5_image *m, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    m->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* ---------------------------------------------------------------- object headers
 * begin_object, then for each message begin_message, its content, end_message; end_object. */

static ft_err begin_object(ft_h5_image *m, size_t *object) {
  ft_err err = FT_OK;
  FT_TRY(put(m, NULL, (8 - m->used % 8) % 8));
  *object = m->used;
  FT_TRY(put(m, "OHDR\2\2", 6)); /* version 2; the size of what follows has four bytes */
  FT_TRY(put_number(m, 0, 4));
out:
  return err;
}

static ft_err end_object(ft_h5_image *m, size_t object) {
  set_number(m, object + 6, m->used - object - 10, 4);
  return put_number(m, ft_h5_checksum(m->bytes + object, m->used - object), 4);
}

static ft_err begin_message(ft_h5_image *m, int type, size_t *message) {
  ft_err err = FT_OK;
  *message = m->used;
  FT_TRY(put_number(m, (uint64_t)type, 1));
  FT_TRY(put_number(m, 0, 3)); /* bytes; flags */
out:
  return err;
}

static void end_message(ft_h5_image *m, size_t message) {
  set_number(m, message + 1, m->used - message - 4, 2);
}

/* ---------------------------------------------------------------- types and spaces */

static ft_err put_type(ft_h5_image *m, ft_h5_type type) {
  static const uint8_t f32[] = {0x11, 0x20, 31, 0, 4, 0,  0,   0, 0, 0,
                                32,   0,    23, 8, 0, 23, 127, 0, 0, 0};
  ft_err err = FT_OK;
  if (type.is_float) return put(m, f32, sizeof f32); /* IEEE single precision */
  FT_TRY(put_number(m, 0x10, 1));
  FT_TRY(put_number(m, type.is_signed ? 8 : 0, 3));
  FT_TRY(put_number(m, type.width, 4));
  FT_TRY(put_number(m, 0, 2));
  FT_TRY(put_number(m, 8 * type.width, 2));
out:
  return err;
}

/* Text of variable length in UTF-8. */
static ft_err put_text_type(ft_h5_image *m) {
  static const uint8_t text[] = {0x19, 1, 1, 0, 16, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0};
  return put(m, text, sizeof text);
}

/* count < 0: a scalar. */
static ft_err put_space(ft_h5_image *m, int64_t count) {
  ft_err err = put(m, count < 0 ? "\2\0\0\0" : "\2\1\0\1", 4);
  if (err == FT_OK && count >= 0) err = put_number(m, (uint64_t)count, 8);
  return err;
}

/* ---------------------------------------------------------------- attributes */

/* Adds a text to the heap and refers to it. */
static ft_err put_text(layout *l, const char *text) {
  ft_err err = FT_OK;
  size_t length = strlen(text), room = ((length + 7) & ~(size_t)7) + 16;
  ft_h5_image *m = l->image;
  FT_TRY(put_number(m, length, 4));
  if (length == 0) return put(m, NULL, 12); /* refers to nothing */
  FT_CHECK(l->heap_used + room + 16 <= l->heap_bytes, FT_ERR_INTERNAL,
           "texts of %zu bytes for one file", l->heap_used + room);
  size_t at = l->heap + l->heap_used;
  set_number(m, at, ++l->heap_objects, 2);
  set_number(m, at + 2, 1, 2); /* one reference */
  set_number(m, at + 8, length, 8);
  memcpy(m->bytes + at + 16, text, length);
  l->heap_used += room;
  FT_TRY(put_number(m, l->heap, 8));
  FT_TRY(put_number(m, l->heap_objects, 4));
out:
  return err;
}

static ft_err put_attribute(layout *l, const ft_h5_attribute *a) {
  ft_err err = FT_OK;
  ft_h5_image *m = l->image;
  size_t message, width = a->kind == FT_H5_U32 ? 4 : 8;
  size_t name_bytes = strlen(a->name) + 1, type_bytes = a->kind == FT_H5_TEXT ? 20 : 12;
  size_t bytes = width * (size_t)FT_MAX(a->count, 1);
  FT_CHECK(bytes <= FT_H5_MAX_ATTRIBUTE_BYTES, FT_ERR_INTERNAL, "attribute %s of %zu bytes",
           a->name, bytes);
  FT_TRY(begin_message(m, FT_H5_ATTRIBUTE, &message));
  FT_TRY(put(m, "\3", 2)); /* version; flags */
  FT_TRY(put_number(m, name_bytes, 2));
  FT_TRY(put_number(m, type_bytes, 2));
  FT_TRY(put_number(m, a->count < 0 ? 4 : 12, 2));
  FT_TRY(put_number(m, 0, 1)); /* the name is ASCII */
  FT_TRY(put(m, a->name, name_bytes));
  ft_h5_type type = {.width = width, .is_signed = a->kind == FT_H5_I64};
  FT_TRY(a->kind == FT_H5_TEXT ? put_text_type(m) : put_type(m, type));
  FT_TRY(put_space(m, a->count));
  if (a->kind == FT_H5_TEXT)
    FT_TRY(put_text(l, a->values));
  else if (a->count != 0)
    FT_TRY(put(m, a->values, bytes));
  end_message(m, message);
out:
  return err;
}

/* ---------------------------------------------------------------- objects */

/* Header of a dataset; *address: where the layout message keeps the data's address. */
static ft_err put_dataset(layout *l, const ft_h5_dataset *d, size_t *object, size_t *address) {
  ft_err err = FT_OK;
  ft_h5_image *m = l->image;
  size_t message;
  FT_TRY(begin_object(m, object));
  FT_TRY(begin_message(m, FT_H5_DATASPACE, &message));
  FT_TRY(put_space(m, d->count));
  end_message(m, message);
  FT_TRY(begin_message(m, FT_H5_DATATYPE, &message));
  FT_TRY(put_type(m, d->type));
  end_message(m, message);
  FT_TRY(begin_message(m, FT_H5_FILL_VALUE, &message));
  FT_TRY(put(m, "\3\5", 2)); /* allocated early, never filled */
  end_message(m, message);
  FT_TRY(begin_message(m, FT_H5_LAYOUT, &message));
  FT_TRY(put(m, "\3\1", 2)); /* contiguous */
  *address = m->used;
  FT_TRY(put_number(m, FT_H5_UNDEFINED, 8));
  FT_TRY(put_number(m, (uint64_t)d->count * d->type.width, 8));
  end_message(m, message);
  for (int i = 0; i < d->num_attributes; i++)
    FT_TRY(put_attribute(l, &d->attributes[i]));
out:
  return err;
}

/* What every group's header begins with. */
static ft_err begin_group(ft_h5_image *m, size_t *object) {
  ft_err err = FT_OK;
  size_t message;
  FT_TRY(begin_object(m, object));
  FT_TRY(begin_message(m, FT_H5_LINK_INFO, &message));
  FT_TRY(put_number(m, 0, 2));
  FT_TRY(put_number(m, FT_H5_UNDEFINED, 8)); /* no fractal heap: all links are messages */
  FT_TRY(put_number(m, FT_H5_UNDEFINED, 8));
  end_message(m, message);
  FT_TRY(begin_message(m, FT_H5_GROUP_INFO, &message));
  FT_TRY(put(m, "\0\1\xff\xff\0\0", 6)); /* up to 65535 links stay messages */
  end_message(m, message);
out:
  return err;
}

static ft_err put_link(ft_h5_image *m, const char *name, size_t length, size_t object) {
  ft_err err = FT_OK;
  size_t message;
  FT_TRY(begin_message(m, FT_H5_LINK, &message));
  FT_TRY(put(m, "\1\1", 2)); /* version 1; a hard link whose name's length has two bytes */
  FT_TRY(put_number(m, length, 2));
  FT_TRY(put(m, name, length));
  FT_TRY(put_number(m, object, 8));
  end_message(m, message);
out:
  return err;
}

/* Length of "GROUP" in "/GROUP/NAME"; 0 in "NAME". */
static size_t group_length(const char *name) {
  return name[0] == '/' ? strcspn(name + 1, "/") : 0;
}

static bool same_group(const char *a, const char *b) {
  size_t length = group_length(a);
  return length == group_length(b) && (length == 0 || memcmp(a + 1, b + 1, length) == 0);
}

/* Where the parts of the metadata came to lie. */
typedef struct places {
  size_t *objects;   /* [num_datasets] headers of the datasets */
  size_t *addresses; /* [num_datasets] of the data's addresses in them */
  size_t *groups;    /* [num_datasets] header of the group that begins with this dataset */
} places;

static ft_err put_groups(layout *l, const ft_h5_dataset *datasets, int64_t count, places *p) {
  ft_err err = FT_OK;
  for (int64_t i = 0, end; i < count; i = end) {
    size_t length = group_length(datasets[i].name);
    end = i + 1;
    if (length == 0) continue;
    FT_TRY(begin_group(l->image, &p->groups[i]));
    for (end = i; end < count && same_group(datasets[i].name, datasets[end].name); end++) {
      const char *name = datasets[end].name + length + 2;
      FT_TRY(put_link(l->image, name, strlen(name), p->objects[end]));
    }
    FT_TRY(end_object(l->image, p->groups[i]));
  }
out:
  return err;
}

static ft_err put_root(layout *l, const ft_h5_attribute *attributes, int num_attributes,
                       const ft_h5_dataset *datasets, int64_t count, const places *p,
                       size_t *root) {
  ft_err err = FT_OK;
  FT_TRY(begin_group(l->image, root));
  for (int i = 0; i < num_attributes; i++)
    FT_TRY(put_attribute(l, &attributes[i]));
  for (int64_t i = 0; i < count; i++) {
    const char *name = datasets[i].name;
    size_t length = group_length(name);
    if (length == 0) FT_TRY(put_link(l->image, name, strlen(name), p->objects[i]));
    if (p->groups[i]) FT_TRY(put_link(l->image, name + 1, length, p->groups[i]));
  }
  FT_TRY(end_object(l->image, *root));
out:
  return err;
}

/* ---------------------------------------------------------------- the file */

/* Gives every dataset its place behind the metadata. */
static ft_err place_data(ft_h5_image *m, ft_h5_dataset *datasets, int64_t count) {
  ft_err err = FT_OK;
  int64_t at = ft_round_up((int64_t)m->used, 8);
  for (int64_t i = 0; i < count; i++) {
    ft_h5_dataset *d = &datasets[i];
    int64_t bytes;
    bool good = d->count >= 0 &&
                !__builtin_mul_overflow(d->count, (int64_t)d->type.width, &bytes) &&
                bytes < INT64_MAX / 2 - at;
    FT_CHECK(good, FT_ERR_INTERNAL, "dataset %s has %lld elements", d->name, (long long)d->count);
    d->offset = bytes > 0 ? ft_round_up(at, bytes >= LARGE_BYTES ? PAGE_BYTES : 8) : 0;
    if (bytes > 0) at = d->offset + bytes;
  }
  m->file_bytes = at;
out:
  return err;
}

static void finish_heap(layout *l) {
  ft_h5_image *m = l->image;
  memcpy(m->bytes + l->heap, "GCOL\1", 5);
  set_number(m, l->heap + 8, l->heap_bytes, 8);
  set_number(m, l->heap + l->heap_used + 8, l->heap_bytes - l->heap_used, 8); /* free space */
}

static void finish_superblock(ft_h5_image *m, size_t root) {
  memcpy(m->bytes, "\x89HDF\r\n\x1a\n\2\10\10", 11); /* version 2; 8 bytes an offset and length */
  set_number(m, 20, FT_H5_UNDEFINED, 8);             /* no extension */
  set_number(m, 28, (uint64_t)m->file_bytes, 8);
  set_number(m, 36, root, 8);
  set_number(m, 44, ft_h5_checksum(m->bytes, 44), 4);
}

static ft_err lay_out(layout *l, const ft_h5_attribute *attributes, int num_attributes,
                      ft_h5_dataset *datasets, int64_t count, places *p) {
  ft_err err = FT_OK;
  ft_h5_image *m = l->image;
  size_t root = 0;
  FT_TRY(put(m, NULL, SUPERBLOCK_BYTES));
  l->heap = m->used;
  l->heap_used = 16;
  FT_TRY(put(m, NULL, l->heap_bytes));
  for (int64_t i = 0; i < count; i++) {
    FT_TRY(put_dataset(l, &datasets[i], &p->objects[i], &p->addresses[i]));
    FT_TRY(put(m, NULL, 4)); /* its checksum, when the data have their places */
    set_number(m, p->objects[i] + 6, m->used - 4 - p->objects[i] - 10, 4);
  }
  FT_TRY(put_groups(l, datasets, count, p));
  FT_TRY(put_root(l, attributes, num_attributes, datasets, count, p, &root));
  FT_TRY(place_data(m, datasets, count));
  for (int64_t i = 0; i < count; i++) {
    size_t object = p->objects[i], bytes = 10;
    for (int b = 0; b < 4; b++)
      bytes += (size_t)m->bytes[object + 6 + (size_t)b] << (8 * b);
    if (datasets[i].offset > 0) set_number(m, p->addresses[i], (uint64_t)datasets[i].offset, 8);
    set_number(m, object + bytes, ft_h5_checksum(m->bytes + object, bytes), 4);
  }
  finish_heap(l);
  finish_superblock(m, root);
out:
  return err;
}

/* What the heap takes with these texts, and with the texts of the datasets' attributes, which fit
 * in what its smallest size leaves. */
static size_t heap_bytes(const ft_h5_attribute *attributes, int num_attributes) {
  size_t bytes = 0;
  for (int i = 0; i < num_attributes; i++)
    if (attributes[i].kind == FT_H5_TEXT) bytes += strlen(attributes[i].values) + 24;
  return (size_t)ft_round_up((int64_t)bytes + HEAP_BYTES / 2, HEAP_BYTES);
}

ft_err ft_h5_layout(const ft_h5_attribute *attributes, int num_attributes, ft_h5_dataset *datasets,
                    int64_t num_datasets, ft_h5_image *image) {
  ft_err err = FT_OK;
  void *memory = NULL;
  layout l = {.image = image, .heap_bytes = heap_bytes(attributes, num_attributes)};
  *image = (ft_h5_image){0};
  FT_TRY(ft_alloc_array(FT_MEM_IO, num_datasets, 3 * sizeof(size_t), &memory));
  size_t *list = memory;
  places p = {.objects = list, .addresses = list + num_datasets, .groups = list + 2 * num_datasets};
  FT_TRY(lay_out(&l, attributes, num_attributes, datasets, num_datasets, &p));
out:
  if (err != FT_OK) {
    ft_free(image->bytes);
    *image = (ft_h5_image){0};
  }
  ft_free(memory);
  return err;
}
