/* The manifest of a checkpoint, beside the two slice files that the good one lists: opened, every
 * state of every block read, everything verified. Its own checksum is made to fit. */
#include <stdlib.h>
#include <unistd.h>

#include "checkpoint/internal.h"
#include "fuzz.h"
#include "small_checkpoint.h"

#define DIR MEMORY_ROOT "step/"

/* Brings the slice files into memory. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const paths[] = {DIR "rank-00000-of-00002.h5", DIR "rank-00001-of-00002.h5"};
  char dir[] = "/tmp/ft-fuzz-XXXXXX", *path, *data, *manifest;
  size_t bytes;
  (void)argc;
  (void)argv;
  if (!mkdtemp(dir)) abort();
  small_checkpoint(dir, &manifest);
  for (int i = 0; i < SMALL_CHECKPOINT_FILES; i++) {
    if (ft_path_join(dir, small_checkpoint_names[i], &path) != FT_OK) abort();
    if (ft_read_file(path, 1 << 20, &data, &bytes) != FT_OK) abort();
    memory_file(paths[i], data, bytes);
    ft_free(path);
  }
  free(manifest);
  return ft_remove_tree(dir) == FT_OK ? 0 : -1;
}

static ft_err read_block(ft_checkpoint *c, const saved_block *b, const saved_state *s) {
  void *out;
  int64_t bytes = entry_bytes(s, b->elements);
  fuzz_demand(bytes >= 0 && bytes < 1 << 20, "a block is no larger than the files");
  ft_err err = ft_alloc(FT_MEM_OTHER, (size_t)bytes, &out);
  if (err == FT_OK)
    err = ft_checkpoint_read(c, b->name, s->name, 0, b->elements, s->group_elements, s->group_bytes,
                             out);
  ft_free(out);
  return err;
}

static ft_err read_all(ft_checkpoint *c) {
  ft_err err = FT_OK;
  int64_t bytes;
  for (int s = 0; s < ft_checkpoint_num_states(c); s++)
    (void)ft_checkpoint_state(c, s, &bytes);
  for (int64_t b = 0; b < c->num_blocks; b++)
    for (int s = 0; s < c->num_states; s++)
      FT_TRY(read_block(c, &c->blocks[b], &c->states[s]));
  FT_TRY(ft_checkpoint_verify(c));
out:
  return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_checkpoint *c = NULL;
  char *text = malloc(bytes + FT_CHECKPOINT_TAIL_BYTES + 1);
  if (!text) abort();
  if (bytes > 0) memcpy(text, data, bytes);
  snprintf(text + bytes, FT_CHECKPOINT_TAIL_BYTES + 1, FT_CHECKPOINT_TAIL,
           (unsigned long long)ft_hash64(data, bytes, 0));
  memory_file(DIR "manifest.json", text, bytes + FT_CHECKPOINT_TAIL_BYTES);
  fuzz_begin();
  ft_err err = ft_checkpoint_open_dir(MEMORY_ROOT "step", &c);
  if (err == FT_OK) err = read_all(c);
  ft_checkpoint_close(c);
  fuzz_end(err, FT_ERR_DATA);
  free(text);
  return 0;
}
