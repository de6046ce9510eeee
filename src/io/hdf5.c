/* Writing HDF5 files with this library's errors. */
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

ft_err ft_h5_create(const char *path, bool latest, hid_t *file) {
  hid_t properties = access_properties(latest), creation = H5Pcreate(H5P_FILE_CREATE);
  ft_err err = FT_OK;
  *file = -1;
  /* the root's links stay in its object header: the reader here knows no fractal heaps */
  if (properties >= 0 && creation >= 0 && H5Pset_link_phase_change(creation, 65535, 0) >= 0)
    *file = H5Fcreate(path, H5F_ACC_TRUNC, creation, properties);
  if (*file < 0) err = ft_h5_fail(FT_ERR_CREATE, path, "create the HDF5 file");
  if (creation >= 0) H5Pclose(creation);
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

/* Creation properties: contiguous, allocated when created, never filled; without the time of day,
 * so that equal data make equal files. */
static hid_t plain_dataset(void) {
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  if (properties < 0) return -1;
  if (H5Pset_layout(properties, H5D_CONTIGUOUS) >= 0 &&
      H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0 &&
      H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0 &&
      H5Pset_obj_track_times(properties, false) >= 0)
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
