/* A token shard, in either of HDF5's kinds of structures: all that it says, and all its tokens. */
#include <stdlib.h>

#include "fuzz.h"
#include "hdf5_checksums.h"

#define FILE_PATH MEMORY_ROOT "shard.h5"
enum { PIECE = 512 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

static ft_err read_all(ft_tokens_file *f) {
  ft_err err = FT_OK;
  uint32_t tokens[PIECE];
  uint8_t mask[PIECE];
  int64_t *offsets = NULL;
  bool found;
  FT_TRY(ft_tokens_offsets(f, &offsets));
  fuzz_demand(offsets[f->num_documents] == f->num_tokens, "offsets end at the tokens' end");
  for (int64_t at = 0; at < f->num_tokens; at += PIECE)
    FT_TRY(ft_tokens_read(f, at, FT_MIN(PIECE, f->num_tokens - at), tokens, mask));
  if (f->num_tokens > 3) FT_TRY(ft_tokens_read(f, f->num_tokens - 3, 2, NULL, mask));
  FT_TRY(ft_tokens_verify(f, &found));
out:
  ft_free(offsets);
  return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_tokens_file *f = NULL;
  char *copy = fuzz_copy(data, bytes);
  hdf5_fix_checksums(copy, bytes);
  memory_file(FILE_PATH, copy, bytes);
  fuzz_begin();
  ft_err err = ft_tokens_open(FILE_PATH, &f);
  if (err == FT_OK) err = read_all(f);
  ft_tokens_close(f);
  fuzz_end(err, FT_ERR_DATA);
  free(copy);
  return 0;
}
