/* Inside io: reading HDF5 files without trusting them. HDF5's own library ends with a segmentation
 * fault or runs on for ever on many a damaged file. Of the format (HDF5 File Format Specification,
 * versions 1.1 to 3.0) this knows what token shards and slice files need: both kinds of superblock
 * and object header, groups of either kind as long as they are small enough not to be kept in a
 * fractal heap, attributes likewise, contiguous datasets of integers and floats; anything else is
 * refused by name. Checksums of metadata are compared.
 *
 * Safe in any number of threads, each with its own reader. */
#ifndef FT_IO_H5_READ_H
#define FT_IO_H5_READ_H

#include <string.h>

#include "ft/io.h"

/* Bytes of a file that are being read in order; reading past their end gives zeros and sets bad. */
typedef struct ft_span {
  const uint8_t *at;
  size_t left;
  bool bad;
} ft_span;

static inline const uint8_t *ft_span_take(ft_span *s, size_t bytes) {
  if (bytes > s->left) {
    s->bad = true;
    s->left = 0;
    return NULL;
  }
  const uint8_t *p = s->at;
  s->at += bytes;
  s->left -= bytes;
  return p;
}

/* A little-endian number of 1 to 8 bytes. */
static inline uint64_t ft_span_number(ft_span *s, size_t bytes) {
  const uint8_t *p = ft_span_take(s, bytes);
  uint64_t value = 0;
  for (size_t i = 0; p && i < bytes; i++)
    value |= (uint64_t)p[i] << (8 * i);
  return value;
}

static inline bool ft_span_matches(ft_span *s, const char *signature) {
  const uint8_t *p = ft_span_take(s, strlen(signature));
  return p && memcmp(p, signature, strlen(signature)) == 0;
}

#define FT_H5_UNDEFINED UINT64_MAX /* an address that leads nowhere */

typedef struct ft_h5_reader {
  char *path;
  int fd;
  int64_t bytes;        /* of the file */
  uint64_t root;        /* address of the root group's object header */
  int64_t budget_bytes; /* how much more metadata may be read: bounds what damage can ask for */
} ft_h5_reader;

/* Opens a file and reads its superblock. Errors: FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_h5_reader_init(const char *path, ft_h5_reader *reader);
void ft_h5_reader_fini(ft_h5_reader *reader);
/* Records "PATH: damaged or unsupported HDF5 file: WHAT". */
ft_err ft_h5_damaged(const ft_h5_reader *reader, const char *what);
/* The same for a group whose attributes or links (`what`) lie in a fractal heap. */
ft_err ft_h5_heap(const ft_h5_reader *reader, const char *what);
/* *out = bytes at an address, all inside the file; free with ft_free. */
ft_err ft_h5_block(ft_h5_reader *reader, uint64_t address, uint64_t bytes, uint8_t **out);
/* HDF5's checksum of metadata (Bob Jenkins' lookup3). */
uint32_t ft_h5_checksum(const uint8_t *data, size_t bytes);

/* Messages of an object header that are used here. */
enum {
  FT_H5_DATASPACE = 0x01,
  FT_H5_LINK_INFO = 0x02,
  FT_H5_DATATYPE = 0x03,
  FT_H5_FILL_VALUE = 0x05,
  FT_H5_LINK = 0x06,
  FT_H5_EXTERNAL = 0x07,
  FT_H5_LAYOUT = 0x08,
  FT_H5_GROUP_INFO = 0x0A,
  FT_H5_FILTERS = 0x0B,
  FT_H5_ATTRIBUTE = 0x0C,
  FT_H5_CONTINUATION = 0x10,
  FT_H5_SYMBOL_TABLE = 0x11,
  FT_H5_ATTRIBUTE_INFO = 0x15
};

typedef struct ft_h5_message {
  int type;
  bool shared; /* its content lies elsewhere: not supported */
  ft_span content;
} ft_h5_message;

/* An object header: a group or a dataset with its attributes. */
typedef struct ft_h5_object {
  ft_h5_message *messages;
  int64_t num_messages, capacity;
  uint8_t **blocks; /* what the messages point into */
  int64_t num_blocks;
} ft_h5_object;

ft_err ft_h5_object_init(ft_h5_reader *reader, uint64_t address, ft_h5_object *object);
void ft_h5_object_fini(ft_h5_object *object);
/* Its first message of a type, or NULL. */
const ft_h5_message *ft_h5_find(const ft_h5_object *object, int type);

typedef struct ft_h5_link {
  char *name;
  uint64_t address; /* FT_H5_UNDEFINED: a soft or external link */
} ft_h5_link;

/* The links of a group, in the file's order. */
ft_err ft_h5_links(ft_h5_reader *reader, const ft_h5_object *group, ft_h5_link **links,
                   int64_t *num_links);
void ft_h5_links_free(ft_h5_link *links, int64_t num_links);

/* Reads a text attribute, of fixed or variable length, of fewer than `room` bytes. */
ft_err ft_h5_get_text(ft_h5_reader *reader, const ft_h5_object *object, const char *name, char *out,
                      size_t room);
bool ft_h5_has_attribute(const ft_h5_object *object, const char *name);
/* Reads an integer attribute of any width that is not negative and at most `max`. */
ft_err ft_h5_get_number(ft_h5_reader *reader, const ft_h5_object *object, const char *name,
                        uint64_t max, uint64_t *out);
/* Reads a one-dimensional attribute of 64-bit integers; free *values with ft_free. */
ft_err ft_h5_get_array(ft_h5_reader *reader, const ft_h5_object *object, const char *name,
                       int64_t **values, int64_t *count);

/* Where a one-dimensional contiguous dataset lies. */
typedef struct ft_h5_place {
  int64_t count;  /* elements */
  int64_t offset; /* file offset of the first; 0 when there are none */
} ft_h5_place;
typedef struct ft_h5_type {
  bool is_float, is_signed;
  size_t width; /* bytes */
} ft_h5_type;

/* The element type of a dataset: little-endian numbers. */
ft_err ft_h5_dataset_type(const ft_h5_reader *reader, const ft_h5_object *dataset, const char *name,
                          ft_h5_type *type);
/* Its place: one-dimensional, contiguous, unfiltered, all inside the file. */
ft_err ft_h5_dataset_place(const ft_h5_reader *reader, const ft_h5_object *dataset,
                           const char *name, size_t width, ft_h5_place *place);

#endif
