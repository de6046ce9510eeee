/* HDF5 with this library's errors. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hdf5.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void ft_h5_lock(void) {
  pthread_mutex_lock(&lock);
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* of this thread */
}

void ft_h5_unlock(void) {
  pthread_mutex_unlock(&lock);
}

/* Keeps the message of the innermost error, which says most. */
static herr_t innermost(unsigned n, const H5E_error2_t *error, void *arg) {
  if (n == 0) snprintf(arg, 200, "%s", error->desc ? error->desc : "");
  return 0;
}

ft_err ft_h5_fail(ft_err code, const char *path, const char *what) {
  char reason[200] = "";
  (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, reason);
  (void)H5Eclear2(H5E_DEFAULT);
  return ft_fail(code, "%s: cannot %s: %s", path, what,
                 reason[0] ? reason : "HDF5 does not say why");
}

/* ---------------------------------------------------------------- files */

/* Access properties: closing a file closes what is open in it; no file locks, which network
 * filesystems often lack and durable renames do not need. */
static hid_t access_properties(bool latest) {
  hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
  if (properties < 0) return -1;
  bool good = H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG) >= 0 &&
              H5Pset_file_locking(properties, false, true) >= 0;
  if (latest) {
    good = good && H5Pset_libver_bounds(properties, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST) >= 0;
    /* large datasets start on a page, so that they can be written without copies */
    good = good && H5Pset_alignment(properties, 65536, 4096) >= 0;
  }
  if (good) return properties;
  H5Pclose(properties);
  return -1;
}

ft_err ft_h5_open(const char *path, hid_t *file) {
  hid_t properties = access_properties(false);
  *file = properties < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, properties);
  ft_err err = FT_OK;
  if (*file < 0) err = ft_h5_fail(FT_ERR_DATA, path, "read it as an HDF5 file");
  if (properties >= 0) H5Pclose(properties);
  return err;
}

ft_err ft_h5_create(const char *path, bool latest, hid_t *file) {
  hid_t properties = access_properties(latest);
  *file = properties < 0 ? -1 : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, properties);
  ft_err err = FT_OK;
  if (*file < 0) err = ft_h5_fail(FT_ERR_CREATE, path, "create the HDF5 file");
  if (properties >= 0) H5Pclose(properties);
  return err;
}

ft_err ft_h5_close(hid_t *file, const char *path) {
  ft_err err = FT_OK;
  if (*file >= 0 && H5Fclose(*file) < 0) err = ft_h5_fail(FT_ERR_IO, path, "close the HDF5 file");
  *file = -1;
  return err;
}

/* ---------------------------------------------------------------- attributes */

/* Opens an attribute of exactly one element and of a class. *type: of the file. */
static ft_err open_scalar(hid_t object, const char *path, const char *name, H5T_class_t class,
                          hid_t *attribute, hid_t *type) {
  ft_err err = FT_OK;
  hid_t space = -1;
  *type = -1;
  *attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
  if (*attribute < 0) {
    (void)H5Eclear2(H5E_DEFAULT);
    FT_TRY(ft_fail(FT_ERR_DATA, "%s: has no attribute \"%s\"", path, name));
  }
  *type = H5Aget_type(*attribute);
  space = H5Aget_space(*attribute);
  FT_CHECK(*type >= 0 && H5Tget_class(*type) == class && space >= 0 &&
               H5Sget_simple_extent_npoints(space) == 1,
           FT_ERR_DATA, "%s: attribute \"%s\" is not one %s", path, name,
           class == H5T_STRING ? "text" : "integer");
out:
  if (space >= 0) H5Sclose(space);
  return err;
}

/* Text of a variable-length string attribute. */
static ft_err read_variable(hid_t attribute, const char *path, const char *name, char *out,
                            size_t room) {
  ft_err err = FT_OK;
  char *text = NULL;
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  if (H5Aread(attribute, type, &text) < 0) {
    (void)H5Eclear2(H5E_DEFAULT); /* the file may say ASCII, which is not converted */
    H5Tset_cset(type, H5T_CSET_ASCII);
    if (H5Aread(attribute, type, &text) < 0) FT_TRY(ft_h5_fail(FT_ERR_DATA, path, name));
  }
  size_t length = text ? strlen(text) : 0;
  FT_CHECK(length < room, FT_ERR_DATA, "%s: attribute \"%s\" has %zu bytes, at most %zu expected",
           path, name, length, room - 1);
  memcpy(out, text ? text : "", length + 1);
out:
  if (text) H5free_memory(text);
  H5Tclose(type);
  return err;
}

/* Text of a fixed-length string attribute, padded with zeros or spaces. */
static ft_err read_fixed(hid_t attribute, hid_t type, const char *path, const char *name, char *out,
                         size_t room) {
  char text[256] = "";
  size_t size = H5Tget_size(type);
  if (size >= sizeof text || size >= room + 1)
    return ft_fail(FT_ERR_DATA, "%s: attribute \"%s\" has %zu bytes, at most %zu expected", path,
                   name, size, room - 1);
  if (H5Aread(attribute, type, text) < 0) return ft_h5_fail(FT_ERR_DATA, path, name);
  size_t length = strlen(text);
  while (H5Tget_strpad(type) == H5T_STR_SPACEPAD && length > 0 && text[length - 1] == ' ')
    length--;
  if (length >= room)
    return ft_fail(FT_ERR_DATA, "%s: attribute \"%s\" has %zu bytes, at most %zu expected", path,
                   name, length, room - 1);
  memcpy(out, text, length);
  out[length] = 0;
  return FT_OK;
}

ft_err ft_h5_get_text(hid_t object, const char *path, const char *name, char *out, size_t room) {
  ft_err err = FT_OK;
  hid_t attribute, type;
  FT_TRY(open_scalar(object, path, name, H5T_STRING, &attribute, &type));
  if (H5Tis_variable_str(type) > 0)
    FT_TRY(read_variable(attribute, path, name, out, room));
  else
    FT_TRY(read_fixed(attribute, type, path, name, out, room));
out:
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  return err;
}

ft_err ft_h5_get_number(hid_t object, const char *path, const char *name, uint64_t max,
                        uint64_t *out) {
  ft_err err = FT_OK;
  hid_t attribute, type;
  FT_TRY(open_scalar(object, path, name, H5T_INTEGER, &attribute, &type));
  bool is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
  int64_t value = 0;
  *out = 0;
  FT_CHECK(H5Tget_size(type) <= 8, FT_ERR_DATA, "%s: attribute \"%s\" is wider than 64 bits", path,
           name);
  herr_t status = is_signed ? H5Aread(attribute, H5T_NATIVE_INT64, &value)
                            : H5Aread(attribute, H5T_NATIVE_UINT64, out);
  if (status < 0) FT_TRY(ft_h5_fail(FT_ERR_DATA, path, name));
  if (is_signed) *out = (uint64_t)value;
  FT_CHECK(*out <= max, FT_ERR_DATA, "%s: attribute \"%s\" is out of range (0 to %llu)", path, name,
           (unsigned long long)max);
out:
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  return err;
}

ft_err ft_h5_set_array(hid_t object, const char *path, const char *name, hid_t type, int64_t count,
                       const void *values) {
  ft_err err = FT_OK;
  hsize_t dims[1] = {count < 0 ? 1 : (hsize_t)count};
  hid_t attribute = -1;
  hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, dims, NULL);
  if (space >= 0) attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0 || (count != 0 && H5Awrite(attribute, type, values) < 0))
    err = ft_h5_fail(FT_ERR_IO, path, name);
  if (attribute >= 0) H5Aclose(attribute);
  if (space >= 0) H5Sclose(space);
  return err;
}

ft_err ft_h5_set_text(hid_t object, const char *path, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  ft_err err = ft_h5_set_array(object, path, name, type, -1, &text);
  H5Tclose(type);
  return err;
}

/* ---------------------------------------------------------------- datasets */

/* Creation properties: contiguous, allocated when created, never filled. */
static hid_t plain_dataset(void) {
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  if (properties < 0) return -1;
  if (H5Pset_layout(properties, H5D_CONTIGUOUS) >= 0 &&
      H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0 &&
      H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0)
    return properties;
  H5Pclose(properties);
  return -1;
}

ft_err ft_h5_new_dataset(hid_t file, const char *path, const char *name, hid_t type, int64_t count,
                         ft_h5_place *place, hid_t *keep) {
  ft_err err = FT_OK;
  hsize_t dims[1] = {(hsize_t)count};
  hid_t dataset = -1, properties = plain_dataset(), links = H5Pcreate(H5P_LINK_CREATE);
  hid_t space = H5Screate_simple(1, dims, NULL);
  if (links >= 0) H5Pset_create_intermediate_group(links, 1);
  if (properties >= 0 && links >= 0 && space >= 0)
    dataset = H5Dcreate2(file, name, type, space, links, properties, H5P_DEFAULT);
  if (dataset < 0) FT_TRY(ft_h5_fail(FT_ERR_IO, path, name));
  haddr_t offset = count > 0 ? H5Dget_offset(dataset) : 0;
  if (offset == HADDR_UNDEF) FT_TRY(ft_h5_fail(FT_ERR_IO, path, name));
  *place = (ft_h5_place){.count = count, .offset = (int64_t)offset};
  if (keep) {
    *keep = dataset;
    dataset = -1;
  }
out:
  if (dataset >= 0) H5Dclose(dataset);
  if (space >= 0) H5Sclose(space);
  if (links >= 0) H5Pclose(links);
  if (properties >= 0) H5Pclose(properties);
  return err;
}

ft_err ft_h5_open_dataset(hid_t group, const char *path, const char *name, hid_t *dataset) {
  H5L_info_t link;
  *dataset = -1;
  bool there =
      H5Lexists(group, name, H5P_DEFAULT) > 0 && H5Lget_info(group, name, &link, H5P_DEFAULT) >= 0;
  if (there && link.type != H5L_TYPE_HARD)
    return ft_fail(FT_ERR_DATA, "%s: \"%s\" is a link to somewhere else", path, name);
  if (there) *dataset = H5Dopen2(group, name, H5P_DEFAULT);
  (void)H5Eclear2(H5E_DEFAULT);
  return *dataset < 0 ? ft_fail(FT_ERR_DATA, "%s: has no dataset \"%s\"", path, name) : FT_OK;
}

/* The dataset's bytes must lie contiguously in this file. */
static ft_err check_layout(hid_t dataset, const char *path, const char *name) {
  hid_t properties = H5Dget_create_plist(dataset);
  bool good = properties >= 0 && H5Pget_layout(properties) == H5D_CONTIGUOUS &&
              H5Pget_nfilters(properties) == 0 && H5Pget_external_count(properties) == 0;
  if (properties >= 0) H5Pclose(properties);
  (void)H5Eclear2(H5E_DEFAULT);
  if (good) return FT_OK;
  return ft_fail(FT_ERR_DATA,
                 "%s: dataset \"%s\" is not contiguous (chunked, compressed, compact or external): "
                 "write it without chunks, compression and resizing",
                 path, name);
}

ft_err ft_h5_check_dataset(hid_t dataset, const char *path, const char *name, hid_t type,
                           int64_t file_bytes, ft_h5_place *place) {
  ft_err err = FT_OK;
  hsize_t dims[1] = {0};
  hid_t found = H5Dget_type(dataset), space = H5Dget_space(dataset);
  uint64_t width = H5Tget_size(type);
  FT_CHECK(found >= 0 && H5Tequal(found, type) > 0, FT_ERR_DATA,
           "%s: dataset \"%s\" is not of little-endian %s%zu numbers", path, name,
           H5Tget_class(type) == H5T_FLOAT ? "f" : "u", (size_t)(8 * width));
  FT_CHECK(space >= 0 && H5Sis_simple(space) > 0 && H5Sget_simple_extent_ndims(space) == 1 &&
               H5Sget_simple_extent_dims(space, dims, NULL) == 1,
           FT_ERR_DATA, "%s: dataset \"%s\" does not have one dimension", path, name);
  FT_TRY(check_layout(dataset, path, name));
  FT_CHECK(dims[0] <= (uint64_t)file_bytes / width, FT_ERR_DATA,
           "%s: dataset \"%s\" claims %llu elements, more than the file's %lld bytes can hold",
           path, name, (unsigned long long)dims[0], (long long)file_bytes);
  uint64_t bytes = dims[0] * width, offset = bytes > 0 ? H5Dget_offset(dataset) : 0;
  FT_CHECK(offset <= (uint64_t)file_bytes && bytes <= (uint64_t)file_bytes - offset, FT_ERR_DATA,
           "%s: dataset \"%s\" does not lie inside the file's %lld bytes: it was never written, or "
           "the file is cut off",
           path, name, (long long)file_bytes);
  *place = (ft_h5_place){.count = (int64_t)dims[0], .offset = (int64_t)offset};
out:
  (void)H5Eclear2(H5E_DEFAULT);
  if (space >= 0) H5Sclose(space);
  if (found >= 0) H5Tclose(found);
  return err;
}
