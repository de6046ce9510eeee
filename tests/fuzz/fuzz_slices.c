/* A slice file of a checkpoint: its table, and the hash of what is not data. */
#include <stdlib.h>

#include "fuzz.h"
#include "hdf5_checksums.h"

#define FILE_PATH MEMORY_ROOT "slices.h5"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_slice_dataset *datasets = NULL;
  int64_t count = 0;
  uint64_t hash;
  char *copy = fuzz_copy(data, bytes);
  hdf5_fix_checksums(copy, bytes);
  memory_file(FILE_PATH, copy, bytes);
  fuzz_begin();
  ft_err err = ft_slices_open(FILE_PATH, &datasets, &count);
  for (int64_t i = 0; err == FT_OK && i < count; i++)
    fuzz_demand(datasets[i].file_offset >= 0 && datasets[i].bytes <= bytes &&
                    (size_t)datasets[i].file_offset <= bytes - datasets[i].bytes,
                "data lie inside the file");
  if (err == FT_OK) err = ft_slices_metadata_hash(FILE_PATH, datasets, count, &hash);
  ft_slices_free(datasets, count);
  fuzz_end(err, FT_ERR_DATA);
  free(copy);
  return 0;
}
