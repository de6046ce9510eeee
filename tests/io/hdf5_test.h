/* What the tests of shards read by HDF5's own library. */
#ifndef FT_HDF5_TEST_H
#define FT_HDF5_TEST_H

#include <hdf5.h>

#include "io_test.h"

/* Reads a whole dataset by HDF5 itself. */
static inline void *read_by_hdf5(const char *path, const char *name, hid_t type) {
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, name, H5P_DEFAULT);
  hid_t space = H5Dget_space(set);
  void *data = calloc((size_t)H5Sget_simple_extent_npoints(space) + 1, 8);
  assert_true(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  return data;
}

/* A text attribute as HDF5's library reads it. */
static inline void check_attribute(const char *path, const char *name, const char *wanted) {
  char *text = NULL;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
  assert_true(H5Tis_variable_str(type) > 0 && H5Tget_cset(type) == H5T_CSET_UTF8);
  assert_true(H5Aread(attribute, type, &text) >= 0);
  assert_string_equal(text ? text : "", wanted);
  H5free_memory(text);
  H5Tclose(type);
  H5Aclose(attribute);
  H5Fclose(file);
}

#endif
