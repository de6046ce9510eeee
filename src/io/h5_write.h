/* Inside io: writing HDF5 files whose shape is known: attributes of the root, and contiguous
 * datasets with attributes, in the root or in groups of one level. All metadata lie at the file's
 * start, in structures of HDF5's newer kind, which carry checksums; the data, which the caller
 * writes, behind them. HDF5's own library writes its metadata when it closes a file; when the disk
 * is full then, it leaves the file half open and the process crashes as it exits. Here a full disk
 * is an error like any other. Not for any file: for these (docs/formats.md). */
#ifndef FT_IO_H5_WRITE_H
#define FT_IO_H5_WRITE_H

#include "h5_read.h"

typedef enum ft_h5_kind { FT_H5_TEXT, FT_H5_U32, FT_H5_U64, FT_H5_I64 } ft_h5_kind;

typedef struct ft_h5_attribute {
  const char *name;
  ft_h5_kind kind;
  const void *values; /* FT_H5_TEXT: the text itself */
  int64_t count;      /* -1: a scalar (texts are) */
} ft_h5_attribute;

enum { FT_H5_MAX_ATTRIBUTE_BYTES = 64000 }; /* of one, and of all texts of a file */

typedef struct ft_h5_dataset {
  const char *name; /* "NAME" in the root, or "/GROUP/NAME"; a group's datasets follow each other */
  ft_h5_type type;
  int64_t count; /* elements */
  const ft_h5_attribute *attributes;
  int num_attributes;
  int64_t offset; /* where its data go: filled by ft_h5_layout; 0 if it has none */
} ft_h5_dataset;

/* The file's first bytes, and its size. */
typedef struct ft_h5_image {
  uint8_t *bytes; /* free with ft_free */
  size_t used, capacity;
  int64_t file_bytes;
} ft_h5_image;

/* Lays a file out: fills the datasets' offsets and *image. Offsets do not depend on the values of
 * attributes that are numbers: called again with others, only the image changes. */
ft_err ft_h5_layout(const ft_h5_attribute *attributes, int num_attributes, ft_h5_dataset *datasets,
                    int64_t num_datasets, ft_h5_image *image);

#endif
